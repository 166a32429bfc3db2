/*
 * Flags shared through Redis: what people change at one daemon holds at all of them.
 *
 * One key has every change (flagfile/shared.h), with a version; it is set by compare-and-set, told
 * by PUBLISH, and looked at every 250 ms. What cannot be read, or is older than what is known,
 * replaces nothing. Each daemon writes down which version it uses. Without Redis a daemon goes on
 * with what it has, and flags can only be switched off or lowered. Any thread.
 */
#ifndef BANYAN_ADMIN_REDIS_H
#define BANYAN_ADMIN_REDIS_H

#include "admin/service.h"
#include "base/json_write.h"
#include "flagfile/snapshot.h"

struct redis;

/* Waits a moment for the first exchange, so that a daemon does not begin with old flags where it
 * need not; Redis away is no error. */
int redis_start(struct service *s, struct redis **ret_redis, struct err *err) must_check;
/* Nothing comes from there any more: before the server ends, which its thread tells of changes. */
void redis_end(struct redis *r);  /* NULL is fine */
void redis_stop(struct redis *r); /* NULL is fine */

/* Our changes go there, theirs come here; returns when both agree. ERR_UNREACHABLE: Redis is away.
 */
int redis_exchange(struct redis *r, struct err *err) must_check;

/* Before a change while Redis is away: ERR_UNREACHABLE unless it only switches off or lowers. */
int redis_may_change(const struct snapshot *now, const struct snapshot_change *change,
                     struct err *err) must_check;

/* Since when Redis is away (wall clock); 0: it is there. `why` has room for ERR_TEXT_MAX. */
int64_t redis_away_since(struct redis *r, char *why);

/* An array of the daemons that use this Redis: name, version of the shared flags they use, how long
 * ago they said so, and whether that is the newest. ERR_UNREACHABLE. */
int redis_show_instances(struct redis *r, struct json_out *j, const char *name,
                         struct err *err) must_check;

#endif

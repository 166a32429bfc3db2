/*
 * A flag as answers show it: what holds, where that comes from, since when. Pure.
 */
#ifndef BANYAN_FLAGFILE_SHOW_H
#define BANYAN_FLAGFILE_SHOW_H

#include "base/json_write.h"
#include "flagfile/snapshot.h"

#define FLAGFILE_STALE_DAYS 14
#define FLAGFILE_STALE_US (FLAGFILE_STALE_DAYS * INT64_C(86400) * 1000000)

/* "file", "override" or "kill". */
const char *flagfile_source(const struct state_flag *change);

/* On for everybody for 14 days: the code that asks for it can go. */
bool flagfile_is_stale(int64_t full_since_us, int64_t now_us);

/* NULL and numbers that stand in the file as they are. */
void flagfile_show_value(struct json_out *j, const char *name, const struct flags_value *v);

/* The members of the flag's object, without its braces, so that a caller can add more. */
void flagfile_show(struct json_out *j, const struct snapshot *snapshot, size_t flag,
                   int64_t full_since_us, int64_t now_us);

#endif

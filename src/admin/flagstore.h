/*
 * The daemon's flags: file and changes, followed as they change, and given to whoever evaluates.
 *
 * One lock: a change is made, built, published and in use when the call returns. Others (the
 * command line, another daemon on the same state) are noticed by the published blob's file. Any
 * thread.
 */
#ifndef BANYAN_ADMIN_FLAGSTORE_H
#define BANYAN_ADMIN_FLAGSTORE_H

#include "admin/service.h"
#include "flagfile/snapshot.h"

struct flagstore;

/* ERR_CONF with file, line and column where the flags cannot be used. */
int flagstore_start(struct service *s, struct flagstore **ret_store, struct err *err) must_check;
void flagstore_stop(struct flagstore *store); /* NULL is fine */

/* Looks whether the file or the blob changed; a bad file is logged, and the flags before stay. */
void flagstore_poll(struct flagstore *store);
/* What is wrong with the file, while the last good one is in use; "": nothing. Any thread. */
void flagstore_problem(struct flagstore *store, char text[ERR_TEXT_MAX]);
/* Reads everything again, whatever changed. A bad file is no failure: what people changed is in
 * use, over the last good one. */
int flagstore_refresh(struct flagstore *store, struct err *err) must_check;
/* The same for whoever wants the file itself: a bad one is an error. */
int flagstore_reload(struct flagstore *store, struct err *err) must_check;

/* *ret_conflict: the flag has another version by now. */
int flagstore_change(struct flagstore *store, const struct snapshot_change *change,
                     int64_t *ret_version, bool *ret_conflict, struct err *err) must_check;

/* The snapshot in use, while the lock is held by begin. Never NULL. */
const struct snapshot *flagstore_begin(struct flagstore *store);
void flagstore_end(struct flagstore *store);

void flagstore_sample(struct flagstore *store, struct obs_page *page);

#endif

/*
 * Operations in a process of its own: what the daemon offers over HTTP, for the command line and
 * for programs in C. Who answers comes from the same files that the daemon uses: the state file
 * (what people set), and the published flags.
 *
 * A look at them every 200 ms, in a thread of its own; a process that has no state file yet goes by
 * the configuration. Whether MongoDB has caught up is not known here, so it never stands in for
 * SQL. Any thread, but for _new and _free.
 */
#ifndef BANYAN_EMBED_EMBED_H
#define BANYAN_EMBED_EMBED_H

#include "operation/operation.h"

struct embed;

/* `conf` and `state_path` outlive it. */
int embed_new(const struct conf *conf, const char *state_path, const char *app,
              struct embed **ret_embed, struct err *err) must_check;
void embed_free(struct embed *e); /* NULL is fine; no call may be under way */

struct operations *embed_operations(struct embed *e);

#endif

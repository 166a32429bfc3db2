/*
 * Edges that have asked for flags: kept, so that one which cannot be reached is still known after a
 * restart and can be named when it has not confirmed. Any thread.
 */
#ifndef BANYAN_STATE_EDGE_H
#define BANYAN_STATE_EDGE_H

#include "state/state.h"

#define STATE_EDGE_ID 17 /* 16 hexadecimal digits and a NUL */

struct state_edge {
    char name[STATE_NAME_MAX];
    char id[STATE_EDGE_ID];
    int64_t seen_us; /* wall clock, a minute old at most */
};

/* All of them by name; free() it. */
int state_edge_list(struct state *s, struct state_edge **ret, size_t *ret_count,
                    struct err *err) must_check;
int state_edge_put(struct state *s, const struct state_edge *edge, struct err *err) must_check;
/* With its line of the audit log; *ret_there false: there is none of that name. */
int state_edge_forget(struct state *s, const char *name, const struct state_audit_line *line,
                      bool *ret_there, struct err *err) must_check;

#endif

/*
 * What the source says about the pipelines' slots: how much log it keeps for them, and whether it
 * still can. Asked every ten seconds on a session of its own, so a source that does not answer
 * holds up nobody. Any thread may look.
 */
#ifndef BANYAN_ADMIN_SLOTS_H
#define BANYAN_ADMIN_SLOTS_H

#include "base/err.h"
#include "conf/conf.h"
#include "state/state.h"

struct slot_view {
    bool known;      /* the source answered, lately */
    char status[16]; /* reserved, extended, unreserved, lost (PostgreSQL 15 docs, 54.19); missing */
    int64_t retained; /* bytes of log; -1: not known */
};

struct slots;

int slots_start(const struct conf *conf, struct state *state, struct slots **ret_slots,
                struct err *err) must_check;
void slots_stop(struct slots *s); /* asks, waits, frees */
void slots_view(struct slots *s, const char *pipeline, struct slot_view *ret);

#endif

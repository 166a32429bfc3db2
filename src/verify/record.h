/*
 * The result of a module's last verification, kept for whoever asks later: status, page, health.
 */
#ifndef BANYAN_VERIFY_RECORD_H
#define BANYAN_VERIFY_RECORD_H

#include "verify/verify.h"

struct verify_result {
    int rc; /* of verify_run */
    const struct verify_totals *totals;
    const struct err *failure; /* rc < 0 */
    int64_t started_us;        /* wall clock */
    const char *differences;   /* JSON array of the first ones; NULL: not kept */
};

/* equal, different, unsettled, stopped, failed. Static text. */
const char *verify_outcome(int rc, const struct verify_totals *t);

int verify_record(struct state *state, const char *module, const struct verify_result *result,
                  struct err *err) must_check;

#endif

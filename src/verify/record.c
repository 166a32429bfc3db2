#include "verify/record.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>

const char *verify_outcome(int rc, const struct verify_totals *t) {
    if (rc == 0)
        return "equal";
    if (rc == ERR_STOPPED)
        return "stopped";
    if (rc == ERR_NO)
        return t->different || t->decoder ? "different" : "unsettled";
    return "failed";
}

int verify_record(struct state *state, const char *module, const struct verify_result *r,
                  struct err *err) {
    const struct verify_totals *t = r->totals;
    _cleanup_(mem_freep) char *differences = mem_strdup(r->differences ? r->differences : "[]");
    struct state_verification v = {.compared = t->compared,
                                   .different = t->different,
                                   .unsettled = t->unsettled,
                                   .decoder = t->decoder,
                                   .not_ready = t->not_ready,
                                   .started_us = r->started_us,
                                   .finished_us = clock_wall_us(),
                                   .differences = differences};
    (void)snprintf(v.outcome, sizeof v.outcome, "%s", verify_outcome(r->rc, t));
    (void)snprintf(v.error, sizeof v.error, "%s", r->rc < 0 ? r->failure->text : "");
    return state_verification_put(state, module, &v, err);
}

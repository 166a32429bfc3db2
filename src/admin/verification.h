/*
 * One verification that the daemon runs in a thread; its result goes to the state.
 */
#ifndef BANYAN_ADMIN_VERIFICATION_H
#define BANYAN_ADMIN_VERIFICATION_H

#include "admin/module.h"

/* Added to when a verification ends. Any thread. */
struct verification_counts {
    _Atomic int64_t compared, different, unsettled;
};

struct verification_config {
    const struct conf *conf;
    struct state *state;
    const char *module; /* copied */
    int64_t sample;     /* 0: everything */
    struct verification_counts *counts;
    module_changed_fn changed;
    void *context;
};

struct verification;

int verification_start(const struct verification_config *config, struct verification **ret,
                       struct err *err) must_check;
void verification_stop(struct verification *v); /* asks */
bool verification_is_over(struct verification *v);
void verification_join(struct verification *v); /* waits, and frees it */
/* Fills the verify_ fields. */
void verification_view(struct verification *v, struct module_view *ret);

#endif

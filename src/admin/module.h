/*
 * One pipeline of the daemon: its thread, what people set for it, and its verifications.
 *
 *   starting -> copying -> catching up -> streaming
 *      ^  ^        |            |            |
 *      |  +--failed (tried again, later and later) <--+
 *      +----paused (until somebody resumes; durable)
 *
 * Each run of the pipeline is in a stop scope of its own, so one is paused while the others go on.
 * Any thread may call; what a caller sees is a copy.
 */
#ifndef BANYAN_ADMIN_MODULE_H
#define BANYAN_ADMIN_MODULE_H

#include "base/err.h"
#include "conf/conf.h"
#include "pipeline/pipeline.h"
#include "route/watermark.h"
#include "state/state.h"

enum module_state {
    MODULE_STARTING,
    MODULE_WAITING, /* for transactions or locks of others */
    MODULE_COPYING,
    MODULE_CATCHING_UP,
    MODULE_STREAMING,
    MODULE_PAUSED,
    MODULE_FAILED,
    MODULE_STOPPED
};
const char *module_state_name(enum module_state state);

#define MODULE_FAILURES 16 /* more than there are codes of errors */

struct module_view {
    char name[STATE_NAME_MAX]; /* module, or "all" */
    enum module_state state;
    int64_t since_us;             /* wall clock: in this state */
    char error[ERR_TEXT_MAX];     /* MODULE_FAILED */
    int64_t retry_us;             /* MODULE_FAILED: monotonic time of the next try */
    char waiting_for[256];        /* MODULE_WAITING */
    struct pipeline_progress now; /* the newest; texts are NULL */
    int64_t progress_us;          /* wall clock of `now`; 0: none yet */
    double received_per_second, written_per_second, copied_per_second;
    int64_t writes_per_second; /* the limit; 0: none */
    bool verifying;
    int64_t verify_done, verify_expected;
    char verify_stage[32];
    char verify_collection[STATE_NAME_MAX];
    /* By verifications that have ended since the daemon started. */
    int64_t verified_compared, verified_different, verified_unsettled;
    /* Ends of the pipeline by a failure since the daemon started, by -code. */
    int64_t failures[MODULE_FAILURES];
};

/* Called when something that people look at has changed; must return soon. */
typedef void (*module_changed_fn)(void *context, const char *module);

struct module_config {
    const struct conf *conf;
    struct state *state;
    const char *state_path;
    const char *name;
    struct watermark *watermark; /* of the gateway; NULL: none */
    module_changed_fn changed;
    void *context;
};

struct module;

int module_start(const struct module_config *config, struct module **ret_module,
                 struct err *err) must_check;
void module_stop(struct module *m); /* asks; the pipeline drains */
void module_join(struct module *m); /* after module_stop */
void module_free(struct module *m);

void module_view(struct module *m, struct module_view *ret);
/* What its lanes have measured since the daemon started. */
const struct apply_live *module_live(const struct module *m);
const char *module_name(const struct module *m);
/* How far its target is, and waiting for it (pipeline/applied.h). Borrowed. */
struct applied *module_applied(const struct module *m);

/* Durable when they return 0. Pausing what is paused is fine. */
int module_pause(struct module *m, struct err *err) must_check;
int module_resume(struct module *m, struct err *err) must_check;
/* writes_per_second -1: as configured; 0: no limit. */
int module_throttle(struct module *m, int64_t writes_per_second, struct err *err) must_check;

/* The configured limits have changed; what a person set stays. */
void module_set_limits(struct module *m, int64_t writes_per_second, int64_t rows_per_second);

/* Starts a verification of `module` (of the pipeline "all": one of them, or "all") in a thread;
 * ERR_BUSY while one runs. The result is in the state (state_verification_get). */
int module_verify(struct module *m, const char *module, int64_t sample, struct err *err) must_check;

#endif

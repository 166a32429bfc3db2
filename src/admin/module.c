#include "admin/module.h"

#include "admin/verification.h"
#include "admin/watermarks.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "state/lock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RETRY_FIRST_US 1000000
#define RETRY_MAX_US 60000000

struct module {
    struct module_config config;
    struct rate write_rate, read_rate;
    struct apply_live live;
    struct watermarks *watermarks;
    struct applied *applied;
    pthread_t thread;
    pthread_mutex_t control; /* from reading to using what people set; `lock` is taken inside */
    pthread_mutex_t lock;    /* all below */
    pthread_cond_t wake;
    bool ending, paused;
    int64_t configured;       /* writes per second */
    bool limit_is_set;        /* by a person */
    struct stop_scope *scope; /* while the pipeline runs */
    struct module_view view;
    struct verification *verification; /* while one runs, and until the next */
    struct verification_counts verified;
};

const char *module_state_name(enum module_state state) {
    static const char *const names[] = {"starting",  "waiting", "copying", "catching_up",
                                        "streaming", "paused",  "failed",  "stopped"};
    return names[state];
}

const char *module_name(const struct module *m) {
    return m->config.name;
}

static void tell(const struct module *m) {
    m->config.changed(m->config.context, m->config.name);
}

/* With the lock held; true if it is news. */
static bool enter(struct module *m, enum module_state state) {
    if (m->view.state == state)
        return false;
    m->view.state = state;
    m->view.since_us = clock_wall_us();
    return true;
}

static void tell_state(const struct module *m, enum module_state state) {
    log_event(LOG_INFO, "module_state", LOG_STR("module", m->config.name),
              LOG_STR("state", module_state_name(state)));
    tell(m);
}

static void enter_and_tell(struct module *m, enum module_state state) {
    pthread_mutex_lock(&m->lock);
    bool news = enter(m, state);
    pthread_mutex_unlock(&m->lock);
    if (news)
        tell_state(m, state);
}

/* ---- progress: from the pipeline's thread, about once a second ---- */

static enum module_state state_of(const struct pipeline_progress *p) {
    switch (p->stage) {
    case PIPELINE_WAITING:
        return MODULE_WAITING;
    case PIPELINE_COPYING:
        return MODULE_COPYING;
    case PIPELINE_STREAMING:
        return p->catching_up ? MODULE_CATCHING_UP : MODULE_STREAMING;
    }
    return MODULE_STARTING;
}

static double per_second(int64_t now, int64_t then, double seconds) {
    return seconds > 0 && now > then ? (double)(now - then) / seconds : 0;
}

static void take_progress(struct module *m, const struct pipeline_progress *p) {
    struct module_view *v = &m->view;
    int64_t now = clock_wall_us();
    double seconds = v->progress_us ? (double)(now - v->progress_us) / 1e6 : 0;
    v->received_per_second = per_second(p->changes, v->now.changes, seconds);
    v->written_per_second =
        per_second(p->written + p->deleted, v->now.written + v->now.deleted, seconds);
    v->copied_per_second = per_second(p->documents_copied, v->now.documents_copied, seconds);
    v->now = *p;
    v->now.waiting_for = NULL;
    v->progress_us = now;
    (void)snprintf(v->waiting_for, sizeof v->waiting_for, "%s",
                   p->stage == PIPELINE_WAITING && p->waiting_for ? p->waiting_for : "");
}

static void on_progress(void *context, const struct pipeline_progress *p) {
    struct module *m = context;
    pthread_mutex_lock(&m->lock);
    take_progress(m, p);
    pthread_mutex_unlock(&m->lock);
    enter_and_tell(m, state_of(p));
}

/* ---- the pipeline, again and again ---- */

static int run_pipeline(struct module *m, struct err *err) {
    _cleanup_(state_lock_freep) struct state_lock *lock = NULL;
    struct pipeline_options options = {.module = m->config.name,
                                       .progress = on_progress,
                                       .progress_context = m,
                                       .live = &m->live,
                                       .applied = m->applied,
                                       .write_rate = &m->write_rate,
                                       .read_rate = &m->read_rate};
    int rc = state_lock_acquire(m->config.state_path, m->config.name, "serve", &lock, err);
    return rc < 0 ? rc : pipeline_run(m->config.conf, m->config.state, &options, err);
}

/* In a scope of its own; false: it was asked not to run. */
static bool run_scoped(struct module *m, struct err *err) {
    struct stop_scope *scope = stop_scope_new();
    pthread_mutex_lock(&m->lock);
    bool wanted = !m->ending && !m->paused;
    m->scope = wanted ? scope : NULL;
    m->view.now = (struct pipeline_progress){0};
    m->view.progress_us = 0;
    pthread_mutex_unlock(&m->lock);
    if (wanted) {
        enter_and_tell(m, MODULE_STARTING);
        stop_scope_enter(scope);
        if (run_pipeline(m, err) == 0)
            *err = (struct err){0};
        stop_scope_enter(NULL);
    }
    pthread_mutex_lock(&m->lock);
    m->scope = NULL;
    pthread_mutex_unlock(&m->lock);
    stop_scope_free(scope);
    return wanted;
}

static struct timespec after(int64_t us) {
    int64_t at = clock_mono_us() + us;
    return (struct timespec){.tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000};
}

static void wait_while_paused(struct module *m) {
    pthread_mutex_lock(&m->lock);
    bool news = m->paused && !m->ending && enter(m, MODULE_PAUSED);
    pthread_mutex_unlock(&m->lock);
    if (news)
        tell_state(m, MODULE_PAUSED);
    pthread_mutex_lock(&m->lock);
    while (m->paused && !m->ending)
        pthread_cond_wait(&m->wake, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

/* Until the time is over, or somebody pauses, resumes or ends it. */
static void wait_to_retry(struct module *m, const struct err *failure, int64_t us) {
    struct timespec until = after(us);
    pthread_mutex_lock(&m->lock);
    (void)snprintf(m->view.error, sizeof m->view.error, "%s", failure->text);
    m->view.retry_us = clock_mono_us() + us;
    if (failure->code < 0 && failure->code > -MODULE_FAILURES)
        m->view.failures[-failure->code]++;
    bool news = enter(m, MODULE_FAILED);
    pthread_mutex_unlock(&m->lock);
    if (news) {
        log_event(LOG_ERROR, "module_failed", LOG_STR("module", m->config.name),
                  LOG_STR("reason", failure->text));
        tell(m);
    }
    pthread_mutex_lock(&m->lock);
    if (!m->ending && !m->paused)
        (void)pthread_cond_timedwait(&m->wake, &m->lock, &until);
    pthread_mutex_unlock(&m->lock);
}

static bool is_ending(struct module *m) {
    pthread_mutex_lock(&m->lock);
    bool ending = m->ending;
    pthread_mutex_unlock(&m->lock);
    return ending;
}

static bool has_streamed(struct module *m) {
    pthread_mutex_lock(&m->lock);
    bool streamed = m->view.progress_us != 0;
    pthread_mutex_unlock(&m->lock);
    return streamed;
}

static void *module_main(void *argument) {
    struct module *m = argument;
    int64_t wait = RETRY_FIRST_US;
    while (!is_ending(m)) {
        struct err failure = {0};
        wait_while_paused(m);
        if (!run_scoped(m, &failure) || failure.code == 0 || is_ending(m))
            continue;
        if (has_streamed(m))
            wait = RETRY_FIRST_US;
        wait_to_retry(m, &failure, wait);
        wait = wait * 2 < RETRY_MAX_US ? wait * 2 : RETRY_MAX_US;
    }
    enter_and_tell(m, MODULE_STOPPED);
    return NULL;
}

/* ---- for everybody ---- */

static int64_t limit_of(const struct module *m, int64_t set) {
    return set >= 0 ? set : m->configured;
}

int module_start(const struct module_config *config, struct module **ret_module, struct err *err) {
    struct state_control control;
    int rc = state_control_get(config->state, config->name, &control, err);
    if (rc < 0)
        return rc;
    struct module *m = mem_zalloc(1, sizeof *m);
    pthread_condattr_t attributes;
    m->config = *config;
    m->watermarks = watermarks_new(config->conf, config->name, config->watermark);
    const struct applied_hooks hooks = watermarks_hooks(m->watermarks);
    m->applied = applied_new(&hooks);
    m->paused = control.paused;
    m->configured = config->conf->target.writes_per_second;
    m->limit_is_set = control.writes_per_second >= 0;
    m->view.writes_per_second = limit_of(m, control.writes_per_second);
    m->view.since_us = clock_wall_us();
    (void)snprintf(m->view.name, sizeof m->view.name, "%s", config->name);
    rate_init(&m->write_rate, m->view.writes_per_second);
    rate_init(&m->read_rate, config->conf->source.snapshot_rows_per_second);
    pthread_mutex_init(&m->control, NULL);
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!thread_start(&m->thread, module_main, m)) {
        module_free(m);
        return err_set(err, ERR_INTERNAL, "cannot start a thread for module %s", config->name);
    }
    *ret_module = m;
    return 0;
}

/* With the lock held. */
static void interrupt(struct module *m) {
    if (m->scope)
        stop_scope_request(m->scope);
    pthread_cond_broadcast(&m->wake);
}

void module_stop(struct module *m) {
    pthread_mutex_lock(&m->lock);
    m->ending = true;
    interrupt(m);
    if (m->verification)
        verification_stop(m->verification);
    pthread_mutex_unlock(&m->lock);
}

void module_join(struct module *m) {
    pthread_join(m->thread, NULL);
    pthread_mutex_lock(&m->lock);
    struct verification *verification = m->verification;
    m->verification = NULL;
    pthread_mutex_unlock(&m->lock);
    if (verification)
        verification_join(verification);
}

void module_free(struct module *m) {
    if (!m)
        return;
    applied_free(m->applied);
    watermarks_free(m->watermarks);
    rate_release(&m->write_rate);
    rate_release(&m->read_rate);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->control);
    free(m);
}

void module_view(struct module *m, struct module_view *ret) {
    pthread_mutex_lock(&m->lock);
    *ret = m->view;
    ret->verified_compared = m->verified.compared;
    ret->verified_different = m->verified.different;
    ret->verified_unsettled = m->verified.unsettled;
    if (m->verification)
        verification_view(m->verification, ret);
    pthread_mutex_unlock(&m->lock);
}

struct applied *module_applied(const struct module *m) {
    return m->applied;
}

const struct apply_live *module_live(const struct module *m) {
    return &m->live;
}

/* State first: what a caller was told holds after a crash. */
static int store_and_use(struct module *m, const bool *paused, const int64_t *writes_per_second,
                         struct err *err) {
    struct state_control control;
    int rc = state_control_get(m->config.state, m->config.name, &control, err);
    if (rc < 0)
        return rc;
    control.paused = paused ? *paused : control.paused;
    control.writes_per_second = writes_per_second ? *writes_per_second : control.writes_per_second;
    rc = state_control_set(m->config.state, m->config.name, &control, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&m->lock);
    if (paused) {
        m->paused = *paused;
        if (*paused)
            interrupt(m);
        pthread_cond_broadcast(&m->wake);
    }
    if (writes_per_second) {
        rate_set(&m->write_rate, limit_of(m, *writes_per_second));
        m->limit_is_set = *writes_per_second >= 0;
        m->view.writes_per_second = limit_of(m, *writes_per_second);
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

/* What is NULL stays as it is. */
static int set_control(struct module *m, const bool *paused, const int64_t *writes_per_second,
                       struct err *err) {
    pthread_mutex_lock(&m->control);
    int rc = store_and_use(m, paused, writes_per_second, err);
    pthread_mutex_unlock(&m->control);
    return rc;
}

int module_pause(struct module *m, struct err *err) {
    return set_control(m, &(bool){true}, NULL, err);
}

int module_resume(struct module *m, struct err *err) {
    return set_control(m, &(bool){false}, NULL, err);
}

int module_throttle(struct module *m, int64_t writes_per_second, struct err *err) {
    int rc = set_control(m, NULL, &writes_per_second, err);
    if (rc == 0)
        tell(m);
    return rc;
}

void module_set_limits(struct module *m, int64_t writes_per_second, int64_t rows_per_second) {
    pthread_mutex_lock(&m->lock);
    m->configured = writes_per_second;
    if (!m->limit_is_set) {
        rate_set(&m->write_rate, writes_per_second);
        m->view.writes_per_second = writes_per_second;
    }
    rate_set(&m->read_rate, rows_per_second);
    pthread_mutex_unlock(&m->lock);
}

int module_verify(struct module *m, const char *module, int64_t sample, struct err *err) {
    struct verification_config config = {.conf = m->config.conf,
                                         .state = m->config.state,
                                         .module = module,
                                         .sample = sample,
                                         .counts = &m->verified,
                                         .changed = m->config.changed,
                                         .context = m->config.context};
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    if (m->verification && !verification_is_over(m->verification)) {
        rc = err_set(err, ERR_BUSY, "a verification of %s runs already", module);
    } else {
        if (m->verification)
            verification_join(m->verification);
        m->verification = NULL;
        rc = m->ending ? err_set(err, ERR_STOPPED, "the daemon is ending")
                       : verification_start(&config, &m->verification, err);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

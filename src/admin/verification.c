#include "admin/verification.h"

#include "base/clock.h"
#include "base/json_write.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "verify/record.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Of the differences, this many are kept to be shown. */
#define DIFFERENCES_MAX 100
#define DIFFERENCES_BYTES ((size_t)1024 * 1024)
#define CAUGHT_UP_WAIT_US 60000000

struct verification {
    struct verification_config config;
    char module[STATE_NAME_MAX];
    pthread_t thread;
    struct stop_scope *scope;
    atomic_bool over;
    struct buf differences; /* the thread's */
    struct json_out json;
    int shown;
    pthread_mutex_t lock; /* all below */
    int64_t done, expected;
    enum verify_stage stage;
    char collection[STATE_NAME_MAX];
};

static const char *stage_name(enum verify_stage stage) {
    static const char *const names[] = {"waiting", "rows", "documents", "settling", "repairing"};
    return names[stage];
}

static void on_progress(void *context, const struct verify_progress *p) {
    struct verification *v = context;
    pthread_mutex_lock(&v->lock);
    v->done = p->done;
    v->expected = p->expected;
    v->stage = p->stage;
    (void)snprintf(v->collection, sizeof v->collection, "%s", p->collection);
    pthread_mutex_unlock(&v->lock);
}

static int on_difference(void *context, const struct verify_difference *d, struct err *err) {
    struct verification *v = context;
    (void)err;
    if (v->shown == DIFFERENCES_MAX || v->differences.len > DIFFERENCES_BYTES / 2)
        return 0;
    size_t before = v->differences.len;
    struct json_out j = v->json;
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "collection", d->collection);
    json_out_text(&j, "id", d->id);
    json_out_text(&j, "path", d->path);
    json_out_text(&j, "kind", d->kind);
    json_out_text(&j, "sql", d->sql);
    json_out_text(&j, "mongodb", d->mongodb);
    json_out_close(&j, '}');
    if (v->differences.len > DIFFERENCES_BYTES / 2) {
        v->differences.len = before; /* too long to be shown */
        return 0;
    }
    v->json = j;
    v->shown++;
    return 0;
}

static void count(struct verification *v, const char *module, int rc,
                  const struct verify_totals *t) {
    v->config.counts->compared += t->compared;
    v->config.counts->different += t->different + t->decoder;
    v->config.counts->unsettled += t->unsettled;
    log_event(LOG_INFO, "verification_ended", LOG_STR("module", module),
              LOG_STR("outcome", verify_outcome(rc, t)), LOG_INT("compared", t->compared),
              LOG_INT("different", t->different), LOG_INT("unsettled", t->unsettled));
}

/* One module, with a result of its own. */
static int verify_module(struct verification *v, const char *module) {
    struct verify_totals totals = {0};
    struct err failure = {0}, err = {0};
    struct verify_options options = {.module = module,
                                     .sample = v->config.sample,
                                     .restart = true,
                                     .wait_us = CAUGHT_UP_WAIT_US,
                                     .progress = on_progress,
                                     .difference = on_difference,
                                     .context = v};
    int64_t started_us = clock_wall_us();
    v->shown = 0;
    buf_clear(&v->differences);
    json_out_begin(&v->json, &v->differences);
    json_out_open(&v->json, NULL, '[');
    int rc = verify_run(v->config.conf, v->config.state, &options, &totals, &failure);
    json_out_close(&v->json, ']');
    struct verify_result result = {.rc = rc,
                                   .totals = &totals,
                                   .failure = &failure,
                                   .started_us = started_us,
                                   .differences = buf_text(&v->differences)};
    if (verify_record(v->config.state, module, &result, &err) < 0)
        log_event(LOG_ERROR, "verification_not_kept", LOG_STR("reason", err.text));
    count(v, module, rc, &totals);
    v->config.changed(v->config.context, v->module);
    return rc;
}

static void *verification_main(void *argument) {
    struct verification *v = argument;
    const struct conf *conf = v->config.conf;
    bool all = strcmp(v->module, "all") == 0;
    stop_scope_enter(v->scope);
    for (size_t i = 0; all && i < conf->module_count; i++)
        if (verify_module(v, conf->modules[i].name.text) == ERR_STOPPED)
            break;
    if (!all)
        (void)verify_module(v, v->module);
    stop_scope_enter(NULL);
    atomic_store(&v->over, true);
    v->config.changed(v->config.context, v->module);
    return NULL;
}

static void release(struct verification *v) {
    stop_scope_free(v->scope);
    buf_release(&v->differences);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

int verification_start(const struct verification_config *config, struct verification **ret,
                       struct err *err) {
    struct verification *v = mem_zalloc(1, sizeof *v);
    v->config = *config;
    v->scope = stop_scope_new();
    v->expected = -1;
    (void)snprintf(v->module, sizeof v->module, "%s", config->module);
    pthread_mutex_init(&v->lock, NULL);
    buf_init(&v->differences, DIFFERENCES_BYTES);
    if (!thread_start(&v->thread, verification_main, v)) {
        release(v);
        return err_set(err, ERR_INTERNAL, "cannot start a thread for the verification");
    }
    *ret = v;
    return 0;
}

void verification_stop(struct verification *v) {
    stop_scope_request(v->scope);
}

bool verification_is_over(struct verification *v) {
    return atomic_load(&v->over);
}

void verification_join(struct verification *v) {
    pthread_join(v->thread, NULL);
    release(v);
}

void verification_view(struct verification *v, struct module_view *ret) {
    pthread_mutex_lock(&v->lock);
    ret->verifying = !atomic_load(&v->over);
    ret->verify_done = v->done;
    ret->verify_expected = v->expected;
    (void)snprintf(ret->verify_stage, sizeof ret->verify_stage, "%s", stage_name(v->stage));
    (void)snprintf(ret->verify_collection, sizeof ret->verify_collection, "%s", v->collection);
    pthread_mutex_unlock(&v->lock);
}

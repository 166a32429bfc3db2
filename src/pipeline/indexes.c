/*
 *   waiting -> asked (the target builds) -> answered -> ended
 *                 ^        |
 *                 +--------+ (error that may pass, backoff)
 *
 * `asked` is the only state in which the thread may be left alone: it holds no lock and touches
 * nothing but its own job and connection then.
 */
#include "pipeline/indexes.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "db/mongo.h"

#include <time.h>

/* An answer that is about to come is worth this wait at the end. */
#define END_WAIT_US 500000

struct index_spec {
    bson_t *keys; /* a bson_t wants 128-byte alignment, which a heap of ours has not */
    char *name;   /* NULL: MongoDB's own naming */
    int line;
};

struct job {
    struct job *next;
    size_t collection;
    char *name;
    struct index_spec *indexes;
    size_t count;
};

struct indexes {
    char *uri, *app, *database, *file;
    struct indexes_events events;

    pthread_mutex_t lock; /* everything below */
    pthread_cond_t changed;
    pthread_t thread;
    bool started, closing, asked, ended, left_alone;
    struct job *waiting, *current;

    struct mongo *mongo; /* thread of the indexes only */
};

void indexes_keys(const struct conf_index *index, bson_t *ret_keys) {
    bson_init(ret_keys);
    for (size_t i = 0; i < index->key_count; i++) {
        const char *kind = index->keys[i].kind;
        if (strcmp(kind, "1") == 0 || strcmp(kind, "-1") == 0)
            BSON_APPEND_INT32(ret_keys, index->keys[i].path.text, kind[0] == '-' ? -1 : 1);
        else
            BSON_APPEND_UTF8(ret_keys, index->keys[i].path.text, kind);
    }
}

/* ---- jobs ---- */

static struct job *job_new(size_t collection, const struct plan_collection *c) {
    struct job *j = mem_zalloc(1, sizeof *j);
    j->collection = collection;
    j->name = mem_strdup(c->name);
    j->indexes = mem_zalloc(c->conf->index_count, sizeof *j->indexes);
    for (size_t i = 0; i < c->conf->index_count; i++) {
        const struct conf_index *index = &c->conf->indexes[i];
        if (!index->unique)
            continue;
        struct index_spec *spec = &j->indexes[j->count++];
        bson_t keys;
        indexes_keys(index, &keys);
        spec->keys = bson_copy(&keys);
        bson_destroy(&keys);
        spec->name = index->name ? mem_strdup(index->name) : NULL;
        spec->line = index->at.line;
    }
    return j;
}

static void job_free(struct job *j) {
    if (!j)
        return;
    for (size_t i = 0; i < j->count; i++) {
        bson_destroy(j->indexes[i].keys);
        free(j->indexes[i].name);
    }
    free(j->indexes);
    free(j->name);
    free(j);
}

/* ---- the thread ---- */

/* Under the lock. False: time is up. */
static bool wait_changed(struct indexes *x, int64_t until_us) {
    struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                             .tv_nsec = (long)(until_us % 1000000) * 1000};
    return pthread_cond_timedwait(&x->changed, &x->lock, &until) == 0;
}

static int build(struct indexes *x, const struct job *j, size_t i, struct err *err) {
    const struct index_spec *spec = &j->indexes[i];
    int rc = x->mongo ? 0 : mongo_connect(x->uri, x->app, &x->mongo, err);
    if (rc == 0)
        rc = mongo_ensure_index(x->mongo, x->database, j->name, spec->keys, spec->name, true, err);
    if (rc == 0)
        return 0;
    mongo_free(x->mongo);
    x->mongo = NULL;
    return err_prefix(err, "%s:%d: index of %s", x->file, spec->line, j->name);
}

/* Under the lock, which is open while the target works. */
static void ask(struct indexes *x, const struct job *j, size_t i, struct err *ret_failure) {
    x->asked = true;
    pthread_mutex_unlock(&x->lock);
    int rc = build(x, j, i, ret_failure);
    pthread_mutex_lock(&x->lock);
    x->asked = false;
    if (rc == 0)
        *ret_failure = (struct err){0};
}

/* Under the lock: again and again while the error may pass. False: asked to end. */
static bool ask_until_answered(struct indexes *x, const struct job *j, size_t i,
                               struct err *ret_failure) {
    struct backoff backoff;
    backoff_init(&backoff, 100000, 10000000, (uint64_t)clock_wall_us());
    while (!x->closing) {
        ask(x, j, i, ret_failure);
        if (x->closing || !ret_failure->retriable)
            break;
        log_event(LOG_WARN, "index_waits", LOG_STR("reason", ret_failure->text));
        int64_t until = clock_mono_us() + backoff_next_us(&backoff);
        while (!x->closing && wait_changed(x, until))
            continue;
    }
    return !x->closing;
}

/* Under the lock, which stays closed while the end is reported, so that none is reported to a
 * pipeline that has gone; what it leads to never takes this lock. */
static void run_job(struct indexes *x, const struct job *j) {
    struct err first = {0};
    log_event(LOG_INFO, "indexes_begun", LOG_STR("collection", j->name));
    for (size_t i = 0; i < j->count; i++) {
        struct err failure;
        if (!ask_until_answered(x, j, i, &failure))
            return;
        if (first.code == 0)
            first = failure;
    }
    if (first.code == 0)
        log_event(LOG_INFO, "indexes_built", LOG_STR("collection", j->name));
    x->events.ended(x->events.context, j->collection, first.code ? &first : NULL);
}

static void release(struct indexes *x) {
    while (x->waiting) {
        struct job *j = x->waiting;
        x->waiting = j->next;
        job_free(j);
    }
    job_free(x->current);
    mongo_free(x->mongo);
    pthread_cond_destroy(&x->changed);
    pthread_mutex_destroy(&x->lock);
    free(x->uri);
    free(x->app);
    free(x->database);
    free(x->file);
    free(x);
}

static void *indexes_main(void *argument) {
    struct indexes *x = argument;
    pthread_mutex_lock(&x->lock);
    while (!x->closing) {
        if (!x->waiting) {
            pthread_cond_wait(&x->changed, &x->lock);
            continue;
        }
        x->current = x->waiting;
        x->waiting = x->current->next;
        run_job(x, x->current);
        job_free(x->current);
        x->current = NULL;
    }
    x->ended = true;
    bool left_alone = x->left_alone;
    pthread_cond_signal(&x->changed);
    pthread_mutex_unlock(&x->lock);
    if (left_alone)
        release(x);
    return NULL;
}

/* ---- for the pipeline ---- */

struct indexes *indexes_new(const struct indexes_config *config) {
    struct indexes *x = mem_zalloc(1, sizeof *x);
    x->uri = mem_strdup(config->uri);
    x->app = mem_strdup(config->app);
    x->database = mem_strdup(config->database);
    x->file = mem_strdup(config->file);
    x->events = config->events;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&x->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&x->lock, NULL);
    return x;
}

int indexes_add(struct indexes *x, size_t collection, const struct plan_collection *c,
                struct err *err) {
    struct job *j = job_new(collection, c);
    if (j->count == 0) {
        job_free(j);
        return 0;
    }
    pthread_mutex_lock(&x->lock);
    if (!x->started)
        x->started = thread_start(&x->thread, indexes_main, x);
    bool started = x->started;
    if (started) {
        struct job **end = &x->waiting;
        while (*end)
            end = &(*end)->next;
        *end = j;
        pthread_cond_signal(&x->changed);
    }
    pthread_mutex_unlock(&x->lock);
    if (started)
        return 0;
    job_free(j);
    return err_set(err, ERR_INTERNAL, "cannot start the thread of indexes");
}

bool indexes_is_idle(struct indexes *x) {
    pthread_mutex_lock(&x->lock);
    bool idle = !x->waiting && !x->current;
    pthread_mutex_unlock(&x->lock);
    return idle;
}

void indexes_free(struct indexes *x) {
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    x->closing = true;
    pthread_cond_signal(&x->changed);
    int64_t until = clock_mono_us() + END_WAIT_US;
    bool in_time = true;
    while (x->started && !x->ended && (in_time || !x->asked))
        in_time = wait_changed(x, in_time ? until : clock_mono_us() + END_WAIT_US) && in_time;
    x->left_alone = x->started && !x->ended;
    bool left_alone = x->left_alone;
    if (left_alone)
        pthread_detach(x->thread);
    pthread_mutex_unlock(&x->lock);
    if (left_alone)
        return;
    if (x->started)
        pthread_join(x->thread, NULL);
    release(x);
}

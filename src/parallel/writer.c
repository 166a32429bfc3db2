/* The writer: divergences and counters into the state, and nobody waits for it. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "parallel/copies.h"
#include "parallel/core.h"
#include "parallel/mapping.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define JOBS_MAX 1000
#define JOBS_BYTES ((size_t)64 << 20)
#define AT_ONCE 64 /* jobs of one transaction */
#define POP_US 200000
#define JOB_MEMORY (8 * 1024 * 1024)
#define MINUTE_US INT64_C(60000000)
#define EXPIRE_EVERY_US (60 * MINUTE_US)
#define REPRODUCER_MAX 65536

/* The differences of one call. */
struct job {
    struct arena memory;
    const char *module;
    struct state_divergence_found *found;
    size_t count;
};

struct writer {
    struct parallel *p;
    struct queue *jobs;
    struct copies *copies; /* NULL: none */
    pthread_t thread;
    char name[64];    /* of this process, for rollups */
    int64_t sequence; /* of the next batch */
    int64_t next_flush, next_expire;
    struct state_rollup *rows;
    bool failed; /* the last time: said once */
    _Atomic uint64_t dropped;
};

static void job_free(struct job *j) {
    arena_release(&j->memory);
    free(j);
}

/* ---- from the settlers ---- */

/* Which document each difference is about, if that can be said. */
static void find_documents(struct parallel *p, struct job *j, const struct answer *sql) {
    struct arena memory;
    struct compare_tree tree;
    struct err ignored;
    arena_init(&memory, ANSWER_ARENA_MAX);
    if (answer_tree(sql, &memory, &tree, &ignored) == 0)
        for (size_t i = 0; i < j->count; i++) {
            _cleanup_(buf_release) struct buf key = {.max = 65536};
            struct state_divergence_found *f = &j->found[i];
            const struct compare_value *document = mapping_find(&tree, f->path);
            f->collection =
                document ? mapping_document(p->mapping, f->module, document, &key) : NULL;
            if (f->collection)
                f->key = arena_copy(&j->memory, buf_span(&key));
        }
    arena_release(&memory);
}

static void add_request(struct parallel *p, struct job *j, const struct sample *sample,
                        struct state_divergence_found *f) {
    _cleanup_(buf_release) struct buf command = {.max = REPRODUCER_MAX}, id = {.max = 4096};
    f->parameters = sample_parameters(sample, secret_span(&p->secret), &j->memory);
    if (sample->operation)
        sample_query(sample, f->parameters, &command);
    else
        sample_reproducer(sample, &command);
    sample_request_id(sample, &id);
    if (buf_ok(&command))
        f->reproducer = arena_copy(&j->memory, buf_span(&command));
    if (buf_ok(&id))
        f->request = arena_copy(&j->memory, buf_span(&id));
}

/* What the differences of one call have in common. */
static void describe(struct parallel *p, struct job *j, const struct sample *sample,
                     struct state_divergence_found *f) {
    unsigned char hash[STATE_USER_LEN];
    struct arena memory;
    arena_init(&memory, 65536);
    struct span user = sample_user(sample, &memory);
    if (user.ptr) {
        secret_hash_user(&p->secret, user, hash);
        f->user = arena_copy(&j->memory, span_make(hash, sizeof hash));
    }
    arena_release(&memory);
    add_request(p, j, sample, f);
}

static void fill(struct job *j, const struct subject *subject, const struct answer_compared *c,
                 const struct state_divergence_found *common) {
    for (size_t i = 0; i < c->count; i++) {
        const struct answer_difference *d = &c->differences[i];
        struct state_divergence_found *f = &j->found[i];
        *f = *common;
        f->fingerprint = compare_fingerprint(span_of(subject->name), d->shape, d->kind);
        f->shape = arena_copy(&j->memory, d->shape);
        f->path = arena_copy(&j->memory, d->path);
        f->kind = compare_kind_name(d->kind);
        f->sql = d->sql.ptr ? arena_copy(&j->memory, d->sql) : d->sql;
        f->mongodb = d->mongodb.ptr ? arena_copy(&j->memory, d->mongodb) : d->mongodb;
    }
    j->count = c->count;
}

void writer_add(struct writer *w, const struct sample *sample, const struct answer_compared *found,
                const struct answer *sql) {
    struct job *j = mem_zalloc(1, sizeof *j);
    struct state_divergence_found common = {.module = sample->subject->module,
                                            .subject = sample->subject->name,
                                            .at_us = clock_wall_us()};
    arena_init(&j->memory, JOB_MEMORY);
    j->module = common.module;
    j->found = arena_alloc(&j->memory, (found->count + 1) * sizeof *j->found);
    if (j->found && found->count) {
        describe(w->p, j, sample, &common);
        if (found->sql_document.ptr)
            common.sql_document = arena_copy(&j->memory, found->sql_document);
        if (found->mongodb_document.ptr)
            common.mongodb_document = arena_copy(&j->memory, found->mongodb_document);
        fill(j, sample->subject, found, &common);
        find_documents(w->p, j, sql);
    }
    if (j->count && queue_push(w->jobs, j, j->memory.used, 0) == QUEUE_OK)
        return;
    atomic_fetch_add(&w->dropped, 1);
    job_free(j);
}

uint64_t writer_dropped(const struct writer *w) {
    return atomic_load(&w->dropped) + (w->copies ? copies_dropped(w->copies) : 0);
}

/* ---- divergences ---- */

static size_t take_jobs(struct writer *w, struct job **jobs, bool *ret_closed) {
    size_t n = 0;
    void *item;
    enum queue_result result;
    while (n < AT_ONCE && (result = queue_pop(w->jobs, &item, n ? 0 : POP_US)) == QUEUE_OK)
        jobs[n++] = item;
    *ret_closed = n == 0 && result == QUEUE_CLOSED;
    return n;
}

static void tell(struct writer *w, struct job **jobs, size_t count) {
    const struct parallel_config *c = &w->p->config;
    for (size_t i = 0; c->changed && i < count; i++)
        if (i == 0 || strcmp(jobs[i]->module, jobs[i - 1]->module) != 0)
            c->changed(c->context, jobs[i]->module);
}

static void say_failure(struct writer *w, const char *event, int rc, const struct err *err) {
    if (rc < 0 && !w->failed)
        log_event(LOG_ERROR, event, LOG_STR("reason", err->text));
    w->failed = rc < 0;
}

static void store(struct writer *w, struct job **jobs, size_t count) {
    const struct conf_divergences *limits = &w->p->config.conf->divergences;
    struct err err = {0};
    size_t all = 0, n = 0;
    for (size_t i = 0; i < count; i++)
        all += jobs[i]->count;
    _cleanup_(mem_freep) struct state_divergence_found *found = mem_zalloc(all + 1, sizeof *found);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < jobs[i]->count; k++)
            found[n++] = jobs[i]->found[k];
    int rc = state_divergences_add(w->p->config.state, found, n, limits->fingerprints,
                                   limits->examples, &err);
    say_failure(w, "divergences_not_kept", rc, &err);
    if (rc < 0)
        atomic_fetch_add(&w->dropped, count);
    else
        tell(w, jobs, count);
    for (size_t i = 0; i < count; i++) {
        if (w->copies)
            copies_add(w->copies, jobs[i]->found, jobs[i]->count);
        job_free(jobs[i]);
    }
}

/* ---- counters ---- */

/* As in admin/watch.c: from the last write that succeeded, under the number of the first that did
 * not, so that nothing is stored twice. */
static void flush(struct writer *w) {
    struct subjects *s = &w->p->subjects;
    const size_t room = STATE_ROLLUP_ROWS_MAX / 10; /* short transactions */
    int64_t minute = clock_wall_us() / MINUTE_US;
    struct err err = {0};
    int rc = 0;
    for (size_t from = 0, at = 0; rc == 0 && from < s->count; from = at) {
        size_t n = 0;
        for (; at < s->count && n + TALLY_ROWS_MAX <= room; at++)
            n += tally_rows(&s->list[at].tally, s->list[at].module, s->list[at].kind,
                            s->list[at].name, minute, w->rows + n);
        if (n == 0)
            continue;
        rc = state_rollups_write(w->p->config.state, w->name, w->sequence, w->rows, n, &err);
        if (rc < 0)
            break;
        w->sequence++;
        for (size_t i = from; i < at; i++)
            tally_keep(&s->list[i].tally);
    }
    say_failure(w, "comparisons_not_kept", rc, &err);
}

static void expire(struct writer *w) {
    const struct parallel_config *c = &w->p->config;
    int64_t until = clock_wall_us() - c->conf->divergences.retention_us;
    struct err err = {0};
    say_failure(w, "divergences_not_expired", state_divergence_expire(c->state, until, &err), &err);
    if (w->copies)
        copies_expire(w->copies, until);
}

/* ---- the thread ---- */

static void by_the_clock(struct writer *w) {
    int64_t now = clock_mono_us();
    if (now >= w->next_flush) {
        w->next_flush = now + PARALLEL_FLUSH_US;
        flush(w);
    }
    if (now >= w->next_expire) {
        w->next_expire = now + EXPIRE_EVERY_US;
        expire(w);
    }
}

static void *writer_main(void *argument) {
    struct writer *w = argument;
    struct job *jobs[AT_ONCE];
    bool closed = false;
    while (!closed) {
        size_t n = take_jobs(w, jobs, &closed);
        if (n)
            store(w, jobs, n);
        by_the_clock(w);
    }
    flush(w);
    return NULL;
}

static void release(struct writer *w) {
    queue_free(w->jobs);
    copies_free(w->copies);
    free(w->rows);
    free(w);
}

int writer_start(struct parallel *p, struct writer **ret, struct err *err) {
    struct writer *w = mem_zalloc(1, sizeof *w);
    w->p = p;
    w->jobs = queue_new(JOBS_MAX, JOBS_BYTES);
    w->rows = mem_zalloc(STATE_ROLLUP_ROWS_MAX / 10, sizeof *w->rows);
    w->sequence = 1;
    w->next_flush = clock_mono_us() + PARALLEL_FLUSH_US;
    if (p->config.conf->divergences.collection.text)
        w->copies = copies_new(p->config.conf);
    (void)snprintf(w->name, sizeof w->name, "parallel-%d-%" PRId64, (int)getpid(), clock_wall_us());
    if (!thread_start(&w->thread, writer_main, w)) {
        release(w);
        return err_set(err, ERR_INTERNAL, "cannot start the thread that stores divergences");
    }
    *ret = w;
    return 0;
}

void writer_stop(struct writer *w) {
    if (!w)
        return;
    queue_close(w->jobs);
    pthread_join(w->thread, NULL);
    release(w);
}

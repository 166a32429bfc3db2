/* Workers: each asks the other side for many samples at a time, and compares what comes.
 *
 * A sample takes one of the worker's places:
 *
 *   FREE --> WAITING --the module may ask--> OTHER --answered, compared--> FREE
 *               |                              |                             ^
 *               +--PATIENCE_US are over-->-----+--1 %--> SQL_AGAIN ----------+
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "parallel/core.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PLACES HTTP_KEPT_MAX
#define WORKERS_MIN 2 /* while one compares something large, another goes on */
#define WORKERS_MAX 4
#define WAIT_US INT64_C(1000000)
#define PATIENCE_US INT64_C(50000) /* samples come many at a time, and answers within it */
#define RETRY_US INT64_C(1000)
#define NAP_US                                                                                     \
    500 /* answers come while it sleeps: to be woken by each costs more than to take it */
#define NOISE_SEED UINT64_C(0x62616e79616e2f6e) /* "banyan/n": not that of samples */

/* Two answers, and memory to compare them in. */
struct comparer {
    struct parallel *p;
    struct arena memory, scratch;
};

enum stage { FREE, WAITING, OTHER, SQL_AGAIN };

struct place {
    enum stage stage;
    struct sample *sample;
    int64_t until_us; /* WAITING */
    bool differ;      /* SQL_AGAIN: what was compared */
    struct held primary, other, again;
    struct buf request;
};

struct worker {
    struct comparer comparer;
    struct asker asker;
    struct place places[PLACES];
    struct place *free[PLACES];
    size_t free_count, waiting;
    int wake;
    _Atomic bool waits; /* and has room */
    pthread_t thread;
};

struct workers {
    struct parallel *p;
    struct worker *list[WORKERS_MAX];
    size_t count, started;
};

static void not_compared(struct subject *s, enum parallel_reason reason) {
    tally_add(&s->tally, TALLY_NOT_COMPARED + (int)reason, 1);
}

/* ---- comparing ---- */

static void count_explained(struct subject *s, const struct answer_compared *c) {
    for (int i = 0; i < COMPARE_RULE_COUNT; i++)
        if (c->explained[i])
            tally_add(&s->tally, TALLY_EXPLAINED + i, c->explained[i]);
}

static int compare_answers(struct comparer *c, const struct subject *s, const struct answer *sql,
                           const struct answer *other, struct answer_compared *ret) {
    struct err ignored;
    arena_reset(&c->memory);
    return answer_compare(&s->rules, sql, other, false, (struct span){0}, &c->memory, &c->scratch,
                          ret, &ignored);
}

/* Negative: they cannot be compared. 1: they differ, and it is to be found out whether that was
 * lag. */
static int compare(struct comparer *c, const struct sample *s, const struct answer *sql,
                   const struct answer *mongodb) {
    struct answer_compared compared;
    int rc = compare_answers(c, s->subject, sql, mongodb, &compared);
    if (rc < 0) {
        not_compared(s->subject, NOT_COMPARED_TOO_LARGE);
        return rc;
    }
    tally_compared(&s->subject->tally, s->weight);
    if (compared.equal)
        count_explained(s->subject, &compared);
    return !compared.equal;
}

/* SQL is asked once more for one of so many, against what it said. True: it is to be asked now. */
static bool begin_noise_run(const struct sample *s) {
    return sample_hash(s, NOISE_SEED) % PARALLEL_NOISE == 0 &&
           subject_begin(s->subject, ROUTE_SQL, BUDGET_SAMPLE, clock_mono_us()) == COMPARABLE;
}

static void count_noise(struct comparer *c, struct subject *s, const struct answer *sql,
                        const struct answer *again) {
    struct answer_compared compared;
    if (compare_answers(c, s, sql, again, &compared) < 0)
        return;
    tally_add(&s->tally, TALLY_NOISE_RUNS, 1);
    tally_add(&s->tally, TALLY_NOISE_HITS, !compared.equal);
}

/* The end of a sample that was compared. */
static void settle(struct comparer *c, struct sample *s, bool differ) {
    if (differ)
        settling_add(c->p->settling, s);
    else
        sample_free(s);
}

static void comparer_init(struct comparer *c, struct parallel *p) {
    c->p = p;
    arena_init(&c->memory, ANSWER_ARENA_MAX);
    arena_init(&c->scratch, ANSWER_ARENA_MAX);
}

static void comparer_release(struct comparer *c) {
    arena_release(&c->memory);
    arena_release(&c->scratch);
}

/* ---- places ---- */

static void leave(struct worker *w, struct place *at) {
    at->stage = FREE;
    at->sample = NULL;
    held_let_go(&at->primary);
    held_let_go(&at->other);
    held_let_go(&at->again);
    w->free[w->free_count++] = at;
}

/* It ends without a comparison. */
static void give_up(struct worker *w, struct place *at, enum parallel_reason reason) {
    not_compared(at->sample->subject, reason);
    sample_free(at->sample);
    leave(w, at);
}

static const struct answer *sql_of(const struct place *at) {
    return at->sample->call.side == ROUTE_SQL ? &at->primary.answer : &at->other.answer;
}

static const struct answer *mongodb_of(const struct place *at) {
    return at->sample->call.side == ROUTE_SQL ? &at->other.answer : &at->primary.answer;
}

static void end(struct worker *w, struct place *at) {
    settle(&w->comparer, at->sample, at->differ);
    leave(w, at);
}

static void ask_sql_again(struct worker *w, struct place *at) {
    at->stage = SQL_AGAIN;
    if (sample_begin(at->sample, ROUTE_SQL, &w->asker, &at->request, at) != COMPARABLE)
        end(w, at);
}

static void other_answered(struct worker *w, struct place *at, const struct http_done *done) {
    struct sample *s = at->sample;
    enum parallel_reason reason =
        sample_end(s, other_side(s->call.side), &w->asker, done, &at->other);
    /* Both say so: their outcomes are compared. */
    if (reason == NOT_COMPARED_FORBIDDEN && (s->call.status == 401 || s->call.status == 403))
        reason = COMPARABLE;
    if (reason != COMPARABLE) {
        give_up(w, at, reason);
        return;
    }
    int rc = compare(&w->comparer, s, sql_of(at), mongodb_of(at));
    at->differ = rc > 0;
    if (rc >= 0 && begin_noise_run(s))
        ask_sql_again(w, at);
    else
        end(w, at);
}

static void sql_answered(struct worker *w, struct place *at, const struct http_done *done) {
    if (sample_end(at->sample, ROUTE_SQL, &w->asker, done, &at->again) == COMPARABLE)
        count_noise(&w->comparer, at->sample->subject, sql_of(at), &at->again.answer);
    end(w, at);
}

static void ask_other(struct worker *w, struct place *at) {
    struct sample *s = at->sample;
    enum route_side side = other_side(s->call.side);
    enum parallel_reason reason = subject_begin(s->subject, side, BUDGET_SAMPLE, clock_mono_us());
    at->stage = OTHER;
    if (reason == COMPARABLE)
        reason = sample_begin(s, side, &w->asker, &at->request, at);
    if (reason != COMPARABLE)
        give_up(w, at, reason);
}

/* Its module may ask now, or it has waited long enough to be told that it may not. */
static void ask_or_wait(struct worker *w, struct place *at, int64_t now_us) {
    if (now_us < at->until_us && !subject_has_place(at->sample->subject, BUDGET_SAMPLE))
        return;
    w->waiting--;
    ask_other(w, at);
}

static void take(struct worker *w, struct place *at, struct sample *s) {
    int64_t now = clock_mono_us();
    enum parallel_reason reason = COMPARABLE;
    at->sample = s;
    at->differ = false;
    if (!atomic_load(&s->subject->ready))
        reason = NOT_COMPARED_NOT_READY;
    else if (!subject_is_read(s->subject, s->call.method, s->call.uri))
        reason = NOT_COMPARED_WRITE;
    else
        reason = sample_primary(s, &at->primary);
    if (reason != COMPARABLE) {
        give_up(w, at, reason);
        return;
    }
    at->stage = WAITING;
    at->until_us = now + PATIENCE_US;
    w->waiting++;
    ask_or_wait(w, at, now);
}

/* ---- the thread ---- */

static bool has_room(const struct worker *w) {
    return w->free_count > 0;
}

static void take_answers(struct worker *w) {
    struct http_done done;
    while (http_keeper_next(w->asker.keeper, &done)) {
        struct place *at = done.owner;
        if (at->stage == OTHER)
            other_answered(w, at, &done);
        else
            sql_answered(w, at, &done);
    }
}

static void fill(struct worker *w) {
    struct parallel *p = w->comparer.p;
    void *item;
    while (has_room(w) && queue_pop(p->samples, &item, 0) == QUEUE_OK) {
        take(w, w->free[--w->free_count], item);
        take_answers(w); /* who is not there says so at once: the next is not asked in vain */
    }
    if (!has_room(w) && queue_length(p->samples))
        workers_wake(p->workers);
}

static void try_those_that_wait(struct worker *w) {
    int64_t now = clock_mono_us();
    for (struct place *at = w->places; w->waiting && at < w->places + PLACES; at++)
        if (at->stage == WAITING)
            ask_or_wait(w, at, now);
}

static void wait_for_more(struct worker *w) {
    struct parallel *p = w->comparer.p;
    uint64_t ignored;
    atomic_store(&w->waits, has_room(w));
    if (PLACES - w->free_count > w->waiting)
        clock_sleep(NAP_US); /* when an answer has come, the kernel remembers (keep.h) */
    /* Whoever has pushed something sees that this one waits, or is seen here. */
    bool more = has_room(w) && queue_length(p->samples);
    if (!more && !atomic_load(&p->stop) &&
        http_keeper_wait(w->asker.keeper, w->wake, w->waiting ? RETRY_US : WAIT_US) &&
        read(w->wake, &ignored, sizeof ignored) < 0)
        ignored = 0; /* somebody else was faster */
    atomic_store(&w->waits, false);
}

static void *worker_main(void *argument) {
    struct worker *w = argument;
    thread_make_way(); /* for who answers */
    while (!atomic_load(&w->comparer.p->stop)) {
        fill(w);
        wait_for_more(w);
        take_answers(w);
        try_those_that_wait(w);
    }
    return NULL;
}

/* ---- operations: both have answered already ---- */

static enum parallel_reason hold_both(const struct sample *s, struct held *sql,
                                      struct held *mongodb) {
    const struct operation_answer *answers = s->operation->answers;
    if (!atomic_load(&s->subject->ready))
        return NOT_COMPARED_NOT_READY;
    enum parallel_reason reason = held_operation(sql, s->subject->operation, &answers[ROUTE_SQL]);
    return reason == COMPARABLE
               ? held_operation(mongodb, s->subject->operation, &answers[ROUTE_MONGODB])
               : reason;
}

static void compare_operation(struct comparer *c, struct sample *s, const struct held *sql,
                              const struct held *mongodb) {
    const struct asker asker = {NULL, &c->p->operations, &c->p->stop, BUDGET_SAMPLE};
    struct held again;
    int rc = compare(c, s, &sql->answer, &mongodb->answer);
    if (rc >= 0 && begin_noise_run(s)) {
        held_init(&again);
        if (sample_ask(s, ROUTE_SQL, &asker, &again) == COMPARABLE)
            count_noise(c, s->subject, &sql->answer, &again.answer);
        held_release(&again);
    }
    settle(c, s, rc > 0);
}

void work_on_operation(struct parallel *p, struct sample *s) {
    struct comparer c;
    struct held sql, mongodb;
    comparer_init(&c, p);
    held_init(&sql);
    held_init(&mongodb);
    enum parallel_reason reason = hold_both(s, &sql, &mongodb);
    if (reason == COMPARABLE) {
        compare_operation(&c, s, &sql, &mongodb);
    } else {
        not_compared(s->subject, reason);
        sample_free(s);
    }
    held_release(&sql);
    held_release(&mongodb);
    comparer_release(&c);
}

/* ---- life ---- */

static void place_release(struct place *at) {
    sample_free(at->sample);
    held_release(&at->primary);
    held_release(&at->other);
    held_release(&at->again);
    buf_release(&at->request);
}

static void worker_free(struct worker *w) {
    http_keeper_free(w->asker.keeper);
    for (size_t i = 0; i < PLACES; i++)
        place_release(&w->places[i]);
    comparer_release(&w->comparer);
    if (w->wake >= 0)
        close(w->wake);
    free(w);
}

static struct worker *worker_new(struct parallel *p) {
    struct worker *w = mem_zalloc(1, sizeof *w);
    comparer_init(&w->comparer, p);
    w->asker = (struct asker){http_keeper_new(), &p->operations, NULL, BUDGET_SAMPLE};
    for (size_t i = PLACES; i-- > 0;) {
        struct place *at = &w->places[i];
        held_init(&at->primary);
        held_init(&at->other);
        held_init(&at->again);
        w->free[w->free_count++] = at;
    }
    w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return w;
}

/* As many as have places for all that the modules may ask at one time. */
static size_t wanted(const struct subjects *s) {
    size_t calls = 0;
    for (size_t i = 0; i < s->shared_count; i++)
        if (s->shared[i].conf->route_count)
            calls += (size_t)s->shared[i].budget.concurrent;
    size_t workers = (calls + PLACES - 1) / PLACES;
    if (workers < WORKERS_MIN)
        workers = calls ? WORKERS_MIN : 0;
    return workers < WORKERS_MAX ? workers : WORKERS_MAX;
}

bool workers_start(struct parallel *p, struct workers **ret) {
    struct workers *all = mem_zalloc(1, sizeof *all);
    all->p = p;
    all->count = wanted(&p->subjects);
    for (size_t i = 0; i < all->count; i++)
        all->list[i] = worker_new(p);
    *ret = all; /* there before the threads, which wake each other */
    for (; all->started < all->count; all->started++) {
        struct worker *w = all->list[all->started];
        if (w->wake < 0 || !thread_start(&w->thread, worker_main, w))
            return false;
    }
    return true;
}

static void wake(struct worker *w) {
    uint64_t one = 1;
    ssize_t ignored = write(w->wake, &one, sizeof one);
    (void)ignored;
}

void workers_wake(struct workers *all) {
    for (size_t i = 0; i < all->count; i++) {
        if (atomic_exchange(&all->list[i]->waits, false)) {
            wake(all->list[i]);
            return;
        }
    }
}

void workers_stop(struct workers *all) {
    void *item;
    if (!all)
        return;
    for (size_t i = 0; i < all->started; i++)
        wake(all->list[i]);
    for (size_t i = 0; i < all->started; i++)
        pthread_join(all->list[i]->thread, NULL);
    for (size_t i = 0; i < all->count; i++)
        worker_free(all->list[i]);
    while (queue_pop(all->p->samples, &item, 0) == QUEUE_OK)
        sample_free(item);
    free(all);
}

/* Workers: each takes a sample, asks the other side, and compares. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "parallel/core.h"

#define POP_US 200000
#define NOISE_SEED UINT64_C(0x62616e79616e2f6e) /* "banyan/n": not that of samples */

struct worker {
    struct parallel *p;
    struct asker asker;
    struct arena memory, scratch;
    struct held primary, other, again;
};

static enum route_side other_side(enum route_side side) {
    return side == ROUTE_SQL ? ROUTE_MONGODB : ROUTE_SQL;
}

static void not_compared(struct subject *s, enum parallel_reason reason) {
    tally_add(&s->tally, TALLY_NOT_COMPARED + (int)reason, 1);
}

static void count_explained(struct subject *s, const struct answer_compared *c) {
    for (int i = 0; i < COMPARE_RULE_COUNT; i++)
        if (c->explained[i])
            tally_add(&s->tally, TALLY_EXPLAINED + i, c->explained[i]);
}

static bool is_noise_run(const struct sample *s) {
    return sample_hash(s, NOISE_SEED) % PARALLEL_NOISE == 0;
}

/* SQL once more, against what it said. */
static void measure_noise(struct worker *w, const struct sample *s, const struct answer *sql) {
    struct subject *subject = s->subject;
    struct answer_compared c;
    struct err ignored;
    if (subject_begin(subject, ROUTE_SQL, BUDGET_SAMPLE, clock_mono_us()) != COMPARABLE ||
        sample_ask(s, ROUTE_SQL, &w->asker, &w->again) != COMPARABLE)
        return;
    if (answer_compare(&subject->rules, sql, &w->again.answer, false, (struct span){0}, &w->memory,
                       &w->scratch, &c, &ignored) < 0)
        return;
    tally_add(&subject->tally, TALLY_NOISE_RUNS, 1);
    tally_add(&subject->tally, TALLY_NOISE_HITS, !c.equal);
}

/* True: they differ, and it is to be found out whether that was lag. */
static bool compare(struct worker *w, const struct sample *s, const struct answer *sql,
                    const struct answer *mongodb) {
    struct subject *subject = s->subject;
    struct answer_compared c;
    struct err ignored;
    arena_reset(&w->memory);
    if (answer_compare(&subject->rules, sql, mongodb, false, (struct span){0}, &w->memory,
                       &w->scratch, &c, &ignored) < 0) {
        not_compared(subject, NOT_COMPARED_TOO_LARGE);
        return false;
    }
    tally_compared(&subject->tally, s->weight);
    if (c.equal)
        count_explained(subject, &c);
    if (is_noise_run(s))
        measure_noise(w, s, sql);
    return !c.equal;
}

static enum parallel_reason ask_other(struct worker *w, const struct sample *s) {
    struct subject *subject = s->subject;
    enum route_side side = other_side(s->call.side);
    if (!atomic_load(&subject->ready))
        return NOT_COMPARED_NOT_READY;
    if (!subject_is_read(subject, s->call.method, s->call.uri))
        return NOT_COMPARED_WRITE;
    enum parallel_reason reason = sample_primary(s, &w->primary);
    if (reason == COMPARABLE)
        reason = subject_begin(subject, side, BUDGET_SAMPLE, clock_mono_us());
    if (reason == COMPARABLE)
        reason = sample_ask(s, side, &w->asker, &w->other);
    /* Both say so: their outcomes are compared. */
    if (reason == NOT_COMPARED_FORBIDDEN && (s->call.status == 401 || s->call.status == 403))
        reason = COMPARABLE;
    return reason;
}

static void work_on(struct worker *w, struct sample *s) {
    enum parallel_reason reason = ask_other(w, s);
    bool sql_first = s->call.side == ROUTE_SQL;
    if (reason != COMPARABLE)
        not_compared(s->subject, reason);
    else if (compare(w, s, sql_first ? &w->primary.answer : &w->other.answer,
                     sql_first ? &w->other.answer : &w->primary.answer)) {
        settling_add(w->p->settling, s);
        return;
    }
    sample_free(s);
}

static void worker_init(struct worker *w, struct parallel *p) {
    *w = (struct worker){.p = p, .asker = {NULL, &p->operations, &p->stop, BUDGET_SAMPLE}};
    arena_init(&w->memory, ANSWER_ARENA_MAX);
    arena_init(&w->scratch, ANSWER_ARENA_MAX);
    held_init(&w->primary);
    held_init(&w->other);
    held_init(&w->again);
}

static void worker_release(struct worker *w) {
    held_release(&w->primary);
    held_release(&w->other);
    held_release(&w->again);
    arena_release(&w->memory);
    arena_release(&w->scratch);
    http_keeper_free(w->asker.keeper);
}

static void *worker_main(void *argument) {
    struct worker w;
    void *item;
    worker_init(&w, argument);
    w.asker.keeper = http_keeper_new();
    for (;;) {
        enum queue_result result = queue_pop(w.p->samples, &item, POP_US);
        if (result == QUEUE_CLOSED)
            break;
        if (result == QUEUE_OK && !atomic_load(&w.p->stop))
            work_on(&w, item);
        else if (result == QUEUE_OK)
            sample_free(item);
    }
    worker_release(&w);
    return NULL;
}

/* ---- operations: both have answered already ---- */

static enum parallel_reason hold_both(struct worker *w, const struct sample *s) {
    const struct operation_answer *answers = s->operation->answers;
    if (!atomic_load(&s->subject->ready))
        return NOT_COMPARED_NOT_READY;
    enum parallel_reason reason =
        held_operation(&w->primary, s->subject->operation, &answers[ROUTE_SQL]);
    return reason == COMPARABLE
               ? held_operation(&w->other, s->subject->operation, &answers[ROUTE_MONGODB])
               : reason;
}

void work_on_operation(struct parallel *p, struct sample *s) {
    struct worker w;
    worker_init(&w, p);
    enum parallel_reason reason = hold_both(&w, s);
    if (reason != COMPARABLE)
        not_compared(s->subject, reason);
    if (reason == COMPARABLE && compare(&w, s, &w.primary.answer, &w.other.answer))
        settling_add(p->settling, s);
    else
        sample_free(s);
    worker_release(&w);
}

bool workers_start(struct parallel *p) {
    size_t wanted = 0;
    for (size_t i = 0; i < p->subjects.shared_count; i++)
        wanted += p->subjects.shared[i].conf->route_count == 0
                      ? 0
                      : (size_t)p->subjects.shared[i].budget.concurrent;
    if (wanted > PARALLEL_WORKERS_MAX)
        wanted = PARALLEL_WORKERS_MAX;
    while (p->worker_count < wanted) {
        if (!thread_start(&p->workers[p->worker_count], worker_main, p))
            return false;
        p->worker_count++;
    }
    return true;
}

void workers_stop(struct parallel *p) {
    queue_close(p->samples);
    for (size_t i = 0; i < p->worker_count; i++)
        pthread_join(p->workers[i], NULL);
    p->worker_count = 0;
}

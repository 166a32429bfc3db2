/* Settlers: each takes a mismatch whose time has come, and takes it one step further (recheck.h).
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "parallel/core.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUED_US INT64_C(10000000) /* how long one may wait for its turn */

struct item {
    struct sample *sample;
    struct recheck recheck;
    struct held first, other; /* S1, M */
    size_t weight;
    struct item *next;
};

struct settling {
    struct parallel *p;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct item *waiting; /* by due_us */
    size_t count;         /* those that are being worked on included */
    size_t bytes;
    int64_t even_us; /* the time at which what was begun is within the rate */
    bool stop;
    pthread_t threads[PARALLEL_SETTLERS];
    size_t thread_count;
};

struct settler {
    struct settling *s;
    struct asker asker;
    struct arena memory, scratch;
    struct held second; /* S2 */
};

static void item_free(struct item *i) {
    sample_free(i->sample);
    held_release(&i->first);
    held_release(&i->other);
    free(i);
}

/* ---- one step ---- */

static enum recheck_answer ask(struct settler *t, const struct item *i, enum route_side side,
                               struct held *ret) {
    enum parallel_reason reason =
        subject_begin(i->sample->subject, side, BUDGET_RECHECK, clock_mono_us());
    if (reason != COMPARABLE)
        return reason == NOT_COMPARED_BUDGET ? RECHECK_NOT_NOW : RECHECK_NO_ANSWER;
    switch (sample_ask(i->sample, side, &t->asker, ret)) {
    case COMPARABLE:
        return RECHECK_ANSWERED;
    case NOT_COMPARED_FORBIDDEN:
        return RECHECK_FORBIDDEN;
    default: /* whatever it is, it may be another the next time */
        return RECHECK_NO_ANSWER;
    }
}

/* False: they cannot be compared. */
static bool compare(struct settler *t, const struct item *i, const struct answer *a,
                    const struct answer *b, bool *ret_equal) {
    struct answer_compared c;
    struct err ignored;
    arena_reset(&t->memory);
    bool done = answer_compare(&i->sample->subject->rules, a, b, false, (struct span){0},
                               &t->memory, &t->scratch, &c, &ignored) == 0;
    *ret_equal = done && c.equal;
    return done;
}

static void compare_three(struct settler *t, struct item *i, enum recheck_answer answer) {
    struct tally *tally = &i->sample->subject->tally;
    struct recheck_equal equal = {0};
    if (answer == RECHECK_ANSWERED) {
        const struct answer *first = &i->first.answer, *second = &t->second.answer;
        if (compare(t, i, first, second, &equal.first_second)) {
            tally_add(tally, TALLY_NOISE_RUNS, 1);
            tally_add(tally, TALLY_NOISE_HITS, !equal.first_second);
        }
        if (!compare(t, i, first, &i->other.answer, &equal.first_other) ||
            !compare(t, i, second, &i->other.answer, &equal.second_other))
            answer = RECHECK_NO_ANSWER; /* nothing can be said of such ones */
    }
    recheck_second(&i->recheck, answer, &equal, clock_mono_us());
}

static void step(struct settler *t, struct item *i) {
    const struct parallel_config *config = &t->s->p->config;
    const char *module = i->sample->subject->module;
    struct recheck *r = &i->recheck;
    enum recheck_answer answer;
    int64_t position = 0;
    if (recheck_expire(r, clock_mono_us()))
        return;
    switch (r->step) {
    case RECHECK_READ_FIRST:
        answer = ask(t, i, ROUTE_SQL, &i->first);
        if (answer == RECHECK_ANSWERED)
            position = config->log.position(config->context, module);
        if (position < 0)
            answer = RECHECK_NO_ANSWER;
        recheck_first(r, answer, position, clock_mono_us());
        return;
    case RECHECK_WAIT:
        recheck_applied(r, config->log.applied(config->context, module), clock_mono_us());
        return;
    case RECHECK_READ_OTHER:
        recheck_other(r, ask(t, i, ROUTE_MONGODB, &i->other), clock_mono_us());
        return;
    case RECHECK_READ_SECOND:
        compare_three(t, i, ask(t, i, ROUTE_SQL, &t->second));
        return;
    case RECHECK_DONE:
        return;
    }
}

/* ---- the end of one ---- */

static void report(struct settler *t, const struct item *i) {
    struct parallel *p = t->s->p;
    struct subject *subject = i->sample->subject;
    struct answer_compared c;
    struct err ignored;
    arena_reset(&t->memory);
    if (answer_compare(&subject->rules, &t->second.answer, &i->other.answer, true,
                       secret_span(&p->secret), &t->memory, &t->scratch, &c, &ignored) < 0)
        return;
    for (int k = 0; k < COMPARE_RULE_COUNT; k++)
        if (c.explained[k])
            tally_add(&subject->tally, TALLY_EXPLAINED + k, c.explained[k]);
    writer_add(p->writer, i->sample, &c, &t->second.answer);
}

static void finish(struct settler *t, const struct item *i) {
    struct tally *tally = &i->sample->subject->tally;
    switch (i->recheck.verdict) {
    case RECHECK_LAG:
        tally_add(tally, TALLY_LAG, 1);
        return;
    case RECHECK_REAL:
        tally_real(tally, i->sample->weight);
        report(t, i);
        return;
    case RECHECK_UNSETTLED:
        tally_add(tally, TALLY_UNSETTLED, 1);
        return;
    }
}

/* ---- the list ---- */

/* With the lock held. */
static void put(struct settling *s, struct item *item) {
    struct item **at = &s->waiting;
    while (*at && (*at)->recheck.due_us <= item->recheck.due_us)
        at = &(*at)->next;
    item->next = *at;
    *at = item;
    pthread_cond_signal(&s->changed);
}

static void wait_until(struct settling *s, int64_t due_us) {
    struct timespec until = {.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000};
    pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* With the lock held. */
static void end(struct settling *s, struct item *item) {
    s->count--;
    s->bytes -= item->weight;
    item_free(item);
}

/* With the lock held. */
static void let_go(struct settling *s, struct item *item) {
    tally_add(&item->sample->subject->tally, TALLY_UNSETTLED, 1);
    end(s, item);
}

/* With the lock held. While all settlers wait for answers, one may have to wait longer than its
 * headers may be kept. */
static void drop_expired(struct settling *s, int64_t now_us) {
    for (struct item **at = &s->waiting; *at;) {
        struct item *item = *at;
        if (!recheck_expire(&item->recheck, now_us)) {
            at = &item->next;
            continue;
        }
        *at = item->next;
        let_go(s, item);
    }
}

/* NULL: the end. */
static struct item *take(struct settling *s) {
    struct item *item = NULL;
    pthread_mutex_lock(&s->lock);
    while (!s->stop && !item) {
        int64_t now = clock_mono_us();
        drop_expired(s, now);
        if (s->waiting && s->waiting->recheck.due_us <= now) {
            item = s->waiting;
            s->waiting = item->next;
        } else if (s->waiting) {
            wait_until(s, s->waiting->recheck.due_us);
        } else {
            pthread_cond_wait(&s->changed, &s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return item;
}

/* The answers that are kept between two steps count as well. */
static size_t weight_of(const struct item *i) {
    return sizeof *i + sample_bytes(i->sample) + i->first.head.cap + i->first.body.cap +
           i->other.head.cap + i->other.body.cap;
}

/* With the lock held. False: there is no room for what it holds now. */
static bool weigh(struct settling *s, struct item *i) {
    size_t before = i->weight;
    i->weight = weight_of(i);
    s->bytes += i->weight - before;
    return s->bytes <= PARALLEL_SETTLING_BYTES || s->count == 1;
}

static void give_back(struct settling *s, struct item *item) {
    pthread_mutex_lock(&s->lock);
    bool has_room = weigh(s, item);
    if (item->recheck.step == RECHECK_DONE)
        end(s, item);
    else if (has_room)
        put(s, item);
    else
        let_go(s, item);
    pthread_mutex_unlock(&s->lock);
}

static void *settler_main(void *argument) {
    struct settler t = {.s = argument};
    struct item *item;
    thread_make_way();
    t.asker = (struct asker){http_keeper_new(), &t.s->p->operations, &t.s->p->stop, BUDGET_RECHECK};
    arena_init(&t.memory, ANSWER_ARENA_MAX);
    arena_init(&t.scratch, ANSWER_ARENA_MAX);
    held_init(&t.second);
    while ((item = take(t.s)) != NULL) {
        do
            step(&t, item);
        while (item->recheck.step != RECHECK_DONE && item->recheck.due_us <= clock_mono_us() &&
               !atomic_load(&t.s->p->stop));
        if (item->recheck.step == RECHECK_DONE)
            finish(&t, item);
        give_back(t.s, item);
    }
    held_release(&t.second);
    arena_release(&t.memory);
    arena_release(&t.scratch);
    http_keeper_free(t.asker.keeper);
    return NULL;
}

/* ---- from outside ---- */

bool settling_start(struct parallel *p, struct settling **ret) {
    struct settling *s = mem_zalloc(1, sizeof *s);
    pthread_condattr_t attributes;
    s->p = p;
    *ret = s;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    while (s->thread_count < PARALLEL_SETTLERS) {
        if (!thread_start(&s->threads[s->thread_count], settler_main, s))
            return false;
        s->thread_count++;
    }
    return true;
}

void settling_stop(struct settling *s) {
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->thread_count; i++)
        pthread_join(s->threads[i], NULL);
    s->thread_count = 0;
    while (s->waiting) {
        struct item *item = s->waiting;
        s->waiting = item->next;
        let_go(s, item);
    }
}

void settling_free(struct settling *s) {
    if (!s)
        return;
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* With the lock held. */
static bool has_room(struct settling *s, size_t weight, int64_t now_us) {
    const int64_t second = 1000000;
    if (s->stop || s->count >= PARALLEL_SETTLING_MAX ||
        s->bytes + weight > PARALLEL_SETTLING_BYTES || s->even_us > now_us + QUEUED_US)
        return false;
    if (s->even_us < now_us)
        s->even_us = now_us;
    s->even_us += second / PARALLEL_SETTLED_A_SECOND;
    return true;
}

void settling_add(struct settling *s, struct sample *sample) {
    int64_t now = clock_mono_us();
    size_t weight = sizeof(struct item) + sample_bytes(sample);
    bool taken = sample_can_repeat(sample);
    pthread_mutex_lock(&s->lock);
    if (taken)
        taken = has_room(s, weight, now);
    if (taken) {
        struct item *item = mem_zalloc(1, sizeof *item);
        item->sample = sample;
        item->weight = weight;
        held_init(&item->first);
        held_init(&item->other);
        recheck_init(&item->recheck, now, (uint64_t)now);
        item->recheck.due_us = s->even_us - 1000000 / PARALLEL_SETTLED_A_SECOND;
        s->count++;
        s->bytes += weight;
        put(s, item);
    }
    pthread_mutex_unlock(&s->lock);
    if (taken)
        return;
    tally_add(&sample->subject->tally, TALLY_UNSETTLED, 1);
    sample_free(sample);
}

size_t settling_length(struct settling *s) {
    pthread_mutex_lock(&s->lock);
    size_t n = s->count;
    pthread_mutex_unlock(&s->lock);
    return n;
}

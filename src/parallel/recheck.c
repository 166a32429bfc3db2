#include "parallel/recheck.h"

#include <assert.h>

#define LOOK_EVERY_US 20000 /* at what is applied */
#define NOT_NOW_US 100000   /* until the budget is asked again */

void recheck_init(struct recheck *r, int64_t now_us, uint64_t seed) {
    *r = (struct recheck){
        .step = RECHECK_READ_FIRST, .attempt = 1, .due_us = now_us, .born_us = now_us};
    backoff_init(&r->backoff, RECHECK_FIRST_US, RECHECK_LAST_US, seed);
}

static void end(struct recheck *r, enum recheck_verdict verdict) {
    r->step = RECHECK_DONE;
    r->verdict = verdict;
}

bool recheck_expire(struct recheck *r, int64_t now_us) {
    if (now_us < r->born_us + RECHECK_LIFE_US)
        return false;
    end(r, RECHECK_UNSETTLED);
    return true;
}

static void again(struct recheck *r, int64_t now_us) {
    int64_t wait = backoff_next_us(&r->backoff);
    if (r->attempt >= RECHECK_ATTEMPTS || now_us + wait >= r->born_us + RECHECK_LIFE_US) {
        end(r, RECHECK_UNSETTLED);
        return;
    }
    r->attempt++;
    r->step = RECHECK_READ_FIRST;
    r->due_us = now_us + wait;
}

/* True: the answer is there. */
static bool take(struct recheck *r, enum recheck_answer answer, int64_t now_us) {
    switch (answer) {
    case RECHECK_ANSWERED:
        return !recheck_expire(r, now_us);
    case RECHECK_NO_ANSWER:
        again(r, now_us);
        return false;
    case RECHECK_FORBIDDEN:
        end(r, RECHECK_UNSETTLED);
        return false;
    case RECHECK_NOT_NOW:
        r->due_us = now_us + NOT_NOW_US;
        (void)recheck_expire(r, r->due_us);
        return false;
    }
    return false;
}

void recheck_first(struct recheck *r, enum recheck_answer answer, int64_t position,
                   int64_t now_us) {
    assert(r->step == RECHECK_READ_FIRST);
    if (!take(r, answer, now_us))
        return;
    r->step = RECHECK_WAIT;
    r->position = position;
    r->wait_until_us = now_us + RECHECK_WAIT_US;
    r->due_us = now_us;
}

void recheck_applied(struct recheck *r, int64_t applied, int64_t now_us) {
    assert(r->step == RECHECK_WAIT);
    if (applied >= r->position) {
        r->step = RECHECK_READ_OTHER;
        r->due_us = now_us;
        return;
    }
    if (now_us >= r->wait_until_us)
        again(r, now_us);
    else
        r->due_us = now_us + LOOK_EVERY_US;
}

void recheck_other(struct recheck *r, enum recheck_answer answer, int64_t now_us) {
    assert(r->step == RECHECK_READ_OTHER);
    if (take(r, answer, now_us))
        r->step = RECHECK_READ_SECOND;
}

void recheck_second(struct recheck *r, enum recheck_answer answer,
                    const struct recheck_equal *equal, int64_t now_us) {
    assert(r->step == RECHECK_READ_SECOND);
    if (!take(r, answer, now_us))
        return;
    if (equal->first_other || equal->second_other)
        end(r, RECHECK_LAG);
    else if (equal->first_second)
        end(r, RECHECK_REAL);
    else
        again(r, now_us);
}

/*
 * When MongoDB is left alone for a while, and how often SQL may stand in for it: the rules of the
 * gateway's breaker (gateway/breaker.c), of one operation. Any thread; `now_us` is monotonic.
 *
 *   closed --(so many of the last calls failed)--> open --(time is over)--> one trial
 *      ^                                            ^                          |
 *      +-------------(the trial was fine)-----------|----(the trial failed)----+
 */
#ifndef BANYAN_OPERATION_BREAKER_H
#define BANYAN_OPERATION_BREAKER_H

#include "conf/conf.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct breaker {
    pthread_mutex_t lock;
    uint64_t failed; /* one bit a call, the newest lowest */
    int calls;
    bool open, trying; /* trying: the trial is under way */
    int64_t open_until_us, trying_since_us;
    int64_t tokens; /* thousandths of a call that may be taken over */
};

void breaker_init(struct breaker *b);
void breaker_release(struct breaker *b);

/* Whether MongoDB is to be left alone. *ret_trial: it is not, and this call tries whether it is
 * back: breaker_count it, whatever happens. */
bool breaker_is_open(struct breaker *b, const struct conf_fallback *f, int64_t now_us,
                     bool *ret_trial);
/* The same without taking the trial, for show. */
bool breaker_looks_open(struct breaker *b);

void breaker_count(struct breaker *b, const struct conf_fallback *f, bool failed, bool trial,
                   int64_t now_us);

/* SQL may take over a failed call: then one is taken off. */
bool breaker_take_over(struct breaker *b);

#endif

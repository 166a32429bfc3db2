/*
 * How far the target is, for those who wait for it: a user who has just written, a comparison that
 * saw a difference.
 *
 * While somebody waits, the receiver takes a *sample* every 50 ms: the time, and then the position
 * up to which the source's log is filled. Once every lane has applied that position, all that was
 * committed before that time is in the target. Times are monotonic. What a fan-out writes in the
 * background, and what was parked, comes later than that and is not covered.
 *
 * One for each pipeline; outlives its runs.
 */
#ifndef BANYAN_PIPELINE_APPLIED_H
#define BANYAN_PIPELINE_APPLIED_H

#include "model/lsn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define APPLIED_EVERY_US 50000
/* Samples kept apart; when that many wait, the newest is replaced, which only makes the time move
 * in larger steps. */
#define APPLIED_SAMPLES_MAX 1024

struct applied_hooks {
    void *context;
    /* Whether somebody else waits. @thread receiver */
    bool (*is_wanted)(void *context, int64_t now_us);
    /* All that was committed before through_us (0: nothing is known yet) is in the collections of
     * `module`, which all stream; called again and again while somebody waits. @thread receiver */
    void (*passed)(void *context, const char *module, int64_t through_us, int64_t now_us);
};

struct applied;

struct applied *applied_new(const struct applied_hooks *hooks); /* NULL: none; copied */
void applied_free(struct applied *a);                           /* NULL is fine; nobody waits */

/* ---- any thread ---- */

/* Somebody waits until then (monotonic), and looks again and again. */
void applied_want(struct applied *a, int64_t until_us);
/* Everything that was committed before this time is applied, as far as is known; 0: nothing yet.
 * Known while somebody waits. */
int64_t applied_through_us(struct applied *a);

/* ---- @thread receiver ---- */

bool applied_is_wanted(struct applied *a, int64_t now_us);
/* The log was filled up to `lsn` not before time_us. */
void applied_sample(struct applied *a, int64_t time_us, lsn_t lsn);
/* Every lane has applied `lsn`. Returns the time that is passed with it. */
int64_t applied_advance(struct applied *a, lsn_t lsn);
void applied_tell(struct applied *a, const char *module, int64_t through_us, int64_t now_us);

#endif

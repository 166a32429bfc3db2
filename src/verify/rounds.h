/*
 * When a difference is real: the rounds of one candidate. Pure.
 *
 *   a round: read the row (R), take a log position P, wait until the checkpoint has passed P, read
 *   the document, read the row again.
 *   -> the document is what R, or the row read last, becomes: settled, it was lag
 *   -> the row was written meanwhile, or P was not passed: says nothing, the strikes start anew
 *   -> they differ and the row is still R: a strike; two in a row are a real difference
 *   -> no decision after ROUNDS_MAX: unsettled
 */
#ifndef BANYAN_VERIFY_ROUNDS_H
#define BANYAN_VERIFY_ROUNDS_H

#include <stdbool.h>

#define ROUNDS_MAX 10
#define ROUNDS_STRIKES 2

enum verdict { VERDICT_OPEN, VERDICT_EQUAL, VERDICT_REAL, VERDICT_UNSETTLED };

struct rounds {
    int count;
    int strikes;
};

struct round_outcome {
    bool passed;     /* the checkpoint has passed P */
    bool row_stayed; /* the row is what it was when R was read, and nobody has written it since */
    bool agrees;     /* the document is what R, or the row read last, becomes */
};

enum verdict rounds_add(struct rounds *r, const struct round_outcome *outcome);

#endif

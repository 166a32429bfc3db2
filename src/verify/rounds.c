#include "verify/rounds.h"

enum verdict rounds_add(struct rounds *r, const struct round_outcome *outcome) {
    r->count++;
    if (outcome->agrees)
        return VERDICT_EQUAL;
    if (outcome->passed && outcome->row_stayed) {
        if (++r->strikes >= ROUNDS_STRIKES)
            return VERDICT_REAL;
    } else {
        r->strikes = 0;
    }
    return r->count >= ROUNDS_MAX ? VERDICT_UNSETTLED : VERDICT_OPEN;
}

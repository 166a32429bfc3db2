#include "parallel/budget.h"

#define SECOND_US INT64_C(1000000)
#define BURST_US (SECOND_US / 10)
#define ALL ((UINT32_C(1) << BREAKER_OF) - 1)

/* A try that is under way keeps the others out. */
static bool lets_through(struct breaker *b, int64_t now_us) {
    return !b->open || (!b->trying && now_us >= b->open_until_us);
}

/* Samples leave a quarter free; re-checks may have half, so that a round of them is not for ever
 * behind. */
bool budget_has_place(const struct budget *l, enum budget_for what) {
    int under_way = l->under_way[BUDGET_SAMPLE] + l->under_way[BUDGET_RECHECK];
    int quarter = (l->concurrent + BUDGET_RECHECKS - 1) / BUDGET_RECHECKS;
    int half = l->concurrent / 2;
    if (under_way >= l->concurrent)
        return false;
    if (l->concurrent < 2)
        return true;
    if (what == BUDGET_RECHECK)
        return l->under_way[what] < (half > quarter ? half : quarter);
    return l->under_way[what] < l->concurrent - quarter;
}

static bool is_over_rate(const struct budget *l, enum budget_for what, int64_t now_us) {
    int64_t even_us = what == BUDGET_RECHECK ? l->even_recheck_us : l->even_us;
    return l->per_second <= 0 || even_us > now_us + BURST_US;
}

static void spend(int64_t *even_us, int64_t us, int64_t now_us) {
    if (*even_us < now_us)
        *even_us = now_us;
    *even_us += us;
}

enum parallel_reason budget_begin(struct budget *l, struct breaker *b, enum budget_for what,
                                  int64_t now_us) {
    if (!lets_through(b, now_us))
        return NOT_COMPARED_BREAKER;
    if (!budget_has_place(l, what) || is_over_rate(l, what, now_us))
        return NOT_COMPARED_BUDGET;
    spend(&l->even_us, SECOND_US / l->per_second, now_us);
    if (what == BUDGET_RECHECK)
        spend(&l->even_recheck_us, BUDGET_RECHECKS * SECOND_US / l->per_second, now_us);
    l->under_way[what]++;
    b->trying = b->open;
    return COMPARABLE;
}

static void open_it(struct breaker *b, int64_t now_us) {
    *b = (struct breaker){.open = true, .open_until_us = now_us + BREAKER_OPEN_US};
}

void budget_end(struct budget *l, struct breaker *b, enum budget_for what, bool failed,
                int64_t now_us) {
    l->under_way[what]--;
    if (b->open) { /* the one that was tried; what began before it opened says nothing new */
        if (!b->trying)
            return;
        if (failed)
            open_it(b, now_us);
        else
            *b = (struct breaker){0};
        return;
    }
    b->failures = ((b->failures << 1) | failed) & ALL;
    if (b->seen < BREAKER_OF)
        b->seen++;
    if (b->seen == BREAKER_OF && __builtin_popcount(b->failures) * 2 >= BREAKER_OF)
        open_it(b, now_us);
}

#include "pipeline/ledger.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

struct entry {
    lsn_t lsn;
    uint64_t resolver_ticket;
    bool resolved; /* the resolver has passed; lane_tickets are set */
    uint64_t lane_tickets[LEDGER_LANES_MAX];
};

struct ledger {
    struct entry *ring;
    size_t head, count;
    size_t lanes;
    lsn_t finished;
};

struct ledger *ledger_new(size_t lanes) {
    assert(lanes >= 1 && lanes <= LEDGER_LANES_MAX);
    struct ledger *l = mem_zalloc(1, sizeof *l);
    l->ring = mem_zalloc(LEDGER_ENTRIES_MAX, sizeof *l->ring);
    l->lanes = lanes;
    return l;
}

void ledger_free(struct ledger *l) {
    if (!l)
        return;
    free(l->ring);
    free(l);
}

static struct entry *at(struct ledger *l, size_t i) {
    return &l->ring[(l->head + i) % LEDGER_ENTRIES_MAX];
}

void ledger_add(struct ledger *l, lsn_t lsn, uint64_t resolver_ticket) {
    struct entry *newest = l->count ? at(l, l->count - 1) : NULL;
    if (lsn <= (newest ? newest->lsn : l->finished))
        return;
    if (l->count < LEDGER_ENTRIES_MAX)
        newest = at(l, l->count++);
    *newest = (struct entry){.lsn = lsn, .resolver_ticket = resolver_ticket};
}

static bool lanes_passed(const struct ledger *l, const struct entry *e, const uint64_t *done) {
    for (size_t i = 0; i < l->lanes; i++)
        if (done[i] < e->lane_tickets[i])
            return false;
    return true;
}

lsn_t ledger_advance(struct ledger *l, uint64_t resolver_done, const uint64_t *given,
                     const uint64_t *done) {
    for (size_t i = 0; i < l->count; i++) {
        struct entry *e = at(l, i);
        if (e->resolved)
            continue;
        if (e->resolver_ticket > resolver_done)
            break;
        e->resolved = true;
        memcpy(e->lane_tickets, given, l->lanes * sizeof *given);
    }
    while (l->count && at(l, 0)->resolved && lanes_passed(l, at(l, 0), done)) {
        l->finished = at(l, 0)->lsn;
        l->head = (l->head + 1) % LEDGER_ENTRIES_MAX;
        l->count--;
    }
    return l->finished;
}

bool ledger_is_empty(const struct ledger *l) {
    return l->count == 0;
}

/*
 * A call as JSON, and its answer: for HTTP, the command line and the C library alike. Pure.
 *
 *   {"params": {"id": 7}, "user": "u1", "tenant": "t1",
 *    "attributes": {"user": {"plan": "gold"}, "tenant": {"tier": 2}},
 *    "numbers": "string", "side": "sql"}
 *
 * Everything may be left out.
 */
#ifndef BANYAN_OPERATION_EXCHANGE_H
#define BANYAN_OPERATION_EXCHANGE_H

#include "base/arena.h"
#include "operation/operation.h"

struct operation_body {
    struct span params; /* ptr NULL: none */
    struct flags_context who;
    enum operation_numbers numbers;
    int side; /* -1: not given */
};

/* ERR_USAGE says what is wrong. Points into `json` and the arena. `now_us`: wall clock. */
int operation_body_read(struct span json, struct arena *arena, int64_t now_us, uint64_t random,
                        struct operation_body *ret, struct err *err) must_check;

/* Appends what the caller gets, and returns the status that HTTP has for it: the rows and 200, or
 * {"error": {...}} and 404 (no row), 502, 504. `details`: the error says what each side said. */
int operation_reply(const struct operation_call *call, enum operation_numbers numbers, bool details,
                    struct buf *out);

/* Why another side answered than the one that should have: "connect", "timeout", "5xx", "404",
 * "breaker"; NULL: it did not. */
const char *operation_fallback_reason(const struct operation_call *call);

#endif

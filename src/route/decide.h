/*
 * Which side answers one request. Pure; the rules are one function, so that the gateway, `banyan
 * routes explain` and the operations cannot disagree.
 *
 * The flag only ever chooses who answers reads; writes move for a whole module at once.
 */
#ifndef BANYAN_ROUTE_DECIDE_H
#define BANYAN_ROUTE_DECIDE_H

#include <stdbool.h>

enum route_side { ROUTE_SQL, ROUTE_MONGODB };
const char *route_side_name(enum route_side side);

/* `reads:` and `writes:` of a module. */
enum route_reads { READS_SQL, READS_SHADOW, READS_FLAG, READS_MONGODB, READS_COUNT };
enum route_writes { WRITES_SQL, WRITES_BOTH, WRITES_MONGODB, WRITES_COUNT };
const char *route_reads_name(enum route_reads reads);
const char *route_writes_name(enum route_writes writes);
bool route_reads_parse(const char *text, enum route_reads *ret);
bool route_writes_parse(const char *text, enum route_writes *ret);

#define ROUTE_REASONS(X)                                                                           \
    X(ROUTE_BY_SETTING, "setting")      /* reads or writes name the side */                        \
    X(ROUTE_BY_FLAG, "flag")            /* the flag was asked */                                   \
    X(ROUTE_BY_OWN_WRITE, "own_write")  /* wrote a moment ago: reads what was written */           \
    X(ROUTE_BY_BREAKER, "breaker")      /* MongoDB failed too often just now */                    \
    X(ROUTE_BY_NO_FLAGS, "no_snapshot") /* flags or settings were never published */

enum route_reason {
#define ROUTE_REASON_ENUM(id, text) id,
    ROUTE_REASONS(ROUTE_REASON_ENUM)
#undef ROUTE_REASON_ENUM
};
const char *route_reason_name(enum route_reason reason);

struct route_question {
    enum route_reads reads;
    enum route_writes writes;
    bool is_read;       /* GET, HEAD, OPTIONS, and what the route lists */
    bool known;         /* settings and, where they are needed, flags are there */
    bool flag_on;       /* READS_FLAG */
    bool own_write;     /* reads stay on SQL until what was written has arrived */
    bool breaker_open;  /* of the MongoDB side */
    bool may_fall_back; /* fallback is on, and SQL still gets every write */
};

struct route_decision {
    enum route_side side;
    bool guarded; /* SQL answers if MongoDB fails before the first byte */
    bool sampled; /* the other side may be asked too, and compared */
    enum route_reason reason;
};

struct route_decision route_decide(const struct route_question *q);

#endif

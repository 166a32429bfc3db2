#include "route/decide.h"

#include <stddef.h>
#include <string.h>

static const char *const READS[READS_COUNT] = {"sql", "shadow", "flag", "mongodb"};
static const char *const WRITES[WRITES_COUNT] = {"sql", "both", "mongodb"};

const char *route_side_name(enum route_side side) {
    return side == ROUTE_SQL ? "sql" : "mongodb";
}

const char *route_reads_name(enum route_reads reads) {
    return READS[reads];
}

const char *route_writes_name(enum route_writes writes) {
    return WRITES[writes];
}

const char *route_reason_name(enum route_reason reason) {
    static const char *const names[] = {
#define ROUTE_REASON_NAME(id, text) [id] = (text),
        ROUTE_REASONS(ROUTE_REASON_NAME)
#undef ROUTE_REASON_NAME
    };
    return names[reason];
}

static bool parse(const char *const *names, unsigned count, const char *text, unsigned *ret) {
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(names[i], text) != 0)
            continue;
        *ret = i;
        return true;
    }
    return false;
}

bool route_reads_parse(const char *text, enum route_reads *ret) {
    unsigned found;
    if (!parse(READS, READS_COUNT, text, &found))
        return false;
    *ret = (enum route_reads)found;
    return true;
}

bool route_writes_parse(const char *text, enum route_writes *ret) {
    unsigned found;
    if (!parse(WRITES, WRITES_COUNT, text, &found))
        return false;
    *ret = (enum route_writes)found;
    return true;
}

/* With `both`, the application's SQL service gets the write; operations write both themselves. */
static struct route_decision decide_write(const struct route_question *q) {
    return (struct route_decision){.side = q->writes == WRITES_MONGODB ? ROUTE_MONGODB : ROUTE_SQL,
                                   .reason = ROUTE_BY_SETTING};
}

static struct route_decision sql_because(enum route_reason reason, bool sampled) {
    return (struct route_decision){.side = ROUTE_SQL, .sampled = sampled, .reason = reason};
}

static struct route_decision decide_read(const struct route_question *q) {
    bool by_flag = q->reads == READS_FLAG;
    if (q->reads == READS_SQL)
        return sql_because(ROUTE_BY_SETTING, false);
    if (q->reads == READS_SHADOW)
        return sql_because(ROUTE_BY_SETTING, true);
    if (by_flag && !q->flag_on)
        return sql_because(ROUTE_BY_FLAG, true);
    /* From here on MongoDB is wanted. What was just written has not arrived there yet, unless
     * writes go there. */
    if (q->own_write && q->writes != WRITES_MONGODB)
        return sql_because(ROUTE_BY_OWN_WRITE, false);
    if (q->breaker_open && q->may_fall_back)
        return sql_because(ROUTE_BY_BREAKER, false);
    return (struct route_decision){.side = ROUTE_MONGODB,
                                   .guarded = q->may_fall_back,
                                   .sampled = by_flag,
                                   .reason = by_flag ? ROUTE_BY_FLAG : ROUTE_BY_SETTING};
}

struct route_decision route_decide(const struct route_question *q) {
    if (!q->known)
        return sql_because(ROUTE_BY_NO_FLAGS, false);
    return q->is_read ? decide_read(q) : decide_write(q);
}

/*
 * What an edge and its control daemon tell each other, a few times a second: one small JSON each
 * way. Flags and settings themselves are fetched when their etag is another one.
 *
 *   edge     who it is, what it uses, how its nginx is, which modules somebody waits for
 *   control  what holds, and how far each module has been applied
 *
 * Times are ages, measured by the clock of who says them: the clocks of two machines need not
 * agree. Pure.
 */
#ifndef BANYAN_GATEWAY_EXCHANGE_H
#define BANYAN_GATEWAY_EXCHANGE_H

#include "base/buf.h"
#include "conf/conf.h"
#include "route/settings.h"

#define EXCHANGE_ASK_MAX ((size_t)256 * 1024)
#define EXCHANGE_ANSWER_MAX ((size_t)512 * 1024)
#define EXCHANGE_ETAG_MAX 17 /* 16 hexadecimal digits and a NUL */
#define EXCHANGE_VERSION_MAX 33
#define EXCHANGE_PROBLEM_MAX 512

struct exchange_ask {
    char name[CONF_EDGE_NAME_MAX + 1];
    char id[EXCHANGE_ETAG_MAX]; /* of this edge's folder: two with one name are told apart */
    char version[EXCHANGE_VERSION_MAX];
    char routes[EXCHANGE_ETAG_MAX];                             /* exchange_routes */
    char flags[EXCHANGE_ETAG_MAX], settings[EXCHANGE_ETAG_MAX]; /* in use; "": none */
    bool nginx;                                                 /* runs, or is not ours to run */
    char problem[EXCHANGE_PROBLEM_MAX]; /* of nginx or the files; "": none */
    int64_t samples_dropped;
    size_t waiting_count; /* modules that a reader waits for */
    char waiting[ROUTE_MODULES_MAX][ROUTE_NAME_MAX];
};

/* How far a module has been applied (route/watermark.h). */
struct exchange_applied {
    char module[ROUTE_NAME_MAX];
    int64_t age_us;  /* what was committed so long ago is in the target */
    int64_t beat_us; /* so long ago that was last confirmed to be the newest */
};

struct exchange_answer {
    char version[EXCHANGE_VERSION_MAX];
    char routes[EXCHANGE_ETAG_MAX], flags[EXCHANGE_ETAG_MAX], settings[EXCHANGE_ETAG_MAX];
    size_t applied_count;
    struct exchange_applied applied[ROUTE_MODULES_MAX];
};

void exchange_ask_write(struct buf *out, const struct exchange_ask *ask);
void exchange_answer_write(struct buf *out, const struct exchange_answer *answer);

/* ERR_VALUE, ERR_LIMIT: which member is missing or wrong. Members that are not known are left
 * alone, so that the two ends need not have one version. The structs are large: not for the stack
 * of a deep call. */
int exchange_ask_read(struct span json, struct exchange_ask *ret, struct err *err) must_check;
int exchange_answer_read(struct span json, struct exchange_answer *ret, struct err *err) must_check;

/* Of bytes that were published. */
void exchange_etag(struct span bytes, char ret[EXCHANGE_ETAG_MAX]);

/* Of the routes: what of the configuration says whose request it is, who asks, what may fall back
 * and what is compared. Edge and control must agree in it. Not of addresses, limits and times,
 * which each machine has its own. */
void exchange_routes(const struct conf *conf, char ret[EXCHANGE_ETAG_MAX]);

#endif

/*
 * Requests by route: how many, with which outcome, how fast. Any thread; wait-free but for the
 * first request of a route.
 */
#ifndef BANYAN_ADMIN_TRAFFIC_H
#define BANYAN_ADMIN_TRAFFIC_H

#include "http/http.h"
#include "obs/metrics.h"
#include "state/state.h"

#define TRAFFIC_ROUTES                                                                             \
    512 /* a power of two, more than all listeners have; others count as "other" */

struct traffic;
struct traffic *traffic_new(void);
void traffic_free(struct traffic *t); /* NULL is fine */

/* http_config.observe, with the traffic as its context. */
void traffic_observe(void *traffic, const struct http_route *route, int status, int64_t took_us);

#define TRAFFIC_ROWS (TRAFFIC_ROUTES + 2)

/* Rows of statistics: what came since the last traffic_kept, by template of the route (kind http).
 * At most `max`; they are borrowed until the next call. traffic_kept: they are stored. NULL has
 * none. @thread main */
size_t traffic_rows(struct traffic *t, int64_t minute, struct state_rollup *rows, size_t max);
void traffic_kept(struct traffic *t);

/* METRIC_HTTP_REQUESTS and METRIC_HTTP_LATENCY: routes of one template are one series, whatever
 * listener they are on; "none" is what no route took. */
void traffic_sample(const struct traffic *t, struct obs_page *page);

#endif

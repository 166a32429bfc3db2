/*
 * Requests by route: how many, with which outcome, how fast. Any thread; wait-free but for the
 * first request of a route.
 */
#ifndef BANYAN_ADMIN_TRAFFIC_H
#define BANYAN_ADMIN_TRAFFIC_H

#include "http/http.h"
#include "obs/metrics.h"

#define TRAFFIC_ROUTES                                                                             \
    512 /* a power of two, more than all listeners have; others count as "other" */

struct traffic;
struct traffic *traffic_new(void);
void traffic_free(struct traffic *t); /* NULL is fine */

/* http_config.observe, with the traffic as its context. */
void traffic_observe(void *traffic, const struct http_route *route, int status, int64_t took_us);

/* METRIC_HTTP_REQUESTS and METRIC_HTTP_LATENCY: routes of one template are one series, whatever
 * listener they are on; "none" is what no route took. */
void traffic_sample(const struct traffic *t, struct obs_page *page);

#endif

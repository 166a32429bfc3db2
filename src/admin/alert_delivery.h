/*
 * Tells people about alerts: by a post to a webhook, by a program of theirs, and in the log.
 *
 * alert_deliver never waits: it notes what is to be told in a bounded table, and one thread tells
 * it. The table has one place for each alert (by fingerprint), holding its newest state, so a slow
 * webhook makes no queue: nobody is told of what fires and resolves before anybody could be.
 * Each way is on its own: an alert is told when it fires, again every `repeat_us` while it does,
 * and once when it is over to whoever heard that it fires. What fails is tried again with backoff,
 * from a second to 5 minutes; an answer 4xx other than 408 and 429 is given up until the repeat.
 *
 * alert_deliver, alert_delivery_set and alert_delivery_sample: any thread.
 */
#ifndef BANYAN_ADMIN_ALERT_DELIVERY_H
#define BANYAN_ADMIN_ALERT_DELIVERY_H

#include "admin/alert_body.h"

#define ALERT_DELIVERY_MAX OBS_ALERTS_MAX         /* alerts that are known at a time */
#define ALERT_REPEAT_US (4 * INT64_C(3600000000)) /* 4 hours */
#define ALERT_POST_LIMIT_US INT64_C(10000000)     /* 10 s */
#define ALERT_COMMAND_LIMIT_US INT64_C(30000000)  /* 30 s, as docs/configuration.md says */
#define ALERT_RETRY_US INT64_C(1000000)
#define ALERT_RETRY_MAX_US INT64_C(300000000)

/* Posts JSON and gives the status of the answer; an error where there was none. Called by the
 * delivering thread only; returns within the limit, and soon when `*stop` becomes true. */
typedef int (*alert_post_fn)(void *context, const char *url, struct span body, int64_t limit_us,
                             const atomic_bool *stop, int *ret_status, struct err *err);

struct alert_delivery_options {
    alert_post_fn post;
    void *post_context;
    /* 0: the values above */
    int64_t repeat_us, retry_us, command_limit_us;
};

struct alert_delivery;
/* `conf` is copied. ERR_INTERNAL: no thread. */
int alert_delivery_start(const struct conf_alerts *conf,
                         const struct alert_delivery_options *options, struct alert_delivery **ret,
                         struct err *err) must_check;
/* Ends what is under way within a second or so; what was not told is told by the next start, as
 * alerts fire anew there. NULL is allowed. */
void alert_delivery_stop(struct alert_delivery *d);

/* New webhook, form and command, from now on. */
void alert_delivery_set(struct alert_delivery *d, const struct conf_alerts *conf);

/* False: the table is full; counted as dropped. */
bool alert_deliver(struct alert_delivery *d, enum obs_alert_event event,
                   const struct obs_alert *alert);

/* METRIC_ALERT_DELIVERIES. */
void alert_delivery_sample(struct alert_delivery *d, struct obs_page *page);

#endif

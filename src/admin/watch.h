/*
 * What the daemon looks at by the clock: alert rules over the metrics, and the statistics of each
 * minute into the state. @thread main, but for watch_show_alerts.
 */
#ifndef BANYAN_ADMIN_WATCH_H
#define BANYAN_ADMIN_WATCH_H

#include "admin/service.h"
#include "base/json_write.h"

struct watch;

/* Rules of the configuration; errors have their place in the file. */
int watch_start(struct service *s, struct watch **ret_watch, struct err *err) must_check;
void watch_stop(struct watch *w); /* NULL is fine */

/* Stores what was counted of this minute, before the modules are freed: the next start merges the
 * rest of the minute. NULL is fine. */
void watch_flush(struct watch *w);

/* Called often; does what is due. */
void watch_tick(struct watch *w, int64_t now_us);

/* Rules and ways of telling, from a configuration that was read anew: all or nothing. */
int watch_reload(struct watch *w, const struct conf *conf, struct err *err) must_check;

/* An array of all alerts. Any thread. */
void watch_show_alerts(struct watch *w, struct json_out *j, const char *name);
/* Samples of alerts and their delivery. Any thread. */
void watch_sample(struct watch *w, struct obs_page *page);

#endif

/* The picture of the daemon as samples of metrics: for /metrics and for the alert rules. */
#ifndef BANYAN_ADMIN_COLLECT_H
#define BANYAN_ADMIN_COLLECT_H

#include "admin/picture.h"
#include "obs/metrics.h"

/* The process itself, by /proc; started_us is wall clock. */
void collect_process(int64_t started_us, struct obs_page *page);

/* Adds the samples to `page`, those of the process too. */
void collect_picture(const struct picture *p, struct obs_page *page);

#endif

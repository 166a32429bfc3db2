/* The picture of the daemon as samples of metrics: for /metrics and for the alert rules. */
#ifndef BANYAN_ADMIN_COLLECT_H
#define BANYAN_ADMIN_COLLECT_H

#include "admin/picture.h"
#include "obs/metrics.h"

/* Adds the samples to `page`. Reads /proc for the process itself. */
void collect_picture(const struct picture *p, struct obs_page *page);

#endif

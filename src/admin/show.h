/* The picture of the daemon as JSON: what /v1/status and /v1/modules answer. Pure. */
#ifndef BANYAN_ADMIN_SHOW_H
#define BANYAN_ADMIN_SHOW_H

#include "admin/health.h"
#include "base/json_write.h"

/* "2026-11-23T12:00:00.123Z" */
struct show_utc {
    char text[48];
};
struct show_utc show_utc(int64_t wall_us);
/* The same; 0: null. */
void show_time(struct json_out *j, const char *name, int64_t wall_us);
void show_status(const struct picture *p, const struct health_report *report, struct json_out *j);
void show_module(const struct picture *p, const struct picture_module *m, struct json_out *j);
void show_verification(const struct picture_verification *v, bool differences, struct json_out *j,
                       const char *name);
void show_health(const struct health_report *report, struct json_out *j);

#endif

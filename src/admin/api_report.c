/* What the parallel run has shown. */
#include "admin/api.h"

#include "base/clock.h"
#include "parallel/report.h"

#define MINUTE_US INT64_C(60000000)

static void get(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct span range = http_query(r, "range");
    struct report report;
    struct err err = {0};
    int64_t minutes = 60;
    if (range.ptr && report_range(api_text(r, range), &minutes, &err) < 0) {
        http_error(a, 400, "bad_value", err.text, NULL);
        return;
    }
    if (report_make(s->conf, s->state, minutes, clock_wall_us() / MINUTE_US, &report, &err) < 0) {
        http_error_from(a, &err);
        return;
    }
    report_json(&report, &a->body);
    report_release(&report);
}

static const struct http_route routes[] = {
    {"GET", "/v1/report", HTTP_VIEWER, get, NULL, HTTP_SLOW},
};
const struct api_routes api_report_routes = {routes, sizeof routes / sizeof *routes};

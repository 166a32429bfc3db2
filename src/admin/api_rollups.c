/* Statistics by the minute, over any time that is kept: sums, with percentiles of the merged
 * histograms. */
#include "admin/api.h"

#include "admin/show.h"
#include "base/clock.h"
#include "obs/histogram.h"

#define MINUTE_US INT64_C(60000000)
#define MINUTES_MAX (STATE_ROLLUP_DAYS * INT64_C(1440))
#define ROWS_MAX 10000

struct listing {
    struct json_out *j;
    size_t rows;
};

static void show_percentiles(struct json_out *j, const struct obs_histogram *h) {
    json_out_open(j, "milliseconds", '{');
    json_out_double(j, "p50", obs_histogram_percentile(h, 50) / 1000);
    json_out_double(j, "p95", obs_histogram_percentile(h, 95) / 1000);
    json_out_double(j, "p99", obs_histogram_percentile(h, 99) / 1000);
    json_out_close(j, '}');
}

static int on_row(void *context, const struct state_rollup *row, struct err *err) {
    struct listing *l = context;
    struct json_out *j = l->j;
    if (l->rows++ == ROWS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d rows; ask for a shorter time or larger steps",
                       ROWS_MAX);
    json_out_open(j, NULL, '{');
    json_out_text(j, "module", row->key.module);
    json_out_text(j, "kind", row->key.kind);
    json_out_text(j, "name", row->key.name);
    json_out_text(j, "side", row->key.side);
    show_time(j, "from", row->minute * MINUTE_US);
#define SHOW(name) json_out_int(j, #name, row->name);
    STATE_ROLLUP_COUNTS(SHOW)
#undef SHOW
    show_percentiles(j, row->histogram);
    json_out_close(j, '}');
    return 0;
}

static void get(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    int64_t minutes = 60, step = 0;
    struct err err = {0};
    struct json_out j;
    struct listing listing = {.j = &j};
    if (!http_query_int(r, "minutes", 1, MINUTES_MAX, &minutes) ||
        !http_query_int(r, "step", 0, MINUTES_MAX, &step)) {
        http_error(a, 400, "bad_value",
                   "minutes is how far back, from 1 to 43200; step the minutes of a sum, 0 for one "
                   "sum of all",
                   NULL);
        return;
    }
    int64_t now = clock_wall_us() / MINUTE_US;
    const struct state_rollup_filter filter = {
        .from = now - minutes, .until = now + 1, .step = step};
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "rollups", '[');
    int rc = state_rollups_sum(s->state, &filter, on_row, &listing, &err);
    json_out_close(&j, ']');
    json_out_close(&j, '}');
    json_out_end(&j);
    if (rc == ERR_LIMIT)
        http_error(a, 400, "too_many", err.text, NULL);
    else if (rc < 0)
        http_error_from(a, &err);
}

static const struct http_route routes[] = {
    {"GET", "/v1/rollups", HTTP_VIEWER, get, NULL, HTTP_SLOW},
};
const struct api_routes api_rollup_routes = {routes, sizeof routes / sizeof *routes};

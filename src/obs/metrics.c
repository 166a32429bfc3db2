/* The table as data, and its documentation. */
#include "obs/metrics.h"

static const struct obs_metric_info table[OBS_METRIC_COUNT] = {
#define OBS_METRIC_ROW(id, name, type, unit, labels, help) {name, type, unit, help, labels},
    OBS_METRICS(OBS_METRIC_ROW)
#undef OBS_METRIC_ROW
};

/* In microseconds: from a flag's evaluation over HTTP to a target that does not answer. */
static const int64_t bounds_us[] = {
    10,    25,     50,     100,    250,     500,     1000,    2500,     5000,     10000,   25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000};
static const double bounds_seconds[] = {0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001,
                                        0.0025,  0.005,    0.01,    0.025,  0.05,    0.1,    0.25,
                                        0.5,     1,        2.5,     5,      10,      30,     60};
static const int64_t bounds_count[] = {1,   2,    5,    10,   20,    50,    100,   200,
                                       500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
static const double bounds_plain[] = {1,   2,    5,    10,   20,    50,    100,   200,
                                      500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
_Static_assert(COUNT(bounds_us) == COUNT(bounds_seconds), "one bound, two units");
_Static_assert(COUNT(bounds_count) == COUNT(bounds_plain), "one bound, two types");
_Static_assert(COUNT(bounds_us) <= OBS_BOUNDS_MAX && COUNT(bounds_count) <= OBS_BOUNDS_MAX, "room");

const struct obs_metric_info *obs_metric_info(enum obs_metric metric) {
    return &table[metric];
}

enum obs_metric obs_metric_find(struct span name) {
    for (size_t i = 0; i < OBS_METRIC_COUNT; i++)
        if (span_is(name, table[i].name))
            return (enum obs_metric)i;
    return OBS_METRIC_COUNT;
}

const double *obs_metric_bounds(enum obs_metric metric, size_t *ret_count) {
    bool seconds = table[metric].unit[0] != '\0';
    *ret_count = seconds ? COUNT(bounds_seconds) : COUNT(bounds_plain);
    return seconds ? bounds_seconds : bounds_plain;
}

double obs_metric_cumulate(enum obs_metric metric, const struct obs_histogram *h,
                           uint64_t *ret_cumulative) {
    bool seconds = table[metric].unit[0] != '\0';
    const int64_t *bounds = seconds ? bounds_us : bounds_count;
    size_t count = seconds ? COUNT(bounds_us) : COUNT(bounds_count);
    uint64_t total = 0;
    unsigned at = 0;
    for (size_t i = 0; i <= count; i++) {
        unsigned last =
            i < count ? obs_histogram_bucket((uint64_t)bounds[i]) : OBS_HISTOGRAM_BUCKETS - 1;
        for (; at <= last; at++)
            total += atomic_load_explicit(&h->buckets[at], memory_order_relaxed);
        ret_cumulative[i] = total;
    }
    return (double)obs_histogram_sum(h) / (seconds ? 1e6 : 1);
}

const char *obs_type_name(enum obs_type type) {
    switch (type) {
    case OBS_COUNTER:
        return "counter";
    case OBS_GAUGE:
        return "gauge";
    case OBS_HISTOGRAM:
        return "histogram";
    case OBS_INFO:
        return "info";
    }
    return "unknown";
}

void obs_metrics_docs(struct buf *out) {
    buf_add_text(
        out,
        "# Metrics\n\n"
        "Written by `banyan metrics docs` from the table in the program; do not edit.\n\n"
        "`/metrics` gives them as Prometheus text, or as OpenMetrics to a client that asks "
        "for it. Labels are\nmodule, collection, operation, route, side, reason and edge; never "
        "a user, a tenant, a path or a document. A\nlabel without a value is left out, "
        "and so is a metric whose value is not known. A histogram has the\nsuffixes "
        "`_bucket`, `_sum` and `_count`; a bound (`le`) includes what is up to 1.6 % over "
        "it.\n\n"
        "| name | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < OBS_METRIC_COUNT; i++) {
        const struct obs_metric_info *m = &table[i];
        buf_printf(out, "| `%s` | %s | %s | ", m->name, obs_type_name(m->type), m->unit);
        for (size_t k = 0; m->labels[k]; k++)
            buf_printf(out, "%s%s", k > 0 ? ", " : "", m->labels[k]);
        buf_printf(out, " | %s |\n", m->help);
    }
}

#include "admin/traffic.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <string.h>

#define CLASSES 6 /* by the first digit of the status */

struct slot {
    _Atomic(const struct http_route *) route; /* NULL: free; once set it stays */
    _Atomic uint64_t classes[CLASSES];
    struct obs_histogram took_us;
    /* For the statistics, of one thread: at the last time they were kept, now, and between. */
    uint64_t failed_kept, failed_now;
    struct obs_histogram kept, now, since;
};

struct traffic {
    struct slot none, other;
    struct slot slots[TRAFFIC_ROUTES];
};

struct traffic *traffic_new(void) {
    return mem_zalloc(1, sizeof(struct traffic)); /* pages are taken as routes are used */
}

void traffic_free(struct traffic *t) {
    free(t);
}

/* Open addressing by the address of the route; places are never given back. */
static struct slot *find(struct traffic *t, const struct http_route *route) {
    if (!route)
        return &t->none;
    size_t at = ((uintptr_t)route >> 4) * 0x9e3779b97f4a7c15u >> 20;
    for (size_t i = 0; i < TRAFFIC_ROUTES; i++) {
        struct slot *s = &t->slots[(at + i) % TRAFFIC_ROUTES];
        const struct http_route *there = atomic_load_explicit(&s->route, memory_order_acquire);
        if (there == route)
            return s;
        if (!there && (atomic_compare_exchange_strong(&s->route, &there, route) || there == route))
            return s;
    }
    return &t->other;
}

void traffic_observe(void *traffic, const struct http_route *route, int status, int64_t took_us) {
    struct slot *s = find(traffic, route);
    int class = status >= 100 && status < 600 ? status / 100 : 0;
    atomic_fetch_add_explicit(&s->classes[class], 1, memory_order_relaxed);
    obs_histogram_add(&s->took_us, took_us);
}

/* ---- statistics ---- */

static bool was_used(const struct slot *s) {
    for (size_t c = 0; c < CLASSES; c++)
        if (s->classes[c] > 0)
            return true;
    return false;
}

static bool fill_row(struct slot *s, const char *path, int64_t minute, struct state_rollup *row) {
    if (!was_used(s))
        return false;
    s->failed_now = s->classes[5];
    obs_histogram_copy(&s->took_us, &s->now);
    obs_histogram_since(&s->now, &s->kept, &s->since);
    *row = (struct state_rollup){.key = {"", "http", path, ""},
                                 .minute = minute,
                                 .count = (int64_t)obs_histogram_count(&s->since),
                                 .errors = (int64_t)(s->failed_now - s->failed_kept),
                                 .histogram = &s->since};
    return row->count > 0;
}

size_t traffic_rows(struct traffic *t, int64_t minute, struct state_rollup *rows, size_t max) {
    size_t n = 0;
    if (!t)
        return 0;
    for (size_t i = 0; i < TRAFFIC_ROUTES && n < max; i++) {
        const struct http_route *route = atomic_load(&t->slots[i].route);
        if (route)
            n += fill_row(&t->slots[i], route->path, minute, &rows[n]);
    }
    if (n < max)
        n += fill_row(&t->none, "none", minute, &rows[n]);
    if (n < max)
        n += fill_row(&t->other, "other", minute, &rows[n]);
    return n;
}

static void keep(struct slot *s) {
    if (!was_used(s))
        return;
    s->failed_kept = s->failed_now;
    obs_histogram_copy(&s->now, &s->kept);
}

void traffic_kept(struct traffic *t) {
    if (!t)
        return;
    for (size_t i = 0; i < TRAFFIC_ROUTES; i++)
        keep(&t->slots[i]);
    keep(&t->none);
    keep(&t->other);
}

/* ---- samples ---- */

struct view {
    const char *method, *path;
    const struct slot *slot;
};

static void sample_requests(const struct view *views, size_t count, size_t i,
                            struct obs_page *page) {
    static const char *const names[CLASSES] = {"cut", "1xx", "2xx", "3xx", "4xx", "5xx"};
    uint64_t sums[CLASSES] = {0};
    for (size_t k = 0; k < count; k++) {
        if (strcmp(views[k].path, views[i].path) != 0 ||
            strcmp(views[k].method, views[i].method) != 0)
            continue;
        if (k < i)
            return; /* it was counted with that one */
        for (size_t c = 0; c < CLASSES; c++)
            sums[c] += views[k].slot->classes[c];
    }
    for (size_t c = 0; c < CLASSES; c++)
        if (sums[c] > 0)
            obs_sample(page, METRIC_HTTP_REQUESTS, sums[c], views[i].path, views[i].method,
                       names[c]);
}

static void sample_latency(const struct view *views, size_t count, size_t i,
                           struct obs_histogram *sum, struct obs_page *page) {
    obs_histogram_clear(sum);
    for (size_t k = 0; k < count; k++) {
        if (strcmp(views[k].path, views[i].path) != 0)
            continue;
        if (k < i)
            return;
        obs_histogram_merge(sum, &views[k].slot->took_us);
    }
    obs_sample_histogram(page, METRIC_HTTP_LATENCY, sum, views[i].path);
}

void traffic_sample(const struct traffic *t, struct obs_page *page) {
    struct view views[TRAFFIC_ROUTES + 2];
    struct obs_histogram *sum = obs_histogram_new();
    size_t count = 0;
    for (size_t i = 0; i < TRAFFIC_ROUTES; i++) {
        const struct http_route *route = atomic_load(&t->slots[i].route);
        if (route)
            views[count++] = (struct view){route->method, route->path, &t->slots[i]};
    }
    if (was_used(&t->none))
        views[count++] = (struct view){"", "none", &t->none};
    if (was_used(&t->other))
        views[count++] = (struct view){"", "other", &t->other};
    for (size_t i = 0; i < count; i++) {
        sample_requests(views, count, i, page);
        sample_latency(views, count, i, sum, page);
    }
    obs_histogram_free(sum);
}

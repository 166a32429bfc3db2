#include "edge/counts.h"

#include "base/mem.h"
#include "gateway/batch.h"
#include "parallel/tally.h"

#include <stdlib.h>

struct route_counts {
    const char *module, *prefix;
    char name[STATE_NAME_MAX]; /* the prefix, cut where it is too long for the rollups */
    struct tally tally;
};

struct counts {
    struct route_counts *list;
    size_t count;
    size_t next; /* the route that the next batch begins with */
};

struct counts *counts_new(const struct conf *conf) {
    struct counts *c = mem_zalloc(1, sizeof *c);
    size_t all = 0;
    for (size_t i = 0; i < conf->module_count; i++)
        all += conf->modules[i].route_count;
    c->list = mem_zalloc(all + 1, sizeof *c->list);
    for (size_t i = 0; i < conf->module_count; i++)
        for (size_t k = 0; k < conf->modules[i].route_count; k++) {
            struct route_counts *r = &c->list[c->count++];
            r->module = conf->modules[i].name.text;
            r->prefix = conf->modules[i].routes[k].prefix.text;
            tally_name(r->prefix, r->name);
        }
    return c;
}

void counts_free(struct counts *c) {
    if (!c)
        return;
    free(c->list);
    free(c);
}

static struct route_counts *find(struct counts *c, struct span module, struct span route) {
    for (size_t i = 0; i < c->count; i++)
        if (span_is(module, c->list[i].module) && span_is(route, c->list[i].prefix))
            return &c->list[i];
    return NULL;
}

bool counts_add(struct counts *c, const struct frame_statistics *f) {
    struct route_counts *r = find(c, f->module, f->route);
    return r && tally_gateway(&r->tally, f);
}

static bool add_row(struct buf *batch, const struct state_rollup *row, struct buf *blob) {
    struct batch_row to = {.module = span_of(row->key.module),
                           .route = span_of(row->key.name),
                           .side = strcmp(row->key.side, "sql") == 0 ? ROUTE_SQL : ROUTE_MONGODB,
                           .count = row->count,
                           .errors = row->errors,
                           .rescued = row->rescued};
    buf_clear(blob);
    if (row->histogram)
        obs_histogram_to_blob(row->histogram, blob);
    to.histogram = buf_span(blob);
    return batch_add(batch, &to);
}

/* Of one route, all or nothing. */
static bool add_route(struct route_counts *r, struct buf *batch, struct buf *blob,
                      size_t *ret_rows) {
    struct state_rollup rows[TALLY_ROWS_MAX];
    size_t before = batch->len, added = 0;
    size_t n = tally_rows(&r->tally, r->module, "route", r->name, 0, rows);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].key.kind, "route") != 0)
            continue;
        if (!add_row(batch, &rows[i], blob)) {
            batch->len = before;
            return false;
        }
        added++;
    }
    tally_keep(&r->tally);
    *ret_rows += added;
    return true;
}

void counts_batch(struct counts *c, struct buf *batch, size_t *ret_rows) {
    _cleanup_(buf_release) struct buf blob = {.max = OBS_HISTOGRAM_BLOB_MAX};
    *ret_rows = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (!add_route(&c->list[c->next], batch, &blob, ret_rows))
            return;
        c->next = (c->next + 1) % c->count;
    }
}

void counts_sample(struct counts *c, struct obs_page *page) {
    for (size_t i = 0; i < c->count; i++) {
        const struct route_counts *r = &c->list[i];
        for (int side = 0; side < 2; side++) {
            const char *name = route_side_name((enum route_side)side);
            obs_sample(page, METRIC_SIDE_CALLS, tally_get(&r->tally, TALLY_CALLS + side), r->module,
                       "", r->prefix, name);
            obs_sample(page, METRIC_SIDE_ERRORS, tally_get(&r->tally, TALLY_ERRORS + side),
                       r->module, "", r->prefix, name);
            obs_sample_histogram(page, METRIC_SIDE_LATENCY, &r->tally.calls_us[side], r->module, "",
                                 r->prefix, name);
        }
        obs_sample(page, METRIC_RESCUED, tally_get(&r->tally, TALLY_RESCUED + ROUTE_MONGODB),
                   r->module, "", r->prefix);
        tally_sample_gateway(&r->tally, page, r->module, r->prefix);
    }
}

/* What edges ask for and hand over, and who they are. The first three are asked several times a
 * second and never wait: they do not go to the workers. */
#include "admin/api.h"

#include "admin/edges.h"
#include "admin/routestore.h"
#include "base/clock.h"
#include "base/mem.h"
#include "flagfile/snapshot.h"
#include "gateway/batch.h"
#include "obs/histogram.h"
#include "parallel/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_US INT64_C(60000000)
#define AGE_MAX_S (INT64_C(7) * 86400)

static void post_edge(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    _cleanup_(mem_freep) struct exchange_ask *ask = mem_alloc(sizeof *ask);
    _cleanup_(mem_freep) struct exchange_answer *answer = mem_zalloc(1, sizeof *answer);
    struct err err = {0};
    if (r->body.len > EXCHANGE_ASK_MAX || exchange_ask_read(r->body, ask, &err) < 0)
        http_error(a, 400, "bad_value", err.text[0] ? err.text : "the body is too long", NULL);
    else if (edges_ask(s->edges, ask, answer, &err) < 0)
        http_error_from(a, &err);
    else
        exchange_answer_write(&a->body, answer);
}

static void answer_bytes(const struct http_request *r, struct http_response *a, const char *etag,
                         struct span bytes) {
    char quoted[EXCHANGE_ETAG_MAX + 2];
    (void)snprintf(quoted, sizeof quoted, "\"%.16s\"", etag);
    if (http_not_modified(r, a, quoted))
        return;
    a->content_type = "application/octet-stream";
    buf_add_span(&a->body, bytes);
}

/* NOLINTNEXTLINE(misc-redundant-expression): they are equal today */
_Static_assert(SNAPSHOT_EDGE_MAX <= HTTP_ANSWER_MAX, "what is published can be answered");

static void get_flags(const struct http_request *r, struct http_response *a, void *context) {
    struct service *s = context;
    _cleanup_(flagset_putp) struct flagset *flags = flagset_get(&s->flags);
    if (flags)
        answer_bytes(r, a, flags->etag, span_make(flags->bytes, flags->set.len));
    else
        http_error(a, 503, "no_flags", "there are no flags yet", "ask again");
}

static void get_settings(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    _cleanup_(buf_release) struct buf bytes = {.max = HTTP_ANSWER_MAX};
    char etag[EXCHANGE_ETAG_MAX];
    routestore_published(s->routestore, &bytes);
    exchange_etag(buf_span(&bytes), etag);
    answer_bytes(r, a, etag, buf_span(&bytes));
}

/* ---- statistics ---- */

struct rows {
    struct state_rollup list[STATE_ROLLUP_ROWS_MAX];
    size_t count, skipped;
};

static void release_rows(struct rows *rows) {
    for (size_t i = 0; i < rows->count; i++) {
        free((void *)rows->list[i].key.module);
        free((void *)rows->list[i].key.name);
        obs_histogram_free((struct obs_histogram *)rows->list[i].histogram);
    }
    free(rows);
}

/* `ret_name`: as the route is kept in the state, and as edges call it. False: it is no route of
 * ours. */
static bool name_of(const struct service *s, const struct batch_row *row,
                    char ret_name[STATE_NAME_MAX]) {
    char module[STATE_NAME_MAX];
    if (row->module.len >= sizeof module || row->route.len >= STATE_NAME_MAX)
        return false;
    (void)snprintf(module, sizeof module, "%.*s", SPAN_ARG(row->module));
    const struct conf_module *m = conf_module(s->conf, module);
    for (size_t i = 0; m && i < m->route_count; i++) {
        tally_name(m->routes[i].prefix.text, ret_name);
        if (span_is(row->route, ret_name))
            return true;
    }
    return false;
}

static int add_row(struct rows *rows, const struct batch_row *row, const char *name, int64_t minute,
                   struct err *err) {
    struct state_rollup *to = &rows->list[rows->count];
    struct obs_histogram *h = obs_histogram_new();
    if (rows->count == STATE_ROLLUP_ROWS_MAX ||
        obs_histogram_merge_blob(h, row->histogram, err) < 0) {
        obs_histogram_free(h);
        return err_set(err, ERR_WIRE, "a batch has too many rows, or a histogram that is none");
    }
    rows->count++;
    *to = (struct state_rollup){.key = {.module = mem_strndup(row->module.ptr, row->module.len),
                                        .kind = "route",
                                        .name = mem_strdup(name),
                                        .side = route_side_name(row->side)},
                                .minute = minute,
                                .count = row->count,
                                .errors = row->errors,
                                .rescued = row->rescued,
                                .histogram = h};
    return 0;
}

static int read_rows(const struct service *s, struct batch *b, int64_t minute, struct rows *rows,
                     struct err *err) {
    struct batch_row row;
    char name[STATE_NAME_MAX];
    int rc;
    while ((rc = batch_next(b, &row, err)) > 0) {
        if (!name_of(s, &row, name)) {
            rows->skipped++;
            continue;
        }
        rc = add_row(rows, &row, name, minute, err);
        if (rc < 0)
            break;
    }
    return rc;
}

/* The age is by the edge's own clock; a batch belongs to the minute in which it was made. */
static void post_statistics(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct rows *rows = mem_zalloc(1, sizeof *rows);
    struct batch b;
    struct err err = {0};
    char writer[32];
    int64_t age = 0;
    bool good = http_query_int(r, "age", 0, AGE_MAX_S, &age);
    int64_t minute = (clock_wall_us() - age * 1000000) / MINUTE_US;
    if (!good)
        http_error(a, 400, "bad_value", "age must be a whole number of seconds, at most 7 days",
                   NULL);
    else if (batch_open(r->body, &b, &err) < 0 || read_rows(s, &b, minute, rows, &err) < 0)
        http_error(a, 400, "bad_value", err.text, NULL);
    else {
        (void)snprintf(writer, sizeof writer, "edge-%s", b.id);
        if (state_rollups_write(s->state, writer, b.sequence, rows->list, rows->count, &err) < 0)
            http_error_from(a, &err);
        else
            buf_printf(&a->body, "{\"rows\":%zu,\"unknown\":%zu}\n", rows->count, rows->skipped);
    }
    release_rows(rows);
}

/* ---- samples ---- */

static void post_samples(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    const char *id = api_text(r, http_query(r, "id"));
    struct err err = {0};
    size_t taken = 0, all = 0;
    if (edges_take_samples(s->edges, id, r->body, &taken, &all, &err) < 0)
        err.code == ERR_WIRE ? http_error(a, 400, "bad_value", err.text, NULL)
                             : http_error_from(a, &err);
    else
        buf_printf(&a->body, "{\"taken\":%zu,\"dropped\":%zu}\n", taken, all - taken);
}

/* ---- who they are ---- */

static void get_edges(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct json_out j;
    (void)r;
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    edges_show(s->edges, &j, "edges");
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void forget(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    const char *name = api_text(r, r->parameter[0]);
    struct api_change c;
    struct err err = {0};
    bool there = false;
    if (!api_read_change(r, a, &c) || !api_knows_members(&c, a, ""))
        return;
    const struct state_audit_line line = {.who = r->who,
                                          .role = http_role_name(r->role),
                                          .action = "edge.forget",
                                          .subject = name,
                                          .why = c.why};
    if (edges_forget(s->edges, name, &line, &there, &err) < 0)
        http_error_from(a, &err);
    else if (!there)
        http_error(a, 404, "no_such_edge", "there is no edge of that name",
                   "GET /v1/edges lists them");
    else
        api_done(a);
}

static const struct http_route routes[] = {
    {"POST", "/v1/edge", HTTP_EDGE, post_edge, NULL, 0},
    {"GET", "/v1/edge/flags", HTTP_EDGE, get_flags, NULL, 0},
    {"GET", "/v1/edge/settings", HTTP_EDGE, get_settings, NULL, 0},
    {"POST", "/v1/edge/statistics", HTTP_EDGE, post_statistics, NULL, HTTP_SLOW},
    {"POST", "/v1/edge/samples", HTTP_EDGE, post_samples, NULL, HTTP_SLOW},
    {"GET", "/v1/edges", HTTP_VIEWER, get_edges, NULL, 0},
    {"POST", "/v1/edges/{edge}/forget", HTTP_OPERATOR, forget, NULL, HTTP_SLOW},
};
const struct api_routes api_edge_routes = {routes, sizeof routes / sizeof *routes};

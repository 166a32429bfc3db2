/* Parked documents: listed by pages, written again, given up. The pipelines do it, by request. */
#include "admin/api.h"

#include "admin/show.h"
#include "model/canon.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE 100
#define PAGE_MAX 1000

static void show_one(struct json_out *j, const struct state_parked *p) {
    _cleanup_(buf_release) struct buf document = {.max = 1024 * 1024};
    bson_iter_t it;
    if (bson_iter_init_from_data(&it, (const uint8_t *)p->identity, p->identity_len) &&
        bson_iter_next(&it))
        canon_value_text(&it, &document);
    json_out_open(j, NULL, '{');
    json_out_int(j, "id", p->id);
    json_out_text(j, "module", p->pipeline);
    json_out_text(j, "collection", p->collection);
    json_out_text(j, "document", buf_text(&document));
    json_out_text(j, "state", p->deferred ? "deferred" : "parked");
    json_out_text(j, "reason", p->reason);
    json_out_int(j, "code", p->code);
    json_out_int(j, "attempts", p->attempts);
    json_out_text(j, "first_lsn", lsn_format(p->first_lsn).text);
    json_out_text(j, "last_lsn", lsn_format(p->last_lsn).text);
    show_time(j, "since", p->parked_us);
    json_out_close(j, '}');
}

static void show_page(const struct state_parked *list, size_t count, size_t limit, int64_t all,
                      struct http_response *a) {
    struct json_out j;
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_int(&j, "all", all);
    json_out_open(&j, "parked", '[');
    for (size_t i = 0; i < count; i++)
        show_one(&j, &list[i]);
    json_out_close(&j, ']');
    if (count == limit)
        json_out_int(&j, "next", list[count - 1].id);
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void get_list(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct state_parked *list = NULL;
    struct err err = {0};
    size_t count = 0;
    int64_t limit = PAGE, after = 0, all = 0;
    if (!http_query_int(r, "limit", 1, PAGE_MAX, &limit) ||
        !http_query_int(r, "after", 0, INT64_MAX, &after)) {
        http_error(a, 400, "bad_value", "limit is a number from 1 to 1000, after an id", NULL);
        return;
    }
    struct span module = http_query(r, "module");
    const char *pipeline = module.ptr ? api_text(r, module) : NULL;
    int rc = state_parked_list(s->state, pipeline, after, (size_t)limit, &list, &count, &err);
    if (rc == 0)
        rc = state_parked_count(s->state, pipeline, &all, &err);
    if (rc == 0)
        show_page(list, count, (size_t)limit, all, a);
    else
        http_error_from(a, &err);
    for (size_t i = 0; i < count; i++)
        state_parked_clear(&list[i]);
    free(list);
}

/* ---- retry and drop ---- */

static int add_request(const struct service *s, const struct state_parked *p, bool drop,
                       struct err *err) {
    return drop ? state_request_add_drop(s->state, p, err)
                : state_request_add(s->state, p->pipeline, p->collection,
                                    span_make(p->key, p->key_len), err);
}

static void change(const struct http_request *r, struct http_response *a, const struct service *s,
                   bool drop) {
    struct api_change c;
    struct state_parked p = {0};
    struct err err = {0};
    bool found = false;
    char subject[64];
    int64_t id = strtoll(api_text(r, r->parameter[0]), NULL, 10);
    if (!api_read_change(r, a, &c) || !api_knows_members(&c, a, ""))
        return;
    int rc = state_parked_get(s->state, id, &p, &found, &err);
    if (rc == 0 && !found)
        http_error(a, 404, "not_parked", "no parked document has this id",
                   "GET /v1/parked lists them");
    if (rc == 0 && found)
        rc = add_request(s, &p, drop, &err);
    if (rc < 0)
        http_error_from(a, &err);
    else if (found) {
        a->status = 202;
        api_done(a);
        (void)snprintf(subject, sizeof subject, "%lld", (long long)id);
        api_audit(s, r, a,
                  &(struct state_audit_line){.action = drop ? "parked.drop" : "parked.retry",
                                             .subject = subject,
                                             .why = c.why});
    }
    state_parked_clear(&p);
}

static void post_retry(const struct http_request *r, struct http_response *a, void *context) {
    change(r, a, context, false);
}

static void post_drop(const struct http_request *r, struct http_response *a, void *context) {
    change(r, a, context, true);
}

static const struct http_route routes[] = {
    {"GET", "/v1/parked", HTTP_VIEWER, get_list, NULL, HTTP_SLOW},
    {"POST", "/v1/parked/{id}/retry", HTTP_OPERATOR, post_retry, NULL, HTTP_SLOW},
    {"POST", "/v1/parked/{id}/drop", HTTP_OPERATOR, post_drop, NULL, HTTP_SLOW},
};
const struct api_routes api_parked_routes = {routes, sizeof routes / sizeof *routes};

/* Who changed what, and why: newest first, by pages. */
#include "admin/api.h"

#include "admin/show.h"

#include <stdlib.h>

#define PAGE 100
#define PAGE_MAX 1000

static void show_json(struct json_out *j, const char *name, const char *json) {
    if (json)
        json_out_raw(j, name, span_of(json));
    else
        json_out_text(j, name, NULL);
}

static void show_one(struct json_out *j, const struct state_audit *line) {
    json_out_open(j, NULL, '{');
    json_out_int(j, "id", line->id);
    show_time(j, "time", line->at_us);
    json_out_text(j, "who", line->who);
    json_out_text(j, "role", line->role);
    json_out_text(j, "action", line->action);
    json_out_text(j, "subject", line->subject);
    json_out_text(j, "why", line->why);
    show_json(j, "before", line->before);
    show_json(j, "after", line->after);
    json_out_close(j, '}');
}

static void get_audit(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct state_audit *list = NULL;
    struct err err = {0};
    struct json_out j;
    size_t count = 0;
    int64_t limit = PAGE, before = 0;
    if (!http_query_int(r, "limit", 1, PAGE_MAX, &limit) ||
        !http_query_int(r, "before", 0, INT64_MAX, &before)) {
        http_error(a, 400, "bad_value", "limit is a number from 1 to 1000, before an id", NULL);
        return;
    }
    if (state_audit_list(s->state, before, (size_t)limit, &list, &count, &err) < 0) {
        http_error_from(a, &err);
    } else {
        json_out_begin(&j, &a->body);
        json_out_open(&j, NULL, '{');
        json_out_open(&j, "audit", '[');
        for (size_t i = 0; i < count; i++)
            show_one(&j, &list[i]);
        json_out_close(&j, ']');
        json_out_close(&j, '}');
        json_out_end(&j);
    }
    for (size_t i = 0; i < count; i++)
        state_audit_clear(&list[i]);
    free(list);
}

static const struct http_route routes[] = {
    {"GET", "/v1/audit", HTTP_VIEWER, get_audit, NULL, HTTP_SLOW},
};
const struct api_routes api_audit_routes = {routes, sizeof routes / sizeof *routes};

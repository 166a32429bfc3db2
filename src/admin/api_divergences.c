/* What SQL and MongoDB disagreed about: listed, shown, marked, resynced, forgotten. */
#include "admin/api.h"

#include "parallel/copies.h"
#include "parallel/secret.h"
#include "parallel/show.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST 100
#define LIST_MAX 1000

static const char *optional(const struct http_request *r, const char *name) {
    struct span value = http_query(r, name);
    return value.ptr && value.len ? api_text(r, value) : NULL;
}

static void get_list(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct state_divergence *list = NULL;
    struct err err = {0};
    struct json_out j;
    size_t count = 0;
    int64_t limit = LIST, analyzed = -1;
    if (!http_query_int(r, "limit", 1, LIST_MAX, &limit) ||
        !http_query_int(r, "analyzed", 0, 1, &analyzed)) {
        http_error(a, 400, "bad_value", "limit is a number from 1 to 1000, analyzed 0 or 1", NULL);
        return;
    }
    const struct state_divergence_filter filter = {.module = optional(r, "module"),
                                                   .subject = optional(r, "name"),
                                                   .analyzed = (int)analyzed,
                                                   .max = (size_t)limit};
    if (state_divergence_list(s->state, &filter, &list, &count, &err) < 0) {
        http_error_from(a, &err);
        return;
    }
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "divergences", '[');
    for (size_t i = 0; i < count; i++)
        show_divergence(&j, &list[i], NULL, 0);
    json_out_close(&j, ']');
    json_out_close(&j, '}');
    json_out_end(&j);
    free(list);
}

static int64_t id_of(const struct http_request *r) {
    return strtoll(api_text(r, r->parameter[0]), NULL, 10);
}

static void no_such(struct http_response *a) {
    http_error(a, 404, "no_such_divergence", "no divergence has this id",
               "GET /v1/divergences lists them");
}

static void get_one(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct state_divergence d;
    struct state_example *examples = NULL;
    struct err err = {0};
    struct json_out j;
    size_t count = 0;
    bool found = false;
    int rc = state_divergence_get(s->state, id_of(r), &d, &found, &err);
    if (rc == 0 && found)
        rc = state_example_list(s->state, d.id, &examples, &count, &err);
    if (rc < 0)
        http_error_from(a, &err);
    else if (!found)
        no_such(a);
    else {
        static const struct state_example none = {0};
        json_out_begin(&j, &a->body);
        show_divergence(&j, &d, examples ? examples : &none, count);
        json_out_end(&j);
    }
    for (size_t i = 0; i < count; i++)
        state_example_clear(&examples[i]);
    free(examples);
}

static void post_analyze(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct api_change c;
    struct err err = {0};
    char subject[32];
    bool analyzed = true, found = false;
    if (!api_read_change(r, a, &c) || !api_knows_members(&c, a, "analyzed"))
        return;
    const struct json_node *given = json_member(&c.body, json_root(&c.body), "analyzed");
    if (given && !json_bool(given, &analyzed)) {
        http_error(a, 400, "bad_value", "analyzed is true or false", NULL);
        return;
    }
    (void)snprintf(subject, sizeof subject, "%lld", (long long)id_of(r));
    const struct state_audit_line line = {.who = r->who,
                                          .role = http_role_name(r->role),
                                          .action = "divergence.analyze",
                                          .subject = subject,
                                          .after = analyzed ? "true" : "false",
                                          .why = c.why};
    if (state_divergence_analyze(s->state, id_of(r), analyzed, &line, &found, &err) < 0)
        http_error_from(a, &err);
    else if (!found)
        no_such(a);
    else {
        api_done(a);
        service_publish(s, "divergence", SPAN_LIT("{}"));
    }
}

static void post_resync(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct api_change c;
    struct err err = {0};
    char collection[STATE_NAME_MAX], subject[32];
    int64_t example = 0;
    bool there;
    if (!api_read_change(r, a, &c) || !api_knows_members(&c, a, "example") ||
        !api_read_int(&c, a, "example", 1, INT64_MAX, &example, &there))
        return;
    int rc = resync_divergence(s->state, id_of(r), example, collection, &err);
    if (rc == ERR_NO) {
        http_error(a, 409, "cannot_resync", err.text, NULL);
        return;
    }
    if (rc < 0) {
        http_error_from(a, &err);
        return;
    }
    a->status = 202;
    api_done(a);
    (void)snprintf(subject, sizeof subject, "%lld", (long long)id_of(r));
    api_audit(s, r, a,
              &(struct state_audit_line){
                  .action = "divergence.resync", .subject = subject, .why = c.why});
}

static int purge(const struct service *s, struct span user, const struct state_audit_line *line,
                 int64_t *ret_count, struct err *err) {
    struct secret secret;
    unsigned char hash[STATE_USER_LEN];
    int rc = secret_open(s->options->state_path, &secret, err);
    if (rc < 0)
        return rc;
    secret_hash_user(&secret, user, hash);
    rc = state_divergence_purge(s->state, span_make(hash, sizeof hash), line, ret_count, err);
    if (rc == 0 && s->conf->divergences.collection.text)
        rc = copies_purge(s->conf, span_make(hash, sizeof hash), err);
    return rc;
}

/* The audit says that somebody was forgotten, not who. */
static void post_purge(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    struct api_change c;
    struct err err = {0};
    struct span user = {0};
    int64_t count = 0;
    if (!api_read_change(r, a, &c) || !api_knows_members(&c, a, "user"))
        return;
    const struct json_node *given = json_member(&c.body, json_root(&c.body), "user");
    if (!json_string_in(&c.body, given, r->arena, &user) || user.len == 0) {
        http_error(a, 400, "bad_value", "user is the text by which the route knows who asks", NULL);
        return;
    }
    const struct state_audit_line line = {.who = r->who,
                                          .role = http_role_name(r->role),
                                          .action = "divergence.purge",
                                          .subject = "user",
                                          .why = c.why};
    if (purge(s, user, &line, &count, &err) < 0)
        http_error_from(a, &err);
    else
        buf_printf(&a->body, "{\"ok\":true,\"examples\":%lld}\n", (long long)count);
}

static const struct http_route routes[] = {
    {"GET", "/v1/divergences", HTTP_VIEWER, get_list, NULL, HTTP_SLOW},
    {"GET", "/v1/divergences/{id}", HTTP_VIEWER, get_one, NULL, HTTP_SLOW},
    {"POST", "/v1/divergences/{id}/analyze", HTTP_OPERATOR, post_analyze, NULL, HTTP_SLOW},
    {"POST", "/v1/divergences/{id}/resync", HTTP_OPERATOR, post_resync, NULL, HTTP_SLOW},
    {"POST", "/v1/divergences/purge", HTTP_OPERATOR, post_purge, NULL, HTTP_SLOW},
};
const struct api_routes api_divergence_routes = {routes, sizeof routes / sizeof *routes};

/* Flags: as they hold now, changed with a reason, killed and reset. */
#include "admin/api.h"

#include "admin/flagstore.h"
#include "base/clock.h"
#include "flagfile/overrides.h"
#include "flagfile/show.h"
#include "flags/compile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one flag ---- */

struct shown {
    const struct service *service;
    const struct snapshot *snapshot;
    const struct flagset *set;
};

static void show_evaluations(struct json_out *j, const struct flagset *set, struct span name) {
    uint32_t i = set ? flags_find(&set->set, name) : FLAGS_NONE;
    json_out_open(j, "evaluations", '{');
    json_out_int(j, "on", i == FLAGS_NONE ? 0 : (int64_t)set->counts[i].on);
    json_out_int(j, "off", i == FLAGS_NONE ? 0 : (int64_t)set->counts[i].off);
    json_out_close(j, '}');
}

static void show_flag(const struct shown *shown, size_t flag, struct json_out *j) {
    struct span name = shown->snapshot->model.flags[flag].name;
    struct err ignored;
    int64_t full_since = 0;
    if (state_flag_full_since(shown->service->state, name.ptr, &full_since, &ignored) < 0)
        full_since = 0;
    json_out_open(j, NULL, '{');
    flagfile_show(j, shown->snapshot, flag, full_since, clock_wall_us());
    show_evaluations(j, shown->set, name);
    json_out_close(j, '}');
}

/* `name` NULL: all of them. False: there is no such flag. */
static bool show(struct service *s, const char *name, struct http_response *a) {
    _cleanup_(flagset_putp) struct flagset *set = flagset_get(&s->flags);
    const struct snapshot *snapshot = flagstore_begin(s->flagstore);
    const struct shown shown = {s, snapshot, set};
    struct json_out j;
    bool found = !name;
    json_out_begin(&j, &a->body);
    if (!name) {
        json_out_open(&j, NULL, '{');
        json_out_open(&j, "flags", '[');
    }
    for (size_t i = 0; i < snapshot->model.flag_count; i++) {
        if (name && !span_is(snapshot->model.flags[i].name, name))
            continue;
        show_flag(&shown, i, &j);
        found = true;
    }
    if (!name) {
        json_out_close(&j, ']');
        json_out_text(&j, "file", snapshot->path);
        json_out_text(&j, "problem", snapshot->bad.code ? snapshot->bad.text : NULL);
        json_out_close(&j, '}');
    }
    json_out_end(&j);
    flagstore_end(s->flagstore);
    return found;
}

static void no_such_flag(struct http_response *a) {
    http_error(a, 404, "no_such_flag", "there is no flag of that name", "GET /v1/flags lists them");
}

static void get_list(const struct http_request *r, struct http_response *a, void *context) {
    (void)r;
    (void)show(context, NULL, a);
}

static void get_one(const struct http_request *r, struct http_response *a, void *context) {
    if (!show(context, api_text(r, r->parameter[0]), a))
        no_such_flag(a);
}

/* Short, however many users are listed: what the command line waits for. */
static void get_version(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    const char *name = api_text(r, r->parameter[0]);
    const struct snapshot *now = flagstore_begin(s->flagstore);
    struct json_out j;
    if (flagfile_find(&now->model, name)) {
        json_out_begin(&j, &a->body);
        json_out_open(&j, NULL, '{');
        json_out_int(&j, "version", snapshot_change_of(now, name).version);
        json_out_close(&j, '}');
        json_out_end(&j);
    } else {
        no_such_flag(a);
    }
    flagstore_end(s->flagstore);
}

/* ---- changes ---- */

static void answer_failure(struct http_response *a, int rc, const struct err *err) {
    if (rc == ERR_NO)
        no_such_flag(a);
    else if (rc == ERR_CONF)
        http_error(a, 400, "bad_value", err->text, NULL);
    else if (rc == ERR_UNREACHABLE)
        http_error(a, 503, "redis_away", err->text, NULL);
    else
        http_error_from(a, err);
}

static void make_change(const struct http_request *r, struct http_response *a, struct service *s,
                        struct snapshot_change *change, const char *why) {
    struct err err = {0};
    int64_t version = 0;
    bool conflict = false;
    change->name = api_text(r, r->parameter[0]);
    change->who = r->who;
    change->role = http_role_name(r->role);
    change->why = why;
    int rc = flagstore_change(s->flagstore, change, &version, &conflict, &err);
    if (rc < 0) {
        answer_failure(a, rc, &err);
    } else if (conflict) {
        char words[100];
        (void)snprintf(words, sizeof words,
                       "the flag was changed meanwhile: it has version %lld by now",
                       (long long)version);
        http_error(a, 409, "version", words, "look at it again, then send that version");
    } else if (!show(s, change->name, a)) {
        no_such_flag(a);
    }
}

/* The members that are not the request's own. False: the response has become the error. */
static bool changes_of(const struct api_change *c, struct http_response *a, struct buf *out) {
    const struct json_doc *d = &c->body;
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    for (const struct json_node *n = json_first(d, json_root(d)); n;
         n = json_next(d, json_root(d), n)) {
        char name[64]; /* longer than each key that there is */
        if (json_is(d, n, "why") || json_is(d, n, "version"))
            continue;
        if (!json_copy(d, n, name, sizeof name)) {
            http_error(a, 400, "bad_value", "a name in the body is none of a flag's keys", NULL);
            return false;
        }
        if (json_value(n)->type == JSON_NULL) {
            http_error(a, 400, "bad_value", "null is no value of a flag's key",
                       "POST .../reset goes back to what the file says");
            return false;
        }
        json_out_raw(&j, name, json_raw(d, json_value(n)));
    }
    json_out_close(&j, '}');
    return true;
}

static void patch(const struct http_request *r, struct http_response *a, void *context) {
    _cleanup_(buf_release) struct buf changes = {.max = HTTP_BODY_MAX + 1024};
    struct api_change c;
    int64_t version = 0;
    bool there;
    if (!api_read_change(r, a, &c) ||
        !api_read_int(&c, a, "version", 0, INT64_MAX, &version, &there))
        return;
    if (!there) {
        http_error(a, 400, "value_missing", "version is missing",
                   "send the version that GET gave: nobody's change is lost then");
        return;
    }
    if (!changes_of(&c, a, &changes))
        return;
    struct snapshot_change change = {
        .action = SNAPSHOT_SET, .json = buf_span(&changes), .version = version};
    make_change(r, a, context, &change, c.why);
}

static void post(const struct http_request *r, struct http_response *a, void *context,
                 enum snapshot_action action) {
    struct api_change c;
    struct snapshot_change change = {.action = action, .version = -1};
    if (api_read_change(r, a, &c) && api_knows_members(&c, a, ""))
        make_change(r, a, context, &change, c.why);
}

static void post_off(const struct http_request *r, struct http_response *a, void *context) {
    post(r, a, context, SNAPSHOT_KILL);
}

static void post_reset(const struct http_request *r, struct http_response *a, void *context) {
    post(r, a, context, SNAPSHOT_RESET);
}

/* ---- who would be affected ---- */

#define SAMPLE 10000

static int64_t count_on(const struct flags_set *set, struct span name) {
    uint32_t flag = flags_find(set, name);
    int64_t on = 0;
    for (int i = 0; i < SAMPLE; i++) {
        char user[32];
        struct flags_context context = {.now_us = clock_wall_us()};
        struct flags_result result;
        (void)snprintf(user, sizeof user, "user-%d", i);
        context.user = span_of(user);
        flags_evaluate(set, flag, &context, &result);
        on += result.on;
    }
    return on;
}

/* The blob as it would be with the flag's percentage at another value. */
static int compile_preview(const struct snapshot *now, const char *name, double percentage,
                           struct buf *ret_blob, struct err *err) {
    _cleanup_(buf_release) struct buf merged = {.max = STATE_CHANGES_MAX * 2};
    const struct flags_flag *flag = flagfile_find(&now->file->model, name);
    struct state_flag change = snapshot_change_of(now, name);
    struct arena arena;
    struct flags_model model;
    char json[64];
    if (!flag)
        return err_set(err, ERR_NO, "there is no flag %s", name);
    (void)snprintf(json, sizeof json, "{\"rollout_percentage\":%.3f}", percentage);
    int rc = overrides_merge(flag, change.changes, span_of(json), &merged, err);
    const struct override one = {
        .name = name, .changes = merged.len ? buf_text(&merged) : NULL, .killed = change.killed};
    arena_init(&arena, FLAGFILE_MEMORY_MAX);
    if (rc == 0)
        rc = overrides_apply(&now->file->model, &one, 1, &arena, &model, err);
    if (rc == 0)
        rc = flags_compile(&model, ret_blob, err);
    arena_release(&arena);
    return rc;
}

static void show_preview(const struct http_request *r, struct http_response *a,
                         const struct snapshot *now, double percentage) {
    _cleanup_(buf_release) struct buf blob = {.max = FLAGS_BLOB_MAX};
    const char *name = api_text(r, r->parameter[0]);
    struct flags_set then;
    struct err err = {0};
    struct json_out j;
    int rc = compile_preview(now, name, percentage, &blob, &err);
    if (rc == 0)
        rc = flags_open(blob.data, blob.len, &then, &err);
    if (rc < 0) {
        answer_failure(a, rc, &err);
        return;
    }
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_int(&j, "sampled", SAMPLE);
    json_out_int(&j, "on_now", count_on(&now->set, span_of(name)));
    json_out_int(&j, "on_then", count_on(&then, span_of(name)));
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void get_preview(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    char *end = NULL;
    const char *given = api_text(r, http_query(r, "rollout_percentage"));
    double percentage = strtod(given, &end);
    if (!*given || *end || !isfinite(percentage) || percentage < 0 || percentage > 100) {
        http_error(a, 400, "bad_value", "rollout_percentage is a number from 0 to 100", NULL);
        return;
    }
    show_preview(r, a, flagstore_begin(s->flagstore), percentage);
    flagstore_end(s->flagstore);
}

static const struct http_route routes[] = {
    {"GET", "/v1/flags", HTTP_VIEWER, get_list, NULL, HTTP_SLOW},
    {"GET", "/v1/flags/{flag}", HTTP_VIEWER, get_one, NULL, HTTP_SLOW},
    {"GET", "/v1/flags/{flag}/version", HTTP_VIEWER, get_version, NULL, HTTP_SLOW},
    {"PATCH", "/v1/flags/{flag}", HTTP_OPERATOR, patch, NULL, HTTP_SLOW},
    {"POST", "/v1/flags/{flag}/off", HTTP_OPERATOR, post_off, NULL, HTTP_SLOW},
    {"POST", "/v1/flags/{flag}/reset", HTTP_OPERATOR, post_reset, NULL, HTTP_SLOW},
    {"GET", "/v1/flags/{flag}/preview", HTTP_VIEWER, get_preview, NULL, HTTP_SLOW},
};
const struct api_routes api_flag_routes = {routes, sizeof routes / sizeof *routes};

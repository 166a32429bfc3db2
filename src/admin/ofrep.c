#include "admin/ofrep.h"

#include "base/json_read.h"
#include "base/json_write.h"
#include "flagfile/show.h"
#include "flags/value_json.h"

#include <string.h>

/* ---- the context ---- */

struct context {
    struct flags_context flags;
    struct flags_attribute *user, *tenant; /* room for all */
    size_t room;
};

static bool add(const struct json_doc *d, const struct json_node *name, struct arena *arena,
                struct flags_attribute *to, size_t *count) {
    struct flags_attribute *a = &to[*count];
    if (!json_string_in(d, name, arena, &a->name) ||
        !flags_value_read(d, json_value(name), arena, &a->value))
        return false;
    ++*count;
    return true;
}

static bool add_object(const struct json_doc *d, const struct json_node *object,
                       struct arena *arena, struct flags_attribute *to, size_t *count) {
    if (object->type == JSON_NULL)
        return true;
    if (object->type != JSON_OBJECT)
        return false;
    for (const struct json_node *n = json_first(d, object); n; n = json_next(d, object, n))
        if (!add(d, n, arena, to, count))
            return false;
    return true;
}

/* Who asks: a text, or a number as it is written. */
static bool read_who(const struct json_doc *d, const struct json_node *n, struct arena *arena,
                     struct span *ret) {
    if (n->type == JSON_NULL)
        return true;
    if (n->type == JSON_NUMBER) {
        *ret = json_raw(d, n);
        return true;
    }
    return n->type == JSON_STRING && json_string_in(d, n, arena, ret);
}

static bool read_member(const struct json_doc *d, const struct json_node *name, struct arena *arena,
                        struct context *c, struct span *user_id) {
    const struct json_node *value = json_value(name);
    if (json_is(d, name, "targetingKey"))
        return read_who(d, value, arena, &c->flags.user);
    if (json_is(d, name, "userId"))
        return read_who(d, value, arena, user_id);
    if (json_is(d, name, "tenantId"))
        return read_who(d, value, arena, &c->flags.tenant);
    if (json_is(d, name, "userAttributes"))
        return add_object(d, value, arena, c->user, &c->flags.user_attribute_count);
    if (json_is(d, name, "tenantAttributes"))
        return add_object(d, value, arena, c->tenant, &c->flags.tenant_attribute_count);
    return add(d, name, arena, c->user, &c->flags.user_attribute_count);
}

static bool read_members(const struct json_doc *d, const struct json_node *object,
                         struct arena *arena, struct context *c) {
    struct span user_id = {0};
    for (const struct json_node *n = json_first(d, object); n; n = json_next(d, object, n))
        if (!read_member(d, n, arena, c, &user_id))
            return false;
    if (!c->flags.user.len)
        c->flags.user = user_id;
    return true;
}

/* What keeps a body from being a context: an OFREP error code, with words. */
static const char *read_context(const struct ofrep_question *q, struct context *c,
                                struct err *err) {
    size_t max = q->body.len < OFREP_NODES_MAX ? q->body.len + 1 : OFREP_NODES_MAX;
    struct json_node *nodes = arena_alloc(q->arena, max * sizeof *nodes);
    struct json_doc d;
    c->flags = (struct flags_context){.now_us = q->now_us, .random = q->random};
    if (q->body.len == 0)
        return NULL;
    if (!nodes || json_parse(&d, q->body, nodes, max, err) < 0)
        return "PARSE_ERROR";
    const struct json_node *object = json_member(&d, json_root(&d), "context");
    if (json_root(&d)->type == JSON_OBJECT && !object)
        return NULL;
    c->user = arena_alloc(q->arena, (d.count + 1) * sizeof *c->user);
    c->tenant = arena_alloc(q->arena, (d.count + 1) * sizeof *c->tenant);
    if (object && object->type == JSON_NULL)
        return NULL;
    if (!object || object->type != JSON_OBJECT || !c->user || !c->tenant ||
        !read_members(&d, object, q->arena, c)) {
        (void)err_set(err, ERR_VALUE,
                      "context must be an object; targetingKey, userId and tenantId texts, "
                      "userAttributes and tenantAttributes objects");
        return "INVALID_CONTEXT";
    }
    c->flags.user_attributes = c->user;
    c->flags.tenant_attributes = c->tenant;
    return NULL;
}

/* ---- answers ---- */

static void show_failure(struct json_out *j, struct span key, const char *code,
                         const char *details) {
    json_out_open(j, NULL, '{');
    if (key.ptr)
        json_out_span(j, "key", key);
    json_out_text(j, "errorCode", code);
    if (details && *details)
        json_out_text(j, "errorDetails", details);
    json_out_close(j, '}');
}

static void show_result(struct json_out *j, struct span key, struct span metadata,
                        const struct flags_result *r) {
    if (r->error != FLAGS_OK) {
        show_failure(j, key, flags_error_name(r->error), r->detail);
        return;
    }
    json_out_open(j, NULL, '{');
    json_out_span(j, "key", key);
    if (r->has_value)
        flagfile_show_value(j, "value", &r->value);
    json_out_text(j, "reason", flags_reason_name(r->reason));
    if (r->has_value && r->variant.len)
        json_out_span(j, "variant", r->variant);
    if (metadata.len)
        json_out_raw(j, "metadata", metadata);
    json_out_close(j, '}');
}

static void show_events(struct json_out *j, const char *address) {
    json_out_open(j, "eventStreams", '[');
    json_out_open(j, NULL, '{');
    json_out_text(j, "type", "sse");
    json_out_open(j, "endpoint", '{');
    json_out_text(j, "requestUri", address);
    json_out_close(j, '}');
    json_out_int(j, "inactivityDelaySec", 120);
    json_out_close(j, '}');
    json_out_close(j, ']');
}

static int status_of(enum flags_error error) {
    switch (error) {
    case FLAGS_OK:
        return 200;
    case FLAGS_FLAG_NOT_FOUND:
        return 404;
    case FLAGS_TARGETING_KEY_MISSING:
    case FLAGS_PARSE_ERROR:
    case FLAGS_INVALID_CONTEXT:
    case FLAGS_GENERAL:
        return 400;
    }
    return 400;
}

int ofrep_one(const struct ofrep_question *q, struct span key, struct buf *out,
              struct flags_result *ret) {
    struct context c = {0};
    struct err err = {0};
    struct json_out j;
    struct flags_info info = {0};
    json_out_begin(&j, out);
    *ret = (struct flags_result){.reason = FLAGS_ERROR, .error = FLAGS_PARSE_ERROR};
    const char *wrong = read_context(q, &c, &err);
    if (wrong) {
        show_failure(&j, key, wrong, err.text);
        return 400;
    }
    uint32_t flag = q->flags ? flags_find(&q->flags->set, key) : FLAGS_NONE;
    if (flag == FLAGS_NONE) {
        *ret = (struct flags_result){.reason = FLAGS_ERROR, .error = FLAGS_FLAG_NOT_FOUND};
        show_failure(&j, key, "FLAG_NOT_FOUND", NULL);
        return 404;
    }
    flagset_evaluate(q->flags, flag, &c.flags, ret);
    flags_describe(&q->flags->set, flag, &info);
    show_result(&j, key, info.metadata, ret);
    return status_of(ret->error);
}

int ofrep_all(const struct ofrep_question *q, struct buf *out) {
    struct context c = {0};
    struct err err = {0};
    struct json_out j;
    json_out_begin(&j, out);
    const char *wrong = read_context(q, &c, &err);
    if (wrong) {
        show_failure(&j, (struct span){0}, wrong, err.text);
        return 400;
    }
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "flags", '[');
    for (uint32_t i = 0; q->flags && i < flags_count(&q->flags->set); i++) {
        struct flags_result result;
        struct flags_info info;
        flags_describe(&q->flags->set, i, &info);
        flagset_evaluate(q->flags, i, &c.flags, &result);
        show_result(&j, info.name, info.metadata, &result);
    }
    json_out_close(&j, ']');
    if (q->flags && flags_metadata(&q->flags->set).len)
        json_out_raw(&j, "metadata", flags_metadata(&q->flags->set));
    show_events(&j, q->events);
    json_out_close(&j, '}');
    return 200;
}

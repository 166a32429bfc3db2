#include "operation/exchange.h"

#include "base/json_read.h"
#include "base/json_write.h"
#include "flags/value_json.h"
#include "operation/param.h"

/* ---- who asks ---- */

struct body_reader {
    const struct json_doc *doc;
    struct arena *arena;
    struct operation_body *body;
    struct err *err;
};

static int wrong(struct body_reader *r, const char *what) {
    return err_set(r->err, ERR_USAGE, "%s", what);
}

static int read_attributes(struct body_reader *r, const struct json_node *object,
                           const struct flags_attribute **ret, size_t *ret_count) {
    size_t count = 0;
    if (object->type != JSON_OBJECT)
        return wrong(r, "'attributes' is {\"user\": {...}, \"tenant\": {...}}");
    struct flags_attribute *all = arena_alloc(r->arena, (object->count + 1) * sizeof *all);
    if (!all)
        return wrong(r, "there are too many attributes");
    for (const struct json_node *n = json_first(r->doc, object); n;
         n = json_next(r->doc, object, n), count++)
        if (!json_string_in(r->doc, n, r->arena, &all[count].name) ||
            !flags_value_read(r->doc, json_value(n), r->arena, &all[count].value))
            return wrong(r, "an attribute's value is beyond what a flag can compare");
    *ret = all;
    *ret_count = count;
    return 0;
}

static int read_both_attributes(struct body_reader *r, const struct json_node *object) {
    struct flags_context *who = &r->body->who;
    int rc = object->type == JSON_OBJECT
                 ? 0
                 : wrong(r, "'attributes' is {\"user\": {...}, \"tenant\": {...}}");
    for (const struct json_node *n = json_first(r->doc, object); rc == 0 && n;
         n = json_next(r->doc, object, n)) {
        if (json_is(r->doc, n, "user"))
            rc = read_attributes(r, json_value(n), &who->user_attributes,
                                 &who->user_attribute_count);
        else if (json_is(r->doc, n, "tenant"))
            rc = read_attributes(r, json_value(n), &who->tenant_attributes,
                                 &who->tenant_attribute_count);
        else
            rc = wrong(r, "'attributes' has 'user' and 'tenant', nothing else");
    }
    return rc;
}

/* A text, or a number as it is written. */
static int read_who(struct body_reader *r, const struct json_node *n, struct span *ret) {
    if (n->type == JSON_NULL)
        return 0;
    if (n->type == JSON_NUMBER) {
        *ret = json_raw(r->doc, n);
        return 0;
    }
    return json_string_in(r->doc, n, r->arena, ret) ? 0 : wrong(r, "'user' and 'tenant' are texts");
}

/* ---- the body ---- */

static int read_numbers(struct body_reader *r, const struct json_node *n) {
    if (!json_is(r->doc, n, "string") && !json_is(r->doc, n, "plain"))
        return wrong(r, "'numbers' is \"plain\" or \"string\"");
    r->body->numbers =
        json_is(r->doc, n, "string") ? OPERATION_NUMBERS_STRING : OPERATION_NUMBERS_PLAIN;
    return 0;
}

static int read_side(struct body_reader *r, const struct json_node *n) {
    if (!json_is(r->doc, n, "sql") && !json_is(r->doc, n, "mongodb"))
        return wrong(r, "'side' is \"sql\" or \"mongodb\"");
    r->body->side = json_is(r->doc, n, "sql") ? ROUTE_SQL : ROUTE_MONGODB;
    return 0;
}

static int read_member(struct body_reader *r, const struct json_node *name) {
    const struct json_node *value = json_value(name);
    if (json_is(r->doc, name, "params")) {
        r->body->params = json_raw(r->doc, value);
        return value->type == JSON_OBJECT ? 0 : wrong(r, "'params' must be an object");
    }
    if (json_is(r->doc, name, "user"))
        return read_who(r, value, &r->body->who.user);
    if (json_is(r->doc, name, "tenant"))
        return read_who(r, value, &r->body->who.tenant);
    if (json_is(r->doc, name, "attributes"))
        return read_both_attributes(r, value);
    if (json_is(r->doc, name, "numbers"))
        return read_numbers(r, value);
    if (json_is(r->doc, name, "side"))
        return read_side(r, value);
    return wrong(r,
                 "the body has params, user, tenant, attributes, numbers and side, nothing else; "
                 "parameters stand in 'params'");
}

int operation_body_read(struct span json, struct arena *arena, int64_t now_us, uint64_t random,
                        struct operation_body *ret, struct err *err) {
    size_t max = json.len < PARAM_NODES_MAX ? json.len + 1 : PARAM_NODES_MAX;
    struct json_node *nodes = arena_alloc(arena, max * sizeof *nodes);
    struct json_doc d;
    struct body_reader r = {&d, arena, ret, err};
    *ret = (struct operation_body){.side = -1, .who = {.now_us = now_us, .random = random}};
    if (json.len == 0)
        return 0;
    int rc = nodes ? json_parse(&d, json, nodes, max, err) : wrong(&r, "the body is too long");
    if (rc < 0) {
        if (err)
            err->code = ERR_USAGE;
        return ERR_USAGE;
    }
    const struct json_node *root = json_root(&d);
    if (root->type != JSON_OBJECT)
        return wrong(&r, "the body must be an object");
    for (const struct json_node *n = json_first(&d, root); rc == 0 && n; n = json_next(&d, root, n))
        rc = read_member(&r, n);
    return rc;
}

/* ---- the answer ---- */

const char *operation_fallback_reason(const struct operation_call *call) {
    if (call->decision.reason == ROUTE_BY_BREAKER)
        return route_reason_name(ROUTE_BY_BREAKER);
    return call->rescued ? operation_outcome_name(call->answers[call->decision.side].outcome)
                         : NULL;
}

static void show_side(struct json_out *j, const struct operation_call *call, enum route_side side,
                      bool details) {
    const struct operation_answer *a = &call->answers[side];
    json_out_open(j, route_side_name(side), '{');
    json_out_text(j, "outcome", operation_outcome_name(a->outcome));
    if (details && a->err.code)
        json_out_text(j, "message", a->err.text);
    json_out_int(j, "took_us", a->took_us);
    json_out_close(j, '}');
}

static int reply_error(const struct operation_call *call, bool details, struct buf *out) {
    const struct operation_answer *a = &call->answers[call->answered];
    bool none = a->outcome == OPERATION_NO_ROW, late = a->outcome == OPERATION_TIMEOUT;
    enum route_side other = call->answered == ROUTE_SQL ? ROUTE_MONGODB : ROUTE_SQL;
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "error", '{');
    json_out_text(&j, "code", none ? "no_row" : late ? "timeout" : "failed");
    json_out_text(&j, "message",
                  none              ? "there is no such row"
                  : call->fell_back ? "both sides failed"
                                    : "the side that answers failed");
    json_out_open(&j, "sides", '{');
    show_side(&j, call, call->answered, details);
    if (call->fell_back)
        show_side(&j, call, other, details);
    json_out_close(&j, '}');
    json_out_close(&j, '}');
    json_out_close(&j, '}');
    json_out_end(&j);
    return none ? 404 : late ? 504 : 502;
}

int operation_reply(const struct operation_call *call, enum operation_numbers numbers, bool details,
                    struct buf *out) {
    const struct operation_answer *a = &call->answers[call->answered];
    struct json_out j;
    struct err err = {0};
    if (a->outcome != OPERATION_OK)
        return reply_error(call, details, out);
    size_t before = out->len;
    if (operation_json(call->operation, a, numbers, out, &err) == 0) {
        buf_add_char(out, '\n');
        if (buf_ok(out))
            return 200;
    }
    out->full = false;
    out->len = before;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "error", '{');
    json_out_text(&j, "code", "too_long");
    json_out_text(&j, "message", err.code ? err.text : "the answer is too long");
    json_out_close(&j, '}');
    json_out_close(&j, '}');
    json_out_end(&j);
    return 502;
}

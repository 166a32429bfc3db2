/* What an operation answers: by the side that is its turn, by one side, or by both to compare. */
#include "base/json_read.h"
#include "base/json_text.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "cli/asker.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "embed/embed.h"
#include "operation/exchange.h"
#include "parallel/check.h"

#include <string.h>

#define ARENA_MAX ((size_t)64 * 1024 * 1024) /* who asks, and what the answers differ in */

struct given {
    struct asker_given asker;
    const char *side;
    bool strings;
};

static const struct given defaults = {0};

static const struct option_spec options[] = {
    {"--side", NULL, OPTION_TEXT, "SIDE", offsetof(struct given, side),
     "sql, mongodb, or both to compare them (default: who would answer)"},
    {"--strings", NULL, OPTION_FLAG, NULL, offsetof(struct given, strings),
     "integers and decimals as texts"},
    ASKER_OPTIONS(given),
    OPTIONS_END};

const struct option_set cmd_query_options = {options, &defaults, sizeof defaults};

/* ---- parameters ---- */

/* Whether the type is written as a text in JSON. */
static bool is_text(enum conf_param_type type) {
    switch (type) {
    case CONF_PARAM_STRING:
    case CONF_PARAM_DATE:
    case CONF_PARAM_TIMESTAMP:
    case CONF_PARAM_UUID:
    case CONF_PARAM_OBJECTID:
    case CONF_PARAM_BYTES:
        return true;
    case CONF_PARAM_BOOL:
    case CONF_PARAM_INT32:
    case CONF_PARAM_INT64:
    case CONF_PARAM_DOUBLE:
    case CONF_PARAM_DECIMAL:
    case CONF_PARAM_JSON:
        return false;
    }
    return false;
}

static bool is_json(const char *text) {
    size_t len = strlen(text);
    _cleanup_(mem_freep) struct json_node *nodes = mem_zalloc(len + 1, sizeof *nodes);
    struct json_doc d;
    return json_parse(&d, span_of(text), nodes, len + 1, NULL) == 0;
}

/* name=value: a text where the type is one, else JSON; null is null where it may be. */
static int add_param(const struct conf_operation *o, const char *word, struct buf *json,
                     struct err *err) {
    const char *equals = strchr(word, '=');
    if (!equals || equals == word)
        return err_set(err, ERR_USAGE, "a parameter is NAME=VALUE, not '%s'", word);
    struct span name = span_make(word, (size_t)(equals - word));
    const struct conf_param *p = NULL;
    for (size_t i = 0; i < o->param_count; i++)
        if (span_is(name, o->params[i].name.text))
            p = &o->params[i];
    if (!p)
        return err_set(err, ERR_USAGE, "operation '%s' has no parameter '%.*s'", o->name.text,
                       SPAN_ARG(name));
    bool null = p->null && strcmp(equals + 1, "null") == 0;
    bool text = !null && !p->array && is_text(p->type);
    buf_add_char(json, json->len > 1 ? ',' : ' ');
    json_text_string(json, name);
    buf_add_char(json, ':');
    if (text || !is_json(equals + 1))
        json_text_string(json, span_of(equals + 1));
    else
        buf_add_text(json, equals + 1);
    return 0;
}

static int read_params(const struct conf_operation *o, int count, char **words, struct buf *json,
                       struct err *err) {
    int rc = 0;
    buf_add_char(json, '{');
    for (int i = 0; rc == 0 && i < count; i++)
        rc = add_param(o, words[i], json, err);
    buf_add_char(json, '}');
    return rc;
}

/* ---- answers ---- */

static int ask(struct embed *e, const char *name, struct operation_request *request, int side,
               struct operation_call **ret, struct err *err) {
    request->side = side;
    return operations_call(embed_operations(e), name, request, ret, err);
}

/* The error of a failed call, for the exit code: no row is an answer, and it is "no". */
static int failure_of(const struct operation_call *call, struct err *err) {
    const struct operation_answer *a = &call->answers[call->answered];
    const char *side = route_side_name(call->answered);
    if (a->outcome == OPERATION_OK)
        return 0;
    if (a->outcome == OPERATION_NO_ROW)
        return err_set(err, ERR_NO, "%s: there is no such row", side);
    return err_set(err, ERR_UNREACHABLE, "%s: %s", side, a->err.text);
}

static void show_call(struct json_out *j, const char *name, const struct operation_call *call,
                      enum operation_numbers numbers) {
    const struct operation_answer *a = &call->answers[call->answered];
    _cleanup_(buf_release) struct buf rows = {.max = OPERATION_JSON_MAX};
    struct err err = {0};
    json_out_open(j, name, '{');
    json_out_text(j, "side", route_side_name(call->answered));
    json_out_text(j, "reason", route_reason_name(call->decision.reason));
    json_out_text(j, "fallback", operation_fallback_reason(call));
    json_out_text(j, "outcome", operation_outcome_name(a->outcome));
    json_out_int(j, "took_us", a->took_us);
    if (operation_is_failure(a->outcome))
        json_out_text(j, "error", a->err.text);
    else if (operation_json(call->operation, a, numbers, &rows, &err) == 0)
        json_out_raw(j, "result", buf_span(&rows));
    else
        json_out_text(j, "error", err.text);
    json_out_close(j, '}');
}

static int show_one(const struct cli *cli, const struct operation_call *call,
                    enum operation_numbers numbers, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 2 * OPERATION_JSON_MAX};
    struct json_out j;
    json_out_begin(&j, &out);
    if (cli->json) {
        show_call(&j, NULL, call, numbers);
        json_out_end(&j);
    } else if (call->answers[call->answered].outcome == OPERATION_OK) {
        int rc =
            operation_json(call->operation, &call->answers[call->answered], numbers, &out, err);
        if (rc < 0)
            return rc;
        buf_add_char(&out, '\n');
    }
    int rc = cli_print(&out, err);
    return rc < 0 ? rc : failure_of(call, err);
}

static bool is_same(const struct operation_call *sql, const struct operation_call *mongodb) {
    _cleanup_(buf_release) struct buf a = {.max = OPERATION_JSON_MAX},
                                      b = {.max = OPERATION_JSON_MAX};
    const struct operation_answer *one = &sql->answers[ROUTE_SQL];
    const struct operation_answer *other = &mongodb->answers[ROUTE_MONGODB];
    if (one->outcome != other->outcome || operation_is_failure(one->outcome))
        return false;
    return operation_json(sql->operation, one, OPERATION_NUMBERS_PLAIN, &a, NULL) == 0 &&
           operation_json(sql->operation, other, OPERATION_NUMBERS_PLAIN, &b, NULL) == 0 &&
           span_eq(buf_span(&a), buf_span(&b));
}

static void show_compared(struct json_out *j, enum parallel_reason reason,
                          const struct answer_compared *found) {
    json_out_bool(j, "equal", reason == COMPARABLE && found->equal);
    if (reason != COMPARABLE)
        json_out_text(j, "not_compared", parallel_reason_name(reason));
    json_out_open(j, "differences", '[');
    for (size_t i = 0; i < found->count; i++) {
        const struct answer_difference *d = &found->differences[i];
        json_out_open(j, NULL, '{');
        json_out_span(j, "path", d->path);
        json_out_text(j, "kind", compare_kind_name(d->kind));
        if (d->sql.ptr)
            json_out_raw(j, "sql", d->sql);
        if (d->mongodb.ptr)
            json_out_raw(j, "mongodb", d->mongodb);
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
    json_out_open(j, "explained", '{');
    for (int i = 0; i < COMPARE_RULE_COUNT; i++)
        if (found->explained[i])
            json_out_int(j, compare_rule_name((enum compare_rule)i), found->explained[i]);
    json_out_close(j, '}');
}

static int show_both(const struct conf *conf, struct embed *e, const char *name,
                     struct operation_request *request, enum operation_numbers numbers,
                     struct arena *memory, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 3 * OPERATION_JSON_MAX};
    struct answer_compared found = {.equal = true};
    enum parallel_reason reason = COMPARABLE;
    _cleanup_(operation_call_unrefp) struct operation_call *sql = NULL;
    _cleanup_(operation_call_unrefp) struct operation_call *mongodb = NULL;
    struct json_out j;
    int rc = ask(e, name, request, ROUTE_SQL, &sql, err);
    if (rc == 0)
        rc = ask(e, name, request, ROUTE_MONGODB, &mongodb, err);
    if (rc == 0 && !is_same(sql, mongodb))
        rc = parallel_check(conf, sql, mongodb, memory, &reason, &found, err);
    if (rc < 0)
        return rc;
    json_out_begin(&j, &out);
    json_out_open(&j, NULL, '{');
    show_call(&j, "sql", sql, numbers);
    show_call(&j, "mongodb", mongodb, numbers);
    show_compared(&j, reason, &found);
    json_out_close(&j, '}');
    json_out_end(&j);
    rc = cli_print(&out, err);
    return rc < 0 || (reason == COMPARABLE && found.equal)
               ? rc
               : err_set(err, ERR_NO, "the two sides do not answer the same");
}

/* -1: who would answer; OPERATION_SIDES: both. */
static int read_side(const char *text, int *ret, struct err *err) {
    static const char *const names[] = {"sql", "mongodb", "both"};
    *ret = -1;
    for (int i = 0; text && i < 3; i++)
        if (strcmp(text, names[i]) == 0)
            *ret = i;
    if (text && *ret < 0)
        return err_set(err, ERR_USAGE, "--side is sql, mongodb or both, not '%s'", text);
    return 0;
}

static int query(struct cli *cli, const char *name, const struct given *given,
                 struct operation_request *request, int side, struct arena *memory,
                 struct err *err) {
    enum operation_numbers numbers =
        given->strings ? OPERATION_NUMBERS_STRING : OPERATION_NUMBERS_PLAIN;
    struct embed *e = NULL;
    int rc = embed_new(cli->conf, cli->state_path, "banyan query", &e, err);
    if (rc < 0)
        return rc;
    if (side == OPERATION_SIDES) {
        rc = show_both(cli->conf, e, name, request, numbers, memory, err);
    } else {
        struct operation_call *call = NULL;
        rc = ask(e, name, request, side, &call, err);
        if (rc == 0)
            rc = show_one(cli, call, numbers, err);
        operation_call_unref(call);
    }
    embed_free(e);
    return rc;
}

static int no_such(const struct cli *cli, const char *name, struct err *err) {
    _cleanup_(buf_release) struct buf known = {.max = ERR_TEXT_MAX / 2};
    for (size_t i = 0; i < cli->conf->module_count; i++)
        for (size_t k = 0; k < cli->conf->modules[i].operation_count; k++)
            buf_printf(&known, "%s%s", known.len ? ", " : "",
                       cli->conf->modules[i].operations[k].name.text);
    return err_set(err, ERR_USAGE, "there is no operation '%s'; %s has: %s", name, cli->conf->file,
                   known.len ? buf_text(&known) : "none");
}

int cmd_query(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(buf_release) struct buf params = {.max = OPERATION_REQUEST_MAX};
    struct asker *asker = mem_zalloc(1, sizeof *asker);
    struct arena arena;
    int side, rc;
    arena_init(&arena, ARENA_MAX);
    const struct conf_operation *o = argc ? conf_operation(cli->conf, argv[0], NULL) : NULL;
    if (argc == 0)
        rc = err_set(err, ERR_USAGE, "query wants the name of an operation");
    else if (!o)
        rc = no_such(cli, argv[0], err);
    else
        rc = read_side(given->side, &side, err);
    if (rc == 0)
        rc = read_params(o, argc - 1, argv + 1, &params, err);
    if (rc == 0)
        rc = asker_read(&given->asker, &arena, asker, err);
    if (rc == 0) {
        struct operation_request request = {.params = buf_span(&params), .who = &asker->context};
        rc = query(cli, o->name.text, given, &request, side, &arena, err);
    }
    arena_release(&arena);
    free(asker);
    return rc;
}

/* What a flag gives somebody, and which step decides it. */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/render.h"
#include "flagfile/explain.h"
#include "flagfile/json_tree.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct given {
    const char *user, *tenant, *at;
    struct option_list attributes, tenant_attributes;
};

static const struct given defaults = {0};

static const struct option_spec options[] = {
    {"--user", NULL, OPTION_TEXT, "ID", offsetof(struct given, user), "who asks"},
    {"--tenant", NULL, OPTION_TEXT, "ID", offsetof(struct given, tenant), "for whom"},
    {"--attribute", NULL, OPTION_LIST, "NAME=VALUE", offsetof(struct given, attributes),
     "of the user; a number, true, false, or text; may be repeated"},
    {"--tenant-attribute", NULL, OPTION_LIST, "NAME=VALUE",
     offsetof(struct given, tenant_attributes), "of the tenant"},
    {"--at", NULL, OPTION_TEXT, "TIME", offsetof(struct given, at),
     "as if it were 2027-01-31T22:30:00Z"},
    {NULL, NULL, OPTION_FLAG, NULL, 0, NULL}};

const struct option_set cmd_flags_eval_options = {options, &defaults, sizeof defaults};

/* ---- the context ---- */

static int read_time(const char *text, int64_t *ret_us, struct err *err) {
    struct tm t = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &t);
    if (!end || *end)
        return err_set(err, ERR_USAGE, "option --at wants a time such as 2027-01-31T22:30:00Z");
    *ret_us = (int64_t)timegm(&t) * 1000000;
    return 0;
}

/* As JSON where it is JSON ("17" in quotes is text), else text. */
static void read_value(struct arena *arena, const char *text, struct flags_value *ret) {
    static const struct tree_limits limits = {FLAGS_TEXT_MAX, 10000, ""};
    struct tree_input in = {"value", text, strlen(text), &limits};
    const struct tree_node *node = NULL;
    struct flags_value v = {.type = FLAGS_STRING, .text = span_of(text)};
    *ret = v;
    if (json_tree_parse(&in, arena, &node, NULL) < 0 || tree_is_null(node))
        return;
    if (node->kind != TREE_SCALAR)
        v.type = FLAGS_JSON;
    else if (tree_is_bool(node, &v.boolean))
        v = (struct flags_value){.type = FLAGS_BOOL, .boolean = v.boolean};
    else if (tree_is_number(node, &v.number))
        v.type = FLAGS_NUMBER;
    else
        v.text = node->text;
    *ret = v;
}

static int read_attributes(struct arena *arena, const struct option_list *list,
                           struct flags_attribute *ret, size_t *ret_count, struct err *err) {
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i], *equals = strchr(text, '=');
        if (!equals || equals == text)
            return err_set(err, ERR_USAGE, "an attribute is NAME=VALUE, not '%s'", text);
        ret[i].name = span_make(text, (size_t)(equals - text));
        read_value(arena, equals + 1, &ret[i].value);
    }
    *ret_count = list->count;
    return 0;
}

/* ---- the answer ---- */

static void show_value(struct json_out *j, const char *name, const struct flags_result *r) {
    const struct flags_value *v = &r->value;
    enum flags_type type = r->has_value ? v->type : FLAGS_NULL;
    switch (type) {
    case FLAGS_NULL:
        json_out_text(j, name, NULL);
        break;
    case FLAGS_BOOL:
        json_out_bool(j, name, v->boolean);
        break;
    case FLAGS_NUMBER:
        if (v->text.len)
            json_out_raw(j, name, v->text);
        else
            json_out_double(j, name, v->number);
        break;
    case FLAGS_STRING:
        json_out_span(j, name, v->text.len ? v->text : SPAN_LIT(""));
        break;
    case FLAGS_JSON:
        json_out_raw(j, name, v->text);
        break;
    }
}

static void show(const struct cli *cli, const char *name, const struct flags_result *r,
                 const char *decided, struct buf *out) {
    struct json_out j;
    json_out_begin(&j, out);
    if (cli->json) {
        json_out_open(&j, NULL, '{');
        json_out_text(&j, "flag", name);
        show_value(&j, "value", r);
        json_out_bool(&j, "on", r->on);
        json_out_text(&j, "reason", flags_reason_name(r->reason));
        json_out_span(&j, "variant", r->variant.len ? r->variant : (struct span){0});
        json_out_text(&j, "decided_by", decided);
        json_out_text(&j, "error", r->error == FLAGS_OK ? NULL : flags_error_name(r->error));
        json_out_text(&j, "detail", r->detail);
        json_out_close(&j, '}');
        json_out_end(&j);
        return;
    }
    render_clean(out, name);
    buf_add_text(out, ": ");
    show_value(&j, NULL, r);
    buf_printf(out, "  %s", flags_reason_name(r->reason));
    if (r->variant.len)
        buf_printf(out, ", variant %.*s", SPAN_ARG(r->variant));
    buf_add_text(out, "\n  ");
    render_clean(out, r->error == FLAGS_OK ? decided : r->detail ? r->detail : "?");
    buf_add_char(out, '\n');
}

static int evaluate(struct cli *cli, const struct snapshot *s, const char *name,
                    const struct flags_context *context, struct err *err) {
    _cleanup_(buf_release) struct buf decided = {.max = 8192};
    _cleanup_(buf_release) struct buf out = {.max = 1024 * (size_t)1024};
    const struct flags_flag *f = flagfile_find(&s->model, name);
    struct flags_result result;
    if (!f) {
        const char *similar = flagfile_similar(&s->model, name);
        return err_set(err, ERR_NO, "no flag '%s'%s%s%s", name, similar ? ", did you mean '" : "",
                       similar ? similar : "", similar ? "'?" : "");
    }
    flags_evaluate(&s->set, flags_find(&s->set, f->name), context, &result);
    int rc = explain(s, (size_t)(f - s->model.flags), context, &decided, err);
    if (rc < 0)
        return rc;
    show(cli, name, &result, buf_text(&decided), &out);
    return cli_print(&out, err);
}

int cmd_flags_eval(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_freep) struct state *state = NULL;
    _cleanup_(snapshot_freep) struct snapshot *snapshot = NULL;
    struct flags_attribute users[OPTION_LIST_MAX], tenants[OPTION_LIST_MAX];
    struct flags_context context = {.user = span_of(given->user ? given->user : ""),
                                    .tenant = span_of(given->tenant ? given->tenant : ""),
                                    .user_attributes = users,
                                    .tenant_attributes = tenants,
                                    .now_us = clock_wall_us(),
                                    .random = (uint64_t)clock_mono_us() | 1};
    struct arena arena;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "flags eval wants the name of a flag");
    arena_init(&arena, 64 * (size_t)1024 * 1024);
    int rc = given->at ? read_time(given->at, &context.now_us, err) : 0;
    if (rc == 0)
        rc = read_attributes(&arena, &given->attributes, users, &context.user_attribute_count, err);
    if (rc == 0)
        rc = read_attributes(&arena, &given->tenant_attributes, tenants,
                             &context.tenant_attribute_count, err);
    if (rc == 0)
        rc = state_open_existing(cli->state_path, &state, err);
    if (rc == 0)
        rc = snapshot_build(cli->conf, cli->state_path, state, &snapshot, err);
    if (rc == 0)
        rc = evaluate(cli, snapshot, argv[0], &context, err);
    arena_release(&arena);
    return rc;
}

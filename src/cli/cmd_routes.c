/* Routes: the list, and what would happen to a request. */
#include "base/mem.h"
#include "cli/asker.h"
#include "cli/cli.h"
#include "cli/render.h"
#include "flagfile/explain.h"
#include "flagfile/snapshot.h"
#include "gateway/routing.h"
#include "route/path.h"

#include <stdlib.h>
#include <string.h>

#define OUT_MAX ((size_t)16 * 1024 * 1024)

/* ---- list ---- */

static void list_route(const struct cli *cli, const struct routing *r,
                       const struct conf_route *route, struct json_out *j, struct buf *out) {
    if (!cli->json) {
        buf_printf(out, "%s  %s: reads %s, writes %s  (sql %s, mongodb %s%s%s)\n",
                   route->prefix.text, r->module.name, route_reads_name(r->module.reads),
                   route_writes_name(r->module.writes), route->sql.service.text,
                   route->mongodb.service.text, route->planned.text ? ", planned " : "",
                   route->planned.text ? route->planned.text : "");
        return;
    }
    json_out_open(j, NULL, '{');
    json_out_text(j, "prefix", route->prefix.text);
    json_out_text(j, "module", r->module.name);
    json_out_text(j, "reads", route_reads_name(r->module.reads));
    json_out_text(j, "writes", route_writes_name(r->module.writes));
    json_out_text(j, "sql", route->sql.service.text);
    json_out_text(j, "mongodb", route->mongodb.service.text);
    json_out_text(j, "planned", route->planned.text);
    json_out_close(j, '}');
}

int cmd_routes_list(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_(state_freep) struct state *state = NULL;
    _cleanup_(buf_release) struct buf out = {.max = OUT_MAX};
    struct json_out j;
    (void)argv;
    if (argc != 0)
        return err_set(err, ERR_USAGE, "routes list wants no arguments");
    int rc = state_open(cli->state_path, &state, err);
    json_out_begin(&j, &out);
    if (cli->json) {
        json_out_open(&j, NULL, '{');
        json_out_open(&j, "routes", '[');
    }
    for (size_t i = 0; rc == 0 && i < cli->conf->module_count; i++) {
        const struct conf_module *m = &cli->conf->modules[i];
        struct routing r;
        rc = routing_get(m, state, &r, err);
        for (size_t k = 0; rc == 0 && k < m->route_count; k++)
            list_route(cli, &r, &m->routes[k], &j, &out);
    }
    if (cli->json) {
        json_out_close(&j, ']');
        json_out_close(&j, '}');
        json_out_end(&j);
    } else if (out.len == 0) {
        buf_add_text(&out, "no routes\n");
    }
    return rc < 0 ? rc : cli_print(&out, err);
}

/* ---- explain ---- */

struct given {
    struct asker_given asker;
};
static const struct given defaults = {0};
static const struct option_spec options[] = {ASKER_OPTIONS(given),
                                             {NULL, NULL, OPTION_FLAG, NULL, 0, NULL}};
const struct option_set cmd_routes_explain_options = {options, &defaults, sizeof defaults};

struct explanation {
    const char *method, *path;
    const struct conf_module *module; /* NULL: no route */
    const struct conf_route *route;
    bool ambiguous;
    struct route_question question;
    struct route_decision decision;
    struct buf flag; /* which step of the flag decided; empty: it was not asked */
};

/* As nginx does with the raw path before it chooses a location. */
static char *normalised(const char *raw) {
    size_t len = strcspn(raw, "?#");
    char *path = mem_zalloc(len + 1, 1);
    size_t decoded = route_decode(span_make(raw, len), path);
    path[route_resolve(path, decoded)] = '\0';
    return path;
}

static int find_route(const struct conf *conf, struct explanation *x, struct err *err) {
    const struct conf_module *modules[CONF_ROUTES_MAX];
    const struct conf_route *routes[CONF_ROUTES_MAX];
    struct span prefixes[CONF_ROUTES_MAX];
    size_t n = 0;
    if (x->path[0] != '/')
        return err_set(err, ERR_USAGE, "a path begins with /, not '%.60s'", x->path);
    for (size_t i = 0; i < conf->module_count; i++)
        for (size_t k = 0; k < conf->modules[i].route_count; k++) {
            modules[n] = &conf->modules[i];
            routes[n] = &conf->modules[i].routes[k];
            prefixes[n++] = span_of(conf->modules[i].routes[k].prefix.text);
        }
    _cleanup_(mem_freep) char *path = normalised(x->path);
    size_t chosen = route_find(prefixes, n, span_of(path));
    struct span raw = span_make(x->path, strcspn(x->path, "?#"));
    x->ambiguous = route_is_ambiguous(prefixes, n, raw, chosen);
    if (chosen != ROUTE_NONE) {
        x->module = modules[chosen];
        x->route = routes[chosen];
    }
    return 0;
}

static bool is_read(const struct explanation *x) {
    _cleanup_(mem_freep) char *path = normalised(x->path);
    if (strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0 ||
        strcmp(x->method, "OPTIONS") == 0)
        return true;
    for (size_t i = 0; i < x->route->read.count; i++) {
        const char *text = x->route->read.items[i].text, *space = strchr(text, ' ');
        struct span prefix = span_of(space + 1);
        if (span_is(span_make(text, (size_t)(space - text)), x->method) &&
            route_find(&prefix, 1, span_of(path)) == 0)
            return true;
    }
    return false;
}

static int ask_flag(const struct cli *cli, struct state *state, const struct given *given,
                    struct explanation *x, struct err *err) {
    _cleanup_(snapshot_freep) struct snapshot *snapshot = NULL;
    _cleanup_(mem_freep) struct asker *asker = mem_zalloc(1, sizeof *asker);
    struct flags_result result;
    struct arena arena;
    arena_init(&arena, 64 * (size_t)1024 * 1024);
    int rc = asker_read(&given->asker, &arena, asker, err);
    if (rc == 0)
        rc = snapshot_build(cli->conf, cli->state_path, state, &snapshot, err);
    const struct flags_flag *f =
        rc == 0 ? flagfile_find(&snapshot->model, x->module->flag.text) : NULL;
    if (f) {
        flags_evaluate(&snapshot->set, flags_find(&snapshot->set, f->name), &asker->context,
                       &result);
        x->question.flag_on = result.on;
        rc = explain(snapshot, (size_t)(f - snapshot->model.flags), &asker->context, &x->flag, err);
    }
    arena_release(&arena);
    return rc;
}

static int decide(struct cli *cli, struct explanation *x, struct err *err) {
    _cleanup_(state_freep) struct state *state = NULL;
    struct routing r;
    int rc = state_open(cli->state_path, &state, err);
    if (rc == 0)
        rc = routing_get(x->module, state, &r, err);
    if (rc < 0)
        return rc;
    x->question = (struct route_question){
        .reads = r.module.reads, .writes = r.module.writes, .is_read = is_read(x), .known = true};
    x->question.may_fall_back = x->question.is_read && r.module.fallback &&
                                x->route->fallback.enabled && r.module.writes != WRITES_MONGODB;
    if (x->question.is_read && r.module.reads == READS_FLAG)
        rc = ask_flag(cli, state, cli->given, x, err);
    x->decision = route_decide(&x->question);
    return rc;
}

static const char *answer_of(const struct explanation *x) {
    if (x->ambiguous)
        return "400 {\"error\":\"Ambiguous path\"}";
    return x->module ? NULL : "404 {\"error\":\"Route not found\"}";
}

static void show_json(const struct explanation *x, struct buf *out) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "answer", answer_of(x));
    if (!answer_of(x)) {
        bool sql = x->decision.side == ROUTE_SQL;
        json_out_text(&j, "route", x->route->prefix.text);
        json_out_text(&j, "module", x->module->name.text);
        json_out_bool(&j, "read", x->question.is_read);
        json_out_text(&j, "target", route_side_name(x->decision.side));
        json_out_text(&j, "service", (sql ? &x->route->sql : &x->route->mongodb)->service.text);
        json_out_bool(&j, "migrated", !sql);
        json_out_text(&j, "reason", route_reason_name(x->decision.reason));
        json_out_span(&j, "flag", x->flag.len ? buf_span(&x->flag) : (struct span){0});
        json_out_bool(&j, "fallback", x->decision.guarded);
        json_out_bool(&j, "sampled", x->decision.sampled);
    }
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void show_text(struct explanation *x, struct buf *out) {
    bool sql = x->decision.side == ROUTE_SQL;
    const struct conf_side *side = sql ? &x->route->sql : &x->route->mongodb;
    buf_printf(out, "route     %s of module %s (longest prefix)\n", x->route->prefix.text,
               x->module->name.text);
    buf_printf(out, "kind      %s\n", x->question.is_read ? "read" : "write");
    buf_printf(out, "settings  reads %s, writes %s\n", route_reads_name(x->question.reads),
               route_writes_name(x->question.writes));
    if (x->flag.len) {
        buf_printf(out, "flag      %s is %s: ", x->module->flag.text,
                   x->question.flag_on ? "on" : "off");
        render_clean(out, buf_text(&x->flag));
        buf_add_char(out, '\n');
    }
    buf_printf(out, "target    %s: %s at %s (by %s)\n", route_side_name(x->decision.side),
               side->service.text, side->url.text, route_reason_name(x->decision.reason));
    if (!sql)
        buf_printf(out, "fallback  %s\n",
                   x->decision.guarded
                       ? "SQL answers if it fails, as long as budget and breaker let it"
                       : "none");
}

int cmd_routes_explain(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = OUT_MAX};
    struct explanation x = {.flag = {.max = 8192}};
    if (argc != 2)
        return err_set(err, ERR_USAGE,
                       "routes explain wants a method and a path, as GET "
                       "/api/products/7");
    x.method = argv[0];
    x.path = argv[1];
    int rc = find_route(cli->conf, &x, err);
    if (rc == 0 && !answer_of(&x))
        rc = decide(cli, &x, err);
    if (rc == 0 && cli->json)
        show_json(&x, &out);
    else if (rc == 0 && answer_of(&x))
        buf_printf(&out, "answer    %s\n", answer_of(&x));
    else if (rc == 0)
        show_text(&x, &out);
    buf_release(&x.flag);
    return rc < 0 ? rc : cli_print(&out, err);
}

/* Routes: the list, and what would happen to a request. */
#include "base/mem.h"
#include "cli/asker.h"
#include "cli/cli.h"
#include "cli/render.h"
#include "gateway/explain.h"

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
static const struct option_spec options[] = {ASKER_OPTIONS(given), OPTIONS_END};
const struct option_set cmd_routes_explain_options = {options, &defaults, sizeof defaults};

static int ask_flag(const struct cli *cli, struct state *state, struct explanation *x,
                    struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(snapshot_freep) struct snapshot *snapshot = NULL;
    _cleanup_(mem_freep) struct asker *asker = mem_zalloc(1, sizeof *asker);
    struct arena arena;
    arena_init(&arena, 64 * (size_t)1024 * 1024);
    int rc = asker_read(&given->asker, &arena, asker, err);
    if (rc == 0)
        rc = snapshot_build(cli->conf, cli->state_path, state, &snapshot, err);
    if (rc == 0)
        rc = explain_flag(x, snapshot, &asker->context, err);
    arena_release(&arena);
    return rc;
}

static int decide(struct cli *cli, struct explanation *x, struct err *err) {
    _cleanup_(state_freep) struct state *state = NULL;
    bool ask = false;
    int rc = state_open(cli->state_path, &state, err);
    if (rc == 0)
        rc = explain_settings(x, state, &ask, err);
    if (rc == 0 && ask)
        rc = ask_flag(cli, state, x, err);
    explain_decide(x);
    return rc;
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
    struct json_out j;
    if (argc != 2)
        return err_set(err, ERR_USAGE,
                       "routes explain wants a method and a path, as GET "
                       "/api/products/7");
    x.method = argv[0];
    x.path = argv[1];
    int rc = explain_route(cli->conf, &x, err);
    if (rc == 0 && !explain_answer(&x))
        rc = decide(cli, &x, err);
    json_out_begin(&j, &out);
    if (rc == 0 && cli->json) {
        explain_show(&x, &j);
        json_out_end(&j);
    } else if (rc == 0 && explain_answer(&x))
        buf_printf(&out, "answer    %s\n", explain_answer(&x));
    else if (rc == 0)
        show_text(&x, &out);
    buf_release(&x.flag);
    return rc < 0 ? rc : cli_print(&out, err);
}

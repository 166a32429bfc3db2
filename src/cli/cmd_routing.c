/* Who answers a module's requests: reads, writes, stage, fallback. */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/render.h"
#include "flagfile/snapshot.h"
#include "gateway/gateway.h"
#include "gateway/routing.h"

#include <unistd.h>

struct change_given {
    const char *why;
};
static const struct change_given change_defaults = {0};
static const struct option_spec change_options[] = {OPTION_WHY(change_given), OPTIONS_END};
const struct option_set cmd_routing_options = {change_options, &change_defaults,
                                               sizeof change_defaults};

/* ---- changes ---- */

/* For workers of an nginx that runs now; a daemon would do the same at its next look. */
static int publish(const struct cli *cli, struct state *state, struct err *err) {
    struct gateway *g = NULL;
    if (cli->conf->gateway.at.line == 0)
        return 0;
    _cleanup_(mem_freep) char *blob = snapshot_blob_path(cli->state_path);
    _cleanup_(mem_freep) struct route_settings *settings = mem_zalloc(1, sizeof *settings);
    int rc = gateway_new(cli->conf, cli->state_path, blob, &g, err);
    int lock = rc < 0 ? rc : gateway_lock(g, err);
    rc = lock < 0 ? lock : routing_settings(cli->conf, state, settings, err);
    if (rc == 0)
        rc = gateway_publish(g, settings, err);
    if (lock >= 0)
        (void)close(lock);
    gateway_free(g);
    return rc < 0 ? err_prefix(err, "stored, but not published for the gateway") : 0;
}

static int show(const struct cli *cli, const struct conf_module *m, struct state *state,
                struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 8192};
    struct routing r;
    struct json_out j;
    int rc = routing_get(m, state, &r, err);
    if (rc < 0)
        return rc;
    json_out_begin(&j, &out);
    if (cli->json) {
        json_out_open(&j, NULL, '{');
        json_out_text(&j, "module", m->name.text);
        json_out_text(&j, "reads", route_reads_name(r.module.reads));
        json_out_text(&j, "writes", route_writes_name(r.module.writes));
        json_out_bool(&j, "fallback", r.module.fallback);
        json_out_int(&j, "version", r.set.version);
        json_out_close(&j, '}');
        json_out_end(&j);
    } else {
        render_clean(&out, m->name.text);
        buf_printf(&out, ": reads %s, writes %s, fallback %s\n", route_reads_name(r.module.reads),
                   route_writes_name(r.module.writes), r.module.fallback ? "on" : "off");
    }
    return cli_print(&out, err);
}

static int change(struct cli *cli, const char *module, struct routing_change *c, struct err *err) {
    const struct change_given *given = cli->given;
    _cleanup_(state_freep) struct state *state = NULL;
    const struct conf_module *m = conf_module(cli->conf, module);
    char who[STATE_NAME_MAX];
    int64_t version;
    bool conflict = false;
    if (!m && cli_check_module(cli, module, err) < 0)
        return err->code;
    if (!m)
        return err_set(err, ERR_USAGE, "this is set for one module at a time");
    int rc = cli_check_why("a change", given->why, err);
    if (rc < 0)
        return rc;
    cli_who(who, sizeof who);
    c->who = who;
    c->role = "operator";
    c->why = given->why;
    c->version = -1;
    rc = state_open(cli->state_path, &state, err);
    if (rc == 0)
        rc = routing_change(m, state, c, &version, &conflict, err);
    if (rc == 0 && conflict)
        rc = err_set(err, ERR_NO,
                     "somebody else has changed it at the same time; look and try "
                     "again");
    if (rc == 0)
        rc = publish(cli, state, err);
    return rc < 0 ? rc : show(cli, m, state, err);
}

int cmd_reads(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc != 2)
        return err_set(err, ERR_USAGE,
                       "reads wants a module and auto, sql, shadow, flag or "
                       "mongodb");
    struct routing_change c = {.reads = argv[1], .fallback = -1};
    return change(cli, argv[0], &c, err);
}

int cmd_writes(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc != 2)
        return err_set(err, ERR_USAGE, "writes wants a module and auto, sql, both or mongodb");
    struct routing_change c = {.writes = argv[1], .fallback = -1};
    return change(cli, argv[0], &c, err);
}

int cmd_stage(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc != 2)
        return err_set(err, ERR_USAGE,
                       "stage wants a module and off, dualwrite, shadow, live, "
                       "rampdown or complete");
    struct routing_change c = {.stage = argv[1], .fallback = -1};
    return change(cli, argv[0], &c, err);
}

static int set_fallback(struct cli *cli, int argc, char **argv, int on, struct err *err) {
    if (argc != 1)
        return err_set(err, ERR_USAGE, "fallback %s wants a module", on ? "on" : "off");
    struct routing_change c = {.fallback = on};
    return change(cli, argv[0], &c, err);
}

int cmd_fallback_on(struct cli *cli, int argc, char **argv, struct err *err) {
    return set_fallback(cli, argc, argv, 1, err);
}

int cmd_fallback_off(struct cli *cli, int argc, char **argv, struct err *err) {
    return set_fallback(cli, argc, argv, 0, err);
}

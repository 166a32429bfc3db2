/* Gateways on other machines, as the daemon here knows them. */
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/remote.h"
#include "cli/render.h"
#include "http/client.h"

#define NODES_MAX 8192

struct given {
    const char *why;
};
static const struct given defaults = {0};
static const struct option_spec options[] = {OPTION_WHY(given), OPTIONS_END};
const struct option_set cmd_edges_forget_options = {options, &defaults, sizeof defaults};

/* ERR_UNREACHABLE where no daemon runs: only it knows who asks. */
static int ask(const struct cli *cli, const char *method, const char *path, struct span body,
               struct buf *ret, struct err *err) {
    int status = 0;
    int rc = remote_call(cli, method, path, body, &status, ret, err);
    if (rc == 0 && status == 0)
        return err_set(err, ERR_UNREACHABLE, "no daemon answers on %s", cli->conf->serve.listen);
    return rc == 0 && status != 200 ? remote_failure(cli, status, buf_span(ret), err) : rc;
}

static void show_edge(const struct json_doc *d, const struct json_node *edge, struct buf *out) {
    char name[256], version[64], problem[1024];
    bool away = false, confirmed = false, same = true, nginx = true;
    double seconds = 0;
    if (!json_copy(d, json_member(d, edge, "name"), name, sizeof name))
        return;
    const struct json_node *age = json_member(d, edge, "seen_seconds_ago");
    const struct json_node *flags[] = {
        json_member(d, edge, "away"), json_member(d, edge, "confirmed"),
        json_member(d, edge, "same_routes"), json_member(d, edge, "nginx")};
    bool *const to[] = {&away, &confirmed, &same, &nginx};
    for (size_t i = 0; i < 4; i++)
        if (!flags[i] || !json_bool(flags[i], to[i]))
            return;
    if (!age || !json_double(d, age, &seconds))
        seconds = 0;
    render_clean(out, name);
    if (json_copy(d, json_member(d, edge, "version"), version, sizeof version)) {
        buf_add_text(out, "  ");
        render_clean(out, version);
    }
    buf_printf(out, away ? "  AWAY, heard of %.0f s ago" : "  here", seconds);
    buf_add_text(out, confirmed ? ", uses what holds" : ", has NOT confirmed what holds");
    buf_add_text(out, same ? "" : ", its routes are not ours");
    buf_add_text(out, nginx ? "" : ", nginx does not run");
    if (json_copy(d, json_member(d, edge, "problem"), problem, sizeof problem)) {
        buf_add_text(out, ": ");
        render_clean(out, problem);
    }
    buf_add_char(out, '\n');
}

int cmd_edges_list(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_(buf_release) struct buf body = {.max = HTTP_CLIENT_ANSWER_MAX};
    _cleanup_(buf_release) struct buf out = {.max = HTTP_CLIENT_ANSWER_MAX};
    _cleanup_(mem_freep) struct json_node *nodes = mem_alloc(NODES_MAX * sizeof *nodes);
    struct json_doc d;
    (void)argv;
    if (argc != 0)
        return err_set(err, ERR_USAGE, "edges list wants no arguments");
    int rc = ask(cli, "GET", "/v1/edges", (struct span){0}, &body, err);
    if (rc < 0 || cli->json)
        return rc < 0 ? rc : cli_print(&body, err);
    rc = json_parse(&d, buf_span(&body), nodes, NODES_MAX, err);
    if (rc < 0)
        return err_prefix(err, "the daemon's answer");
    const struct json_node *list = json_member(&d, json_root(&d), "edges");
    for (const struct json_node *n = list ? json_first(&d, list) : NULL; n;
         n = json_next(&d, list, n))
        show_edge(&d, n, &out);
    if (out.len == 0)
        buf_add_text(&out, "no gateway on another machine has ever asked\n");
    return cli_print(&out, err);
}

int cmd_edges_forget(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(buf_release) struct buf body = {.max = 8192}, answer = {.max = 65536};
    struct json_out j;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "edges forget wants the name of an edge");
    int rc = cli_check_why("edges forget", given->why, err);
    if (rc < 0)
        return rc;
    _cleanup_(mem_freep) char *path = remote_path("/v1/edges/", argv[0], "/forget");
    json_out_begin(&j, &body);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "why", given->why);
    json_out_close(&j, '}');
    rc = ask(cli, "POST", path, buf_span(&body), &answer, err);
    if (rc < 0)
        return rc;
    buf_clear(&answer);
    buf_add_text(&answer, cli->json ? "{\"ok\":true}\n" : "forgotten\n");
    return cli_print(&answer, err);
}

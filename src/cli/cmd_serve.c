/* The daemon: everything, or the gateway only, which follows another one. */
#include "admin/daemon.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "edge/edge.h"

struct given {
    const char *control;
};
static const struct given defaults = {0};
static const struct option_spec options[] = {
    {"--control", NULL, OPTION_TEXT, "URL", offsetof(struct given, control),
     "with --edge: the daemon to follow (default: edge.control)"},
    OPTIONS_END};
const struct option_set cmd_serve_options = {options, &defaults, sizeof defaults};

int cmd_serve(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    const struct edge_options edge = {.state_path = cli->state_path, .control = given->control};
    const struct daemon_options all = {.config_path = cli->config_path,
                                       .state_path = cli->state_path};
    (void)argv;
    if (argc != 0)
        return err_set(err, ERR_USAGE, "serve wants no arguments: it runs all modules");
    if (cli->edge)
        return edge_run(cli->conf, &edge, err);
    if (given->control)
        return err_set(err, ERR_USAGE, "serve --control is for an edge: add --edge");
    if (cli->conf->is_edge)
        return err_set(err, ERR_CONF,
                       "%s is an edge's configuration, for it has edge.control: say serve --edge, "
                       "or remove the key",
                       cli->config_path);
    return daemon_run(cli->conf, &all, err);
}

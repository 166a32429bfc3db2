#include "base/buf.h"
#include "cli/cli.h"

int cmd_config_show(struct cli *cli, int argc, char **argv, struct err *err) {
    (void)argv;
    if (argc)
        return err_set(err, ERR_USAGE, "config show takes no arguments");
    _cleanup_(buf_release) struct buf out = {.max = 64 * 1024 * 1024};
    conf_show(cli->conf, cli->json, &out);
    return cli_print(&out, err);
}

int cmd_config_docs(struct cli *cli, int argc, char **argv, struct err *err) {
    (void)cli;
    (void)argv;
    if (argc)
        return err_set(err, ERR_USAGE, "config docs takes no arguments");
    _cleanup_(buf_release) struct buf out = {.max = 4 * 1024 * 1024};
    conf_docs(&out);
    return cli_print(&out, err);
}

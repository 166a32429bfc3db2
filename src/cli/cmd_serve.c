#include "admin/daemon.h"
#include "cli/cli.h"

int cmd_serve(struct cli *cli, int argc, char **argv, struct err *err) {
    (void)argv;
    if (argc != 0)
        return err_set(err, ERR_USAGE, "serve wants no arguments: it runs all modules");
    struct daemon_options options = {.config_path = cli->config_path,
                                     .state_path = cli->state_path};
    return daemon_run(cli->conf, &options, err);
}

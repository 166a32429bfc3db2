#include "base/buf.h"
#include "cli/cli.h"
#include "obs/metrics.h"

int cmd_metrics_docs(struct cli *cli, int argc, char **argv, struct err *err) {
    (void)cli;
    (void)argv;
    if (argc)
        return err_set(err, ERR_USAGE, "metrics docs takes no arguments");
    _cleanup_(buf_release) struct buf out = {.max = 4 * 1024 * 1024};
    obs_metrics_docs(&out);
    return cli_print(&out, err);
}

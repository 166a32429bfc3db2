/* What the parallel run has shown. */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "parallel/report.h"

#define MINUTE_US INT64_C(60000000)

struct given {
    const char *range;
};
static const struct given defaults = {.range = "1h"};
static const struct option_spec options[] = {{"--range", NULL, OPTION_TEXT, "TIME",
                                              offsetof(struct given, range),
                                              "how far back: 5m, 1h (default), 7d; at most 30d"},
                                             OPTIONS_END};
const struct option_set cmd_report_options = {options, &defaults, sizeof defaults};

int cmd_report(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_freep) struct state *s = NULL;
    _cleanup_(buf_release) struct buf out = {.max = 64 * (size_t)1024 * 1024};
    struct report report;
    int64_t minutes = 0;
    (void)argv;
    if (argc != 0)
        return err_set(err, ERR_USAGE, "report wants no arguments");
    int rc = report_range(given->range, &minutes, err);
    if (rc == 0)
        rc = state_open_existing(cli->state_path, &s, err);
    if (rc == 0)
        rc = report_make(cli->conf, s, minutes, clock_wall_us() / MINUTE_US, &report, err);
    if (rc < 0)
        return rc;
    (cli->json ? report_json : report_text)(&report, &out);
    report_release(&report);
    return cli_print(&out, err);
}

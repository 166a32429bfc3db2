#include "base/clock.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "pipeline/pipeline.h"
#include "state/lock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct given {
    bool catch_up, snapshot_only;
    const char *recopy;
};

static const struct given defaults = {0};

static const struct option_spec options[] = {
    {"--catch-up", NULL, OPTION_FLAG, NULL, offsetof(struct given, catch_up),
     "exit 0 once everything committed before the start is in the target"},
    {"--snapshot-only", NULL, OPTION_FLAG, NULL, offsetof(struct given, snapshot_only),
     "copy, let the log heal the copy, exit"},
    {"--recopy", NULL, OPTION_TEXT, "COLLECTION", offsetof(struct given, recopy),
     "delete its documents and copy again; all: every one, over a new slot"},
    OPTIONS_END};

const struct option_set cmd_run_options = {options, &defaults, sizeof defaults};

/* ---- progress: one line that is rewritten on a terminal, plain lines elsewhere ---- */

#define PLAIN_EVERY_US 5000000

struct display {
    bool terminal, json;
    int64_t started_us, last_line_us;
    enum pipeline_stage last_stage;
};

static void add_duration(struct buf *out, double seconds) {
    if (seconds < 120)
        buf_printf(out, "%.0f s", seconds);
    else if (seconds < 7200)
        buf_printf(out, "%.0f min", seconds / 60);
    else
        buf_printf(out, "%.1f h", seconds / 3600);
}

static void describe_copy(struct buf *out, const struct pipeline_progress *p, double seconds) {
    double rate = seconds > 0 ? (double)p->documents_copied / seconds : 0;
    buf_printf(out, "copying: %" PRId64 " documents", p->documents_copied);
    if (p->documents_expected > 0)
        buf_printf(out, " of about %" PRId64, p->documents_expected);
    buf_printf(out, ", %.0f/s", rate);
    if (rate > 0 && p->documents_expected > p->documents_copied) {
        buf_add_text(out, ", about ");
        add_duration(out, (double)(p->documents_expected - p->documents_copied) / rate);
        buf_add_text(out, " left");
    }
}

static void describe_stream(struct buf *out, const struct pipeline_progress *p) {
    buf_printf(out,
               "%s: %" PRId64 " changes, %" PRId64 " written, %" PRId64
               " deleted, lag %.1f s, %.1f "
               "MB of log",
               p->catching_up ? "catching up" : "streaming", p->changes, p->written, p->deleted,
               (double)p->lag_us / 1e6, (double)p->lag_bytes / 1e6);
}

static void describe(struct buf *out, const struct pipeline_progress *p, double seconds) {
    switch (p->stage) {
    case PIPELINE_WAITING:
        buf_printf(out, "waiting for %s to end", p->waiting_for);
        return;
    case PIPELINE_COPYING:
        describe_copy(out, p, seconds);
        return;
    case PIPELINE_STREAMING:
        describe_stream(out, p);
        return;
    }
}

static void describe_json(struct buf *out, const struct pipeline_progress *p) {
    static const char *const stages[] = {"waiting", "copying", "streaming"};
    buf_printf(out,
               "{\"stage\":\"%s\",\"documents_copied\":%" PRId64 ",\"documents_expected\":%" PRId64
               ",\"changes\":%" PRId64 ",\"written\":%" PRId64 ",\"deleted\":%" PRId64
               ",\"refreshed\":%" PRId64 ",\"lag_bytes\":%" PRId64 ",\"lag_ms\":%" PRId64
               ",\"confirmed\":\"%s\",\"catching_up\":%s}\n",
               stages[p->stage], p->documents_copied, p->documents_expected, p->changes, p->written,
               p->deleted, p->refreshed, p->lag_bytes, p->lag_us / 1000,
               lsn_format(p->confirmed).text, p->catching_up ? "true" : "false");
}

static void show(void *context, const struct pipeline_progress *p) {
    struct display *d = context;
    int64_t now = clock_mono_us();
    bool news = p->stage != d->last_stage;
    if (!d->terminal && !news && now - d->last_line_us < PLAIN_EVERY_US)
        return;
    d->last_line_us = now;
    d->last_stage = p->stage;
    _cleanup_(buf_release) struct buf line = {.max = 4096};
    if (d->json) {
        describe_json(&line, p);
        (void)fwrite(line.data, 1, line.len, stdout);
        (void)fflush(stdout);
        return;
    }
    describe(&line, p, (double)(now - d->started_us) / 1e6);
    (void)fprintf(stderr, d->terminal ? "\r\033[K%s" : "%s\n", buf_text(&line));
}

/* ---- the command ---- */

static int run_locked(struct cli *cli, const char *module, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_lock_freep) struct state_lock *lock = NULL;
    _cleanup_(state_freep) struct state *state = NULL;
    char command[200];
    (void)snprintf(command, sizeof command, "run %s", module);
    struct display display = {.terminal = !cli->json && isatty(STDERR_FILENO),
                              .json = cli->json,
                              .started_us = clock_mono_us()};
    struct pipeline_options run = {.module = module,
                                   .catch_up = given->catch_up,
                                   .snapshot_only = given->snapshot_only,
                                   .recopy = given->recopy,
                                   .progress = !cli->quiet || cli->json ? show : NULL,
                                   .progress_context = &display};
    int rc = state_lock_acquire(cli->state_path, module, command, &lock, err);
    if (rc == 0)
        rc = state_open(cli->state_path, &state, err);
    if (rc == 0)
        rc = pipeline_run(cli->conf, state, &run, err);
    if (display.terminal)
        (void)fputc('\n', stderr);
    return rc;
}

int cmd_run(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "run wants one module, or 'all': banyan run MODULE");
    if (given->catch_up && given->snapshot_only)
        return err_set(err, ERR_USAGE, "--catch-up and --snapshot-only exclude each other");
    int rc = cli_check_module(cli, argv[0], err);
    return rc < 0 ? rc : run_locked(cli, argv[0], err);
}

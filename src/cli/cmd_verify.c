#include "base/clock.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/render.h"
#include "verify/record.h"
#include "verify/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN_MAX 20
#define PLAIN_EVERY_US 5000000
#define WAIT_MAX_S 1000000
#define NO_NUMBER (-1) /* the parser gives none below 0 */

struct given {
    int64_t sample, wait_s;
    bool keys, repair, restart;
    const char *report;
};

static const struct given defaults = {.sample = NO_NUMBER, .wait_s = 60};

static const struct option_spec options[] = {
    {"--sample", NULL, OPTION_NUMBER, "N", offsetof(struct given, sample),
     "compare about N documents of each side"},
    {"--keys", NULL, OPTION_FLAG, NULL, offsetof(struct given, keys),
     "only whether each row has its document"},
    {"--repair", NULL, OPTION_FLAG, NULL, offsetof(struct given, repair),
     "write what differs anew, look again"},
    {"--report", NULL, OPTION_TEXT, "FILE", offsetof(struct given, report),
     "every difference, one JSON line each"},
    {"--restart", NULL, OPTION_FLAG, NULL, offsetof(struct given, restart),
     "do not continue an interrupted verification"},
    {"--wait", NULL, OPTION_NUMBER, "SECONDS", offsetof(struct given, wait_s),
     "for a copy to be caught up with (default 60)"},
    OPTIONS_END};

const struct option_set cmd_verify_options = {options, &defaults, sizeof defaults};

struct display {
    bool terminal, json, quiet;
    FILE *report;
    int64_t shown, started_us, last_us;
    int64_t first_done; /* of this stage: a resumed one begins in the middle */
    enum verify_stage last_stage;
    const char *last_collection;
};

/* ---- progress ---- */

static void show_progress(void *context, const struct verify_progress *p) {
    static const char *const stages[] = {"waiting for the copy", "rows", "documents",
                                         "asking again", "repairing"};
    struct display *d = context;
    int64_t now = clock_mono_us();
    bool news = p->stage != d->last_stage || p->collection != d->last_collection;
    if (d->quiet || (!news && now - d->last_us < (d->terminal ? 200000 : PLAIN_EVERY_US)))
        return;
    if (news) {
        d->started_us = now;
        d->first_done = p->done;
    }
    d->last_us = now;
    d->last_stage = p->stage;
    d->last_collection = p->collection;
    double seconds = (double)(now - d->started_us) / 1e6;
    _cleanup_(buf_release) struct buf line = {.max = 4096};
    buf_printf(&line, "verify %s: %s, %" PRId64, p->collection, stages[p->stage], p->done);
    if (p->expected > 0)
        buf_printf(&line, " of about %" PRId64, p->expected);
    double rate = seconds > 0.5 ? (double)(p->done - d->first_done) / seconds : 0;
    if (rate > 0)
        buf_printf(&line, ", %.0f/s", rate);
    if (rate > 0 && p->expected > p->done)
        buf_printf(&line, ", %.0f s left", (double)(p->expected - p->done) / rate);
    if (p->candidates)
        buf_printf(&line, ", %" PRId64 " to ask again", p->candidates);
    (void)fprintf(stderr, d->terminal ? "\r\033[K%s" : "%s\n", buf_text(&line));
}

/* ---- differences ---- */

static void add_json(struct buf *out, const struct verify_difference *v) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "collection", v->collection);
    json_out_text(&j, "_id", v->id);
    json_out_text(&j, "path", v->path);
    json_out_text(&j, "kind", v->kind);
    json_out_text(&j, "sql", v->sql);
    json_out_text(&j, "mongodb", v->mongodb);
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void add_text(struct buf *out, const struct verify_difference *v) {
    render_clean(out, v->collection);
    if (v->id[0]) {
        buf_add_text(out, " _id ");
        render_clean(out, v->id);
    }
    buf_printf(out, ": %s", v->kind);
    if (v->path[0]) {
        buf_add_text(out, " at ");
        render_clean(out, v->path);
    }
    if (v->sql) {
        buf_add_text(out, ", SQL ");
        render_clean(out, v->sql);
    }
    if (v->mongodb) {
        buf_add_text(out, ", MongoDB ");
        render_clean(out, v->mongodb);
    }
    buf_add_char(out, '\n');
}

static int on_difference(void *context, const struct verify_difference *v, struct err *err) {
    struct display *d = context;
    _cleanup_(buf_release) struct buf line = {.max = 1024 * 1024};
    add_json(&line, v);
    if (d->report && fwrite(line.data, 1, line.len, d->report) != line.len)
        return err_set(err, ERR_STATE, "cannot write the report: %s", strerror(errno));
    d->shown++;
    if (!d->json) {
        if (d->shown > SHOWN_MAX)
            return 0;
        buf_clear(&line);
        add_text(&line, v);
    }
    return cli_print(&line, err);
}

/* ---- the end ---- */

static void add_totals(struct buf *out, const struct verify_totals *t, bool json, int rc) {
    if (!json) {
        buf_printf(out,
                   "%s: %" PRId64 " documents of %" PRId64 " collections compared, %" PRId64
                   " different, %" PRId64 " unsettled, %" PRId64 " decoded wrongly",
                   rc == 0 ? "equal" : "not equal", t->compared, t->collections, t->different,
                   t->unsettled, t->decoder);
        if (t->repaired)
            buf_printf(out, ", %" PRId64 " repaired", t->repaired);
        if (t->not_ready)
            buf_printf(out, ", %" PRId64 " collections not compared to their end", t->not_ready);
        buf_add_char(out, '\n');
        if (t->resumed_us) {
            buf_add_text(out, "went on with a verification that was interrupted, begun ");
            render_time(out, t->resumed_us);
            buf_add_text(out, ": what that one had passed was not compared again (--restart)\n");
        }
        return;
    }
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_bool(&j, "equal", rc == 0);
    json_out_int(&j, "collections", t->collections);
    json_out_int(&j, "compared", t->compared);
    json_out_int(&j, "different", t->different);
    json_out_int(&j, "unsettled", t->unsettled);
    json_out_int(&j, "decoder", t->decoder);
    json_out_int(&j, "repaired", t->repaired);
    json_out_int(&j, "not_ready", t->not_ready);
    json_out_bool(&j, "run_is_live", t->run_is_live);
    json_out_bool(&j, "resumed", t->resumed_us != 0);
    json_out_close(&j, '}');
    json_out_end(&j);
}

static int finish(struct display *d, const struct verify_totals *t, int rc, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 64 * 1024};
    if (d->terminal)
        (void)fputs("\r\033[K", stderr);
    if (d->report && fclose(d->report) != 0)
        return err_set(err, ERR_STATE, "cannot write the report: %s", strerror(errno));
    if (rc == ERR_STOPPED) /* exit code 0 would say "equal" */
        return err_set(err, ERR_NO,
                       "interrupted, nothing is proven yet: the same command goes on from here");
    if (rc < 0 && rc != ERR_NO)
        return rc;
    if (!d->json && d->shown > SHOWN_MAX)
        buf_printf(&out, "... and %" PRId64 " more; --report FILE has them all\n",
                   d->shown - SHOWN_MAX);
    add_totals(&out, t, d->json, rc);
    if (rc == ERR_NO && !d->json && t->unsettled && !t->run_is_live)
        buf_add_text(&out,
                     "changes wait in the log and no run is live: start banyan run, then verify "
                     "again\n");
    struct err print;
    if (cli_print(&out, &print) < 0) {
        *err = print;
        return print.code;
    }
    if (rc == ERR_NO)
        err->text[0] = '\0'; /* said already */
    return rc;
}

static void add_up(struct verify_totals *sum, const struct verify_totals *t) {
    sum->collections += t->collections;
    sum->compared += t->compared;
    sum->different += t->different;
    sum->unsettled += t->unsettled;
    sum->decoder += t->decoder;
    sum->repaired += t->repaired;
    sum->not_ready += t->not_ready;
    sum->run_is_live |= t->run_is_live;
    if (t->resumed_us && (!sum->resumed_us || t->resumed_us < sum->resumed_us))
        sum->resumed_us = t->resumed_us;
}

static int verify_module(const struct conf *conf, struct state *state,
                         const struct verify_options *o, struct verify_totals *sum,
                         struct err *err) {
    struct verify_totals totals = {0};
    struct err ignored;
    int64_t started_us = clock_wall_us();
    int rc = verify_run(conf, state, o, &totals, err);
    const struct verify_result result = {
        .rc = rc, .totals = &totals, .failure = err, .started_us = started_us};
    add_up(sum, &totals);
    (void)!verify_record(state, o->module, &result, &ignored); /* the answer is printed anyway */
    return rc;
}

/* Each module has a result of its own; one that is not equal does not end the others. */
static int verify_modules(const struct conf *conf, struct state *state, struct verify_options *o,
                          struct verify_totals *sum, struct err *err) {
    bool all = strcmp(o->module, "all") == 0;
    int worst = 0;
    if (!all)
        return verify_module(conf, state, o, sum, err);
    for (size_t i = 0; i < conf->module_count; i++) {
        o->module = conf->modules[i].name.text;
        int rc = verify_module(conf, state, o, sum, err);
        if (rc < 0)
            worst = rc;
        if (rc < 0 && rc != ERR_NO)
            break;
    }
    return worst;
}

static int verify(struct cli *cli, const char *module, struct state *state, struct err *err) {
    const struct given *given = cli->given;
    struct display d = {.terminal = !cli->json && !cli->quiet && isatty(STDERR_FILENO),
                        .json = cli->json,
                        .quiet = cli->quiet,
                        .started_us = clock_mono_us(),
                        .last_stage = (enum verify_stage) - 1};
    struct verify_totals totals = {0};
    struct verify_options o = {.module = module,
                               .sample = given->sample == NO_NUMBER ? 0 : given->sample,
                               .keys_only = given->keys,
                               .repair = given->repair,
                               .restart = given->restart,
                               .wait_us = given->wait_s * 1000000,
                               .progress = show_progress,
                               .difference = on_difference,
                               .context = &d};
    if (given->report && !(d.report = fopen(given->report, "we")))
        return err_set(err, ERR_USAGE, "cannot write %s: %s", given->report, strerror(errno));
    int rc = verify_modules(cli->conf, state, &o, &totals, err);
    return finish(&d, &totals, rc, err);
}

/* ---- the command line ---- */

static bool same_file(const char *a, const char *b) {
    struct stat one, two;
    return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

static int check_options(const struct cli *cli, struct err *err) {
    const struct given *given = cli->given;
    if (given->sample == 0)
        return err_set(err, ERR_USAGE,
                       "--sample wants 1 or more documents; without --sample all are compared");
    if (given->sample != NO_NUMBER && given->restart)
        return err_set(err, ERR_USAGE,
                       "--sample never goes on with an interrupted verification, so --restart says "
                       "nothing; leave one of them out");
    if (given->wait_s > WAIT_MAX_S)
        return err_set(err, ERR_USAGE, "--wait wants at most %d seconds", WAIT_MAX_S);
    if (given->report &&
        (same_file(given->report, cli->state_path) || same_file(given->report, cli->conf->file)))
        return err_set(err, ERR_USAGE,
                       "--report %s would overwrite the state file or the configuration; name "
                       "another file",
                       given->report);
    return 0;
}

int cmd_verify(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc != 1)
        return err_set(err, ERR_USAGE, "verify wants one module, or 'all': banyan verify MODULE");
    int rc = cli_check_module(cli, argv[0], err);
    if (rc == 0)
        rc = check_options(cli, err);
    if (rc < 0)
        return rc;
    _cleanup_(state_freep) struct state *state = NULL;
    rc = state_open_existing(cli->state_path, &state, err);
    if (rc < 0)
        return rc;
    if (!state)
        return err_set(err, ERR_NO, "nothing has been copied yet: start banyan run %s", argv[0]);
    return verify(cli, argv[0], state, err);
}

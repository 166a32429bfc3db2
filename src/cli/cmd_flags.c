/* Flags at run time: list, set, on, off, reset. */
#include "admin/redis.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/remote.h"
#include "cli/render.h"
#include "flagfile/show.h"
#include "state/edge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIRM_US 1500000

/* ---- options ---- */

struct list_given {
    bool stale;
};
static const struct list_given list_defaults = {0};
static const struct option_spec list_options[] = {
    {"--stale", NULL, OPTION_FLAG, NULL, offsetof(struct list_given, stale),
     "only those on for everybody for 14 days, with the lines to remove"},
    OPTIONS_END};
const struct option_set cmd_flags_list_options = {list_options, &list_defaults,
                                                  sizeof list_defaults};

struct change_given {
    const char *why, *rollout, *enabled;
};
static const struct change_given change_defaults = {0};
static const struct option_spec change_options[] = {OPTION_WHY(change_given), OPTIONS_END};
const struct option_set cmd_flags_change_options = {change_options, &change_defaults,
                                                    sizeof change_defaults};
static const struct option_spec set_options[] = {
    {"--rollout", NULL, OPTION_TEXT, "PERCENT", offsetof(struct change_given, rollout),
     "rollout_percentage, 0 to 100 in steps of 0.001"},
    {"--enabled", NULL, OPTION_TEXT, "true|false", offsetof(struct change_given, enabled),
     "whether the flag can be on at all"},
    OPTION_WHY(change_given),
    OPTIONS_END};
const struct option_set cmd_flags_set_options = {set_options, &change_defaults,
                                                 sizeof change_defaults};

/* ---- list ---- */

static void show_percent(struct buf *out, const struct flags_flag *f) {
    if (f->targeting || f->rules_only || f->fixed) {
        buf_add_text(out, "by rules");
        return;
    }
    buf_printf(out, "%s %%", flagfile_percent(f->rollout).text);
}

static void show_text(struct buf *out, const struct snapshot *s, size_t i, int64_t since,
                      int64_t now) {
    const struct flags_flag *f = &s->model.flags[i];
    struct state_flag change = snapshot_change_of(s, f->name.ptr);
    render_clean(out, f->name.ptr);
    buf_add_text(out, f->killed ? "  OFF (killed)" : f->enabled ? "  enabled, " : "  disabled, ");
    if (!f->killed)
        show_percent(out, f);
    if (change.killed || change.changes) {
        buf_printf(out, "  [%s by ", flagfile_source(&change));
        render_clean(out, change.who);
        buf_add_char(out, ' ');
        render_age(out, now - change.changed_us);
        buf_add_text(out, " ago: ");
        render_clean(out, change.why);
        buf_add_char(out, ']');
    }
    if (flagfile_expired(f, now))
        buf_add_text(out, "  (expired)");
    if (flagfile_is_stale(since, now))
        buf_add_text(out, "  (stale)");
    buf_add_char(out, '\n');
}

static void show_stale(struct buf *out, const struct snapshot *s, size_t i, int64_t since,
                       int64_t now) {
    struct flagfile_lines lines = s->file->lines[i];
    render_clean(out, s->model.flags[i].name.ptr);
    buf_add_text(out, "  on for everybody for ");
    render_age(out, now - since);
    buf_printf(out, "; remove %s:%u-%u\n", s->path, lines.first, lines.last);
}

struct listing {
    struct cli *cli;
    struct state *state;
    const struct snapshot *snapshot;
    bool stale;
    int64_t now;
};

static int list_one(const struct listing *l, size_t i, struct json_out *j, struct buf *out,
                    struct err *err) {
    int64_t since = 0;
    const char *name = l->snapshot->model.flags[i].name.ptr;
    int rc = l->state ? state_flag_full_since(l->state, name, &since, err) : 0;
    if (rc < 0 || (l->stale && !flagfile_is_stale(since, l->now)))
        return rc;
    if (l->cli->json) {
        json_out_open(j, NULL, '{');
        flagfile_show(j, l->snapshot, i, since, l->now);
        json_out_close(j, '}');
    } else {
        (l->stale ? show_stale : show_text)(out, l->snapshot, i, since, l->now);
    }
    return 0;
}

static int list_all(const struct listing *l, struct buf *out, struct err *err) {
    struct json_out j;
    int rc = 0;
    if (l->cli->json) {
        json_out_begin(&j, out);
        json_out_open(&j, NULL, '{');
        json_out_text(&j, "problem", l->snapshot->bad.code ? l->snapshot->bad.text : NULL);
        json_out_open(&j, "flags", '[');
    }
    for (size_t i = 0; rc == 0 && i < l->snapshot->model.flag_count; i++)
        rc = list_one(l, i, &j, out, err);
    if (l->cli->json && rc == 0) {
        json_out_close(&j, ']');
        json_out_close(&j, '}');
        json_out_end(&j);
    }
    if (!l->cli->json && out->len == 0)
        buf_printf(out, l->stale ? "no flag has been on for everybody for %d days\n" : "no flags\n",
                   FLAGFILE_STALE_DAYS);
    return rc;
}

/* A bad file is said, and what held before goes on. */
static void warn_bad(const struct snapshot *s) {
    if (s->bad.code)
        (void)fprintf(stderr, "banyan: warning: %s; what was good last stays in use\n",
                      s->bad.text);
}

int cmd_flags_list(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct list_given *given = cli->given;
    _cleanup_(state_freep) struct state *state = NULL;
    _cleanup_(snapshot_freep) struct snapshot *snapshot = NULL;
    _cleanup_(buf_release) struct buf out = {.max = 256 * (size_t)1024 * 1024};
    (void)argv;
    if (argc != 0)
        return err_set(err, ERR_USAGE, "flags list wants no arguments");
    int rc = state_open_existing(cli->state_path, &state, err);
    if (rc == 0)
        rc = snapshot_build(cli->conf, cli->state_path, state, &snapshot, err);
    if (rc < 0)
        return rc;
    warn_bad(snapshot);
    struct listing l = {cli, state, snapshot, given->stale, clock_wall_us()};
    rc = list_all(&l, &out, err);
    return rc < 0 ? rc : cli_print(&out, err);
}

/* ---- changes ---- */

static void say_done(const struct cli *cli, const char *name, const struct snapshot *s,
                     int64_t version, enum remote_answer answer, struct buf *out) {
    static const char *const daemons[] = {[REMOTE_NOT_THERE] = "none",
                                          [REMOTE_IN_USE] = "confirmed",
                                          [REMOTE_NOT_YET] = "not confirmed"};
    const struct flags_flag *f = flagfile_find(&s->model, name);
    struct json_out j;
    if (cli->json) {
        json_out_begin(&j, out);
        json_out_open(&j, NULL, '{');
        json_out_int(&j, "changed_to_version", version);
        json_out_text(&j, "daemon", daemons[answer]);
        flagfile_show(&j, s, (size_t)(f - s->model.flags), 0, clock_wall_us());
        json_out_close(&j, '}');
        json_out_end(&j);
        return;
    }
    show_text(out, s, (size_t)(f - s->model.flags), 0, clock_wall_us());
    buf_add_text(out, answer == REMOTE_IN_USE ? "the daemon here has confirmed it\n"
                      : answer == REMOTE_NOT_THERE
                          ? "no daemon runs here; published for whoever reads the flags\n"
                          : "published, but the daemon here has NOT confirmed it\n");
}

/* Daemons elsewhere, by way of Redis, and gateways on other machines. */
static int check_others(const struct cli *cli, struct err *err) {
    _cleanup_(buf_release) struct buf missing = {.max = 64 * (size_t)1024};
    int rc = remote_unconfirmed(cli, CONFIRM_US, &missing, err);
    if (rc < 0 || missing.len == 0)
        return rc;
    return err_set(err, ERR_NO, "the change is durable and published here, but:\n%.900s",
                   buf_text(&missing));
}

/* Without a daemon nobody tells them. */
static int check_edges(struct state *state, struct err *err) {
    _cleanup_(mem_freep) struct state_edge *edges = NULL;
    _cleanup_(buf_release) struct buf names = {.max = 64 * (size_t)1024};
    size_t count = 0;
    int rc = state_edge_list(state, &edges, &count, err);
    for (size_t i = 0; i < count; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", edges[i].name);
    if (rc < 0 || count == 0)
        return rc;
    return err_set(err, ERR_NO,
                   "the change is durable and published here, but no daemon runs here to tell the "
                   "edges: %.600s",
                   buf_text(&names));
}

/* Durable in the state first; then published; then asked for. Whatever ends the command between
 * those, the daemon's next look, or the next command, publishes what the state says. */
static int change_flag(struct cli *cli, struct snapshot_change *change, struct err *err) {
    _cleanup_(state_freep) struct state *state = NULL;
    _cleanup_(snapshot_freep) struct snapshot *before = NULL, *after = NULL;
    _cleanup_(buf_release) struct buf out = {.max = 64 * (size_t)1024 * 1024};
    enum remote_answer answer = REMOTE_NOT_THERE;
    struct err unasked = {0};
    char who[STATE_NAME_MAX];
    int64_t version = 0;
    bool conflict = false;
    /* Before our own look, which then has what others changed. A kill waits for nobody. */
    bool away = cli->conf->redis && change->action != SNAPSHOT_KILL && remote_redis_is_away(cli);
    cli_who(who, sizeof who);
    change->who = who;
    change->role = "operator";
    change->version = -1;
    int rc = state_open(cli->state_path, &state, err);
    if (rc == 0)
        rc = snapshot_build(cli->conf, cli->state_path, state, &before, err);
    if (rc == 0 && away && redis_may_change(before, change, err) < 0)
        rc = err_prefix(err, "no daemon here reaches it");
    if (rc == 0)
        rc = snapshot_change(before, state, change, &version, &conflict, err);
    if (rc == 0)
        rc = snapshot_refresh(cli->conf, cli->state_path, state, &after, err);
    if (rc < 0)
        return rc;
    warn_bad(after);
    rc = remote_flag_in_use(cli, change->name, version, CONFIRM_US, &answer, &unasked);
    if (rc < 0)
        answer = REMOTE_NOT_YET;
    say_done(cli, change->name, after, version, answer, &out);
    rc = cli_print(&out, err);
    if (rc == 0 && answer == REMOTE_NOT_YET)
        return err_set(err, ERR_NO,
                       "the change is durable and published, but the daemon on %s has not "
                       "confirmed it%s%s",
                       cli->conf->serve.listen, unasked.text[0] ? ": " : "", unasked.text);
    if (rc == 0 && (cli->conf->redis || answer == REMOTE_IN_USE))
        rc = check_others(cli, err);
    if (rc == 0 && answer == REMOTE_NOT_THERE)
        rc = check_edges(state, err);
    return rc;
}

static int change_command(struct cli *cli, int argc, char **argv, const char *command,
                          struct snapshot_change change, struct err *err) {
    const struct change_given *given = cli->given;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "flags %s wants the name of a flag", command);
    _cleanup_(mem_freep) char *what = mem_printf("flags %s", command);
    change.name = argv[0];
    change.why = given->why;
    int rc = cli_check_why(what, given->why, err);
    return rc < 0 ? rc : change_flag(cli, &change, err);
}

int cmd_flags_on(struct cli *cli, int argc, char **argv, struct err *err) {
    return change_command(cli, argc, argv, "on", (struct snapshot_change){.action = SNAPSHOT_ON},
                          err);
}

int cmd_flags_off(struct cli *cli, int argc, char **argv, struct err *err) {
    return change_command(cli, argc, argv, "off", (struct snapshot_change){.action = SNAPSHOT_KILL},
                          err);
}

int cmd_flags_reset(struct cli *cli, int argc, char **argv, struct err *err) {
    return change_command(cli, argc, argv, "reset",
                          (struct snapshot_change){.action = SNAPSHOT_RESET}, err);
}

/* A number as JSON has it, so that the change's own reader says what is wrong with it. */
static bool looks_like_number(const char *text) {
    return *text && strspn(text, "0123456789.") == strlen(text) && text[0] != '.';
}

int cmd_flags_set(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct change_given *given = cli->given;
    _cleanup_(buf_release) struct buf json = {.max = 1024};
    if (!given->rollout && !given->enabled)
        return err_set(err, ERR_USAGE, "flags set wants --rollout PERCENT or --enabled true|false");
    if (given->rollout && !looks_like_number(given->rollout))
        return err_set(err, ERR_USAGE, "option --rollout wants a number from 0 to 100, not '%s'",
                       given->rollout);
    if (given->enabled && strcmp(given->enabled, "true") != 0 &&
        strcmp(given->enabled, "false") != 0)
        return err_set(err, ERR_USAGE, "option --enabled is true or false, not '%s'",
                       given->enabled);
    buf_add_char(&json, '{');
    if (given->rollout)
        buf_printf(&json, "\"rollout_percentage\":%.100s", given->rollout);
    if (given->enabled)
        buf_printf(&json, "%s\"enabled\":%s", given->rollout ? "," : "", given->enabled);
    buf_add_char(&json, '}');
    struct snapshot_change change = {.action = SNAPSHOT_SET, .json = span_of(buf_text(&json))};
    return change_command(cli, argc, argv, "set", change, err);
}

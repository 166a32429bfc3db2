/* What SQL and MongoDB disagreed about: listed, shown, marked, resynced, forgotten. */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/render.h"
#include "parallel/copies.h"
#include "parallel/secret.h"
#include "parallel/show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX (64 * (size_t)1024 * 1024)

struct given {
    const char *module, *name, *why, *user;
    int64_t limit, example;
    bool open, undo;
};

static const struct given defaults = {.limit = 100};

static const struct option_spec list_options[] = {
    {"--module", NULL, OPTION_TEXT, "MODULE", offsetof(struct given, module),
     "only of that module"},
    {"--name", NULL, OPTION_TEXT, "NAME", offsetof(struct given, name),
     "only of that route (its prefix) or operation"},
    {"--open", NULL, OPTION_FLAG, NULL, offsetof(struct given, open), "only those not analyzed"},
    {"--limit", NULL, OPTION_NUMBER, "N", offsetof(struct given, limit),
     "the N most frequent (default 100)"},
    OPTIONS_END};
const struct option_set cmd_divergences_list_options = {list_options, &defaults, sizeof defaults};

static const struct option_spec change_options[] = {
    OPTION_WHY(given),
    {"--undo", NULL, OPTION_FLAG, NULL, offsetof(struct given, undo),
     "analyze: take the mark back"},
    {"--example", NULL, OPTION_NUMBER, "ID", offsetof(struct given, example),
     "resync: the document of that example (default: the newest)"},
    {"--user", NULL, OPTION_TEXT, "USER", offsetof(struct given, user),
     "purge: the text by which routes know who asks"},
    OPTIONS_END};
const struct option_set cmd_divergences_change_options = {change_options, &defaults,
                                                          sizeof defaults};

/* ---- list ---- */

static void list_text(struct buf *out, const struct state_divergence *d) {
    buf_printf(out, "%" PRId64 "  %" PRId64 " times, last ", d->id, d->count);
    render_time(out, d->last_us);
    buf_add_text(out, "  ");
    render_clean(out, d->module);
    buf_add_char(out, ' ');
    render_clean(out, d->subject);
    buf_printf(out, "  %s ", d->kind);
    render_clean(out, d->shape[0] ? d->shape : "(the whole answer)");
    buf_add_text(out, d->analyzed ? "  analyzed\n" : "\n");
}

static void list_json(struct buf *out, const struct state_divergence *list, size_t count) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '[');
    for (size_t i = 0; i < count; i++)
        show_divergence(&j, &list[i], NULL, 0);
    json_out_close(&j, ']');
    json_out_end(&j);
}

int cmd_divergences_list(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_freep) struct state *s = NULL;
    _cleanup_(buf_release) struct buf out = {.max = OUT_MAX};
    _cleanup_(mem_freep) struct state_divergence *list = NULL;
    const struct state_divergence_filter filter = {.module = given->module,
                                                   .subject = given->name,
                                                   .analyzed = given->open ? 0 : -1,
                                                   .max = (size_t)given->limit};
    size_t count = 0;
    (void)argv;
    if (argc != 0)
        return err_set(err, ERR_USAGE, "divergences list wants no arguments");
    int rc = state_open_existing(cli->state_path, &s, err);
    if (rc == 0 && s)
        rc = state_divergence_list(s, &filter, &list, &count, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        list_json(&out, list, count);
    for (size_t i = 0; !cli->json && i < count; i++)
        list_text(&out, &list[i]);
    if (!cli->json && count == 0)
        buf_add_text(&out, "no divergences\n");
    return cli_print(&out, err);
}

/* ---- show ---- */

static void add_line(struct buf *out, const char *name, const char *value) {
    if (!value)
        return;
    buf_printf(out, "    %-12s", name);
    render_clean(out, value);
    buf_add_char(out, '\n');
}

/* Each command on a line of its own. */
static void add_commands(struct buf *out, const char *reproducer) {
    while (*reproducer) {
        size_t len = strcspn(reproducer, "\n");
        _cleanup_(mem_freep) char *line = mem_strndup(reproducer, len);
        add_line(out, "again:", line);
        reproducer += len + (reproducer[len] == '\n');
    }
}

static void example_text(struct buf *out, const struct state_example *e) {
    buf_printf(out, "  %" PRId64 "  ", e->id);
    render_time(out, e->at_us);
    buf_add_text(out, "  ");
    render_clean(out, e->path[0] ? e->path : "(the whole answer)");
    buf_add_char(out, '\n');
    add_line(out, "sql:", e->sql ? e->sql : "(nothing)");
    add_line(out, "mongodb:", e->mongodb ? e->mongodb : "(nothing)");
    add_line(out, "request:", e->request);
    add_line(out, "parameters:", e->parameters);
    add_line(out, "document in:", e->collection[0] ? e->collection : NULL);
    add_commands(out, e->reproducer ? e->reproducer : "");
    add_line(out, "sql gave:", e->sql_document);
    add_line(out, "mongodb gave:", e->mongodb_document);
}

static int show(const struct cli *cli, struct state *s, int64_t id, struct buf *out,
                struct err *err) {
    static const struct state_example none = {0};
    struct state_divergence d;
    struct state_example *examples = NULL;
    struct json_out j;
    size_t count = 0;
    bool found = false;
    int rc = s ? state_divergence_get(s, id, &d, &found, err) : 0;
    if (rc == 0 && !found)
        return err_set(err, ERR_NO, "no divergence has id %lld; see `banyan divergences list`",
                       (long long)id);
    if (rc == 0)
        rc = state_example_list(s, id, &examples, &count, err);
    if (rc == 0 && cli->json) {
        json_out_begin(&j, out);
        show_divergence(&j, &d, examples ? examples : &none, count);
        json_out_end(&j);
    } else if (rc == 0) {
        list_text(out, &d);
        for (size_t i = 0; i < count; i++)
            example_text(out, &examples[i]);
    }
    for (size_t i = 0; i < count; i++)
        state_example_clear(&examples[i]);
    free(examples);
    return rc;
}

int cmd_divergences_show(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_(state_freep) struct state *s = NULL;
    _cleanup_(buf_release) struct buf out = {.max = OUT_MAX};
    int64_t id = 0;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "divergences show wants an id");
    int rc = cli_read_id("divergences", argv[0], &id, err);
    if (rc == 0)
        rc = state_open_existing(cli->state_path, &s, err);
    if (rc == 0)
        rc = show(cli, s, id, &out, err);
    return rc < 0 ? rc : cli_print(&out, err);
}

/* ---- changes ---- */

static int begin_change(struct cli *cli, struct state **ret, struct err *err) {
    const struct given *given = cli->given;
    int rc = cli_check_why("a change", given->why, err);
    if (rc == 0)
        rc = state_open_existing(cli->state_path, ret, err);
    return rc == 0 && !*ret
               ? err_set(err, ERR_NO, "nothing has run yet (state file %s)", cli->state_path)
               : rc;
}

static int say(const struct cli *cli, const char *text, int64_t count, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 8192};
    if (cli->json)
        buf_printf(&out, "{\"count\":%" PRId64 "}\n", count);
    else
        buf_printf(&out, text, count);
    return cli_print(&out, err);
}

int cmd_divergences_analyze(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_freep) struct state *s = NULL;
    char who[STATE_NAME_MAX];
    int64_t id = 0;
    bool found = false;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "divergences analyze wants an id");
    int rc = cli_read_id("divergences", argv[0], &id, err);
    if (rc == 0)
        rc = begin_change(cli, &s, err);
    if (rc < 0)
        return rc;
    cli_who(who, sizeof who);
    const struct state_audit_line line = {.who = who,
                                          .role = "operator",
                                          .action = "divergence.analyze",
                                          .subject = argv[0],
                                          .after = given->undo ? "false" : "true",
                                          .why = given->why};
    rc = state_divergence_analyze(s, id, !given->undo, &line, &found, err);
    if (rc == 0 && !found)
        rc =
            err_set(err, ERR_NO, "no divergence has id %s; see `banyan divergences list`", argv[0]);
    return rc < 0 ? rc
                  : say(cli, given->undo ? "open again: %" PRId64 "\n" : "analyzed: %" PRId64 "\n",
                        id, err);
}

int cmd_divergences_resync(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_freep) struct state *s = NULL;
    char who[STATE_NAME_MAX], collection[STATE_NAME_MAX];
    int64_t id = 0;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "divergences resync wants an id");
    int rc = cli_read_id("divergences", argv[0], &id, err);
    if (rc == 0)
        rc = begin_change(cli, &s, err);
    if (rc == 0)
        rc = resync_divergence(s, id, given->example, collection, err);
    if (rc < 0)
        return rc;
    cli_who(who, sizeof who);
    rc = state_audit_add(s,
                         &(struct state_audit_line){.who = who,
                                                    .role = "operator",
                                                    .action = "divergence.resync",
                                                    .subject = argv[0],
                                                    .why = given->why},
                         err);
    return rc < 0 ? rc
                  : say(cli,
                        "%" PRId64 " document to be written again by the run; a run that is not "
                        "there does it when it starts\n",
                        1, err);
}

int cmd_divergences_purge(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_freep) struct state *s = NULL;
    struct secret secret;
    unsigned char hash[STATE_USER_LEN];
    char who[STATE_NAME_MAX];
    int64_t count = 0;
    (void)argv;
    if (argc != 0 || !given->user || !given->user[0])
        return err_set(err, ERR_USAGE, "divergences purge wants --user USER");
    int rc = begin_change(cli, &s, err);
    if (rc == 0)
        rc = secret_open(cli->state_path, &secret, err);
    if (rc < 0)
        return rc;
    cli_who(who, sizeof who);
    secret_hash_user(&secret, span_of(given->user), hash);
    rc = state_divergence_purge(s, span_make(hash, sizeof hash),
                                &(struct state_audit_line){.who = who,
                                                           .role = "operator",
                                                           .action = "divergence.purge",
                                                           .subject = "user",
                                                           .why = given->why},
                                &count, err);
    if (rc == 0 && cli->conf->divergences.collection.text)
        rc = copies_purge(cli->conf, span_make(hash, sizeof hash), err);
    return rc < 0 ? rc : say(cli, "%" PRId64 " examples forgotten\n", count, err);
}

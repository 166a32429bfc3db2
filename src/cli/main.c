/* The command line: finds the command, gives it what it needs, turns its error into an exit code.
 */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/options.h"
#include "db/mongo.h"
#include "operation/operation.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int cmd_help(struct cli *cli, int argc, char **argv, struct err *err);

static const struct command commands[] = {
    {"run", "MODULE|all", "copy what is not copied yet, then stream changes until stopped",
     NEEDS_CONF | NEEDS_MONGO, cmd_run, &cmd_run_options},
    {"serve", "", "run every module, the admin API, the dashboard and flags, until stopped",
     NEEDS_CONF | NEEDS_MONGO, cmd_serve, &cmd_serve_options},
    {"verify", "MODULE|all", "compare every document with its rows, while both change",
     NEEDS_CONF | NEEDS_MONGO, cmd_verify, &cmd_verify_options},
    {"status", "[MODULE]", "where everything stands", NEEDS_CONF, cmd_status, &cmd_status_options},
    {"pause", "MODULE|all", "hold a pipeline; the source keeps its log meanwhile", NEEDS_CONF,
     cmd_pause, &cmd_control_options},
    {"resume", "MODULE|all", "let a paused pipeline go on", NEEDS_CONF, cmd_resume,
     &cmd_control_options},
    {"throttle", "MODULE|all N|off|configured", "the most documents written in a second",
     NEEDS_CONF, cmd_throttle, &cmd_control_options},
    {"parked list", "", "what cannot be applied, and why", NEEDS_CONF, cmd_parked_list, NULL},
    {"parked retry", "ID|all", "have the run write parked documents again", NEEDS_CONF,
     cmd_parked_retry, &cmd_parked_change_options},
    {"parked drop", "ID|all", "give parked documents up", NEEDS_CONF, cmd_parked_drop,
     &cmd_parked_change_options},
    {"report", "", "what the parallel run has shown, by route and operation", NEEDS_CONF,
     cmd_report, &cmd_report_options},
    {"divergences list", "", "what SQL and MongoDB disagreed about", NEEDS_CONF,
     cmd_divergences_list, &cmd_divergences_list_options},
    {"divergences show", "ID", "one of them, with examples", NEEDS_CONF, cmd_divergences_show,
     NULL},
    {"divergences analyze", "ID", "mark it as understood", NEEDS_CONF, cmd_divergences_analyze,
     &cmd_divergences_change_options},
    {"divergences resync", "ID", "have its document written again", NEEDS_CONF,
     cmd_divergences_resync, &cmd_divergences_change_options},
    {"divergences purge", "", "forget what was kept of one user", NEEDS_CONF | NEEDS_MONGO,
     cmd_divergences_purge, &cmd_divergences_change_options},
    {"flags list", "", "every flag as it holds now", NEEDS_CONF, cmd_flags_list,
     &cmd_flags_list_options},
    {"flags eval", "NAME", "what a flag gives somebody, and why", NEEDS_CONF, cmd_flags_eval,
     &cmd_flags_eval_options},
    {"flags set", "NAME", "change a flag until it is reset", NEEDS_CONF, cmd_flags_set,
     &cmd_flags_set_options},
    {"flags on", "NAME", "enable a flag, and take back `flags off`", NEEDS_CONF, cmd_flags_on,
     &cmd_flags_change_options},
    {"flags off", "NAME", "switch a flag off, whatever else says", NEEDS_CONF, cmd_flags_off,
     &cmd_flags_change_options},
    {"flags reset", "NAME", "a flag as its file says", NEEDS_CONF, cmd_flags_reset,
     &cmd_flags_change_options},
    {"flags check", "FILE", "whether a file of flags is good", NEEDS_NOTHING, cmd_flags_check,
     &cmd_flags_check_options},
    {"flags import", "FILE", "flags of flagd, Unleash or LaunchDarkly as feature-flags.yml",
     NEEDS_NOTHING, cmd_flags_import, &cmd_flags_import_options},
    {"reads", "MODULE VALUE", "who answers reads: auto, sql, shadow, flag, mongodb", NEEDS_CONF,
     cmd_reads, &cmd_routing_options},
    {"writes", "MODULE VALUE", "who takes writes: auto, sql, both, mongodb", NEEDS_CONF, cmd_writes,
     &cmd_routing_options},
    {"stage", "MODULE STAGE", "both: off, dualwrite, shadow, live, rampdown, complete", NEEDS_CONF,
     cmd_stage, &cmd_routing_options},
    {"fallback on", "MODULE", "SQL answers reads where MongoDB fails", NEEDS_CONF, cmd_fallback_on,
     &cmd_routing_options},
    {"fallback off", "MODULE", "MongoDB's failures reach the client", NEEDS_CONF, cmd_fallback_off,
     &cmd_routing_options},
    {"query", "NAME [PARAM=VALUE ...]", "what an operation answers, and which side answered",
     NEEDS_CONF | NEEDS_MONGO, cmd_query, &cmd_query_options},
    {"routes list", "", "every route of the gateway, and who answers", NEEDS_CONF, cmd_routes_list,
     NULL},
    {"routes explain", "METHOD PATH", "what would happen to a request, and why", NEEDS_CONF,
     cmd_routes_explain, &cmd_routes_explain_options},
    {"gateway check", "", "whether nginx takes the configuration", NEEDS_GATEWAY, cmd_gateway_check,
     NULL},
    {"gateway conf", "", "nginx's configuration, as serve writes it", NEEDS_GATEWAY,
     cmd_gateway_conf, NULL},
    {"gateway stop", "", "end the nginx that serve started", NEEDS_GATEWAY, cmd_gateway_stop, NULL},
    {"edges list", "", "gateways on other machines, and what they use", NEEDS_CONF, cmd_edges_list,
     NULL},
    {"edges forget", "NAME", "an edge that is gone for good", NEEDS_CONF, cmd_edges_forget,
     &cmd_edges_forget_options},
    {"audit", "", "who changed what, when and why", NEEDS_CONF, cmd_audit, &cmd_audit_options},
    {"config show", "", "the effective configuration, secrets hidden", NEEDS_CONF, cmd_config_show,
     NULL},
    {"config docs", "", "every key of the configuration, as Markdown", NEEDS_NOTHING,
     cmd_config_docs, NULL},
    {"metrics docs", "", "every metric of /metrics, as Markdown", NEEDS_NOTHING, cmd_metrics_docs,
     NULL},
    {"version", "", "versions of Banyan and its libraries", NEEDS_NOTHING, cmd_version, NULL},
    {"help", "[COMMAND]", "this text, or a command's", NEEDS_NOTHING, cmd_help, NULL},
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static const struct option_spec global_options[] = {
    {"--config", "-c", OPTION_TEXT, "FILE", offsetof(struct cli, config_path),
     "the configuration (default banyan.yml)"},
    {"--state", NULL, OPTION_TEXT, "FILE", offsetof(struct cli, state_override),
     "the state file (default: as configured)"},
    {"--edge", NULL, OPTION_FLAG, NULL, offsetof(struct cli, edge),
     "read the configuration as an edge does: serve runs the gateway only"},
    {"--json", NULL, OPTION_FLAG, NULL, offsetof(struct cli, json), "answer in JSON, failures too"},
    {"--log-format", NULL, OPTION_TEXT, "text|json", offsetof(struct cli, log_format),
     "form of log lines"},
    {"--verbose", NULL, OPTION_FLAG, NULL, offsetof(struct cli, verbose), "log more"},
    {"--quiet", "-q", OPTION_FLAG, NULL, offsetof(struct cli, quiet),
     "no progress, only warnings and errors"},
    {"--help", "-h", OPTION_FLAG, NULL, offsetof(struct cli, help), "help for the command"},
    OPTIONS_END};

/* ---- finding the command ---- */

/* Words of the command's name that argv begins with; 0: another command. */
static size_t match(const struct command *c, size_t count, char **words) {
    const char *name = c->name;
    size_t n = 0;
    while (*name) {
        size_t len = strcspn(name, " ");
        if (n == count || strlen(words[n]) != len || strncmp(words[n], name, len) != 0)
            return 0;
        n++;
        name += len + (name[len] == ' ');
    }
    return n;
}

static const struct command *find_command(size_t count, char **words, size_t *ret_words) {
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        *ret_words = match(&commands[i], count, words);
        if (*ret_words)
            return &commands[i];
    }
    return NULL;
}

/* "config": the first of two words. Lists the second ones. */
static bool list_second_words(const char *word, struct buf *out) {
    size_t len = strlen(word);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strncmp(commands[i].name, word, len) == 0 && commands[i].name[len] == ' ')
            buf_printf(out, "%s%s", out->len ? ", " : "", commands[i].name);
    return out->len > 0;
}

static int unknown_command(size_t count, char **words, struct err *err) {
    _cleanup_(buf_release) struct buf seconds = {.max = ERR_TEXT_MAX};
    const char *best = NULL;
    size_t best_distance = 3;
    char given[200];
    (void)snprintf(given, sizeof given, "%s%s%s", words[0], count > 1 ? " " : "",
                   count > 1 ? words[1] : "");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t one = text_distance(span_of(words[0]), span_of(commands[i].name));
        size_t two = text_distance(span_of(given), span_of(commands[i].name));
        size_t d = one < two ? one : two;
        if (d < best_distance) {
            best_distance = d;
            best = commands[i].name;
        }
    }
    if (list_second_words(words[0], &seconds) && (!best || count == 1))
        return err_set(err, ERR_USAGE, "unknown command '%s'; there is: %s", given,
                       buf_text(&seconds));
    if (best)
        return err_set(err, ERR_USAGE, "unknown command '%s', did you mean '%s'?",
                       strchr(best, ' ') ? given : words[0], best);
    return err_set(err, ERR_USAGE, "unknown command '%s'; see `banyan help`", words[0]);
}

/* ---- help ---- */

static void help_for(const struct command *c, struct buf *out) {
    buf_printf(out, "banyan %s %s\n  %s\n", c->name, c->arguments, c->help);
    if (c->options) {
        buf_add_text(out, "\nOptions:\n");
        options_help(c->options->specs, out);
    }
    buf_add_text(out, "\nGlobal options:\n");
    options_help(global_options, out);
}

static void help_all(struct buf *out) {
    buf_add_text(out, "Banyan moves a live PostgreSQL database into MongoDB and keeps it there, "
                      "verified.\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t start = out->len;
        buf_printf(out, "  %s %s", commands[i].name, commands[i].arguments);
        while (out->len - start < 26 && buf_ok(out))
            buf_add_char(out, ' ');
        buf_printf(out, " %s\n", commands[i].help);
    }
    buf_add_text(out, "\nGlobal options:\n");
    options_help(global_options, out);
    buf_add_text(out,
                 "\nExit codes: 0 done, 1 the answer is no, 2 usage or configuration, 3 a system "
                 "is out of reach, 4 internal error.\n");
}

static int cmd_help(struct cli *cli, int argc, char **argv, struct err *err) {
    (void)cli;
    _cleanup_(buf_release) struct buf out = {.max = 1024 * 1024};
    if (argc == 0) {
        help_all(&out);
        return cli_print(&out, err);
    }
    size_t words;
    const struct command *command = find_command((size_t)argc, argv, &words);
    if (!command)
        return unknown_command((size_t)argc, argv, err);
    if (words < (size_t)argc)
        return err_set(err, ERR_USAGE, "help takes one command, so '%s' is wrong", argv[words]);
    help_for(command, &out);
    return cli_print(&out, err);
}

/* ---- for commands ---- */

int cli_read_id(const char *list, const char *text, int64_t *ret, struct err *err) {
    char *end = NULL;
    errno = 0;
    long long id = strtoll(text, &end, 10);
    if (errno || !*text || *end || id < 1)
        return err_set(err, ERR_USAGE, "'%s' is no id; `banyan %s list` begins lines with it", text,
                       list);
    *ret = id;
    return 0;
}

int cli_check_why(const char *what, const char *why, struct err *err) {
    if (!why || !why[0])
        return err_set(err, ERR_USAGE, "%s wants a reason: --why TEXT", what);
    return strlen(why) > STATE_WHY_MAX
               ? err_set(err, ERR_LIMIT, "the reason has more than %d bytes; shorten it",
                         STATE_WHY_MAX)
               : 0;
}

void cli_who(char *name, size_t size) {
    struct passwd entry, *found = NULL;
    char memory[4096];
    if (getpwuid_r(getuid(), &entry, memory, sizeof memory, &found) == 0 && found)
        (void)snprintf(name, size, "%s", found->pw_name);
    else
        (void)snprintf(name, size, "uid %ld", (long)getuid());
}

int cli_print(const struct buf *text, struct err *err) {
    if (!buf_ok(text))
        return err_set(err, ERR_INTERNAL, "output is too long");
    if (fwrite(text->data, 1, text->len, stdout) != text->len || fflush(stdout) != 0)
        return err_set(err, ERR_STATE, "cannot write to standard output: %s", strerror(errno));
    return 0;
}

int cli_check_module(const struct cli *cli, const char *name, struct err *err) {
    if (strcmp(name, "all") == 0 || conf_module(cli->conf, name))
        return 0;
    _cleanup_(buf_release) struct buf known = {.max = ERR_TEXT_MAX};
    for (size_t i = 0; i < cli->conf->module_count; i++)
        buf_printf(&known, "%s%s", i ? ", " : "", cli->conf->modules[i].name.text);
    return err_set(err, ERR_USAGE, "unknown module '%s'; %s has: %s, and 'all'", name,
                   cli->conf->file, buf_text(&known));
}

/* ---- running it ---- */

/* What the command line says. */
struct call {
    const struct command *command;
    char *
        *words; /* the program's argv without options; [first, count): behind the command's name */
    size_t first, count;
    void *given; /* the command's own options */
};

static void call_release(struct call *c) {
    free(c->words);
    free(c->given);
}

/* Parses a copy of the words; what is left of it is in call->words. */
static int parse_with(struct call *call, const struct option_table *tables, size_t count, int argc,
                      char **argv, struct err *err) {
    memcpy(call->words, argv, (size_t)argc * sizeof *call->words);
    return options_parse(tables, count, argc, call->words, &call->count, err);
}

/* Twice: with the options of all commands to find which one is meant, then with its own only. */
static int parse(struct cli *cli, struct call *call, int argc, char **argv, struct err *err) {
    struct option_table tables[COMMAND_COUNT + 1] = {{global_options, cli}};
    size_t table_count = 1;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].options)
            tables[table_count++].specs = commands[i].options->specs;
    int rc = parse_with(call, tables, table_count, argc, argv, err);
    if (rc < 0)
        return rc;
    if (call->count == 0) {
        call->command = &commands[COMMAND_COUNT - 1];
        return cli->help ? 0 : err_set(err, ERR_USAGE, "no command given; see `banyan help`");
    }
    call->command = find_command(call->count, call->words, &call->first);
    if (!call->command)
        return unknown_command(call->count, call->words, err);
    const struct option_set *own = call->command->options;
    if (own) {
        cli->given = call->given = mem_alloc(own->size);
        memcpy(call->given, own->defaults, own->size);
        tables[1] = (struct option_table){own->specs, call->given};
    }
    rc = parse_with(call, tables, own ? 2 : 1, argc, argv, err);
    return rc < 0 ? err_prefix(err, "%s", call->command->name) : 0;
}

static int prepare(struct cli *cli, const struct command *command, struct conf **ret_conf,
                   struct err *err) {
    if (strcmp(cli->log_format, "text") != 0 && strcmp(cli->log_format, "json") != 0)
        return err_set(err, ERR_USAGE, "--log-format is text or json, not '%s'", cli->log_format);
    log_setup(cli->verbose ? LOG_DEBUG
              : cli->quiet ? LOG_WARN
                           : LOG_INFO,
              strcmp(cli->log_format, "json") == 0);
    if (!*cli->config_path || (cli->state_override && !*cli->state_override))
        return err_set(err, ERR_USAGE, "option %s wants the name of a file, not an empty text",
                       *cli->config_path ? "--state" : "--config");
    if (command->needs & NEEDS_CONF) {
        bool edge = cli->edge || (command->needs & NEEDS_GATEWAY) == NEEDS_GATEWAY;
        int rc = (edge ? conf_load_edge : conf_load)(cli->config_path, ret_conf, err);
        if (rc < 0)
            return rc;
        rc = operations_check(*ret_conf, err);
        if (rc < 0)
            return rc;
        cli->conf = *ret_conf;
        cli->state_path = cli->state_override ? cli->state_override : (*ret_conf)->state;
    }
    if (command->needs & NEEDS_MONGO)
        mongo_global_init();
    return 0;
}

static int run_command(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_(call_release) struct call call = {
        .words = mem_zalloc((size_t)argc + 1, sizeof *call.words)};
    struct conf *conf = NULL;
    int rc = parse(cli, &call, argc, argv, err);
    if (rc < 0)
        return rc;
    const struct command *command = call.command;
    if (cli->help && command->fn != cmd_help)
        return cmd_help(cli, (int)call.first, call.words, err);
    rc = prepare(cli, command, &conf, err);
    if (rc == 0)
        rc = command->fn(cli, (int)(call.count - call.first), call.words + call.first, err);
    conf_free(conf);
    if (command->needs & NEEDS_MONGO)
        mongo_global_cleanup();
    return rc;
}

/* Looks by itself: the command line may be what is wrong. */
static bool asks_for_json(int argc, char **argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static void say_failure(const struct cli *cli, const struct err *err, bool json) {
    _cleanup_(buf_release) struct buf out = {.max = 8 * ERR_TEXT_MAX};
    if (json)
        failure_json(err, cli->config_path, &out);
    else
        failure_text(err, &out);
    (void)fwrite(out.data, 1, out.len, stderr); /* there is nobody left to tell */
}

int main(int argc, char **argv) {
    struct cli cli = {.config_path = "banyan.yml", .log_format = "text"};
    struct err err = {0};
    mongo_forget_counters();
    stop_install();
    int rc = run_command(&cli, argc - 1, argv + 1, &err);
    err.code = rc;
    if (rc < 0 && err.text[0])
        say_failure(&cli, &err, asks_for_json(argc - 1, argv + 1));
    return err_exit_code(rc);
}

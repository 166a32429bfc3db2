/*
 * What every command gets: the global options, and what it said it needs.
 */
#ifndef BANYAN_CLI_CLI_H
#define BANYAN_CLI_CLI_H

#include "base/err.h"
#include "conf/conf.h"
#include "state/state.h"

#include <stdbool.h>

struct cli {
    const char *config_path;
    const char *state_override;
    bool json;
    bool verbose;
    bool quiet;
    bool help;
    bool edge; /* the configuration is read as an edge reads it */
    const char *log_format;

    const void *given; /* the values of the command's own options, see struct command */

    const struct conf *conf; /* NEEDS_CONF */
    const char *state_path;  /* NEEDS_CONF: --state, else the configuration's */
};

/* argv: the words behind the command's name, without options. */
typedef int (*command_fn)(struct cli *cli, int argc, char **argv, struct err *err);

/* NEEDS_GATEWAY: of the configuration what an edge reads is enough. */
enum command_needs { NEEDS_NOTHING = 0, NEEDS_CONF = 1, NEEDS_MONGO = 2, NEEDS_GATEWAY = 5 };

struct option_set;

struct command {
    const char *name;      /* may be two words: "config show" */
    const char *arguments; /* for the usage line */
    const char *help;
    unsigned needs;
    command_fn fn;
    const struct option_set *options; /* NULL: none of its own */
};

int cmd_audit(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_audit_options;
int cmd_config_docs(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_config_show(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_divergences_analyze(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_divergences_change_options;
int cmd_divergences_list(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_divergences_list_options;
int cmd_divergences_purge(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_divergences_resync(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_divergences_show(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_flags_check(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_flags_check_options;
int cmd_flags_eval(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_flags_eval_options;
int cmd_flags_import(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_flags_import_options;
int cmd_flags_list(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_flags_list_options;
int cmd_flags_off(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_flags_on(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_flags_reset(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_flags_change_options; /* of the three */
int cmd_flags_set(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_flags_set_options;
int cmd_metrics_docs(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_parked_list(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_parked_retry(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_parked_drop(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_parked_change_options; /* of the two */
int cmd_query(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_query_options;
int cmd_run(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_run_options;
int cmd_serve(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_serve_options;
int cmd_edges_list(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_edges_forget(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_edges_forget_options;
int cmd_status(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_status_options;
int cmd_gateway_check(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_gateway_conf(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_gateway_stop(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_pause(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_report(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_report_options;
int cmd_resume(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_throttle(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_control_options; /* of the three */
int cmd_reads(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_writes(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_stage(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_fallback_on(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_fallback_off(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_routing_options; /* of the five */
int cmd_routes_list(struct cli *cli, int argc, char **argv, struct err *err);
int cmd_routes_explain(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_routes_explain_options;
int cmd_verify(struct cli *cli, int argc, char **argv, struct err *err);
extern const struct option_set cmd_verify_options;
int cmd_version(struct cli *cli, int argc, char **argv, struct err *err);

/* A module of the configuration, or "all"; ERR_USAGE lists the modules there are. */
int cli_check_module(const struct cli *cli, const char *name, struct err *err) must_check;

/* What `banyan <list> list` begins its lines with. ERR_USAGE. */
int cli_read_id(const char *list, const char *text, int64_t *ret, struct err *err) must_check;

/* The reason of a change, before anything is changed; `what` wants it. ERR_USAGE: there is none;
 * ERR_LIMIT: it is longer than the audit log keeps. */
int cli_check_why(const char *what, const char *why, struct err *err) must_check;

/* Who runs the command, for the audit log. */
void cli_who(char *name, size_t size);

/* Writes to standard output; ERR_STATE when that fails (a full disk, a closed pipe). */
int cli_print(const struct buf *text, struct err *err) must_check;

#endif

/* What people set for a pipeline while a daemon runs: pause, resume, throttle. */
#include "base/json_write.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/remote.h"
#include "http/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct given {
    const char *why;
};
static const struct given defaults = {0};
static const struct option_spec options[] = {OPTION_WHY(given), OPTIONS_END};
const struct option_set cmd_control_options = {options, &defaults, sizeof defaults};

struct control {
    const char *action, *module;
    int64_t limit; /* throttle */
};

static void write_body(const struct control *c, const char *why, struct buf *out) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "why", why);
    if (strcmp(c->action, "throttle") == 0)
        json_out_int(&j, "writes_per_second", c->limit);
    json_out_close(&j, '}');
}

/* Where `run all` made one pipeline of all modules, that is what a daemon starts and reads. */
static int pipeline_of(struct state *state, const char *module, const char **ret_name,
                       struct err *err) {
    struct state_pipeline all;
    bool found = false;
    int rc = state_pipeline_get(state, "all", &all, &found, err);
    *ret_name = found ? "all" : module;
    return rc;
}

/* The state is what a daemon starts from. */
static int store(const struct cli *cli, const struct control *c, const char *why, struct err *err) {
    _cleanup_(state_freep) struct state *state = NULL;
    const char *pipeline = NULL;
    struct state_control now;
    char who[STATE_NAME_MAX], action[64], after[64];
    cli_who(who, sizeof who);
    (void)snprintf(action, sizeof action, "module.%s", c->action);
    (void)snprintf(after, sizeof after, "{\"writes_per_second\":%" PRId64 "}", c->limit);
    bool throttle = strcmp(c->action, "throttle") == 0;
    int rc = state_open(cli->state_path, &state, err);
    if (rc == 0)
        rc = pipeline_of(state, c->module, &pipeline, err);
    if (rc == 0)
        rc = state_control_get(state, pipeline, &now, err);
    if (rc < 0)
        return rc;
    if (throttle)
        now.writes_per_second = c->limit;
    else
        now.paused = strcmp(c->action, "pause") == 0;
    rc = state_control_set(state, pipeline, &now, err);
    const struct state_audit_line line = {.who = who,
                                          .role = "operator",
                                          .action = action,
                                          .subject = c->module,
                                          .after = throttle ? after : NULL,
                                          .why = why};
    return rc < 0 ? rc : state_audit_add(state, &line, err);
}

static int say(const struct cli *cli, const struct control *c, bool live, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    struct json_out j;
    if (cli->json) {
        json_out_begin(&j, &out);
        json_out_open(&j, NULL, '{');
        json_out_text(&j, "module", c->module);
        json_out_text(&j, "action", c->action);
        json_out_text(&j, "daemon", live ? "done" : "none");
        json_out_close(&j, '}');
        json_out_end(&j);
    } else {
        buf_printf(&out, "%s %s: %s\n", c->action, c->module,
                   live ? "done" : "stored; no daemon runs here, so it holds from its next start");
    }
    return cli_print(&out, err);
}

static int control_one(struct cli *cli, const struct control *c, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(buf_release) struct buf body = {.max = 8192},
                                      answer = {.max = HTTP_CLIENT_ANSWER_MAX};
    _cleanup_(mem_freep) char *after = mem_printf("/%s", c->action);
    _cleanup_(mem_freep) char *path = remote_path("/v1/modules/", c->module, after);
    int status = 0;
    write_body(c, given->why, &body);
    int rc = remote_call(cli, "POST", path, buf_span(&body), &status, &answer, err);
    if (rc == ERR_UNREACHABLE)
        return err_prefix(err, "%s %s is perhaps done (banyan status)", c->action, c->module);
    if (rc == 0 && status == 0)
        rc = store(cli, c, given->why, err);
    else if (rc == 0 && status != 200)
        rc = remote_failure(cli, status, buf_span(&answer), err);
    return rc < 0 ? rc : say(cli, c, status != 0, err);
}

/* `all` is every module; where one pipeline has them all, it is asked for each of them. */
static int control(struct cli *cli, const struct control *c, struct err *err) {
    const struct given *given = cli->given;
    int rc = cli_check_module(cli, c->module, err);
    if (rc == 0)
        rc = cli_check_why(c->action, given->why, err);
    if (rc < 0 || strcmp(c->module, "all") != 0)
        return rc < 0 ? rc : control_one(cli, c, err);
    for (size_t i = 0; rc == 0 && i < cli->conf->module_count; i++) {
        struct control one = *c;
        one.module = cli->conf->modules[i].name.text;
        rc = control_one(cli, &one, err);
    }
    return rc;
}

int cmd_pause(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc != 1)
        return err_set(err, ERR_USAGE, "pause wants a module");
    return control(cli, &(struct control){.action = "pause", .module = argv[0]}, err);
}

int cmd_resume(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc != 1)
        return err_set(err, ERR_USAGE, "resume wants a module");
    return control(cli, &(struct control){.action = "resume", .module = argv[0]}, err);
}

#define LIMIT_MAX INT64_C(1000000000)

static int read_limit(const char *text, int64_t *ret, struct err *err) {
    size_t digits = strspn(text, "0123456789");
    *ret = -1;
    if (strcmp(text, "configured") == 0)
        return 0;
    if (strcmp(text, "off") == 0)
        *ret = 0;
    else if (digits == 0 || text[digits] || digits > 10 || sscanf(text, "%" SCNd64, ret) != 1 ||
             *ret > LIMIT_MAX)
        return err_set(err, ERR_USAGE,
                       "throttle wants a module and documents a second (1 to %" PRId64
                       "), off, or configured",
                       LIMIT_MAX);
    return 0;
}

int cmd_throttle(struct cli *cli, int argc, char **argv, struct err *err) {
    struct control c = {.action = "throttle", .module = argc ? argv[0] : ""};
    int rc = read_limit(argc == 2 ? argv[1] : "?", &c.limit, err);
    return rc < 0 ? rc : control(cli, &c, err);
}

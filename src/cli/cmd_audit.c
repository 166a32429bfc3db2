#include "cli/cli.h"
#include "cli/options.h"
#include "cli/render.h"

#include <inttypes.h>
#include <stdlib.h>

#define PAGE 500

struct given {
    int64_t limit;
};

static const struct given defaults = {.limit = 100};

static const struct option_spec options[] = {{"--limit", NULL, OPTION_NUMBER, "N",
                                              offsetof(struct given, limit),
                                              "the newest N lines (default 100; 0: all)"},
                                             OPTIONS_END};

const struct option_set cmd_audit_options = {options, &defaults, sizeof defaults};

static void put_json(struct json_out *j, const char *name, const char *json) {
    if (json)
        json_out_raw(j, name, span_of(json));
    else
        json_out_text(j, name, NULL);
}

static void show_json(struct buf *out, const struct state_audit *a) {
    _cleanup_(buf_release) struct buf time = {.max = 64};
    struct json_out j;
    render_time(&time, a->at_us);
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_int(&j, "id", a->id);
    json_out_text(&j, "time", buf_text(&time));
    json_out_text(&j, "who", a->who);
    json_out_text(&j, "role", a->role);
    json_out_text(&j, "action", a->action);
    json_out_text(&j, "subject", a->subject);
    json_out_text(&j, "why", a->why);
    put_json(&j, "before", a->before);
    put_json(&j, "after", a->after);
    json_out_close(&j, '}');
    json_out_end(&j);
}

static void show_text(struct buf *out, const struct state_audit *a) {
    buf_printf(out, "%" PRId64 " ", a->id);
    render_time(out, a->at_us);
    buf_add_char(out, ' ');
    render_clean(out, a->who);
    buf_printf(out, " (%s) %s ", a->role, a->action);
    render_clean(out, a->subject);
    buf_add_text(out, ": ");
    render_clean(out, a->why);
    buf_add_char(out, '\n');
    if (a->before || a->after) {
        buf_add_text(out, "    ");
        render_clean(out, a->before ? a->before : "null");
        buf_add_text(out, " -> ");
        render_clean(out, a->after ? a->after : "null");
        buf_add_char(out, '\n');
    }
}

/* One page; *before moves behind it. */
static int show_page(struct cli *cli, struct state *s, size_t max, int64_t *before,
                     size_t *ret_count, struct err *err) {
    _cleanup_(buf_release) struct buf out = {.max = 256 * (size_t)1024 * 1024};
    struct state_audit *list = NULL;
    size_t count = 0;
    int rc = state_audit_list(s, *before, max, &list, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            (cli->json ? show_json : show_text)(&out, &list[i]);
        *before = list[i].id;
        state_audit_clear(&list[i]);
    }
    free(list);
    *ret_count = count;
    return rc < 0 ? rc : cli_print(&out, err);
}

int cmd_audit(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_freep) struct state *s = NULL;
    int64_t before = 0, left = given->limit ? given->limit : INT64_MAX;
    size_t count = 1;
    (void)argv;
    if (argc != 0)
        return err_set(err, ERR_USAGE, "audit wants no arguments");
    int rc = state_open_existing(cli->state_path, &s, err);
    while (rc == 0 && s && left > 0 && count > 0) {
        rc = show_page(cli, s, left < PAGE ? (size_t)left : PAGE, &before, &count, err);
        left -= (int64_t)count;
    }
    return rc;
}

/* What a flag gives somebody, and which step decides it. */
#include "base/mem.h"
#include "cli/asker.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/render.h"
#include "flagfile/explain.h"
#include "flagfile/show.h"

#include <stdio.h>
#include <string.h>

struct given {
    struct asker_given asker;
};

static const struct given defaults = {0};

static const struct option_spec options[] = {ASKER_OPTIONS(given), OPTIONS_END};

const struct option_set cmd_flags_eval_options = {options, &defaults, sizeof defaults};

/* ---- the answer ---- */

static void show(const struct cli *cli, const char *name, const struct flags_result *r,
                 const char *decided, struct buf *out) {
    static const struct flags_value none = {.type = FLAGS_NULL};
    const struct flags_value *value = r->has_value ? &r->value : &none;
    struct json_out j;
    json_out_begin(&j, out);
    if (cli->json) {
        json_out_open(&j, NULL, '{');
        json_out_text(&j, "flag", name);
        flagfile_show_value(&j, "value", value);
        json_out_bool(&j, "on", r->on);
        json_out_text(&j, "reason", flags_reason_name(r->reason));
        json_out_span(&j, "variant", r->variant.len ? r->variant : (struct span){0});
        json_out_text(&j, "decided_by", decided);
        json_out_text(&j, "error", r->error == FLAGS_OK ? NULL : flags_error_name(r->error));
        json_out_text(&j, "detail", r->detail);
        json_out_close(&j, '}');
        json_out_end(&j);
        return;
    }
    render_clean(out, name);
    buf_add_text(out, ": ");
    flagfile_show_value(&j, NULL, value);
    buf_printf(out, "  %s", flags_reason_name(r->reason));
    if (r->variant.len)
        buf_printf(out, ", variant %.*s", SPAN_ARG(r->variant));
    buf_add_text(out, "\n  ");
    render_clean(out, r->error == FLAGS_OK ? decided : r->detail ? r->detail : "?");
    buf_add_char(out, '\n');
}

static int evaluate(struct cli *cli, const struct snapshot *s, const char *name,
                    const struct flags_context *context, struct err *err) {
    _cleanup_(buf_release) struct buf decided = {.max = 8192};
    _cleanup_(buf_release) struct buf out = {.max = 1024 * (size_t)1024};
    const struct flags_flag *f = flagfile_find(&s->model, name);
    struct flags_result result;
    if (!f) {
        const char *similar = flagfile_similar(&s->model, name);
        return err_set(err, ERR_NO, "no flag '%s'%s%s%s", name, similar ? ", did you mean '" : "",
                       similar ? similar : "", similar ? "'?" : "");
    }
    flags_evaluate(&s->set, flags_find(&s->set, f->name), context, &result);
    int rc = explain(s, (size_t)(f - s->model.flags), context, &decided, err);
    if (rc < 0)
        return rc;
    show(cli, name, &result, buf_text(&decided), &out);
    return cli_print(&out, err);
}

int cmd_flags_eval(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_freep) struct state *state = NULL;
    _cleanup_(snapshot_freep) struct snapshot *snapshot = NULL;
    _cleanup_(mem_freep) struct asker *asker = mem_zalloc(1, sizeof *asker);
    struct arena arena;
    if (argc != 1)
        return err_set(err, ERR_USAGE, "flags eval wants the name of a flag");
    arena_init(&arena, 64 * (size_t)1024 * 1024);
    int rc = asker_read(&given->asker, &arena, asker, err);
    if (rc == 0)
        rc = state_open_existing(cli->state_path, &state, err);
    if (rc == 0)
        rc = snapshot_build(cli->conf, cli->state_path, state, &snapshot, err);
    if (rc == 0)
        rc = evaluate(cli, snapshot, argv[0], &asker->context, err);
    arena_release(&arena);
    return rc;
}

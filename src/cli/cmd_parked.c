/* What cannot be applied: stopped collections (single documents are parked in a later version). */
#include "base/json_text.h"
#include "cli/cli.h"
#include "model/lsn.h"

#include <stdlib.h>

static void add_json(struct buf *out, const struct state_collection *c, bool first) {
    buf_add_text(out, first ? "" : ",");
    buf_add_text(out, "{\"pipeline\":");
    json_text_string(out, span_of(c->pipeline));
    buf_add_text(out, ",\"module\":");
    json_text_string(out, span_of(c->module));
    buf_add_text(out, ",\"collection\":");
    json_text_string(out, span_of(c->name));
    buf_add_text(out, ",\"reason\":");
    json_text_string(out, span_of(c->error));
    buf_printf(out, ",\"lsn\":\"%s\"}", lsn_format(c->error_lsn).text);
}

static void add_text(struct buf *out, const struct state_collection *c) {
    buf_printf(out, "%s: stopped", c->name);
    if (c->error_lsn)
        buf_printf(out, " at %s", lsn_format(c->error_lsn).text);
    buf_printf(out, "\n  %s\n  next: mend the cause, then banyan run %s --recopy %s\n", c->error,
               c->pipeline, c->name);
}

int cmd_parked_list(struct cli *cli, int argc, char **argv, struct err *err) {
    (void)argv;
    if (argc)
        return err_set(err, ERR_USAGE, "parked list takes no arguments");
    _cleanup_(state_freep) struct state *state = NULL;
    _cleanup_(buf_release) struct buf out = {.max = 64 * 1024 * 1024};
    struct state_collection *list = NULL;
    size_t count = 0, stopped = 0;
    int rc = state_open_existing(cli->state_path, &state, err);
    if (rc == 0 && state)
        rc = state_collection_list(state, NULL, &list, &count, err);
    if (rc < 0)
        return rc;
    buf_add_text(&out, cli->json ? "[" : "");
    for (size_t i = 0; i < count; i++) {
        if (list[i].phase != STATE_STOPPED)
            continue;
        if (cli->json)
            add_json(&out, &list[i], stopped == 0);
        else
            add_text(&out, &list[i]);
        stopped++;
    }
    free(list);
    if (cli->json)
        buf_add_text(&out, "]\n");
    else if (stopped == 0)
        buf_add_text(&out, "nothing is parked, no collection is stopped\n");
    return cli_print(&out, err);
}

/* What cannot be applied: collections that are stopped, and parked changes. */
#include "cli/cli.h"
#include "cli/render.h"
#include "cli/status.h"

#include <stdlib.h>

struct parked {
    struct state_collection *collections; /* of which the stopped ones are shown */
    size_t collection_count;
    struct state_parked *changes;
    size_t change_count;
};

static void parked_release(struct parked *p) {
    for (size_t i = 0; i < p->change_count; i++)
        state_parked_clear(&p->changes[i]);
    free(p->changes);
    free(p->collections);
}

static void add_hex(struct buf *out, const char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++)
        buf_printf(out, "%02x", (unsigned char)bytes[i]);
}

/* ---- JSON ---- */

static void collection_json(struct json_out *j, const struct state_collection *c) {
    _cleanup_(buf_release) struct buf next = {.max = 4 * STATE_NAME_MAX};
    status_next_step(c, &next);
    json_out_open(j, NULL, '{');
    json_out_text(j, "kind", "collection");
    json_out_text(j, "pipeline", c->pipeline);
    json_out_text(j, "module", c->module);
    json_out_text(j, "collection", c->name);
    json_out_text(j, "reason", c->error);
    json_out_text(j, "lsn", c->error_lsn ? lsn_format(c->error_lsn).text : NULL);
    json_out_text(j, "next", buf_text(&next));
    json_out_close(j, '}');
}

static void change_json(struct json_out *j, const struct state_parked *p) {
    _cleanup_(buf_release) struct buf key = {.max = 64 * 1024 * 1024};
    add_hex(&key, p->key, p->key_len);
    json_out_open(j, NULL, '{');
    json_out_text(j, "kind", "change");
    json_out_text(j, "pipeline", p->pipeline);
    json_out_text(j, "collection", p->collection);
    json_out_text(j, "key", buf_text(&key));
    json_out_text(j, "reason", p->reason);
    json_out_int(j, "code", p->code);
    json_out_text(j, "first_lsn", lsn_format(p->first_lsn).text);
    json_out_text(j, "last_lsn", lsn_format(p->last_lsn).text);
    json_out_close(j, '}');
}

static void show_json(const struct parked *p, struct buf *out) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '[');
    for (size_t i = 0; i < p->collection_count; i++)
        if (p->collections[i].phase == STATE_STOPPED)
            collection_json(&j, &p->collections[i]);
    for (size_t i = 0; i < p->change_count; i++)
        change_json(&j, &p->changes[i]);
    json_out_close(&j, ']');
    json_out_end(&j);
}

/* ---- text ---- */

static void add_collection(struct buf *out, const struct state_collection *c) {
    buf_printf(out, "%s: stopped", c->name);
    if (c->error_lsn)
        buf_printf(out, " at %s", lsn_format(c->error_lsn).text);
    buf_add_text(out, "\n  ");
    render_clean(out, c->error);
    buf_add_text(out, "\n  next: ");
    status_next_step(c, out);
    buf_add_char(out, '\n');
}

static void add_change(struct buf *out, const struct state_parked *p) {
    buf_printf(out, "%s: document with BSON key ", p->collection);
    add_hex(out, p->key, p->key_len);
    buf_printf(out, " parked since %s\n  ", lsn_format(p->first_lsn).text);
    render_clean(out, p->reason);
    if (p->code)
        buf_printf(out, " (MongoDB error %d)", p->code);
    buf_add_char(out, '\n');
}

static void show_text(const struct parked *p, struct buf *out) {
    for (size_t i = 0; i < p->collection_count; i++)
        if (p->collections[i].phase == STATE_STOPPED)
            add_collection(out, &p->collections[i]);
    for (size_t i = 0; i < p->change_count; i++)
        add_change(out, &p->changes[i]);
    if (out->len == 0)
        buf_add_text(out, "nothing is parked, no collection is stopped\n");
}

int cmd_parked_list(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc)
        return err_set(err, ERR_USAGE, "parked list takes no arguments, so '%s' is wrong", argv[0]);
    _cleanup_(state_freep) struct state *state = NULL;
    _cleanup_(parked_release) struct parked p = {0};
    _cleanup_(buf_release) struct buf out = {.max = 256 * 1024 * 1024};
    int rc = state_open_existing(cli->state_path, &state, err);
    if (rc == 0 && state)
        rc = state_collection_list(state, NULL, &p.collections, &p.collection_count, err);
    if (rc == 0 && state)
        rc = state_parked_list(state, &p.changes, &p.change_count, err);
    if (rc < 0)
        return rc;
    (cli->json ? show_json : show_text)(&p, &out);
    return cli_print(&out, err);
}

/* What cannot be applied: collections that are stopped, and parked changes. */
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/render.h"
#include "cli/status.h"
#include "model/canon.h"
#include "state/lock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct given {
    const char *why;
};
static const struct given defaults = {0};
static const struct option_spec options[] = {OPTION_WHY(given), OPTIONS_END};
const struct option_set cmd_parked_change_options = {options, &defaults, sizeof defaults};

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

static void add_id(struct buf *out, const struct state_parked *p) {
    bson_iter_t it;
    if (bson_iter_init_from_data(&it, (const uint8_t *)p->identity, p->identity_len) &&
        bson_iter_next(&it))
        canon_value_text(&it, out);
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
    _cleanup_(buf_release) struct buf document = {.max = 64 * 1024 * 1024};
    add_id(&document, p);
    json_out_open(j, NULL, '{');
    json_out_text(j, "kind", "document");
    json_out_int(j, "id", p->id);
    json_out_text(j, "pipeline", p->pipeline);
    json_out_text(j, "collection", p->collection);
    json_out_text(j, "document", buf_text(&document));
    json_out_text(j, "state", p->deferred ? "deferred" : "parked");
    json_out_int(j, "attempts", p->attempts);
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
    buf_printf(out, "%" PRId64 "  %s: document _id ", p->id, p->collection);
    add_id(out, p);
    buf_printf(out, " %s since %s, tried %d times\n  ", p->deferred ? "deferred" : "parked",
               lsn_format(p->first_lsn).text, p->attempts);
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
        rc = state_parked_list(state, NULL, 0, SIZE_MAX, &p.changes, &p.change_count, err);
    if (rc < 0)
        return rc;
    (cli->json ? show_json : show_text)(&p, &out);
    return cli_print(&out, err);
}

/* ---- retry and drop: requests to the run, which alone writes ---- */

typedef int (*request_fn)(struct cli *cli, struct state *state, const struct state_parked *p,
                          struct err *err);

static int request_retry(struct cli *cli, struct state *state, const struct state_parked *p,
                         struct err *err) {
    (void)cli;
    return state_request_add(state, p->pipeline, p->collection, span_make(p->key, p->key_len), err);
}

/* Where no run has it in memory, it is forgotten at once. */
static int request_drop(struct cli *cli, struct state *state, const struct state_parked *p,
                        struct err *err) {
    _cleanup_(state_lock_freep) struct state_lock *lock = NULL;
    int rc = state_lock_acquire(cli->state_path, p->pipeline, "parked drop", &lock, err);
    if (rc == ERR_BUSY)
        return state_request_add_drop(state, p, err);
    return rc < 0 ? rc
                  : state_parked_delete(state, p->pipeline, p->collection,
                                        span_make(p->identity, p->identity_len), err);
}

static int request_one(struct cli *cli, struct state *state, int64_t id, request_fn fn,
                       struct err *err) {
    struct state_parked p;
    bool found = false;
    int rc = state_parked_get(state, id, &p, &found, err);
    if (rc == 0)
        rc = found
                 ? fn(cli, state, &p, err)
                 : err_set(err, ERR_NO, "no parked document has id %lld; see `banyan parked list`",
                           (long long)id);
    state_parked_clear(&p);
    return rc;
}

static int request_all(struct cli *cli, struct state *state, request_fn fn, int64_t *ret_count,
                       struct err *err) {
    struct state_parked *list = NULL;
    size_t count = 0;
    int rc = state_parked_list(state, NULL, 0, SIZE_MAX, &list, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            rc = fn(cli, state, &list[i], err);
        state_parked_clear(&list[i]);
    }
    free(list);
    *ret_count = (int64_t)count;
    return rc;
}

static int audit(const struct cli *cli, struct state *state, const char *which, request_fn fn,
                 struct err *err) {
    const struct given *given = cli->given;
    char who[STATE_NAME_MAX];
    cli_who(who, sizeof who);
    const struct state_audit_line line = {.who = who,
                                          .role = "operator",
                                          .action =
                                              fn == request_drop ? "parked.drop" : "parked.retry",
                                          .subject = which,
                                          .why = given->why};
    return state_audit_add(state, &line, err);
}

static int request(struct cli *cli, const char *which, request_fn fn, const char *said,
                   struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(state_freep) struct state *state = NULL;
    _cleanup_(buf_release) struct buf out = {.max = 1024};
    int64_t id = 0, count = 1;
    int rc = strcmp(which, "all") == 0 ? 0 : cli_read_id("parked", which, &id, err);
    if (rc == 0)
        rc = cli_check_why(fn == request_drop ? "parked drop" : "parked retry", given->why, err);
    if (rc == 0)
        rc = state_open_existing(cli->state_path, &state, err);
    if (rc == 0 && !state)
        return err_set(err, ERR_NO, "nothing has run yet (state file %s)", cli->state_path);
    if (rc == 0)
        rc = id ? request_one(cli, state, id, fn, err) : request_all(cli, state, fn, &count, err);
    if (rc == 0)
        rc = audit(cli, state, which, fn, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        buf_printf(&out, "{\"requested\":%" PRId64 "}\n", count);
    else
        buf_printf(&out, "%" PRId64 " %s\n", count, said);
    return cli_print(&out, err);
}

int cmd_parked_retry(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc != 1)
        return err_set(err, ERR_USAGE, "parked retry wants an id, or 'all'");
    return request(cli, argv[0], request_retry,
                   "to be written again by the run; a run that is not there does it when it starts",
                   err);
}

int cmd_parked_drop(struct cli *cli, int argc, char **argv, struct err *err) {
    if (argc != 1)
        return err_set(err, ERR_USAGE, "parked drop wants an id, or 'all'");
    return request(cli, argv[0], request_drop,
                   "given up: the target keeps what it has, until the row changes again", err);
}

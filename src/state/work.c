/* Work that is under way: chunks, requests. */
#include "base/clock.h"
#include "base/mem.h"
#include "state/statement.h"

/* ---- chunks ---- */

void state_chunk_clear(struct state_chunk *c) {
    free(c->lower);
    free(c->upper);
    *c = (struct state_chunk){0};
}

static void read_chunk(const struct statement *st, struct state_chunk *c) {
    c->number = statement_get_int(st, 0);
    c->lower = statement_get_blob(st, 1, &c->lower_len);
    c->upper = statement_get_blob(st, 2, &c->upper_len);
}

int state_chunk_add(struct state *s, const char *pipeline, const char *collection, int64_t number,
                    struct span lower, struct span upper, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO chunk (pipeline, collection, number, lower, upper) "
                    "VALUES (?, ?, ?, ?, ?)");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    statement_int(&st, number);
    statement_blob(&st, lower);
    statement_blob(&st, upper);
    return statement_run(&st, NULL, err);
}

int state_chunk_done(struct state *s, const char *pipeline, const char *collection, int64_t number,
                     int64_t documents, struct err *err) {
    struct statement st;
    statement_begin(
        &st, s,
        "UPDATE chunk SET done = 1, documents = ? WHERE pipeline = ? AND collection = ? "
        "AND number = ?");
    statement_int(&st, documents);
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    statement_int(&st, number);
    return statement_run(&st, NULL, err);
}

int state_chunk_last(struct state *s, const char *pipeline, const char *collection,
                     struct state_chunk *ret, bool *ret_found, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "SELECT number, lower, upper FROM chunk WHERE pipeline = ? AND collection = ? "
                    "ORDER BY number DESC LIMIT 1");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_found = rc > 0;
    if (rc > 0)
        read_chunk(&st, ret);
    statement_end(&st);
    return 0;
}

int state_chunks_open(struct state *s, const char *pipeline, const char *collection,
                      struct state_chunk **ret, size_t *ret_count, struct err *err) {
    struct statement st;
    struct state_chunk *list = NULL;
    size_t n = 0;
    int rc;
    statement_begin(
        &st, s,
        "SELECT number, lower, upper FROM chunk WHERE pipeline = ? AND collection = ? AND "
        "done = 0 ORDER BY number");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    while ((rc = statement_row(&st, err)) > 0) {
        list = mem_realloc(list, n + 1, sizeof *list);
        list[n] = (struct state_chunk){0};
        read_chunk(&st, &list[n++]);
    }
    *ret = list;
    *ret_count = n; /* on an error too: the caller releases what it got */
    if (rc < 0)
        return rc;
    statement_end(&st);
    return 0;
}

/* ---- counts ---- */

static int count(struct statement *st, int64_t *ret, struct err *err) {
    int rc = statement_row(st, err);
    if (rc < 0)
        return rc;
    *ret = rc > 0 ? statement_get_int(st, 0) : 0;
    statement_end(st);
    return 0;
}

int state_request_count(struct state *s, const char *pipeline, int64_t *ret, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "SELECT count(*) FROM request WHERE pipeline = ?");
    statement_text(&st, pipeline);
    return count(&st, ret, err);
}

/* ---- requests ---- */

static int add_request(struct state *s, const char *kind, const char *pipeline,
                       const char *collection, struct span key, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO request (pipeline, kind, collection, key, created_us) "
                    "VALUES (?, ?, ?, ?, ?)");
    statement_text(&st, pipeline);
    statement_text(&st, kind);
    statement_text(&st, collection);
    statement_blob(&st, key);
    statement_int(&st, clock_wall_us());
    return statement_run(&st, NULL, err);
}

int state_request_add(struct state *s, const char *pipeline, const char *collection,
                      struct span key, struct err *err) {
    return add_request(s, "repair", pipeline, collection, key, err);
}

int state_request_add_rewrite(struct state *s, const char *pipeline, const char *collection,
                              struct span key, struct err *err) {
    return add_request(s, "rewrite", pipeline, collection, key, err);
}

int state_request_add_drop(struct state *s, const struct state_parked *parked, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO request (pipeline, kind, collection, key, created_us, parked_id) "
                    "VALUES (?, 'drop', ?, ?, ?, ?)");
    statement_text(&st, parked->pipeline);
    statement_text(&st, parked->collection);
    statement_blob(&st, span_make(parked->key, parked->key_len));
    statement_int(&st, clock_wall_us());
    statement_int(&st, parked->id);
    return statement_run(&st, NULL, err);
}

int state_request_list(struct state *s, const char *pipeline, size_t max,
                       struct state_request **ret, size_t *ret_count, struct err *err) {
    struct statement st;
    struct state_request *list = NULL;
    size_t n = 0;
    int rc;
    statement_begin(&st, s,
                    "SELECT id, collection, key, coalesce(parked_id, 0), kind = 'rewrite' FROM "
                    "request WHERE pipeline = ? ORDER BY id LIMIT ?");
    statement_text(&st, pipeline);
    statement_int(&st, (int64_t)max);
    while ((rc = statement_row(&st, err)) > 0) {
        list = mem_realloc(list, n + 1, sizeof *list);
        struct state_request *r = &list[n++];
        r->id = statement_get_int(&st, 0);
        statement_get_text(&st, 1, r->collection, sizeof r->collection);
        r->key = statement_get_blob(&st, 2, &r->key_len);
        r->drop = statement_get_int(&st, 3);
        r->rewrite = statement_get_int(&st, 4) != 0;
    }
    *ret = list;
    *ret_count = n;
    if (rc < 0)
        return rc;
    statement_end(&st);
    return 0;
}

int state_request_finish(struct state *s, const char *pipeline, int64_t id, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "DELETE FROM request WHERE pipeline = ? AND id <= ?");
    statement_text(&st, pipeline);
    statement_int(&st, id);
    return statement_run(&st, NULL, err);
}

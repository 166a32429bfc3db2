/* Verification: how far it has come, and what it found. */
#include "base/mem.h"
#include "state/statement.h"

int state_verify_get(struct state *s, const char *pipeline, const char *collection,
                     struct state_verify *ret, bool *ret_found, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "SELECT collection, options, owner, direction, cursor, compared, scanned, "
                    "started_us FROM verify WHERE pipeline = ? AND collection = ?");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_found = rc > 0;
    if (rc > 0) {
        *ret = (struct state_verify){0};
        statement_get_text(&st, 0, ret->collection, sizeof ret->collection);
        statement_get_text(&st, 1, ret->options, sizeof ret->options);
        ret->owner = statement_get_int(&st, 2);
        ret->direction = (int)statement_get_int(&st, 3);
        ret->cursor = statement_get_blob(&st, 4, &ret->cursor_len);
        ret->compared = statement_get_int(&st, 5);
        ret->scanned = statement_get_int(&st, 6);
        ret->started_us = statement_get_int(&st, 7);
    }
    statement_end(&st);
    return 0;
}

int state_verify_begin(struct state *s, const char *pipeline, const struct state_verify *v,
                       struct err *err) {
    struct statement st;
    /* The one that is replaced is deleted, and what it found with it. */
    statement_begin(&st, s, "INSERT OR REPLACE INTO verify VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    statement_text(&st, pipeline);
    statement_text(&st, v->collection);
    statement_text(&st, v->options);
    statement_int(&st, v->owner);
    statement_int(&st, v->direction);
    statement_blob(&st, span_make(v->cursor, v->cursor_len));
    statement_int(&st, v->compared);
    statement_int(&st, v->scanned);
    statement_int(&st, v->started_us);
    return statement_run(&st, NULL, err);
}

int state_verify_take(struct state *s, const char *pipeline, const char *collection, int64_t before,
                      int64_t owner, bool *ret_taken, struct err *err) {
    struct statement st;
    int64_t changed = 0;
    statement_begin(&st, s,
                    "UPDATE verify SET owner = ? WHERE pipeline = ? AND collection = ? AND "
                    "owner = ?");
    statement_int(&st, owner);
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    statement_int(&st, before);
    int rc = statement_run(&st, &changed, err);
    *ret_taken = changed > 0;
    return rc;
}

static int move(struct state *s, const char *pipeline, const struct state_verify *v, bool *ret_kept,
                struct err *err) {
    struct statement st;
    int64_t changed = 0;
    statement_begin(&st, s,
                    "UPDATE verify SET direction = ?, cursor = ?, compared = ?, scanned = ? WHERE "
                    "pipeline = ? AND collection = ? AND owner = ?");
    statement_int(&st, v->direction);
    statement_blob(&st, span_make(v->cursor, v->cursor_len));
    statement_int(&st, v->compared);
    statement_int(&st, v->scanned);
    statement_text(&st, pipeline);
    statement_text(&st, v->collection);
    statement_int(&st, v->owner);
    int rc = statement_run(&st, &changed, err);
    *ret_kept = changed > 0;
    return rc;
}

static int add_candidate(struct state *s, const char *pipeline, const char *collection,
                         const struct state_candidate *c, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO verify_candidate (pipeline, collection, identity, key) "
                    "VALUES (?, ?, ?, ?)");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    statement_blob(&st, c->identity);
    statement_blob(&st, c->key);
    return statement_run(&st, NULL, err);
}

static int forget_candidates(struct state *s, const char *pipeline, const char *collection,
                             struct err *err) {
    struct statement st;
    statement_begin(&st, s, "DELETE FROM verify_candidate WHERE pipeline = ? AND collection = ?");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    return statement_run(&st, NULL, err);
}

int state_verify_advance(struct state *s, const char *pipeline, const struct state_verify *v,
                         bool replace, const struct state_candidate *found, size_t count,
                         bool *ret_kept, struct err *err) {
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    rc = move(s, pipeline, v, ret_kept, err);
    if (rc == 0 && *ret_kept && replace)
        rc = forget_candidates(s, pipeline, v->collection, err);
    for (size_t i = 0; rc == 0 && *ret_kept && i < count; i++)
        rc = add_candidate(s, pipeline, v->collection, &found[i], err);
    return state_commit(s, rc, err);
}

int state_verify_candidates(struct state *s, const char *pipeline, const char *collection,
                            int (*fn)(void *context, const struct state_candidate *c,
                                      struct err *err),
                            void *context, struct err *err) {
    struct statement st;
    int rc;
    statement_begin(&st, s,
                    "SELECT identity, key FROM verify_candidate WHERE pipeline = ? AND "
                    "collection = ? ORDER BY id");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    while ((rc = statement_row(&st, err)) > 0) {
        size_t identity_len = 0, key_len = 0;
        _cleanup_(mem_freep) char *identity = statement_get_blob(&st, 0, &identity_len);
        _cleanup_(mem_freep) char *key = statement_get_blob(&st, 1, &key_len);
        struct state_candidate c = {span_make(identity, identity_len), span_make(key, key_len)};
        rc = fn(context, &c, err);
        if (rc < 0) {
            statement_end(&st);
            return rc;
        }
    }
    if (rc == 0)
        statement_end(&st);
    return rc;
}

int state_verify_delete(struct state *s, const char *pipeline, const char *collection,
                        int64_t owner, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "DELETE FROM verify WHERE pipeline = ? AND collection = ? AND owner = ?");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    statement_int(&st, owner);
    return statement_run(&st, NULL, err);
}

/* Fan-outs that wait or run. */
#include "base/mem.h"
#include "state/statement.h"

/* Keys of one group, together; the first is always taken. */
#define GROUP_BYTES ((size_t)4 * 1024 * 1024)

void state_fanouts_clear(struct state_fanouts *f) {
    for (size_t i = 0; i < f->count; i++)
        free(f->keys[i].bytes);
    free(f->keys);
    free(f->path);
    free(f->cursor);
    *f = (struct state_fanouts){0};
}

static int add(struct state *s, const char *pipeline, const char *collection, const char *path,
               enum state_fanout_kind kind, struct span key, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO fanout (pipeline, collection, path, kind, key) "
                    "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
    statement_text(&st, pipeline);
    statement_text(&st, collection);
    statement_text(&st, path);
    statement_int(&st, kind);
    statement_blob(&st, key);
    return statement_run(&st, NULL, err);
}

int state_fanouts_add(struct state *s, const char *pipeline, const char *collection,
                      const char *path, enum state_fanout_kind kind, const struct span *keys,
                      size_t count, struct err *err) {
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add(s, pipeline, collection, path, kind, keys[i], err);
    return state_commit(s, rc, err);
}

static void add_key(struct state_fanouts *f, const struct statement *st) {
    f->keys = mem_realloc(f->keys, f->count + 1, sizeof *f->keys);
    struct state_fanout_key *k = &f->keys[f->count++];
    k->bytes = statement_get_blob(st, 4, &k->len);
}

/* One group: all rows that the statement gives and that are like the first. */
static int read_group(struct statement *st, size_t max, struct state_fanouts *f, int64_t *ret_last,
                      struct err *err) {
    size_t bytes = 0;
    int rc;
    while ((rc = statement_row(st, err)) > 0) {
        if (f->count == 0) {
            size_t len;
            statement_get_text(st, 1, f->collection, sizeof f->collection);
            f->path = statement_get_blob(st, 2, &len);
            f->kind = (enum state_fanout_kind)statement_get_int(st, 3);
            f->cursor = statement_get_blob(st, 5, &f->cursor_len);
            f->documents = statement_get_int(st, 6);
        }
        add_key(f, st);
        *ret_last = statement_get_int(st, 0);
        bytes += f->keys[f->count - 1].len;
        if (f->count == max || bytes >= GROUP_BYTES)
            break;
    }
    if (rc >= 0)
        statement_end(st);
    return rc < 0 ? rc : 0;
}

static int read_running(struct state *s, const char *pipeline, struct state_fanouts *f,
                        struct err *err) {
    struct statement st;
    int64_t last;
    statement_begin(&st, s,
                    "SELECT id, collection, path, kind, key, cursor, documents FROM fanout "
                    "WHERE pipeline = ? AND running = 1 ORDER BY id");
    statement_text(&st, pipeline);
    return read_group(&st, SIZE_MAX, f, &last, err);
}

/* The oldest one that waits, and those after it that are for the same node. */
static int read_waiting(struct state *s, const char *pipeline, size_t max, struct state_fanouts *f,
                        int64_t *ret_last, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "SELECT f.id, f.collection, f.path, f.kind, f.key, f.cursor, f.documents "
                    "FROM fanout f JOIN (SELECT * FROM fanout WHERE pipeline = ? AND running = 0 "
                    "ORDER BY id LIMIT 1) o USING (pipeline, collection, path, kind) "
                    "WHERE f.running = 0 ORDER BY f.id");
    statement_text(&st, pipeline);
    return read_group(&st, max, f, ret_last, err);
}

static int mark_running(struct state *s, const char *pipeline, const struct state_fanouts *f,
                        int64_t last, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "UPDATE fanout SET running = 1 WHERE pipeline = ? AND collection = ? AND "
                    "path = ? AND kind = ? AND id <= ?");
    statement_text(&st, pipeline);
    statement_text(&st, f->collection);
    statement_text(&st, f->path);
    statement_int(&st, f->kind);
    statement_int(&st, last);
    return statement_run(&st, NULL, err);
}

int state_fanouts_start(struct state *s, const char *pipeline, size_t max,
                        struct state_fanouts *ret, struct err *err) {
    int64_t last = 0;
    *ret = (struct state_fanouts){0};
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    rc = read_running(s, pipeline, ret, err);
    if (rc == 0 && ret->count == 0) {
        rc = read_waiting(s, pipeline, max, ret, &last, err);
        if (rc == 0 && ret->count)
            rc = mark_running(s, pipeline, ret, last, err);
    }
    rc = state_commit(s, rc, err);
    if (rc < 0)
        state_fanouts_clear(ret);
    return rc;
}

int state_fanouts_advance(struct state *s, const char *pipeline, struct span cursor,
                          int64_t documents, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "UPDATE fanout SET cursor = ?, documents = ? "
                    "WHERE pipeline = ? AND running = 1");
    statement_blob(&st, cursor);
    statement_int(&st, documents);
    statement_text(&st, pipeline);
    return statement_run(&st, NULL, err);
}

int state_fanouts_finish(struct state *s, const char *pipeline, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "DELETE FROM fanout WHERE pipeline = ? AND running = 1");
    statement_text(&st, pipeline);
    return statement_run(&st, NULL, err);
}

int state_fanouts_left(struct state *s, const char *pipeline, const char *collection,
                       struct state_fanouts_left *ret, struct err *err) {
    struct statement st;
    *ret = (struct state_fanouts_left){0};
    statement_begin(&st, s,
                    "SELECT coalesce(min(id), 0), coalesce(max(id), 0), count(*), "
                    "coalesce(max(documents), 0) FROM fanout "
                    "WHERE pipeline = ? AND (? = '' OR collection = ?)");
    statement_text(&st, pipeline);
    statement_text(&st, collection ? collection : "");
    statement_text(&st, collection ? collection : "");
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    if (rc > 0)
        *ret = (struct state_fanouts_left){statement_get_int(&st, 0), statement_get_int(&st, 1),
                                           statement_get_int(&st, 2), statement_get_int(&st, 3)};
    statement_end(&st);
    return 0;
}

int state_fanouts_passed(struct state *s, const char *pipeline, const char *collection,
                         struct state_fanout_mark *mark, bool *ret_passed, struct err *err) {
    struct state_fanouts_left left;
    int rc = state_fanouts_left(s, pipeline, collection, &left, err);
    if (rc < 0)
        return rc;
    if (!mark->taken)
        *mark = (struct state_fanout_mark){.taken = true, .newest = left.newest};
    *ret_passed = left.oldest == 0 || left.oldest > mark->newest;
    return 0;
}

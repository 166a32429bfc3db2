/* Indexes: made if absent, equal ones are fine. */
#include "db/mongo_session.h"

#include "base/buf.h"

#define CODE_NAMESPACE_NOT_FOUND 26
#define CODE_INDEX_NOT_FOUND 27

/* MongoDB's own naming: field_1_other_-1. */
static void default_name(struct buf *out, const bson_t *keys) {
    bson_iter_t it;
    if (!bson_iter_init(&it, keys))
        return;
    for (bool first = true; bson_iter_next(&it); first = false) {
        buf_printf(out, "%s%s_", first ? "" : "_", bson_iter_key(&it));
        if (BSON_ITER_HOLDS_UTF8(&it))
            buf_add_text(out, bson_iter_utf8(&it, NULL));
        else
            buf_printf(out, "%d", (int)bson_iter_as_int64(&it));
    }
}

static bool number_or_text_equal(const bson_iter_t *a, const bson_iter_t *b) {
    if (BSON_ITER_HOLDS_UTF8(a) || BSON_ITER_HOLDS_UTF8(b))
        return BSON_ITER_HOLDS_UTF8(a) && BSON_ITER_HOLDS_UTF8(b) &&
               strcmp(bson_iter_utf8(a, NULL), bson_iter_utf8(b, NULL)) == 0;
    return bson_iter_as_int64(a) == bson_iter_as_int64(b);
}

static bool keys_equal(const bson_t *a, bson_iter_t *b_parent) {
    bson_iter_t ia, ib;
    if (!bson_iter_init(&ia, a) || !BSON_ITER_HOLDS_DOCUMENT(b_parent) ||
        !bson_iter_recurse(b_parent, &ib))
        return false;
    for (;;) {
        bool more_a = bson_iter_next(&ia), more_b = bson_iter_next(&ib);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (strcmp(bson_iter_key(&ia), bson_iter_key(&ib)) != 0 || !number_or_text_equal(&ia, &ib))
            return false;
    }
}

enum found { NOT_FOUND, FOUND_SAME, FOUND_OTHER };

/* One element of listIndexes against what is wanted. */
static enum found compare(const bson_t *listed, const bson_t *keys, const char *name, bool unique) {
    bson_iter_t it;
    bool same_name = name && bson_iter_init_find(&it, listed, "name") &&
                     BSON_ITER_HOLDS_UTF8(&it) && strcmp(bson_iter_utf8(&it, NULL), name) == 0;
    bool same_keys = bson_iter_init_find(&it, listed, "key") && keys_equal(keys, &it);
    bool is_unique = bson_iter_init_find(&it, listed, "unique") && bson_iter_as_bool(&it);
    if (same_keys && is_unique == unique)
        return FOUND_SAME;
    return same_keys || same_name ? FOUND_OTHER : NOT_FOUND;
}

/* The name of the index that is wanted goes to `ret_name`, if there is one. */
static int list(struct mongo *m, const char *database, const char *collection, const bson_t *keys,
                const char *name, bool unique, enum found *ret, struct buf *ret_name,
                struct err *err) {
    mongoc_collection_t *c = mongoc_client_get_collection(m->client, database, collection);
    mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(c, NULL);
    const bson_t *listed;
    bson_error_t e = {0};
    int rc = 0;
    *ret = NOT_FOUND;
    while (mongoc_cursor_next(cursor, &listed)) {
        enum found one = compare(listed, keys, name, unique);
        bson_iter_t it;
        if (one == FOUND_SAME && ret_name->len == 0 && bson_iter_init_find(&it, listed, "name") &&
            BSON_ITER_HOLDS_UTF8(&it))
            buf_add_text(ret_name, bson_iter_utf8(&it, NULL));
        if (one > NOT_FOUND && *ret != FOUND_SAME)
            *ret = one;
    }
    if (mongoc_cursor_error(cursor, &e) && e.code != CODE_NAMESPACE_NOT_FOUND) {
        struct mongo_failure failure = {0};
        (void)mongo_describe(&e, &failure);
        rc = mongo_fail(&failure, "list indexes", err);
    }
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    return rc;
}

static int create(struct mongo *m, const char *database, const char *collection, const bson_t *keys,
                  const char *name, bool unique, struct err *err) {
    bson_t command = BSON_INITIALIZER, indexes, index;
    struct mongo_failure failure;
    BSON_APPEND_UTF8(&command, "createIndexes", collection);
    BSON_APPEND_ARRAY_BEGIN(&command, "indexes", &indexes);
    BSON_APPEND_DOCUMENT_BEGIN(&indexes, "0", &index);
    BSON_APPEND_DOCUMENT(&index, "key", keys);
    BSON_APPEND_UTF8(&index, "name", name);
    if (unique)
        BSON_APPEND_BOOL(&index, "unique", true);
    bson_append_document_end(&indexes, &index);
    bson_append_array_end(&command, &indexes);
    enum mongo_verdict v = mongo_simple_command(m, database, &command, &failure);
    bson_destroy(&command);
    return v == MONGO_OK ? 0 : mongo_fail(&failure, "create index", err);
}

int mongo_ensure_index(struct mongo *m, const char *database, const char *collection,
                       const bson_t *keys, const char *name, bool unique, struct err *err) {
    _cleanup_(buf_release) struct buf effective = {.max = 1024};
    enum found found;
    int rc = list(m, database, collection, keys, name, unique, &found, &effective, err);
    if (rc < 0)
        return rc;
    if (found != FOUND_SAME && name)
        buf_add_text(&effective, name);
    else if (found != FOUND_SAME)
        default_name(&effective, keys);
    if (found == FOUND_OTHER)
        return err_set(
            err, ERR_CONF,
            "collection %s has another index with the name or the keys of %s; drop it or "
            "change the configuration",
            collection, buf_text(&effective));
    /* Also where it is listed: the server may still be building it, and answers when it is done. */
    return create(m, database, collection, keys, buf_text(&effective), unique, err);
}

int mongo_drop_index(struct mongo *m, const char *database, const char *collection,
                     const bson_t *keys, struct err *err) {
    bson_t command = BSON_INITIALIZER;
    struct mongo_failure failure;
    BSON_APPEND_UTF8(&command, "dropIndexes", collection);
    BSON_APPEND_DOCUMENT(&command, "index", keys);
    enum mongo_verdict v = mongo_simple_command(m, database, &command, &failure);
    bson_destroy(&command);
    if (v == MONGO_OK || failure.code == CODE_INDEX_NOT_FOUND ||
        failure.code == CODE_NAMESPACE_NOT_FOUND)
        return 0;
    return mongo_fail(&failure, "drop index", err);
}

#include "pipeline/holders.h"

#include "map/identity_back.h"
#include "model/bsonw.h"

#define FILTER_MAX ((size_t)12 * 1024 * 1024)
#define ID_MAX ((size_t)16 * 1024 * 1024) /* as large as a document */

static int add_value(struct bsonw *w, const struct plan_node *node, size_t i, struct span text,
                     struct span key, struct err *err) {
    const struct pg_column *c = node->columns[node->key[i]].source;
    return pg_type_append(c->type, node->collection->types, text, w, key, err);
}

/* {path: {$in: [values]}} */
static int one_column_filter(struct bsonw *w, const struct plan_node *node, const struct span *keys,
                             size_t count, struct err *err) {
    bsonw_doc_open(w, span_of(node->key_paths[0]));
    bsonw_array_open(w, SPAN_LIT("$in"));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct bsonw_index room;
        rc = add_value(w, node, 0, keys[i], bsonw_index_key(&room, (uint32_t)i), err);
    }
    bsonw_close(w);
    bsonw_close(w);
    return rc;
}

/* {$or: [{path1: v1, path2: v2}, ...]}: the values may come from two elements of an array, which
 * only finds a document too many. */
static int several_columns_filter(struct bsonw *w, const struct plan_node *node,
                                  const struct span *keys, size_t count, struct err *err) {
    bsonw_array_open(w, SPAN_LIT("$or"));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct bsonw_index room;
        bsonw_doc_open(w, bsonw_index_key(&room, (uint32_t)i));
        for (size_t k = 0; rc == 0 && k < node->key_count; k++)
            rc = add_value(w, node, k, keys[i * node->key_count + k], span_of(node->key_paths[k]),
                           err);
        bsonw_close(w);
    }
    bsonw_close(w);
    return rc;
}

/* {_id: {$gt: value}}; ids of one collection all are of one kind, so the comparison is by value. */
static void above_filter(struct bsonw *w, struct span after) {
    bson_iter_t it;
    bson_t id;
    if (!after.ptr || !bson_init_static(&id, (const uint8_t *)after.ptr, after.len) ||
        !bson_iter_init_find(&it, &id, "_id"))
        return;
    bsonw_doc_open(w, SPAN_LIT("_id"));
    bsonw_iter(w, SPAN_LIT("$gt"), &it);
    bsonw_close(w);
}

static int build_filter(struct buf *out, const struct plan_node *node, const struct span *keys,
                        size_t count, struct span after, struct err *err) {
    struct bsonw w;
    bsonw_begin(&w, out);
    above_filter(&w, after);
    int rc = node->key_count == 1 ? one_column_filter(&w, node, keys, count, err)
                                  : several_columns_filter(&w, node, keys, count, err);
    bsonw_end(&w);
    if (rc == 0 && !bsonw_ok(&w))
        rc = err_set(err, ERR_LIMIT, "keys of %s.%s are too long to look for", node->table->schema,
                     node->table->name);
    return rc;
}

struct search {
    const struct plan_collection *c;
    holder_fn fn;
    void *context;
    struct identity_texts texts;
    struct buf id;
};

/* A document that names no row of ours is somebody else's and none of our business. */
static int on_holder(void *context, const bson_t *doc, struct err *err) {
    struct search *s = context;
    struct span key[PG_INDEX_COLUMNS_MAX];
    bson_iter_t it;
    struct bsonw w;
    buf_clear(&s->id);
    bsonw_begin(&w, &s->id);
    if (bson_iter_init_find(&it, doc, "_id"))
        bsonw_iter(&w, SPAN_LIT("_id"), &it);
    bsonw_end(&w);
    bool ours = identity_key(s->c, doc, &s->texts, key);
    return s->fn(s->context, buf_span(&s->id), ours ? key : NULL, err);
}

static int find_page(struct mongo *m, const char *database, const bson_t *filter,
                     const struct holders_page *page, struct search *s, struct err *err) {
    bson_t projection, sort = BSON_INITIALIZER;
    identity_projection(s->c, &projection);
    BSON_APPEND_INT32(&sort, "_id", 1);
    int rc = mongo_find(m, database, s->c->name, filter, &projection, page->ordered ? &sort : NULL,
                        (int64_t)page->limit, on_holder, s, err);
    bson_destroy(&sort);
    bson_destroy(&projection);
    return rc;
}

int holders_find(struct mongo *m, const char *database, const struct plan_node *node,
                 const struct span *keys, size_t count, const struct holders_page *page,
                 holder_fn fn, void *context, struct err *err) {
    _cleanup_(buf_release) struct buf filter_bytes = {.max = FILTER_MAX};
    bson_t filter;
    struct search search = {.c = node->collection, .fn = fn, .context = context};
    int rc = build_filter(&filter_bytes, node, keys, count, page->after, err);
    if (rc < 0)
        return rc;
    if (!bson_init_static(&filter, (const uint8_t *)filter_bytes.data, filter_bytes.len))
        return err_set(err, ERR_INTERNAL, "look-up filter is not BSON");
    identity_texts_init(&search.texts);
    buf_init(&search.id, ID_MAX);
    rc = find_page(m, database, &filter, page, &search, err);
    buf_release(&search.id);
    identity_texts_release(&search.texts);
    return rc;
}

int holders_ensure_index(struct mongo *m, const char *database, const struct plan_node *node,
                         struct err *err) {
    bson_t keys;
    bson_init(&keys);
    BSON_APPEND_INT32(&keys, node->key_paths[0], 1);
    int rc = mongo_ensure_index(m, database, node->collection->name, &keys, NULL, false, err);
    bson_destroy(&keys);
    if (rc < 0)
        return err_prefix(err, "index for %s", node->path);
    return 0;
}

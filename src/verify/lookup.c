/* Documents of the target, by `_id`. */
#include "model/bsonw.h"
#include "verify/session.h"

#define FILTER_MAX ((size_t)16 * 1024 * 1024)

int lookup_identity(const bson_t *document, struct buf *out, struct err *err) {
    bson_iter_t it;
    struct bsonw w;
    buf_clear(out);
    bsonw_begin(&w, out);
    if (bson_iter_init_find(&it, document, "_id"))
        bsonw_iter(&w, SPAN_LIT("_id"), &it);
    bsonw_end(&w);
    return bsonw_ok(&w) ? 0 : err_set(err, ERR_LIMIT, "an _id is too large");
}

static void add_value(struct bsonw *w, uint32_t index, struct span identity) {
    struct bsonw_index room;
    bson_iter_t it;
    if (bson_iter_init_from_data(&it, (const uint8_t *)identity.ptr, identity.len) &&
        bson_iter_next(&it))
        bsonw_iter(w, bsonw_index_key(&room, index), &it);
}

int lookup_find(struct session *s, const struct span *identities, size_t count, bool keys_only,
                mongo_document_fn fn, void *context, struct err *err) {
    _cleanup_(buf_release) struct buf bytes = {.max = FILTER_MAX};
    struct bsonw w;
    bson_t filter, projection = BSON_INITIALIZER;
    bsonw_begin(&w, &bytes);
    bsonw_doc_open(&w, SPAN_LIT("_id"));
    bsonw_array_open(&w, SPAN_LIT("$in"));
    for (size_t i = 0; i < count; i++)
        add_value(&w, (uint32_t)i, identities[i]);
    bsonw_close(&w);
    bsonw_close(&w);
    bsonw_end(&w);
    if (!bsonw_ok(&w) || !bson_init_static(&filter, (const uint8_t *)bytes.data, bytes.len))
        return err_set(err, ERR_LIMIT, "keys of a page are too large");
    BSON_APPEND_INT32(&projection, "_id", 1);
    int rc = mongo_find(s->mongo, s->conf->target.database, s->c->name, &filter,
                        keys_only ? &projection : NULL, NULL, 0, fn, context, err);
    bson_destroy(&projection);
    return rc;
}

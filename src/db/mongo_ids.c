/* Documents by their identities. */
#include "db/mongo.h"
#include "model/bsonw.h"

#define FILTER_MAX ((size_t)16 * 1024 * 1024)

static void add_id(struct bsonw *w, uint32_t index, struct span identity) {
    struct bsonw_index room;
    bson_iter_t it;
    if (bson_iter_init_from_data(&it, (const uint8_t *)identity.ptr, identity.len) &&
        bson_iter_next(&it))
        bsonw_iter(w, bsonw_index_key(&room, index), &it);
}

int mongo_find_ids(struct mongo *m, const char *database, const char *collection,
                   const struct span *identities, size_t count, bool keys_only,
                   mongo_document_fn fn, void *context, struct err *err) {
    _cleanup_(buf_release) struct buf bytes = {.max = FILTER_MAX};
    struct bsonw w;
    bson_t filter, projection = BSON_INITIALIZER;
    bsonw_begin(&w, &bytes);
    bsonw_doc_open(&w, SPAN_LIT("_id"));
    bsonw_array_open(&w, SPAN_LIT("$in"));
    for (size_t i = 0; i < count; i++)
        add_id(&w, (uint32_t)i, identities[i]);
    bsonw_close(&w);
    bsonw_close(&w);
    bsonw_end(&w);
    if (!bsonw_ok(&w) || !bson_init_static(&filter, (const uint8_t *)bytes.data, bytes.len))
        return err_set(err, ERR_LIMIT, "the keys of %zu documents are too large to look for",
                       count);
    BSON_APPEND_INT32(&projection, "_id", 1);
    int rc = mongo_find(m, database, collection, &filter, keys_only ? &projection : NULL, NULL, 0,
                        fn, context, err);
    bson_destroy(&projection);
    return rc;
}

/* Documents of the target, by `_id`. */
#include "model/bsonw.h"
#include "verify/session.h"

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

int lookup_find(struct session *s, const struct span *identities, size_t count, bool keys_only,
                mongo_document_fn fn, void *context, struct err *err) {
    return mongo_find_ids(s->mongo, s->conf->target.database, s->c->name, identities, count,
                          keys_only, fn, context, err);
}

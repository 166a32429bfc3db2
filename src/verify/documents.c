/* Documents -> rows: every `_id` of the target, asked of the source. */
#include "base/mem.h"
#include "base/stop.h"
#include "model/bsonw.h"
#include "verify/session.h"

struct scan {
    struct session *s;
    struct identity_texts texts;
    struct arena memory; /* of one page */
    struct span keys[VERIFY_PAGE * PG_INDEX_COLUMNS_MAX];
    struct span identities[VERIFY_PAGE];
    size_t count;
    struct spanmap present;
    struct buf identity, sql;
    int64_t done;
};

static int on_present(void *context, const struct span *key, struct err *err) {
    struct scan *k = context;
    bool fresh;
    buf_clear(&k->identity);
    int rc = map_identity(k->s->c, key, &k->identity, err);
    if (rc < 0)
        return rc;
    struct span kept = arena_copy(&k->memory, buf_span(&k->identity));
    if (!kept.ptr)
        return err_set(err, ERR_LIMIT, "keys of a page are too large");
    (void)spanmap_put(&k->present, kept, &fresh);
    return 0;
}

static int check_page(struct scan *k, struct err *err) {
    const struct plan_collection *c = k->s->c;
    int rc = 0;
    if (k->count) {
        spanmap_clear(&k->present);
        buf_clear(&k->sql);
        query_existing_keys(&k->sql, c, k->keys, k->count);
        rc = query_check(&k->sql, err);
        if (rc == 0)
            rc = assemble_read_keys(k->s->pg, buf_text(&k->sql), c->id_count, on_present, k, err);
    }
    for (size_t i = 0; rc == 0 && i < k->count; i++)
        if (!spanmap_get(&k->present, k->identities[i]))
            rc = candidates_add(&k->s->candidates, k->identities[i], k->keys + i * c->id_count,
                                c->id_count, err);
    k->done += (int64_t)k->count;
    k->count = 0;
    arena_reset(&k->memory);
    session_progress(k->s, VERIFY_DOCUMENTS, k->done, k->s->compared);
    return rc;
}

static int keep_identity(struct scan *k, const bson_t *document, struct span *ret,
                         struct err *err) {
    bson_iter_t it;
    struct bsonw w;
    buf_clear(&k->identity);
    bsonw_begin(&w, &k->identity);
    if (bson_iter_init_find(&it, document, "_id"))
        bsonw_iter(&w, SPAN_LIT("_id"), &it);
    bsonw_end(&w);
    *ret = bsonw_ok(&w) ? arena_copy(&k->memory, buf_span(&k->identity)) : (struct span){0};
    return ret->ptr ? 0 : err_set(err, ERR_LIMIT, "an _id is too large");
}

static int on_document(void *context, const bson_t *document, struct err *err) {
    struct scan *k = context;
    const struct plan_collection *c = k->s->c;
    struct span key[PG_INDEX_COLUMNS_MAX], identity;
    if (stop_requested())
        return err_set(err, ERR_STOPPED, "asked to stop");
    int rc = keep_identity(k, document, &identity, err);
    if (rc < 0)
        return rc;
    if (!identity_key(c, document, &k->texts, key)) /* somebody else's document */
        return candidates_add(&k->s->candidates, identity, NULL, 0, err);
    k->identities[k->count] = identity;
    for (size_t i = 0; i < c->id_count; i++) {
        struct span copy = arena_copy(&k->memory, key[i]);
        if (!copy.ptr)
            return err_set(err, ERR_LIMIT, "keys of a page are too large");
        k->keys[k->count * c->id_count + i] = copy;
    }
    return ++k->count == VERIFY_PAGE ? check_page(k, err) : 0;
}

int documents_compare(struct session *s, struct err *err) {
    struct scan *k = mem_zalloc(1, sizeof *k);
    bson_t filter = BSON_INITIALIZER, projection;
    k->s = s;
    arena_init(&k->memory, 64 * 1024 * 1024);
    buf_init(&k->identity, 1024 * 1024);
    buf_init(&k->sql, QUERY_MAX);
    identity_texts_init(&k->texts);
    identity_projection(s->c, &projection);
    const char *database = s->conf->target.database;
    int rc = s->options->sample ? mongo_sample(s->mongo, database, s->c->name, s->options->sample,
                                               &projection, on_document, k, err)
                                : mongo_find(s->mongo, database, s->c->name, &filter, &projection,
                                             NULL, 0, on_document, k, err);
    if (rc == 0)
        rc = check_page(k, err);
    bson_destroy(&projection);
    bson_destroy(&filter);
    identity_texts_release(&k->texts);
    buf_release(&k->identity);
    buf_release(&k->sql);
    spanmap_release(&k->present);
    arena_release(&k->memory);
    free(k);
    return rc;
}

/* Documents -> rows: every `_id` of the target, asked of the source; in the order of `_id`, which
 * is where an interrupted verification goes on. */
#include "base/mem.h"
#include "base/stop.h"
#include "map/document.h"
#include "map/identity_back.h"
#include "source/query.h"
#include "verify/session.h"

#define PAGE_MEMORY ((size_t)64 * 1024 * 1024)
#define IDENTITY_MAX ((size_t)1024 * 1024)

struct scan {
    struct session *s;
    struct identity_texts texts;
    struct arena memory; /* of one page */
    struct span keys[VERIFY_PAGE * PG_INDEX_COLUMNS_MAX];
    struct span identities[VERIFY_PAGE];
    size_t count;
    struct spanmap present;
    struct buf identity, last, sql;
    int64_t page; /* documents since the last position that was kept */
};

/* ---- a page of documents that name rows ---- */

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

static int find_present(struct scan *k, struct err *err) {
    const struct plan_collection *c = k->s->c;
    spanmap_clear(&k->present);
    buf_clear(&k->sql);
    query_existing_keys(&k->sql, c, k->keys, k->count);
    int rc = query_check(&k->sql, err);
    return rc < 0
               ? rc
               : assemble_read_keys(k->s->pg, buf_text(&k->sql), c->id_count, on_present, k, err);
}

static int check_page(struct scan *k, struct err *err) {
    const struct plan_collection *c = k->s->c;
    int rc = k->count ? find_present(k, err) : 0;
    for (size_t i = 0; rc == 0 && i < k->count; i++)
        if (!spanmap_get(&k->present, k->identities[i]))
            rc = candidates_add(&k->s->candidates, k->identities[i], k->keys + i * c->id_count,
                                c->id_count, 0, err);
    k->s->scanned += k->page;
    k->page = 0;
    k->count = 0;
    arena_reset(&k->memory);
    if (rc == 0 && !k->s->options->sample)
        rc = resume_save(k->s, STATE_VERIFY_DOCUMENTS, buf_span(&k->last), err);
    if (rc == 0)
        rc = settle_for_room(k->s, err);
    session_progress(k->s, VERIFY_DOCUMENTS, k->s->scanned, k->s->compared);
    return rc;
}

/* ---- documents that do not ---- */

struct same {
    struct span identity;
    bool found;
};

static int on_same(void *context, const bson_t *document, struct err *err) {
    struct same *same = context;
    _cleanup_(buf_release) struct buf identity = {.max = IDENTITY_MAX};
    int rc = lookup_identity(document, &identity, err);
    same->found |= rc == 0 && span_eq(buf_span(&identity), same->identity);
    return rc;
}

/* Its `_id` may be one of ours in another number type, which the server takes for the same. The
 * server is asked: whether 0.1 as a double is 0.1 as a decimal is for it to say. */
static int add_stranger(struct scan *k, const bson_t *document, struct span identity,
                        struct err *err) {
    const struct plan_collection *c = k->s->c;
    struct span key[PG_INDEX_COLUMNS_MAX];
    struct same same = {.identity = identity};
    struct err ignored;
    if (identity_twin(c, document, &k->texts, key)) {
        buf_clear(&k->identity);
        if (map_identity(c, key, &k->identity, &ignored) == 0) {
            struct span ours = buf_span(&k->identity);
            int rc = lookup_find(k->s, &ours, 1, true, on_same, &same, err);
            if (rc < 0)
                return rc;
        }
    }
    if (same.found)
        return candidates_add(&k->s->candidates, buf_span(&k->identity), key, c->id_count, 0, err);
    return candidates_add(&k->s->candidates, identity, NULL, 0, 0, err);
}

/* ---- all documents ---- */

static int add_to_page(struct scan *k, struct span identity, const struct span *key,
                       struct err *err) {
    const struct plan_collection *c = k->s->c;
    k->identities[k->count] = identity;
    for (size_t i = 0; i < c->id_count; i++) {
        struct span copy = arena_copy(&k->memory, key[i]);
        if (!copy.ptr)
            return err_set(err, ERR_LIMIT, "keys of a page are too large");
        k->keys[k->count * c->id_count + i] = copy;
    }
    k->count++;
    return 0;
}

static int on_document(void *context, const bson_t *document, struct err *err) {
    struct scan *k = context;
    struct span key[PG_INDEX_COLUMNS_MAX];
    if (stop_requested())
        return err_set(err, ERR_STOPPED, "asked to stop");
    int rc = lookup_identity(document, &k->last, err);
    if (rc < 0)
        return rc;
    struct span identity = arena_copy(&k->memory, buf_span(&k->last));
    if (!identity.ptr)
        return err_set(err, ERR_LIMIT, "keys of a page are too large");
    rc = identity_key(k->s->c, document, &k->texts, key) ? add_to_page(k, identity, key, err)
                                                         : add_stranger(k, document, identity, err);
    return rc == 0 && ++k->page == VERIFY_PAGE ? check_page(k, err) : rc;
}

/* Those behind the cursor. A plain {_id: {$gt: ...}} sees `_id`s of the cursor's type only; as an
 * expression it follows the order of all types, which is that of the sort. */
static void filter_behind(struct span cursor, bson_t *filter) {
    bson_t expression, operands, literal;
    bson_iter_t it;
    if (!bson_iter_init_from_data(&it, (const uint8_t *)cursor.ptr, cursor.len) ||
        !bson_iter_next(&it))
        return;
    BSON_APPEND_DOCUMENT_BEGIN(filter, "$expr", &expression);
    BSON_APPEND_ARRAY_BEGIN(&expression, "$gt", &operands);
    BSON_APPEND_UTF8(&operands, "0", "$_id");
    BSON_APPEND_DOCUMENT_BEGIN(&operands, "1", &literal);
    BSON_APPEND_VALUE(&literal, "$literal", bson_iter_value(&it));
    bson_append_document_end(&operands, &literal);
    bson_append_array_end(&expression, &operands);
    bson_append_document_end(filter, &expression);
}

static int scan_all(struct scan *k, const bson_t *projection, struct err *err) {
    struct session *s = k->s;
    bson_t filter = BSON_INITIALIZER, sort = BSON_INITIALIZER;
    if (s->resume.cursor.len)
        filter_behind(buf_span(&s->resume.cursor), &filter);
    BSON_APPEND_INT32(&sort, "_id", 1);
    int rc = mongo_find(s->mongo, s->conf->target.database, s->c->name, &filter, projection, &sort,
                        0, on_document, k, err);
    bson_destroy(&sort);
    bson_destroy(&filter);
    return rc;
}

int documents_compare(struct session *s, struct err *err) {
    struct scan *k = mem_zalloc(1, sizeof *k);
    bson_t projection;
    k->s = s;
    arena_init(&k->memory, PAGE_MEMORY);
    buf_init(&k->identity, IDENTITY_MAX);
    buf_init(&k->last, IDENTITY_MAX);
    buf_init(&k->sql, QUERY_MAX);
    identity_texts_init(&k->texts);
    identity_projection(s->c, &projection);
    int rc = settle_for_room(s, err);
    if (rc == 0)
        rc = s->options->sample ? mongo_sample(s->mongo, s->conf->target.database, s->c->name,
                                               s->options->sample, &projection, on_document, k, err)
                                : scan_all(k, &projection, err);
    if (rc == 0)
        rc = check_page(k, err);
    bson_destroy(&projection);
    identity_texts_release(&k->texts);
    buf_release(&k->identity);
    buf_release(&k->last);
    buf_release(&k->sql);
    spanmap_release(&k->present);
    arena_release(&k->memory);
    free(k);
    return rc;
}

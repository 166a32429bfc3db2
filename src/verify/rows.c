/* Rows -> documents: pages of root keys, each document looked up by its `_id`. */
#include "base/mem.h"
#include "base/stop.h"
#include "model/bsonw.h"
#include "pipeline/keyblob.h"
#include "source/readback.h"
#include "verify/backcheck.h"
#include "verify/session.h"

#include <stdio.h>

/* More documents are not held at once; one alone may be as large as the assembler allows. */
#define PAGE_BYTES ((size_t)16 * 1024 * 1024)
#define PAGE_BYTES_MAX (PAGE_BYTES + ASSEMBLE_DOCUMENT_MAX + 1024 * 1024)

/* One page: what the rows become, then what of it the target has. */
struct page {
    struct session *s;
    struct arena memory;
    struct spanmap index; /* identity -> position, from 1 */
    struct span identities[VERIFY_PAGE * 4];
    struct span documents[VERIFY_PAGE * 4];
    const struct span *keys[VERIFY_PAGE * 4];
    bool seen[VERIFY_PAGE * 4];
    size_t count;
};

/* ---- reading a page ---- */

static int on_finding(void *context, const struct backcheck_finding *f) {
    struct page *p = context;
    char path[600];
    _cleanup_(mem_freep) char *text =
        mem_strndup(f->text.ptr ? f->text.ptr : "NULL", f->text.ptr ? f->text.len : 4);
    _cleanup_(mem_freep) char *back = mem_strndup(f->back.ptr ? f->back.ptr : "", f->back.len);
    (void)snprintf(path, sizeof path, "%.*s", SPAN_ARG(f->path));
    struct err ignored;
    (void)!difference_report(p->s, p->identities[p->count], path, "decoder", text, back, &ignored);
    return 1;
}

static int keep_key(struct page *p, const struct map_row *row, struct err *err) {
    struct span key[PG_INDEX_COLUMNS_MAX];
    size_t n = p->s->c->id_count;
    int rc = map_key_values(p->s->c, row->values, key, err);
    struct span *kept = rc == 0 ? arena_alloc(&p->memory, n * sizeof *kept) : NULL;
    for (size_t i = 0; kept && i < n; i++)
        kept[i] = arena_copy(&p->memory, key[i]);
    if (rc == 0 && !kept)
        return err_set(err, ERR_LIMIT, "a page of keys is too large");
    p->keys[p->count] = kept;
    return rc;
}

static void clear_page(struct page *p) {
    arena_reset(&p->memory);
    spanmap_clear(&p->index);
    p->count = 0;
}

static int look_up(struct page *p, struct err *err) must_check;

/* Large documents are looked up before the page is complete. */
static int make_room(struct page *p, struct err *err) {
    if (p->memory.used < PAGE_BYTES)
        return 0;
    int rc = look_up(p, err);
    clear_page(p);
    return rc;
}

static int on_row(void *context, const struct assembled *doc, struct err *err) {
    struct page *p = context;
    bool fresh;
    int rc = make_room(p, err);
    if (rc < 0)
        return rc;
    if (p->count == VERIFY_PAGE * 4)
        return err_set(err, ERR_INTERNAL, "a page has more rows than were asked for");
    p->identities[p->count] = arena_copy(&p->memory, doc->identity);
    p->documents[p->count] = arena_copy(&p->memory, session_expected(doc));
    if (!p->identities[p->count].ptr || !p->documents[p->count].ptr)
        return err_set(err, ERR_LIMIT, "documents of a page are larger than %zu bytes",
                       PAGE_BYTES_MAX);
    rc = keep_key(p, doc->row, err);
    if (rc < 0)
        return rc;
    if (!doc->failure && !p->s->options->keys_only &&
        backcheck_document(p->s->c, doc->row, doc->document, on_finding, p) != 0)
        p->s->totals->decoder++;
    *spanmap_put(&p->index, p->identities[p->count], &fresh) = (uint32_t)p->count + 1;
    p->seen[p->count++] = false;
    return 0;
}

/* ---- looking the documents up ---- */

static int add_candidate(struct page *p, size_t i, struct err *err) {
    return candidates_add(&p->s->candidates, p->identities[i], p->keys[i], p->s->c->id_count, err);
}

/* The identity bytes of a found document, in `out`. */
static bool identity_of(const bson_t *document, struct buf *out) {
    bson_iter_t it;
    struct bsonw w;
    if (!bson_iter_init_find(&it, document, "_id"))
        return false;
    buf_clear(out);
    bsonw_begin(&w, out);
    bsonw_iter(&w, SPAN_LIT("_id"), &it);
    bsonw_end(&w);
    return bsonw_ok(&w);
}

static int on_found(void *context, const bson_t *document, struct err *err) {
    struct page *p = context;
    _cleanup_(buf_release) struct buf identity = {.max = 1024 * 1024};
    if (!identity_of(document, &identity))
        return 0;
    const uint32_t *position = spanmap_get(&p->index, buf_span(&identity));
    if (!position)
        return 0; /* equal to the server but not to us (1 and 1.0): the way back finds it */
    size_t i = *position - 1;
    p->seen[i] = true;
    struct span found = span_make(bson_get_data(document), document->len);
    int rc = differences(p->s, p->identities[i], p->documents[i], found, false, err);
    return rc > 0 ? add_candidate(p, i, err) : rc;
}

static int build_filter(const struct page *p, struct buf *out, bson_t *ret_filter,
                        struct err *err) {
    struct bsonw w;
    bsonw_begin(&w, out);
    bsonw_doc_open(&w, SPAN_LIT("_id"));
    bsonw_array_open(&w, SPAN_LIT("$in"));
    for (size_t i = 0; i < p->count; i++) {
        struct bsonw_index room;
        bson_iter_t it;
        if (bson_iter_init_from_data(&it, (const uint8_t *)p->identities[i].ptr,
                                     p->identities[i].len) &&
            bson_iter_next(&it))
            bsonw_iter(&w, bsonw_index_key(&room, (uint32_t)i), &it);
    }
    bsonw_close(&w);
    bsonw_close(&w);
    bsonw_end(&w);
    if (!bsonw_ok(&w) || !bson_init_static(ret_filter, (const uint8_t *)out->data, out->len))
        return err_set(err, ERR_LIMIT, "keys of a page are too large");
    return 0;
}

static int look_up(struct page *p, struct err *err) {
    _cleanup_(buf_release) struct buf bytes = {.max = 16 * 1024 * 1024};
    bson_t filter;
    if (p->count == 0)
        return 0;
    int rc = build_filter(p, &bytes, &filter, err);
    bson_t *projection = p->s->options->keys_only ? BCON_NEW("_id", BCON_INT32(1)) : NULL;
    if (rc == 0)
        rc = mongo_find(p->s->mongo, p->s->conf->target.database, p->s->c->name, &filter,
                        projection, NULL, 0, on_found, p, err);
    if (projection)
        bson_destroy(projection);
    for (size_t i = 0; rc == 0 && i < p->count; i++)
        if (!p->seen[i])
            rc = add_candidate(p, i, err);
    p->s->compared += (int64_t)p->count;
    return rc;
}

/* ---- pages in key order ---- */

struct position {
    struct arena memory;
    struct span key[PG_INDEX_COLUMNS_MAX];
    bool at_start;
};

static int load_position(struct session *s, struct position *at, struct err *err) {
    struct state_verify v = {0};
    bool found = false;
    at->at_start = true;
    int rc = state_verify_get(s->state, s->stored.pipeline, s->c->name, &v, &found, err);
    if (rc < 0 || !found)
        return rc;
    bool same = strcmp(v.options, s->options->keys_only ? "keys" : "fields") == 0;
    if (same && v.cursor && !s->options->restart && v.different == 0 &&
        keyblob_read(span_make(v.cursor, v.cursor_len), &at->memory, at->key, s->c->id_count)) {
        at->at_start = false;
        s->compared = v.compared;
    }
    free(v.cursor);
    return 0;
}

/* Only a part without findings is remembered: what may differ is asked again after a break, and
 * what was decoded wrongly is told again. */
static int save_position(struct session *s, const struct position *at, struct err *err) {
    if (s->candidates.count || s->totals->decoder || s->options->sample)
        return 0;
    _cleanup_(buf_release) struct buf blob = {.max = 1024 * 1024};
    keyblob_write(&blob, at->key, s->c->id_count);
    struct state_verify v = {.cursor = blob.data, .cursor_len = blob.len, .compared = s->compared};
    (void)snprintf(v.collection, sizeof v.collection, "%s", s->c->name);
    (void)snprintf(v.options, sizeof v.options, "%s", s->options->keys_only ? "keys" : "fields");
    return state_verify_put(s->state, s->stored.pipeline, &v, err);
}

/* 1: *end is the key that ends the page; 0: the page is the last one. */
static int find_page_end(struct session *s, const struct position *at, struct arena *memory,
                         struct span *end, struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = QUERY_MAX};
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    query_chunk_end(&sql, s->c, at->at_start ? NULL : at->key, VERIFY_PAGE);
    int rc = query_check(&sql, err);
    if (rc == 0)
        rc = pg_exec(s->pg, buf_text(&sql), &r, err);
    if (rc < 0 || pg_rows(r) == 0)
        return rc;
    for (size_t i = 0; i < s->c->id_count; i++)
        end[i] = arena_copy(memory, pg_value(r, 0, i));
    return 1;
}

/* The page's end and its rows are of one moment, so a page never holds more than it should. */
static int read_page(struct page *p, const struct position *at, struct arena *memory,
                     struct span *end, struct err *err) {
    struct session *s = p->s;
    int rc = readback_begin(s->pg, NULL, 0, err);
    if (rc < 0)
        return rc;
    int more = find_page_end(s, at, memory, end, err);
    struct key_range range = {.after = at->at_start ? NULL : at->key,
                              .upto = more > 0 ? end : NULL};
    rc = more < 0 ? more : assemble_range(s->assembler, &range, 0, on_row, p, err);
    rc = session_end_read(s, rc, err);
    return rc < 0 ? rc : more;
}

static void advance(struct position *at, const struct span *end, size_t count) {
    arena_reset(&at->memory);
    for (size_t i = 0; i < count; i++)
        at->key[i] = arena_copy(&at->memory, end[i]);
    at->at_start = false;
}

static int all_pages(struct page *p, struct position *at, struct err *err) {
    struct session *s = p->s;
    struct arena ends;
    arena_init(&ends, 16 * 1024 * 1024);
    int more = 1;
    while (more > 0) {
        struct span end[PG_INDEX_COLUMNS_MAX];
        arena_reset(&ends);
        clear_page(p);
        more = stop_requested() ? err_set(err, ERR_STOPPED, "asked to stop")
                                : read_page(p, at, &ends, end, err);
        int rc = more < 0 ? more : look_up(p, err);
        if (rc == 0 && more > 0) {
            advance(at, end, s->c->id_count);
            rc = save_position(s, at, err);
        }
        if (rc < 0)
            more = rc;
        session_progress(s, VERIFY_ROWS, s->compared, s->c->root->table->estimated_rows);
    }
    arena_release(&ends);
    return more;
}

/* ---- a sample ---- */

struct sampled {
    struct arena memory;
    struct span *keys;
    size_t count, cap, width;
};

static int on_sample(void *context, const struct span *key, struct err *err) {
    struct sampled *k = context;
    if (k->count == k->cap) {
        k->cap = k->cap ? k->cap * 2 : 256;
        k->keys = mem_realloc(k->keys, k->cap * k->width, sizeof *k->keys);
    }
    for (size_t i = 0; i < k->width; i++) {
        struct span copy = arena_copy(&k->memory, key[i]);
        if (!copy.ptr)
            return err_set(err, ERR_LIMIT, "the sample is too large; ask for fewer documents");
        k->keys[k->count * k->width + i] = copy;
    }
    k->count++;
    return 0;
}

static int compare_sample(struct page *p, struct sampled *k, struct err *err) {
    struct session *s = p->s;
    for (size_t at = 0; at < k->count; at += VERIFY_PAGE) {
        size_t n = k->count - at < VERIFY_PAGE ? k->count - at : VERIFY_PAGE;
        clear_page(p);
        int rc = readback_begin(s->pg, NULL, 0, err);
        if (rc == 0)
            rc = session_end_read(
                s, assemble_keys(s->assembler, k->keys + at * k->width, n, 0, on_row, p, err), err);
        if (rc == 0)
            rc = look_up(p, err);
        if (rc < 0)
            return rc;
        session_progress(s, VERIFY_ROWS, s->compared, (int64_t)k->count);
    }
    return 0;
}

static int sample(struct page *p, struct err *err) {
    struct session *s = p->s;
    _cleanup_(buf_release) struct buf sql = {.max = QUERY_MAX};
    struct sampled k = {.width = s->c->id_count};
    arena_init(&k.memory, 48 * 1024 * 1024);
    query_sample_keys(&sql, s->c, s->options->sample);
    int rc = assemble_read_keys(s->pg, buf_text(&sql), k.width, on_sample, &k, err);
    if (rc == 0)
        rc = compare_sample(p, &k, err);
    arena_release(&k.memory);
    free(k.keys);
    return rc;
}

int rows_compare(struct session *s, struct err *err) {
    struct page *p = mem_zalloc(1, sizeof *p);
    struct position at = {0};
    p->s = s;
    arena_init(&p->memory, PAGE_BYTES_MAX);
    arena_init(&at.memory, 1024 * 1024);
    int rc = s->options->sample ? 0 : load_position(s, &at, err);
    if (rc == 0)
        rc = s->options->sample ? sample(p, err) : all_pages(p, &at, err);
    arena_release(&at.memory);
    arena_release(&p->memory);
    spanmap_release(&p->index);
    free(p);
    return rc;
}

/* Rows -> documents: pages of root keys, each document looked up by its `_id`. */
#include "base/mem.h"
#include "base/stop.h"
#include "pipeline/keyblob.h"
#include "source/readback.h"
#include "verify/page.h"

/* ---- pages in key order ---- */

struct position {
    struct arena memory;
    struct span key[PG_INDEX_COLUMNS_MAX];
    bool at_start;
};

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
    rc = more < 0 ? more : assemble_range(s->assembler, &range, 0, page_add_row, p, err);
    rc = session_end_read(s, rc, err);
    return rc < 0 ? rc : more;
}

static void advance(struct position *at, const struct span *end, size_t count) {
    arena_reset(&at->memory);
    for (size_t i = 0; i < count; i++)
        at->key[i] = arena_copy(&at->memory, end[i]);
    at->at_start = false;
}

/* The page is compared; what comes after an interruption begins behind it. */
static int finish_page(struct session *s, struct position *at, const struct span *end,
                       struct err *err) {
    _cleanup_(buf_release) struct buf blob = {.max = 1024 * 1024};
    advance(at, end, s->c->id_count);
    keyblob_write(&blob, at->key, s->c->id_count);
    return resume_save(s, STATE_VERIFY_ROWS, buf_span(&blob), err);
}

static int all_pages(struct page *p, struct position *at, struct err *err) {
    struct session *s = p->s;
    struct arena ends;
    arena_init(&ends, 16 * 1024 * 1024);
    int more = 1;
    while (more > 0) {
        struct span end[PG_INDEX_COLUMNS_MAX];
        session_progress(s, VERIFY_ROWS, s->compared, s->c->root->table->estimated_rows);
        arena_reset(&ends);
        page_clear(p);
        more =
            stop_requested() ? err_set(err, ERR_STOPPED, "asked to stop") : settle_for_room(s, err);
        if (more == 0)
            more = read_page(p, at, &ends, end, err);
        int rc = more < 0 ? more : page_look_up(p, err);
        if (rc == 0 && more > 0)
            rc = finish_page(s, at, end, err);
        if (rc < 0)
            more = rc;
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
        page_clear(p);
        int rc = settle_for_room(s, err);
        if (rc == 0)
            rc = readback_begin(s->pg, NULL, 0, err);
        if (rc == 0)
            rc = session_end_read(
                s, assemble_keys(s->assembler, k->keys + at * k->width, n, 0, page_add_row, p, err),
                err);
        if (rc == 0)
            rc = page_look_up(p, err);
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
    struct page *p = page_new(s);
    struct position at = {.at_start = true};
    struct span cursor = buf_span(&s->resume.cursor);
    arena_init(&at.memory, 1024 * 1024);
    if (cursor.len)
        at.at_start = !keyblob_read(cursor, &at.memory, at.key, s->c->id_count);
    int rc = s->options->sample ? sample(p, err) : all_pages(p, &at, err);
    arena_release(&at.memory);
    page_free(p);
    return rc;
}

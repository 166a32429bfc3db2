#include "verify/page.h"

#include "base/mem.h"
#include "map/document.h"

/* More documents are not held at once; one alone may be as large as the assembler allows. */
#define PAGE_BYTES ((size_t)8 * 1024 * 1024)
#define PAGE_BYTES_MAX (PAGE_BYTES + ASSEMBLE_DOCUMENT_MAX + 1024 * 1024)

struct page *page_new(struct session *s) {
    struct page *p = mem_zalloc(1, sizeof *p);
    p->s = s;
    arena_init(&p->memory, PAGE_BYTES_MAX);
    return p;
}

void page_free(struct page *p) {
    arena_release(&p->memory);
    spanmap_release(&p->index);
    free(p);
}

void page_clear(struct page *p) {
    arena_reset(&p->memory);
    spanmap_clear(&p->index);
    p->count = 0;
}

/* ---- rows ---- */

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

static int make_room(struct page *p, size_t bytes, struct err *err) {
    if (p->count == 0 || p->memory.used + bytes < PAGE_BYTES)
        return 0;
    int rc = page_look_up(p, err);
    page_clear(p);
    return rc;
}

int page_add_row(void *context, const struct assembled *doc, struct err *err) {
    struct page *p = context;
    bool fresh;
    struct span document = session_expected(doc);
    int rc = make_room(p, document.len, err);
    if (rc < 0)
        return rc;
    if (p->count == PAGE_ROWS)
        return err_set(err, ERR_INTERNAL, "a page has more rows than were asked for");
    p->identities[p->count] = arena_copy(&p->memory, doc->identity);
    p->documents[p->count] = arena_copy(&p->memory, document);
    if (!p->identities[p->count].ptr || !p->documents[p->count].ptr)
        return err_set(err, ERR_LIMIT, "documents of a page are larger than %zu bytes",
                       PAGE_BYTES_MAX);
    rc = keep_key(p, doc->row, err);
    if (rc == 0)
        rc = decoder_check(p->s, doc, err);
    if (rc < 0)
        return rc;
    *spanmap_put(&p->index, p->identities[p->count], &fresh) = (uint32_t)p->count + 1;
    p->seen[p->count++] = false;
    return 0;
}

/* ---- documents ---- */

static int add_candidate(struct page *p, size_t i, size_t bytes, struct err *err) {
    return candidates_add(&p->s->candidates, p->identities[i], p->keys[i], p->s->c->id_count,
                          bytes > p->documents[i].len ? bytes : p->documents[i].len, err);
}

static int on_found(void *context, const bson_t *document, struct err *err) {
    struct page *p = context;
    _cleanup_(buf_release) struct buf identity = {.max = 1024 * 1024};
    int rc = lookup_identity(document, &identity, err);
    if (rc < 0)
        return rc;
    const uint32_t *position = spanmap_get(&p->index, buf_span(&identity));
    if (!position)
        return 0; /* equal to the server but not to us (1 and 1.0): asked again, it is told */
    size_t i = *position - 1;
    p->seen[i] = true;
    struct span found = span_make(bson_get_data(document), document->len);
    rc = differences(p->s, p->identities[i], p->documents[i], found, false, err);
    return rc > 0 ? add_candidate(p, i, found.len, err) : rc;
}

int page_look_up(struct page *p, struct err *err) {
    if (p->count == 0)
        return 0;
    int rc = lookup_find(p->s, p->identities, p->count, p->s->options->keys_only, on_found, p, err);
    for (size_t i = 0; rc == 0 && i < p->count; i++)
        if (!p->seen[i])
            rc = add_candidate(p, i, 0, err);
    p->s->compared += (int64_t)p->count;
    return rc;
}

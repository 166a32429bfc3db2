/*
 * Candidates: asked again and again, until each is equal, really different, or unsettled.
 *
 * Memory: of the first look at a row its digest is kept, and its document while KEPT_BYTES hold
 * it; then documents of the target are read in parts of PART_BYTES, or alone when one is larger,
 * and compared with the rows as they are read again, one by one.
 */
#include "base/backoff.h"
#include "base/mem.h"
#include "base/stop.h"
#include "map/document.h"
#include "map/identity_back.h"
#include "model/canon.h"
#include "source/heartbeat.h"
#include "source/readback.h"
#include "verify/session.h"

#define BATCH 200
#define KEPT_BYTES ((size_t)4 * 1024 * 1024)
#define PART_BYTES ((size_t)8 * 1024 * 1024)

/* A row at the first look. */
struct look {
    bool there;
    uint64_t hash, version;
    size_t len;
    struct span document; /* empty: not kept */
};

/* One round of a batch; what the target has is there for items [from, to) only. */
struct round {
    struct session *s;
    struct candidate *const *batch;
    size_t count;
    struct spanmap index; /* identity -> position in the batch, from 1 */
    struct arena kept;
    struct look looks[BATCH];
    bool passed;

    size_t from, to;
    struct arena memory;
    struct span documents[BATCH];
    bool judged[BATCH];
    struct identity_texts texts;
    struct buf identity;
};

static void round_init(struct round *r, struct session *s, struct candidate *const *batch,
                       size_t count) {
    r->s = s;
    r->batch = batch;
    r->count = count;
    arena_init(&r->kept, KEPT_BYTES);
    arena_init(&r->memory, ASSEMBLE_DOCUMENT_MAX);
    identity_texts_init(&r->texts);
    buf_init(&r->identity, 1024 * 1024);
    for (size_t i = 0; i < count; i++) {
        bool fresh;
        *spanmap_put(&r->index, batch[i]->identity, &fresh) = (uint32_t)i + 1;
    }
}

static void round_free(struct round *r) {
    arena_release(&r->kept);
    arena_release(&r->memory);
    spanmap_release(&r->index);
    identity_texts_release(&r->texts);
    buf_release(&r->identity);
    free(r);
}

/* -1: not of this batch. */
static int place_of(const struct round *r, struct span identity) {
    const uint32_t *position = spanmap_get(&r->index, identity);
    return position ? (int)*position - 1 : -1;
}

/* ---- rows ---- */

static int read_rows(struct round *r, size_t from, size_t to, assemble_fn fn, struct err *err) {
    struct session *s = r->s;
    size_t width = s->c->id_count, n = 0;
    struct span *keys = mem_zalloc((to - from) * width, sizeof *keys);
    for (size_t i = from; i < to; i++)
        if (r->batch[i]->key)
            memcpy(keys + n++ * width, r->batch[i]->key, width * sizeof *keys);
    int rc = n ? readback_begin(s->pg, NULL, 0, err) : 0;
    assembler_versions(s->assembler, s->versions);
    if (rc == 0 && n)
        rc = session_end_read(s, assemble_keys(s->assembler, keys, n, 0, fn, r, err), err);
    assembler_versions(s->assembler, false);
    free(keys);
    return rc;
}

static int on_first_look(void *context, const struct assembled *doc, struct err *err) {
    struct round *r = context;
    int i = place_of(r, doc->identity);
    (void)err;
    if (i < 0)
        return 0;
    struct span document = session_expected(doc);
    r->looks[i] = (struct look){.there = true,
                                .hash = canon_hash(document),
                                .version = doc->version,
                                .len = document.len,
                                .document = arena_copy(&r->kept, document)};
    if (document.len > r->batch[i]->bytes)
        r->batch[i]->bytes = document.len;
    return 0;
}

/* What changed and changed back looks the same, but the document may be of the time between: rows
 * tell who wrote them. */
static bool row_stayed(const struct look *first, struct span row, uint64_t version) {
    if (!first->there)
        return row.len == 0;
    return first->len == row.len && first->version == version && first->hash == canon_hash(row);
}

/* `row` is the row as read last; empty: there is none. */
static int judge(struct round *r, size_t i, struct span row, uint64_t version, struct err *err) {
    struct candidate *c = r->batch[i];
    const struct look *first = &r->looks[i];
    bool stayed = row_stayed(first, row, version);
    int different = differences(r->s, c->identity, row, r->documents[i], false, err);
    if (different > 0 && !stayed && (first->document.len || !first->there))
        different = differences(r->s, c->identity, first->document, r->documents[i], false, err);
    r->judged[i] = true;
    if (different < 0)
        return different;
    struct round_outcome outcome = {
        .passed = r->passed, .row_stayed = stayed, .agrees = different == 0};
    c->verdict = rounds_add(&c->rounds, &outcome);
    if (c->verdict == VERDICT_REAL && !r->s->options->repair)
        different = differences(r->s, c->identity, row, r->documents[i], true, err);
    return different < 0 ? different : 0;
}

static int on_second_look(void *context, const struct assembled *doc, struct err *err) {
    struct round *r = context;
    int i = place_of(r, doc->identity);
    if (i < 0 || (size_t)i < r->from || (size_t)i >= r->to)
        return 0;
    return judge(r, (size_t)i, session_expected(doc), doc->version, err);
}

/* ---- documents ---- */

/* The server found it under one of our `_id`s: equal to it, but maybe of another number type. */
static int place_of_document(struct round *r, const bson_t *document, struct err *err) {
    struct span key[PG_INDEX_COLUMNS_MAX];
    struct err ignored;
    int rc = lookup_identity(document, &r->identity, err);
    if (rc < 0)
        return rc;
    int i = place_of(r, buf_span(&r->identity));
    if (i >= 0) {
        r->batch[i]->retyped = false;
        return i + 1;
    }
    if (!identity_twin(r->s->c, document, &r->texts, key))
        return 0;
    buf_clear(&r->identity);
    if (map_identity(r->s->c, key, &r->identity, &ignored) < 0 ||
        (i = place_of(r, buf_span(&r->identity))) < 0)
        return 0;
    r->batch[i]->retyped = true;
    return i + 1;
}

static int on_document(void *context, const bson_t *document, struct err *err) {
    struct round *r = context;
    int place = place_of_document(r, document, err);
    if (place <= 0)
        return place;
    r->documents[place - 1] =
        arena_copy(&r->memory, span_make(bson_get_data(document), document->len));
    return r->documents[place - 1].ptr
               ? 0
               : err_set(err, ERR_LIMIT, "documents asked again are larger than %zu bytes",
                         r->memory.max);
}

static int read_documents(struct round *r, struct err *err) {
    struct span identities[BATCH];
    arena_reset(&r->memory);
    r->memory.max = r->to - r->from > 1 ? PART_BYTES : ASSEMBLE_DOCUMENT_MAX;
    for (size_t i = r->from; i < r->to; i++) {
        r->documents[i] = (struct span){"", 0};
        identities[i - r->from] = r->batch[i]->identity;
    }
    return lookup_find(r->s, identities, r->to - r->from, false, on_document, r, err);
}

/* ---- one round ---- */

static int compare_part(struct round *r, size_t from, size_t to, struct err *err) {
    r->from = from;
    r->to = to;
    int rc = read_documents(r, err);
    if (rc == ERR_LIMIT && to - from > 1) { /* larger than was known */
        size_t middle = from + (to - from) / 2;
        rc = compare_part(r, from, middle, err);
        return rc < 0 ? rc : compare_part(r, middle, to, err);
    }
    if (rc == 0)
        rc = read_rows(r, from, to, on_second_look, err);
    for (size_t i = from; rc == 0 && i < to; i++)
        if (!r->judged[i])
            rc = judge(r, i, (struct span){"", 0}, 0, err);
    return rc;
}

static size_t part_end(const struct round *r, size_t from) {
    size_t to = from, bytes = 0;
    while (to < r->count && (to == from || bytes + r->batch[to]->bytes <= PART_BYTES))
        bytes += r->batch[to++]->bytes;
    return to;
}

static int play(struct round *r, struct err *err) {
    lsn_t position = 0;
    int rc = read_rows(r, 0, r->count, on_first_look, err);
    if (rc == 0)
        rc = heartbeat_position(r->s->pg, &position, err);
    if (rc == 0)
        rc = passed_wait(r->s, position, &r->passed, err);
    for (size_t from = 0, to; rc == 0 && from < r->count; from = to) {
        to = part_end(r, from);
        rc = stop_requested() ? err_set(err, ERR_STOPPED, "asked to stop")
                              : compare_part(r, from, to, err);
    }
    return rc;
}

static int play_round(struct session *s, struct candidate *const *batch, size_t count,
                      struct err *err) {
    struct round *r = mem_zalloc(1, sizeof *r);
    round_init(r, s, batch, count);
    int rc = play(r, err);
    round_free(r);
    return rc;
}

/* ---- all of them ---- */

static size_t next_batch(struct session *s, size_t *at, struct candidate **batch) {
    size_t n = 0;
    for (; *at < s->candidates.count && n < BATCH; (*at)++)
        if (s->candidates.items[*at].verdict == VERDICT_OPEN)
            batch[n++] = &s->candidates.items[*at];
    return n;
}

static int sweep(struct session *s, size_t *ret_open, struct err *err) {
    struct candidate *batch[BATCH];
    size_t at = 0, n;
    *ret_open = 0;
    while ((n = next_batch(s, &at, batch)) > 0) {
        int rc = play_round(s, batch, n, err);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < n; i++)
            *ret_open += batch[i]->verdict == VERDICT_OPEN;
        session_progress(s, VERIFY_SETTLING, (int64_t)at, (int64_t)s->candidates.count);
    }
    return 0;
}

static int report_unsettled(struct session *s, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->candidates.count; i++)
        if (s->candidates.items[i].verdict == VERDICT_UNSETTLED) {
            s->totals->unsettled++;
            rc = difference_report(s, s->candidates.items[i].identity, "", "unsettled", NULL, NULL,
                                   err);
        }
    return rc;
}

static int settle_open(struct session *s, struct err *err) {
    struct backoff backoff;
    size_t open = s->candidates.count;
    backoff_init(&backoff, 20000, 2000000, 1);
    while (open) {
        int rc = sweep(s, &open, err);
        if (rc < 0)
            return rc;
        if (open && stop_wait(backoff_next_us(&backoff)))
            return err_set(err, ERR_STOPPED, "asked to stop");
    }
    return 0;
}

int settle_all(struct session *s, struct err *err) {
    int rc = settle_open(s, err);
    if (rc < 0 || s->options->repair) /* a repair settles them again */
        return rc;
    return report_unsettled(s, err);
}

int settle_for_room(struct session *s, struct err *err) {
    if (s->candidates.count + VERIFY_PAGE <= VERIFY_CANDIDATES_MAX)
        return 0;
    int rc = settle_open(s, err);
    if (rc == 0)
        rc = candidates_drop_equal(&s->candidates, s->c->id_count, err);
    s->resume.kept = 0;
    s->resume.dropped = true;
    return rc;
}

/* Candidates: asked again and again, until each is equal, really different, or unsettled. */
#include "base/backoff.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "model/bsonw.h"
#include "source/readback.h"
#include "state/lock.h"
#include "verify/session.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH 200
#define IMAGES_MAX (ASSEMBLE_DOCUMENT_MAX + 1024 * 1024)
#define PEEK_MAX "1000"
#define PASS_WAIT_US 20000000
#define POLL_US 50000

/* Documents by identity: of rows, or of the target. */
struct images {
    struct arena memory;
    struct spanmap index;
    struct span documents[BATCH];
    size_t count;
};

static void images_init(struct images *m) {
    *m = (struct images){0};
    arena_init(&m->memory, IMAGES_MAX);
}

static void images_release(struct images *m) {
    arena_release(&m->memory);
    spanmap_release(&m->index);
}

static int images_add(struct images *m, struct span identity, struct span document,
                      struct err *err) {
    bool fresh;
    struct span key = arena_copy(&m->memory, identity);
    struct span copy = arena_copy(&m->memory, document);
    if (!key.ptr || !copy.ptr || m->count == BATCH)
        return err_set(err, ERR_LIMIT, "documents asked again are larger than %zu bytes",
                       IMAGES_MAX);
    *spanmap_put(&m->index, key, &fresh) = (uint32_t)m->count + 1;
    m->documents[m->count++] = copy;
    return 0;
}

static struct span images_get(const struct images *m, struct span identity) {
    const uint32_t *position = spanmap_get(&m->index, identity);
    return position ? m->documents[*position - 1] : (struct span){"", 0};
}

/* ---- the round's reads ---- */

static int on_row(void *context, const struct assembled *doc, struct err *err) {
    return images_add(context, doc->identity, session_expected(doc), err);
}

static int read_rows(struct session *s, struct candidate *const *batch, size_t count,
                     struct images *ret, struct err *err) {
    size_t width = s->c->id_count, n = 0;
    struct span *keys = mem_zalloc(count * width, sizeof *keys);
    for (size_t i = 0; i < count; i++)
        if (batch[i]->key)
            memcpy(keys + n++ * width, batch[i]->key, width * sizeof *keys);
    int rc = readback_begin(s->pg, NULL, 0, err);
    if (rc == 0)
        rc = session_end_read(s, assemble_keys(s->assembler, keys, n, 0, on_row, ret, err), err);
    free(keys);
    return rc;
}

static int on_document(void *context, const bson_t *document, struct err *err) {
    _cleanup_(buf_release) struct buf identity = {.max = 1024 * 1024};
    bson_iter_t it;
    struct bsonw w;
    bsonw_begin(&w, &identity);
    if (bson_iter_init_find(&it, document, "_id"))
        bsonw_iter(&w, SPAN_LIT("_id"), &it);
    bsonw_end(&w);
    return images_add(context, buf_span(&identity),
                      span_make(bson_get_data(document), document->len), err);
}

static int read_documents(struct session *s, struct candidate *const *batch, size_t count,
                          struct images *ret, struct err *err) {
    _cleanup_(buf_release) struct buf bytes = {.max = 16 * 1024 * 1024};
    struct bsonw w;
    bson_t filter;
    bsonw_begin(&w, &bytes);
    bsonw_doc_open(&w, SPAN_LIT("_id"));
    bsonw_array_open(&w, SPAN_LIT("$in"));
    for (size_t i = 0; i < count; i++) {
        struct bsonw_index room;
        bson_iter_t it;
        struct span id = batch[i]->identity;
        if (bson_iter_init_from_data(&it, (const uint8_t *)id.ptr, id.len) && bson_iter_next(&it))
            bsonw_iter(&w, bsonw_index_key(&room, (uint32_t)i), &it);
    }
    bsonw_close(&w);
    bsonw_close(&w);
    bsonw_end(&w);
    if (!bsonw_ok(&w) || !bson_init_static(&filter, (const uint8_t *)bytes.data, bytes.len))
        return err_set(err, ERR_LIMIT, "keys of a page are too large");
    return mongo_find(s->mongo, s->conf->target.database, s->c->name, &filter, NULL, NULL, 0,
                      on_document, ret, err);
}

/* ---- has the log been applied up to P? ---- */

/* P, and a commit behind it so that a live run's checkpoint passes P soon. */
static int take_position(struct session *s, lsn_t *ret, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = pg_exec(s->pg, "SELECT pg_catalog.pg_current_wal_insert_lsn()", &r, err);
    if (rc < 0)
        return rc;
    if (!lsn_parse(pg_value(r, 0, 0), ret))
        return err_set(err, ERR_WIRE, "the source's log position is not a position");
    if (pg_server_version(s->pg) < 140000)
        return 0;
    return pg_exec(s->pg, "SELECT pg_catalog.pg_logical_emit_message(true, 'banyan', 'verify')",
                   NULL, err);
}

/* Nobody reads the slot: is anything of ours in the log between the checkpoint and P? Where there
 * is more than was looked at, or the server still believes in a reader, nothing is known. */
static int nothing_waits(struct session *s, const struct state_pipeline *p, lsn_t position,
                         bool *ret_passed, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    _cleanup_(buf_release) struct buf name = {.max = 1024};
    struct lsn_text upto = lsn_format(position);
    pg_add_ident(&name, p->publication);
    struct span params[] = {span_of(p->slot), span_of(upto.text), buf_span(&name),
                            SPAN_LIT(PEEK_MAX)};
    int rc = pg_query(s->pg,
                      "SELECT pg_catalog.count(*) < $4::int AND pg_catalog.count(*) FILTER "
                      "(WHERE pg_catalog.get_byte(data, 0) IN (73, 85, 68, 84)) = 0 " /* I U D T */
                      "FROM pg_catalog.pg_logical_slot_peek_binary_changes"
                      "($1, $2::pg_lsn, $4::int, 'proto_version', '1', 'publication_names', $3)",
                      4, params, &r, err);
    if (rc < 0)
        return strcmp(pg_sqlstate(s->pg), "55006") == 0 ? 0 : rc; /* object_in_use */
    *ret_passed = span_is(pg_value(r, 0, 0), "t");
    return 0;
}

/* What the log up to the checkpoint left to the background is written too. `*newest` (-1 at first)
 * keeps which that is: what comes later is not waited for. */
static int fanouts_passed(struct session *s, int64_t *newest, bool *ret_passed, struct err *err) {
    struct state_fanouts_left left;
    int rc = state_fanouts_left(s->state, s->stored.pipeline, s->c->name, &left, err);
    if (rc < 0)
        return rc;
    if (*newest < 0)
        *newest = left.newest;
    *ret_passed = left.oldest == 0 || left.oldest > *newest;
    return 0;
}

static int wait_passed(struct session *s, lsn_t position, bool *ret_passed, struct err *err) {
    int64_t give_up = clock_mono_us() + PASS_WAIT_US;
    int64_t newest_fanout = -1;
    *ret_passed = false;
    for (;;) {
        struct state_pipeline p;
        bool found = false, live = false;
        char holder[STATE_HOLDER_MAX];
        int rc = state_pipeline_get(s->state, s->stored.pipeline, &p, &found, err);
        if (rc == 0)
            rc = state_lock_peek(state_path(s->state), s->stored.pipeline, &live, holder, err);
        if (rc < 0 || !found)
            return rc;
        bool through = p.checkpoint >= position;
        if (!through && !live)
            rc = nothing_waits(s, &p, position, &through, err);
        if (rc == 0 && through)
            rc = fanouts_passed(s, &newest_fanout, ret_passed, err);
        if (rc < 0 || *ret_passed || !live)
            return rc;
        if (clock_mono_us() > give_up)
            return 0;
        if (stop_wait(POLL_US))
            return err_set(err, ERR_STOPPED, "asked to stop");
    }
}

/* ---- one round ---- */

static int judge(struct session *s, struct candidate *c, struct span row, struct span row_again,
                 struct span document, bool passed, struct err *err) {
    int different = differences(s, c->identity, row, document, false, err);
    if (different > 0 && !span_eq(row, row_again)) /* it may have followed the change already */
        different = differences(s, c->identity, row_again, document, false, err);
    if (different < 0)
        return different;
    struct round_outcome outcome = {
        .passed = passed, .row_stayed = span_eq(row, row_again), .agrees = different == 0};
    c->verdict = rounds_add(&c->rounds, &outcome);
    if (c->verdict == VERDICT_REAL && !s->options->repair)
        different = differences(s, c->identity, row, document, true, err);
    return different < 0 ? different : 0;
}

static int play(struct session *s, struct candidate *const *batch, size_t count,
                struct images images[3], struct err *err) {
    lsn_t position = 0;
    bool passed = false;
    int rc = read_rows(s, batch, count, &images[0], err);
    if (rc == 0)
        rc = take_position(s, &position, err);
    if (rc == 0)
        rc = wait_passed(s, position, &passed, err);
    if (rc == 0)
        rc = read_documents(s, batch, count, &images[1], err);
    if (rc == 0)
        rc = read_rows(s, batch, count, &images[2], err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = judge(s, batch[i], images_get(&images[0], batch[i]->identity),
                   images_get(&images[2], batch[i]->identity),
                   images_get(&images[1], batch[i]->identity), passed, err);
    return rc;
}

static int play_round(struct session *s, struct candidate *const *batch, size_t count,
                      struct err *err) {
    struct images images[3];
    for (int i = 0; i < 3; i++)
        images_init(&images[i]);
    int rc = play(s, batch, count, images, err);
    for (int i = 0; i < 3; i++)
        images_release(&images[i]);
    return rc;
}

/* Documents that are too large to be held together are asked in parts. */
static int play_parts(struct session *s, struct candidate *const *batch, size_t count,
                      struct err *err) {
    int rc = play_round(s, batch, count, err);
    if (rc != ERR_LIMIT || count == 1)
        return rc;
    rc = play_parts(s, batch, count / 2, err);
    return rc < 0 ? rc : play_parts(s, batch + count / 2, count - count / 2, err);
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
        int rc = play_parts(s, batch, n, err);
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

int settle_all(struct session *s, struct err *err) {
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
    return report_unsettled(s, err);
}

#include "pipeline/chunks.h"

#include "base/mem.h"
#include "pipeline/keyblob.h"

/* Assembled chunks are cut shorter: their documents are larger than a row. */
#define ASSEMBLED_CHUNK_DIVISOR 10

struct planned { /* how far the chunks of one collection are planned */
    bool all;
    struct state_chunk *left_over; /* of an earlier run, not done */
    size_t left_over_count;
    int64_t last_number;
    char *last_end; /* blob; NULL: no chunk yet */
    size_t last_end_len;
};

struct chunks {
    struct run *run;
    pthread_mutex_t lock; /* collections */
    struct planned *collections;
    int64_t expected;
};

static bool is_copying(const struct run *run, size_t c) {
    return run->collections[c].phase == STATE_COPYING;
}

/* ---- bounds ---- */

static int read_bound(const struct plan_collection *c, struct span blob, struct arena *memory,
                      struct span ret[PG_INDEX_COLUMNS_MAX], struct err *err) {
    if (keyblob_read(blob, memory, ret, c->id_count))
        return 0;
    return err_set(err, ERR_STATE,
                   "a chunk bound in the state file is damaged; run again with --recopy %s",
                   c->name);
}

int chunks_range(const struct plan_collection *c, const struct state_chunk *chunk,
                 struct arena *memory, struct span lower[PG_INDEX_COLUMNS_MAX],
                 struct span upper[PG_INDEX_COLUMNS_MAX], struct key_range *ret, struct err *err) {
    int rc = 0;
    arena_reset(memory);
    if (chunk->lower)
        rc = read_bound(c, span_make(chunk->lower, chunk->lower_len), memory, lower, err);
    if (rc == 0 && chunk->upper)
        rc = read_bound(c, span_make(chunk->upper, chunk->upper_len), memory, upper, err);
    *ret = (struct key_range){.after = chunk->lower ? lower : NULL,
                              .upto = chunk->upper ? upper : NULL};
    return rc;
}

/* ---- planning, under the lock ---- */

/* The end of the next chunk; empty: none, the chunk is the last one. */
static int find_end(const struct chunks *s, struct pg *pg, struct arena *memory,
                    const struct plan_collection *c, const struct planned *p, struct buf *ret_blob,
                    struct err *err) {
    struct span after[PG_INDEX_COLUMNS_MAX];
    _cleanup_(buf_release) struct buf sql = {.max = QUERY_MAX};
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int64_t rows = s->run->conf->source.snapshot_chunk_rows;
    int rc = 0;
    if (!c->flat)
        rows = rows / ASSEMBLED_CHUNK_DIVISOR + 1;
    arena_reset(memory);
    if (p->last_end)
        rc = read_bound(c, span_make(p->last_end, p->last_end_len), memory, after, err);
    if (rc < 0)
        return rc;
    query_chunk_end(&sql, c, p->last_end ? after : NULL, rows);
    rc = pg_exec(pg, buf_text(&sql), &r, err);
    if (rc < 0 || pg_rows(r) == 0)
        return rc;
    struct span end[PG_INDEX_COLUMNS_MAX];
    for (size_t i = 0; i < c->id_count; i++)
        end[i] = pg_value(r, 0, i);
    keyblob_write(ret_blob, end, c->id_count);
    return 0;
}

static int plan_next(struct chunks *s, struct pg *pg, struct arena *memory, struct chunk *ret,
                     struct err *err) {
    struct run *run = s->run;
    struct planned *p = &s->collections[ret->collection];
    const struct plan_collection *c = run->plan->collections[ret->collection];
    _cleanup_(buf_release) struct buf end = {.max = 1024 * 1024};
    int rc = find_end(s, pg, memory, c, p, &end, err);
    if (rc < 0)
        return rc;
    rc = state_chunk_add(run->state, run->name, c->name, p->last_number + 1,
                         span_make(p->last_end, p->last_end_len),
                         end.len ? buf_span(&end) : (struct span){0}, err);
    if (rc < 0)
        return rc;
    ret->stored = (struct state_chunk){
        .number = ++p->last_number,
        .lower = p->last_end, /* handed on */
        .lower_len = p->last_end_len,
        .upper = end.len ? mem_strndup(end.data, end.len) : NULL,
        .upper_len = end.len,
    };
    p->last_end = end.len ? mem_strndup(end.data, end.len) : NULL;
    p->last_end_len = end.len;
    p->all = end.len == 0;
    return 0;
}

static int claim_locked(struct chunks *s, struct pg *pg, struct arena *memory, struct chunk *ret,
                        struct err *err) {
    for (size_t c = 0; c < s->run->plan->collection_count; c++) {
        struct planned *p = &s->collections[c];
        if (!is_copying(s->run, c))
            continue;
        *ret = (struct chunk){.collection = c};
        if (p->left_over_count) {
            ret->again = true;
            ret->stored = p->left_over[--p->left_over_count];
            return 1;
        }
        if (p->all)
            continue;
        int rc = plan_next(s, pg, memory, ret, err);
        return rc < 0 ? rc : 1;
    }
    return 0;
}

int chunks_claim(struct chunks *s, struct pg *pg, struct arena *memory, struct chunk *ret,
                 struct err *err) {
    pthread_mutex_lock(&s->lock);
    int rc = claim_locked(s, pg, memory, ret, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* ---- before and after ---- */

static int load(struct chunks *s, size_t c, struct err *err) {
    struct run *run = s->run;
    const struct plan_collection *pc = run->plan->collections[c];
    struct planned *p = &s->collections[c];
    if (!is_copying(run, c))
        return 0;
    if (pc->root->table->estimated_rows > 0)
        s->expected += pc->root->table->estimated_rows;
    struct state_chunk last = {0};
    bool found = false;
    int rc = state_chunk_last(run->state, run->name, pc->name, &last, &found, err);
    if (rc == 0)
        rc = state_chunks_open(run->state, run->name, pc->name, &p->left_over, &p->left_over_count,
                               err);
    if (rc == 0 && found) {
        p->last_number = last.number;
        p->all = last.upper == NULL;
        p->last_end = last.upper ? mem_strndup(last.upper, last.upper_len) : NULL;
        p->last_end_len = last.upper_len;
    }
    state_chunk_clear(&last);
    return rc;
}

int chunks_new(struct run *run, struct chunks **ret_chunks, struct err *err) {
    struct chunks *s = mem_zalloc(1, sizeof *s);
    int rc = 0;
    s->run = run;
    pthread_mutex_init(&s->lock, NULL);
    s->collections = mem_zalloc(run->plan->collection_count, sizeof *s->collections);
    for (size_t c = 0; rc == 0 && c < run->plan->collection_count; c++)
        rc = load(s, c, err);
    if (rc < 0)
        chunks_free(s);
    else
        *ret_chunks = s;
    return rc;
}

void chunks_free(struct chunks *s) {
    if (!s)
        return;
    for (size_t c = 0; c < s->run->plan->collection_count; c++) {
        struct planned *p = &s->collections[c];
        for (size_t i = 0; i < p->left_over_count; i++)
            state_chunk_clear(&p->left_over[i]);
        free(p->left_over);
        free(p->last_end);
    }
    free(s->collections);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int64_t chunks_expected(const struct chunks *s) {
    return s->expected;
}

/* Going on after an interruption: the position and the candidates found before it, kept together,
 * so that what was found is asked again and told, whenever the process ended. */
#include "base/clock.h"
#include "base/mem.h"
#include "pipeline/keyblob.h"
#include "verify/session.h"

#include <stdio.h>

#define CURSOR_MAX ((size_t)1024 * 1024)

/* Of which comparison the position is: another one begins anew. */
static void describe(const struct session *s, struct state_verify *v) {
    *v = (struct state_verify){.owner = s->owner, .started_us = s->resume.started_us};
    (void)snprintf(v->collection, sizeof v->collection, "%s", s->c->name);
    (void)snprintf(v->options, sizeof v->options, "%s %s",
                   s->options->keys_only ? "keys" : "fields", s->c->fingerprint);
}

static int begin(struct session *s, struct err *err) {
    struct state_verify v;
    s->resume.started_us = clock_wall_us();
    describe(s, &v);
    s->resume.keeping = true;
    return state_verify_begin(s->state, s->stored.pipeline, &v, err);
}

static int on_candidate(void *context, const struct state_candidate *c, struct err *err) {
    struct session *s = context;
    struct span key[PG_INDEX_COLUMNS_MAX];
    struct arena memory;
    arena_init(&memory, CURSOR_MAX);
    bool named = c->key.ptr && keyblob_read(c->key, &memory, key, s->c->id_count);
    int rc =
        candidates_add(&s->candidates, c->identity, named ? key : NULL, s->c->id_count, 0, err);
    arena_release(&memory);
    return rc;
}

static int go_on(struct session *s, const struct state_verify *v, struct err *err) {
    int rc = state_verify_take(s->state, s->stored.pipeline, s->c->name, v->owner, s->owner,
                               &s->resume.keeping, err);
    if (rc < 0)
        return rc;
    if (!s->resume.keeping) /* somebody else goes on with it this very moment */
        return begin(s, err);
    s->resume.direction = (enum state_verify_direction)v->direction;
    s->resume.started_us = v->started_us;
    buf_add(&s->resume.cursor, v->cursor, v->cursor_len);
    s->compared = v->compared;
    s->scanned = v->scanned;
    rc = state_verify_candidates(s->state, s->stored.pipeline, s->c->name, on_candidate, s, err);
    s->resume.kept = s->candidates.count;
    if (s->totals->resumed_us == 0 || v->started_us < s->totals->resumed_us)
        s->totals->resumed_us = v->started_us;
    return rc;
}

int resume_load(struct session *s, struct err *err) {
    struct state_verify v = {0}, ours;
    bool found = false;
    s->resume = (struct resume){0};
    buf_init(&s->resume.cursor, CURSOR_MAX);
    if (s->options->sample)
        return 0;
    int rc = state_verify_get(s->state, s->stored.pipeline, s->c->name, &v, &found, err);
    describe(s, &ours);
    if (rc == 0) {
        bool same = found && !s->options->restart && strcmp(v.options, ours.options) == 0;
        rc = same ? go_on(s, &v, err) : begin(s, err);
    }
    free(v.cursor);
    return rc;
}

/* What was decoded wrongly is told when it is found, so that part is read again. */
int resume_save(struct session *s, enum state_verify_direction direction, struct span cursor,
                struct err *err) {
    struct resume *r = &s->resume;
    size_t count = s->candidates.count - r->kept;
    r->direction = direction;
    buf_clear(&r->cursor);
    buf_add_span(&r->cursor, cursor);
    if (!r->keeping || s->decoder || !buf_ok(&r->cursor))
        return 0;
    struct state_verify v;
    describe(s, &v);
    v.direction = (int)direction;
    v.cursor = r->cursor.data;
    v.cursor_len = r->cursor.len;
    v.compared = s->compared;
    v.scanned = s->scanned;
    struct state_candidate *found = mem_zalloc(count + 1, sizeof *found);
    struct buf *keys = mem_zalloc(count + 1, sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        const struct candidate *c = &s->candidates.items[r->kept + i];
        buf_init(&keys[i], CURSOR_MAX);
        if (c->key)
            keyblob_write(&keys[i], c->key, s->c->id_count);
        found[i] =
            (struct state_candidate){c->identity, c->key ? buf_span(&keys[i]) : (struct span){0}};
    }
    int rc = state_verify_advance(s->state, s->stored.pipeline, &v, r->dropped, found, count,
                                  &r->keeping, err);
    r->kept = s->candidates.count;
    r->dropped = false;
    for (size_t i = 0; i < count; i++)
        buf_release(&keys[i]);
    free(keys);
    free(found);
    return rc;
}

void resume_release(struct resume *r) {
    buf_release(&r->cursor);
}

int resume_forget(struct session *s, struct err *err) {
    struct state_collection *list = NULL;
    size_t count = 0;
    int rc = state_collection_list(s->state, NULL, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = state_verify_delete(s->state, list[i].pipeline, list[i].name, s->owner, err);
    free(list);
    return rc;
}

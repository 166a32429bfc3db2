#include "flagfile/shared.h"

#include "base/json_read.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "base/spanmap.h"
#include "flagfile/overrides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX (SHARED_FLAGS_MAX * 32)

void shared_clear(struct shared_flags *s) {
    for (size_t i = 0; i < s->count; i++)
        state_flag_clear(&s->flags[i]);
    free(s->flags);
    *s = (struct shared_flags){0};
}

void shared_begin(struct shared_flags *s, uint64_t random) {
    *s = (struct shared_flags){0};
    (void)snprintf(s->generation, sizeof s->generation, "%016llx", (unsigned long long)random);
}

/* ---- reading ---- */

static int wrong(const struct json_doc *d, const struct json_node *at, const char *what,
                 struct err *err) {
    unsigned line, column;
    json_place(d->text, at->start, &line, &column);
    return err_set(err, ERR_VALUE, "the shared flags are wrong at %u:%u: %s", line, column, what);
}

static bool read_text(const struct json_doc *d, const struct json_node *flag, const char *name,
                      char *to, size_t size) {
    return json_copy(d, json_member(d, flag, name), to, size);
}

static int read_flag(const struct json_doc *d, const struct json_node *n, struct state_flag *f,
                     struct err *err) {
    const struct json_node *version = json_member(d, n, "version");
    const struct json_node *killed = json_member(d, n, "killed");
    const struct json_node *changes = json_member(d, n, "override");
    const struct json_node *changed = json_member(d, n, "changed_us");
    if (!read_text(d, n, "name", f->name, sizeof f->name) || f->name[0] == '\0')
        return wrong(d, n, "a flag needs a name", err);
    if (!version || !json_int(d, version, &f->version) || f->version < 1 ||
        f->version > SHARED_VERSION_MAX)
        return wrong(d, n, "a flag needs a version from 1 to 2^53", err);
    if (!killed || !json_bool(killed, &f->killed))
        return wrong(d, n, "killed must be true or false", err);
    if (!changes || (changes->type != JSON_OBJECT && changes->type != JSON_NULL))
        return wrong(d, n, "override must be an object or null", err);
    if (!read_text(d, n, "who", f->who, sizeof f->who) ||
        !read_text(d, n, "why", f->why, sizeof f->why) || !changed ||
        !json_int(d, changed, &f->changed_us))
        return wrong(d, n, "a flag needs who, why and changed_us", err);
    struct span raw = json_raw(d, changes);
    if (raw.len > STATE_CHANGES_MAX)
        return wrong(d, changes, "an override is too long", err);
    if (changes->type == JSON_OBJECT)
        f->changes = mem_strndup(raw.ptr, raw.len);
    return 0;
}

static int read_flags(const struct json_doc *d, struct shared_flags *s, struct err *err) {
    const struct json_node *root = json_root(d), *list = json_member(d, root, "flags");
    const struct json_node *version = json_member(d, root, "version");
    int rc = 0;
    if (!version || !json_int(d, version, &s->version) || s->version < 1 ||
        s->version > SHARED_VERSION_MAX)
        return wrong(d, root, "it needs a version from 1 to 2^53", err);
    if (!read_text(d, root, "generation", s->generation, sizeof s->generation) ||
        strspn(s->generation, "0123456789abcdef") != 16)
        return wrong(d, root, "it needs a generation", err);
    if (!list || list->type != JSON_ARRAY || list->count > SHARED_FLAGS_MAX)
        return wrong(d, root, "it needs a list of at most 10000 flags", err);
    s->flags = mem_zalloc((size_t)list->count + 1, sizeof *s->flags);
    for (const struct json_node *n = json_first(d, list); rc == 0 && n; n = json_next(d, list, n))
        rc = read_flag(d, n, &s->flags[s->count++], err);
    return rc;
}

int shared_read(struct span json, struct shared_flags *ret, struct err *err) {
    _cleanup_(mem_freep) struct json_node *nodes = NULL;
    struct json_doc d;
    *ret = (struct shared_flags){0};
    if (json.len > SHARED_MAX)
        return err_set(err, ERR_LIMIT, "the shared flags have more than %zu bytes", SHARED_MAX);
    nodes = mem_alloc(NODES_MAX * sizeof *nodes);
    int rc = json_parse(&d, json, nodes, NODES_MAX, err);
    if (rc == 0)
        rc = read_flags(&d, ret, err);
    if (rc < 0)
        shared_clear(ret);
    return rc;
}

/* ---- writing ---- */

void shared_write(const struct shared_flags *s, struct buf *out) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "generation", s->generation);
    json_out_int(&j, "version", s->version);
    json_out_open(&j, "flags", '[');
    for (size_t i = 0; i < s->count; i++) {
        const struct state_flag *f = &s->flags[i];
        json_out_open(&j, NULL, '{');
        json_out_text(&j, "name", f->name);
        json_out_int(&j, "version", f->version);
        json_out_bool(&j, "killed", f->killed);
        if (f->changes)
            json_out_raw(&j, "override", span_of(f->changes));
        else
            json_out_text(&j, "override", NULL);
        json_out_text(&j, "who", f->who);
        json_out_text(&j, "why", f->why);
        json_out_int(&j, "changed_us", f->changed_us);
        json_out_close(&j, '}');
    }
    json_out_close(&j, ']');
    json_out_close(&j, '}');
}

/* ---- what cannot be used ---- */

static bool is_bad(const struct state_flag *f) {
    static const struct flags_flag any = {.name = {"", 0}};
    _cleanup_(buf_release) struct buf ignored = {.max = 2 * STATE_CHANGES_MAX};
    struct err why = {0};
    return f->changes && overrides_merge(&any, f->changes, SPAN_LIT("{}"), &ignored, &why) < 0;
}

size_t shared_drop_bad(struct shared_flags *s) {
    size_t kept = 0, all = s->count;
    for (size_t i = 0; i < all; i++) {
        struct state_flag f = s->flags[i];
        if (is_bad(&f))
            state_flag_clear(&f);
        else
            s->flags[kept++] = f;
    }
    s->count = kept;
    return all - kept;
}

/* ---- merging ---- */

static bool is_same(const struct state_flag *a, const struct state_flag *b) {
    const char *x = a->changes ? a->changes : "", *y = b->changes ? b->changes : "";
    return a->killed == b->killed && strcmp(x, y) == 0;
}

static void copy_flag(struct state_flag *to, const struct state_flag *from) {
    free(to->changes);
    *to = *from;
    to->changes = from->changes ? mem_strdup(from->changes) : NULL;
}

enum side { NEITHER, SHARED, OWN };

static enum side newer(const struct state_flag *shared, const struct state_flag *own) {
    if (shared->version != own->version)
        return shared->version > own->version ? SHARED : OWN;
    if (is_same(shared, own))
        return NEITHER;
    return own->killed && !shared->killed ? OWN : SHARED;
}

struct merge {
    struct shared_flags *s;
    struct spanmap names; /* of the shared flags: index + 1 */
    bool *known;          /* by shared flag: it is here too */
    const struct state_flag **taken;
    size_t taken_count;
    bool given;
};

/* One of ours that wins a tie gets a version of its own, so that everybody takes it. */
static void merge_one(struct merge *m, const struct state_flag *own) {
    const uint32_t *place = spanmap_get(&m->names, span_of(own->name));
    struct state_flag *shared = place ? &m->s->flags[*place - 1] : NULL;
    if (!shared) {
        if (own->version > 0)
            copy_flag(&m->s->flags[m->s->count++], own);
        m->given |= own->version > 0;
        return;
    }
    m->known[*place - 1] = true;
    bool tie = shared->version == own->version;
    switch (newer(shared, own)) {
    case NEITHER:
        return;
    case SHARED:
        m->taken[m->taken_count++] = shared;
        return;
    case OWN:
        copy_flag(shared, own);
        shared->version += tie;
        if (tie)
            m->taken[m->taken_count++] = shared;
        m->given = true;
        return;
    }
}

int shared_merge(struct shared_flags *s, const struct state_flag *own, size_t own_count,
                 const struct state_flag ***ret_taken, size_t *ret_taken_count, bool *ret_given,
                 struct err *err) {
    size_t old_count = s->count;
    struct merge m = {.s = s};
    if (old_count + own_count > SHARED_FLAGS_MAX * 2)
        return err_set(err, ERR_LIMIT, "more than %d changed flags cannot be shared",
                       SHARED_FLAGS_MAX);
    s->flags = mem_realloc(s->flags, old_count + own_count + 1, sizeof *s->flags);
    memset(s->flags + old_count, 0, (own_count + 1) * sizeof *s->flags);
    m.known = mem_zalloc(old_count + 1, sizeof *m.known);
    m.taken = mem_zalloc(old_count + own_count + 1, sizeof *m.taken);
    for (size_t i = 0; i < old_count; i++) {
        bool fresh;
        *spanmap_put(&m.names, span_of(s->flags[i].name), &fresh) = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < own_count; i++)
        merge_one(&m, &own[i]);
    for (size_t i = 0; i < old_count; i++)
        if (!m.known[i])
            m.taken[m.taken_count++] = &s->flags[i];
    s->version += m.given;
    free(m.known);
    spanmap_release(&m.names);
    *ret_taken = m.taken;
    *ret_taken_count = m.taken_count;
    *ret_given = m.given;
    return 0;
}

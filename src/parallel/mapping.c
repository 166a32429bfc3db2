#include "parallel/mapping.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/thread.h"
#include "compare/compare.h"
#include "db/pg.h"
#include "parallel/core.h"
#include "pipeline/keyblob.h"
#include "source/plan_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define AGAIN_US 2000000
#define KEY_TEXT_MAX 1024 /* bytes of one key column */

struct mapping {
    struct parallel *p;
    struct stop_scope *scope;
    pthread_t thread;
    struct pg_catalog *catalog;
    struct plan *owned;
    _Atomic(const struct plan *) plan; /* NULL: not yet */
};

static int compile(struct mapping *m, struct err *err) {
    _cleanup_(pg_freep) struct pg *pg = NULL;
    int rc = pg_connect(m->p->config.conf->source.uri, PG_SQL, "banyan parallel run", &pg, err);
    if (rc < 0)
        return rc;
    pg_end_on_stop(pg, true);
    if (!m->owned)
        rc = plan_from_source(m->p->config.conf, "all", m->catalog, pg, &m->owned, err);
    if (rc == 0)
        rc = subjects_compile(&m->p->subjects, m->owned, err);
    return rc;
}

static void *mapping_main(void *argument) {
    struct mapping *m = argument;
    bool said = false;
    stop_scope_enter(m->scope);
    do {
        struct err err = {0};
        if (compile(m, &err) == 0) {
            atomic_store(&m->plan, m->owned);
            break;
        }
        if (!said && !stop_requested())
            log_event(LOG_WARN, "comparison_waits", LOG_STR("reason", err.text));
        said = true;
        pg_catalog_free(m->catalog); /* what it has read may be half of it, or old */
        plan_free(m->owned);
        m->owned = NULL;
        m->catalog = pg_catalog_new();
    } while (!stop_wait(AGAIN_US));
    stop_scope_enter(NULL);
    return NULL;
}

static void release(struct mapping *m) {
    plan_free(m->owned);
    pg_catalog_free(m->catalog);
    stop_scope_free(m->scope);
    free(m);
}

int mapping_start(struct parallel *p, struct mapping **ret, struct err *err) {
    struct mapping *m = mem_zalloc(1, sizeof *m);
    m->p = p;
    m->scope = stop_scope_new();
    m->catalog = pg_catalog_new();
    if (!thread_start(&m->thread, mapping_main, m)) {
        release(m);
        return err_set(err, ERR_INTERNAL, "cannot start the thread that reads the mapping");
    }
    *ret = m;
    return 0;
}

void mapping_stop(struct mapping *m) {
    if (!m)
        return;
    stop_scope_request(m->scope);
    pthread_join(m->thread, NULL);
    release(m);
}

/* ---- which document ---- */

static const struct compare_value *member(const struct compare_value *object, struct span name) {
    const struct compare_value *v = object + 1;
    for (uint32_t i = 0; i < object->count; i++, v += v->size) {
        if (span_eq(v->name, name))
            return v;
    }
    return NULL;
}

static bool shows(const struct compare_value *v, struct span text) {
    _cleanup_(buf_release) struct buf shown = {.max = KEY_TEXT_MAX};
    if (!v)
        return false;
    if (v->type == COMPARE_STRING)
        return span_eq(v->text, text);
    compare_show(v, KEY_TEXT_MAX, &shown);
    return buf_ok(&shown) && span_eq(buf_span(&shown), text);
}

static bool is_element(const struct compare_value *v, uint32_t index, struct span step) {
    char text[16];
    const char *equals = memchr(step.ptr, '=', step.len);
    if (equals)
        return v->type == COMPARE_OBJECT &&
               shows(member(v, span_make(step.ptr, (size_t)(equals - step.ptr))),
                     span_make(equals + 1, step.len - (size_t)(equals + 1 - step.ptr)));
    (void)snprintf(text, sizeof text, "%u", index);
    return span_is(step, text);
}

const struct compare_value *mapping_find(const struct compare_tree *tree, struct span path) {
    const struct compare_value *root = &tree->nodes[0], *v = root + 1;
    const char *end = path.len && path.ptr[0] == '[' ? memchr(path.ptr, ']', path.len) : NULL;
    if (root->type == COMPARE_OBJECT)
        return root;
    if (root->type != COMPARE_ARRAY || !end)
        return NULL;
    struct span step = span_make(path.ptr + 1, (size_t)(end - path.ptr) - 1);
    for (uint32_t i = 0; i < root->count; i++, v += v->size)
        if (is_element(v, i, step))
            return v;
    return NULL;
}

/* As the source writes it; only what has one form there. */
static bool key_text(const struct compare_value *v, const struct pg_type *type, struct buf *out) {
    bool whole = type->kind == PG_KIND_INT32 || type->kind == PG_KIND_INT64;
    if (v && whole && v->type == COMPARE_INT) {
        buf_printf(out, "%" PRId64, v->number);
        return true;
    }
    if (!v || v->type != COMPARE_STRING ||
        (type->kind != PG_KIND_TEXT && type->kind != PG_KIND_UUID))
        return false;
    buf_add_span(out, v->text);
    return buf_ok(out) && out->len > 0;
}

/* Under the name of the column, of the field, or as _id. */
static const struct compare_value *key_member(const struct plan_collection *c, size_t at,
                                              const struct compare_value *object) {
    const struct plan_node *root = c->root;
    const struct compare_value *v = NULL;
    if (c->id_kind == PLAN_ID_SCALAR)
        v = member(object, SPAN_LIT("_id"));
    for (size_t i = 0; !v && i < root->field_count; i++)
        if (root->fields[i].kind == PLAN_COLUMN && root->fields[i].column == c->id[at])
            v = member(object, root->fields[i].name);
    return v ? v : member(object, span_of(root->columns[c->id[at]].name));
}

static bool add_key(const struct plan_collection *c, const struct compare_value *object,
                    struct buf *ret_key) {
    struct buf texts[PG_INDEX_COLUMNS_MAX];
    struct span spans[PG_INDEX_COLUMNS_MAX];
    bool ok = c->id_count <= PG_INDEX_COLUMNS_MAX;
    size_t n = 0;
    for (; ok && n < c->id_count; n++) {
        buf_init(&texts[n], KEY_TEXT_MAX);
        ok = key_text(key_member(c, n, object), c->root->columns[c->id[n]].source->type, &texts[n]);
        spans[n] = buf_span(&texts[n]);
    }
    if (ok)
        keyblob_write(ret_key, spans, c->id_count);
    for (size_t i = 0; i < n; i++)
        buf_release(&texts[i]);
    return ok;
}

const char *mapping_document(struct mapping *m, const char *module,
                             const struct compare_value *value, struct buf *ret_key) {
    const struct plan *plan = m ? atomic_load(&m->plan) : NULL;
    const char *found = NULL;
    if (!plan || value->type != COMPARE_OBJECT)
        return NULL;
    for (size_t i = 0; i < plan->collection_count; i++) {
        const struct plan_collection *c = plan->collections[i];
        _cleanup_(buf_release) struct buf key = {.max = ret_key->max};
        if (strcmp(c->module, module) != 0 || !add_key(c, value, &key))
            continue;
        if (found)
            return NULL;
        found = c->name;
        buf_clear(ret_key);
        buf_add_span(ret_key, buf_span(&key));
    }
    return found && buf_ok(ret_key) ? found : NULL;
}

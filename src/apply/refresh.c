#include "apply/refresh.h"

#include "base/clock.h"
#include "base/mem.h"
#include "source/assemble.h"
#include "source/readback.h"
#include "source/rights.h"

struct refresh {
    const struct plan *plan;
    const char *source_uri;
    const char *app;
    struct pg *pg;
    struct assembler **assemblers; /* by collection; made with the session */
    struct span *keys;
    size_t key_cap;
    bool *found;
    size_t found_cap;
};

struct refresh *refresh_new(const struct plan *plan, const char *source_uri, const char *app) {
    struct refresh *r = mem_zalloc(1, sizeof *r);
    *r = (struct refresh){.plan = plan, .source_uri = source_uri, .app = app};
    r->assemblers = mem_zalloc(plan->collection_count, sizeof(struct assembler *));
    return r;
}

static void disconnect(struct refresh *r) {
    for (size_t i = 0; i < r->plan->collection_count; i++) {
        assembler_free(r->assemblers[i]);
        r->assemblers[i] = NULL;
    }
    pg_free(r->pg);
    r->pg = NULL;
}

void refresh_free(struct refresh *r) {
    if (!r)
        return;
    disconnect(r);
    free(r->assemblers);
    free(r->keys);
    free(r->found);
    free(r);
}

struct run {
    const struct fold *fold;
    bool *found;
    refresh_fn fn;
    void *context;
};

static int on_assembled(void *context, const struct assembled *doc, struct err *err) {
    struct run *run = context;
    const uint32_t *position = spanmap_get(&run->fold->index, doc->identity);
    /* A key that compares equal in SQL but is another document (citext) has its own change. */
    if (!position || run->found[*position - 1])
        return 0;
    run->found[*position - 1] = true;
    struct refreshed out = {doc->identity, doc->document, doc->failure};
    return run->fn(run->context, &out, err);
}

static size_t collect_keys(struct refresh *r, const struct plan_collection *c,
                           const struct fold *fold) {
    if (r->key_cap < fold->count * c->id_count) {
        r->key_cap = fold->count * c->id_count;
        r->keys = mem_realloc(r->keys, r->key_cap, sizeof *r->keys);
    }
    if (r->found_cap < fold->count) {
        r->found_cap = fold->count;
        r->found = mem_realloc(r->found, r->found_cap, sizeof *r->found);
    }
    memset(r->found, 0, fold->count * sizeof *r->found);
    size_t n = 0;
    for (size_t i = 0; i < fold->count; i++)
        if (fold->items[i].kind == CHANGE_REFRESH)
            memcpy(r->keys + n++ * c->id_count, fold->items[i].key, c->id_count * sizeof *r->keys);
    return n;
}

static int give_deletes(const struct run *run, struct err *err) {
    for (size_t i = 0; i < run->fold->count; i++) {
        if (run->fold->items[i].kind != CHANGE_REFRESH || run->found[i])
            continue;
        struct refreshed out = {.identity = run->fold->items[i].identity};
        int rc = run->fn(run->context, &out, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int connect_source(struct refresh *r, size_t collection, struct err *err) {
    int rc = readback_connect(&r->pg, r->source_uri, r->app, err);
    if (rc == 0 && !r->assemblers[collection])
        r->assemblers[collection] = assembler_new(r->pg, r->plan->collections[collection]);
    return rc;
}

static int read_all(struct refresh *r, size_t collection, const struct run *run, size_t count,
                    struct err *err) {
    const struct plan_collection *c = r->plan->collections[collection];
    int rc = readback_begin(r->pg, run->fold->xids, run->fold->xid_count, err);
    if (rc < 0)
        return rc;
    rc = assemble_keys(r->assemblers[collection], r->keys, count, clock_wall_us() / 1000,
                       on_assembled, (void *)run, err);
    if (rc == 0)
        rc = readback_check_tables(r->pg, c->nodes, c->node_count, err);
    if (rc == 0)
        rc = readback_end(r->pg, err);
    return rc;
}

int refresh_run(struct refresh *r, size_t collection, const struct fold *fold, refresh_fn fn,
                void *context, struct err *err) {
    size_t count = collect_keys(r, r->plan->collections[collection], fold);
    struct run run = {.fold = fold, .found = r->found, .fn = fn, .context = context};
    int rc = connect_source(r, collection, err);
    if (rc == 0) {
        rc = read_all(r, collection, &run, count, err);
        if (rc < 0)
            rights_explain(r->pg, r->plan->collections[collection], err);
    }
    if (rc < 0) {
        disconnect(r); /* whatever state the session is in, a new one is clean */
        return rc;
    }
    return give_deletes(&run, err);
}

#include "apply/fold.h"

#include "base/mem.h"
#include "map/document.h"

void fold_release(struct fold *f) {
    spanmap_release(&f->index);
    free(f->items);
    free(f->xids);
    *f = (struct fold){0};
}

void fold_clear(struct fold *f) {
    spanmap_clear(&f->index);
    f->count = 0;
    f->xid_count = 0;
}

/* A few distinct transactions in a row are usual, so the newest is looked at first. */
static void add_xid(struct fold *f, uint32_t xid) {
    if (xid == 0)
        return;
    for (size_t i = f->xid_count; i-- > 0;)
        if (f->xids[i] == xid)
            return;
    if (f->xid_count == f->xid_cap) {
        f->xid_cap = f->xid_cap ? f->xid_cap * 2 : 16;
        f->xids = mem_realloc(f->xids, f->xid_cap, sizeof *f->xids);
    }
    f->xids[f->xid_count++] = xid;
}

static struct change *append(struct fold *f, const struct change *change) {
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 256;
        f->items = mem_realloc(f->items, f->cap, sizeof *f->items);
    }
    f->items[f->count] = *change;
    return &f->items[f->count++];
}

/* The later row, with what it leaves out taken from the earlier one. */
static int merge_values(const struct plan_collection *c, struct change *to,
                        const struct change *from, struct arena *memory, struct err *err) {
    size_t n = c->root->column_count;
    struct span *merged = arena_alloc(memory, n * sizeof *merged);
    if (!merged)
        return err_set(err, ERR_LIMIT, "merged row does not fit into its batch");
    for (size_t i = 0; i < n; i++)
        merged[i] = row_is_unchanged(from->values[i]) ? to->values[i] : from->values[i];
    to->values = merged;
    return 0;
}

static void become_refresh(struct fold *f, struct change *to, const struct change *from) {
    add_xid(f, to->xid);
    add_xid(f, from->xid);
    to->kind = CHANGE_REFRESH;
}

int fold_add(struct fold *f, const struct plan_collection *c, const struct change *change,
             struct arena *memory, struct err *err) {
    bool fresh;
    uint32_t *position = spanmap_put(&f->index, change->identity, &fresh);
    if (fresh) {
        *position = (uint32_t)f->count + 1;
        if (change->kind == CHANGE_REFRESH)
            add_xid(f, change->xid);
        append(f, change);
        return 0;
    }
    struct change *to = &f->items[*position - 1];
    enum change_kind before = to->kind;
    int rc = 0;
    if (before == CHANGE_REFRESH || change->kind == CHANGE_REFRESH ||
        (before == CHANGE_DELETE && change->kind == CHANGE_SET)) {
        become_refresh(f, to, change);
    } else if (change->kind == CHANGE_SET) {
        rc = merge_values(c, to, change, memory, err);
    } else {
        struct span identity = to->identity;
        *to = *change;
        to->identity = identity;
        if (change->kind == CHANGE_INSERT && before == CHANGE_DELETE)
            to->kind = CHANGE_PUT;
        if (change->kind == CHANGE_PUT && before == CHANGE_INSERT)
            to->kind = CHANGE_INSERT;
    }
    to->xid = change->xid;
    to->lsn = change->lsn;
    return rc;
}

void fold_want_refresh(struct fold *f, size_t i) {
    add_xid(f, f->items[i].xid);
    f->items[i].kind = CHANGE_REFRESH;
}

bool fold_has_refresh(const struct fold *f) {
    for (size_t i = 0; i < f->count; i++)
        if (f->items[i].kind == CHANGE_REFRESH)
            return true;
    return false;
}

#include "flagfile/overrides.h"

#include "base/json_write.h"
#include "base/mem.h"
#include "flagfile/reader.h"

#include <stdio.h>

/* ---- the lists ---- */

struct listed {
    const char *key;
    size_t items, count; /* offsets */
};

static const struct listed lists[] = {
#define LISTED(key, field)                                                                         \
    { key, offsetof(struct flags_flag, field), offsetof(struct flags_flag, field##_count) }
    LISTED("enabled_for_users", users_on),
    LISTED("enabled_for_tenants", tenants_on),
    LISTED("disabled_for_users", users_off),
    LISTED("disabled_for_tenants", tenants_off),
#undef LISTED
};
#define LIST_COUNT (sizeof lists / sizeof *lists)

static const struct span **items_of(struct flags_flag *f, const struct listed *l) {
    return (const struct span **)(void *)((char *)f + l->items);
}

static size_t *count_of(struct flags_flag *f, const struct listed *l) {
    return (size_t *)(void *)((char *)f + l->count);
}

static const struct span *get_items(const struct flags_flag *f, const struct listed *l) {
    return *(const struct span *const *)(const void *)((const char *)f + l->items);
}

static size_t get_count(const struct flags_flag *f, const struct listed *l) {
    return *(const size_t *)(const void *)((const char *)f + l->count);
}

static int compare_spans(const void *a, const void *b) {
    const struct span *x = a, *y = b;
    return span_compare(*x, *y);
}

/* As sets: the order of a list means nothing. */
static bool same_list(const struct flags_flag *a, const struct flags_flag *b,
                      const struct listed *l) {
    size_t n = get_count(a, l);
    if (n != get_count(b, l))
        return false;
    if (n == 0)
        return true;
    struct span *x = mem_alloc(n * sizeof *x), *y = mem_alloc(n * sizeof *y);
    memcpy(x, get_items(a, l), n * sizeof *x);
    memcpy(y, get_items(b, l), n * sizeof *y);
    qsort(x, n, sizeof *x, compare_spans);
    qsort(y, n, sizeof *y, compare_spans);
    bool same = true;
    for (size_t i = 0; same && i < n; i++)
        same = span_eq(x[i], y[i]);
    free(x);
    free(y);
    return same;
}

/* ---- one override on one flag ---- */

/* Whether the percentage decides anything for this flag. */
static bool has_rollout(const struct flags_flag *f) {
    return !f->targeting && !f->fixed && !f->rules_only;
}

static int parse(struct reader *r, struct span json) {
    static const struct tree_limits limits = {1024 * 1024, 100000, ""};
    struct tree_input in = {r->file, json.len ? json.ptr : "", json.len, &limits};
    return json_tree_parse(&in, r->arena, &r->root, r->err);
}

static int set_list(struct reader *r, const struct tree_node *root, const struct listed *l,
                    struct flags_flag *f) {
    const struct tree_node *node = read_get(root, l->key);
    return node ? read_texts(r, l->key, node, FLAGS_LISTED_MAX, items_of(f, l), count_of(f, l)) : 0;
}

/* The keys of `root` onto the flag. `lenient`: what does not fit is left out, as the file may have
 * changed since; else it is an error. */
static int set_all(struct reader *r, const struct tree_node *root, bool lenient,
                   struct flags_flag *f) {
    const struct tree_node *percent = read_get(root, "rollout_percentage");
    int rc = read_keys(r, "the change", root, OVERRIDE_KEYS);
    if (rc == 0)
        rc = read_optional_bool(r, root, "enabled", &f->enabled);
    if (rc == 0 && percent && !has_rollout(f) && !lenient)
        rc = read_fail(r, percent->at,
                       "this flag is decided by rules, not by a percentage; change its file, or "
                       "set 'enabled'");
    if (rc == 0 && percent && has_rollout(f)) {
        rc = read_percent(r, "rollout_percentage", percent, &f->rollout);
        /* A draw among everybody becomes one among a part, by the same bucketing. */
        if (rc == 0 && f->split_count > 0 && f->bucketing.by_count == 0)
            f->bucketing = f->split_bucketing;
    }
    for (size_t i = 0; rc == 0 && i < LIST_COUNT; i++)
        rc = set_list(r, root, &lists[i], f);
    return rc;
}

static int apply_one(struct reader *r, const char *changes, bool lenient, struct flags_flag *f) {
    if (!changes)
        return 0;
    int rc = parse(r, span_of(changes));
    return rc < 0 ? rc : set_all(r, r->root, lenient, f);
}

/* ---- JSON ---- */

static void put_rollout(struct json_out *j, uint32_t rollout) {
    json_out_raw(j, "rollout_percentage", span_of(flagfile_percent(rollout).text));
}

static void put_list(struct json_out *j, const struct flags_flag *f, const struct listed *l) {
    json_out_open(j, l->key, '[');
    for (size_t i = 0; i < get_count(f, l); i++)
        json_out_span(j, NULL, get_items(f, l)[i]);
    json_out_close(j, ']');
}

void overrides_values(const struct flags_flag *flag, struct buf *out) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_bool(&j, "enabled", flag->enabled);
    put_rollout(&j, flag->rollout);
    for (size_t i = 0; i < LIST_COUNT; i++)
        put_list(&j, flag, &lists[i]);
    json_out_close(&j, '}');
}

int overrides_merge(const struct flags_flag *flag, const char *old, struct span changes,
                    struct buf *ret_json, struct err *err) {
    struct arena arena;
    struct flags_flag now = *flag;
    arena_init(&arena, FLAGFILE_MEMORY_MAX);
    struct reader r = {.arena = &arena, .file = "change", .flag = flag->name.ptr, .err = err};
    int rc = apply_one(&r, old, true, &now);
    if (rc == 0)
        rc = parse(&r, changes);
    if (rc == 0)
        rc = set_all(&r, r.root, false, &now);
    buf_clear(ret_json);
    bool differs = now.enabled != flag->enabled || now.rollout != flag->rollout;
    for (size_t i = 0; i < LIST_COUNT; i++)
        differs = differs || !same_list(&now, flag, &lists[i]);
    if (rc == 0 && differs) {
        struct json_out j;
        json_out_begin(&j, ret_json);
        json_out_open(&j, NULL, '{');
        if (now.enabled != flag->enabled)
            json_out_bool(&j, "enabled", now.enabled);
        if (now.rollout != flag->rollout)
            put_rollout(&j, now.rollout);
        for (size_t i = 0; i < LIST_COUNT; i++)
            if (!same_list(&now, flag, &lists[i]))
                put_list(&j, &now, &lists[i]);
        json_out_close(&j, '}');
    }
    arena_release(&arena);
    if (rc == 0 && !buf_ok(ret_json))
        rc = err_set(err, ERR_LIMIT, "flag '%s': the override is too long; put it into the file",
                     flag->name.ptr);
    return rc;
}

int overrides_apply(const struct flags_model *file, const struct override *list, size_t count,
                    struct arena *arena, struct flags_model *ret_model, struct err *err) {
    struct flags_flag *flags = arena_alloc(arena, (file->flag_count + 1) * sizeof *flags);
    if (!flags)
        return err_set(err, ERR_CONF, "the flags need more than %zu MiB of memory",
                       arena->max / ((size_t)1024 * 1024));
    if (file->flag_count)
        memcpy(flags, file->flags, file->flag_count * sizeof *flags);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct flags_flag *found = flagfile_find(file, list[i].name);
        if (!found)
            continue;
        struct flags_flag *f = &flags[found - file->flags];
        struct reader r = {.arena = arena, .file = "override", .flag = list[i].name, .err = err};
        rc = apply_one(&r, list[i].changes, true, f);
        f->killed = f->killed || list[i].killed;
    }
    *ret_model = *file;
    ret_model->flags = flags;
    return rc;
}

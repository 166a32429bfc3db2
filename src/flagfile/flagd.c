/*
 * flagd: flagd.dev/schema/v0/flags.json, as JSON or YAML. `flags` is a mapping, or a list whose
 * entries have a `key`.
 */
#include "flagfile/rules.h"

#include "base/mem.h"

#define FILE_KEYS "$schema $evaluators metadata flags"
#define FLAG_KEYS "state variants defaultVariant targeting metadata source"

struct evaluator {
    struct span name;
    const struct tree_node *tree;
    const struct flags_node *node; /* once it is converted */
    bool busy;
};

struct flagd {
    struct reader *r;
    struct evaluator *evaluators;
    size_t evaluator_count;
    size_t depth;
};

/* ---- targeting ---- */

static int convert(struct flagd *g, const struct tree_node *tree, const struct flags_node **ret);

static int convert_ref(struct flagd *g, const struct tree_node *name,
                       const struct flags_node **ret) {
    struct span text;
    int rc = read_text(g->r, "$ref", name, FLAGS_NAME_MAX, &text);
    if (rc < 0)
        return rc;
    struct evaluator *e = NULL;
    for (size_t i = 0; i < g->evaluator_count && !e; i++)
        if (span_eq(g->evaluators[i].name, text))
            e = &g->evaluators[i];
    if (!e)
        return read_fail(g->r, name->at, "$ref '%s' is not in $evaluators", text.ptr);
    if (e->busy)
        return read_fail(g->r, name->at, "$ref '%s' leads back to itself", text.ptr);
    if (!e->node) {
        e->busy = true;
        rc = convert(g, e->tree, &e->node);
        e->busy = false;
    }
    *ret = e->node;
    return rc;
}

static int convert_scalar(struct flagd *g, const struct tree_node *tree, struct flags_node *node) {
    struct flags_value v;
    int rc = read_value(g->r, tree, &v);
    if (rc < 0)
        return rc;
    node_take(node, &v);
    return 0;
}

static int convert_members(struct flagd *g, const struct tree_node *tree, struct flags_node *node) {
    struct flags_member *in = read_alloc(g->r, tree->count, sizeof *in);
    if (!in)
        return ERR_CONF;
    node->type = tree->kind == TREE_MAP ? FLAGS_NODE_OBJECT : FLAGS_NODE_LIST;
    node->in = in;
    for (const struct tree_entry *e = tree->first; e; e = e->next) {
        in[node->count].key = e->key;
        int rc = convert(g, e->value, &in[node->count].value);
        if (rc < 0)
            return rc;
        node->count++;
    }
    return 0;
}

static int convert(struct flagd *g, const struct tree_node *tree, const struct flags_node **ret) {
    if (tree->kind == TREE_MAP && tree->count == 1 && span_is(tree->first->key, "$ref"))
        return convert_ref(g, tree->first->value, ret);
    /* $refs can make it deeper than the file is. */
    if (g->depth == TREE_DEPTH_MAX)
        return read_fail(g->r, tree->at, "targeting is nested more than %d levels deep",
                         TREE_DEPTH_MAX);
    struct flags_node *node = read_alloc(g->r, 1, sizeof *node);
    if (!node)
        return ERR_CONF;
    node->place = read_place(tree->at);
    g->depth++;
    int rc =
        tree->kind == TREE_SCALAR ? convert_scalar(g, tree, node) : convert_members(g, tree, node);
    g->depth--;
    *ret = node;
    return rc;
}

static int read_evaluators(struct flagd *g, const struct tree_node *map) {
    int rc = map ? read_kind(g->r, "$evaluators", map, TREE_MAP) : 0;
    if (rc < 0 || !map)
        return rc;
    g->evaluators = read_alloc(g->r, map->count, sizeof *g->evaluators);
    if (!g->evaluators)
        return ERR_CONF;
    for (const struct tree_entry *e = map->first; e; e = e->next)
        g->evaluators[g->evaluator_count++] = (struct evaluator){.name = e->key, .tree = e->value};
    return 0;
}

/* ---- variants ---- */

static int read_variants(struct flagd *g, const struct tree_node *node, struct flags_flag *f) {
    const struct tree_node *map = read_get(node, "variants");
    if (!map)
        return read_fail(g->r, node->at, "'variants' is missing");
    int rc = read_kind(g->r, "variants", map, TREE_MAP);
    if (rc == 0 && map->count == 0)
        rc = read_fail(g->r, map->at, "'variants' is empty; a flag has at least one");
    if (rc == 0 && map->count > FLAGS_VARIANTS_MAX)
        rc = read_fail(g->r, map->at, "more than %d variants", FLAGS_VARIANTS_MAX);
    struct flags_variant *variants =
        rc == 0 ? read_alloc(g->r, map->count, sizeof *variants) : NULL;
    if (!variants)
        return ERR_CONF;
    for (const struct tree_entry *e = map->first; rc == 0 && e; e = e->next) {
        struct flags_variant *v = &variants[f->variant_count++];
        v->name = e->key;
        if (e->key.len == 0 || e->key.len > FLAGS_NAME_MAX)
            rc = read_fail(g->r, e->key_at, "a variant's name must have 1 to %d bytes",
                           FLAGS_NAME_MAX);
        else
            rc = read_value(g->r, e->value, &v->value);
        if (rc == 0 && v->value.type == FLAGS_NULL)
            rc = read_fail(g->r, e->value->at, "variant '%s' has no value", e->key.ptr);
        if (rc == 0 && v->value.type != variants[0].value.type)
            rc = read_fail(g->r, e->value->at,
                           "variant '%s' has another type than '%s'; all variants of a flag have "
                           "one type",
                           e->key.ptr, variants[0].name.ptr);
    }
    f->variants = variants;
    return rc;
}

static const struct flags_variant *find_variant(const struct flags_flag *f, struct span name) {
    for (size_t i = 0; i < f->variant_count; i++)
        if (span_eq(f->variants[i].name, name))
            return &f->variants[i];
    return NULL;
}

/* The variant that "on" means where somebody is listed by an override: for a boolean the true
 * one, else the first that is not the default. */
static void choose_on(struct flags_flag *f) {
    f->on_variant = f->variants[0].name;
    for (size_t i = f->variant_count; i-- > 0;) {
        const struct flags_variant *v = &f->variants[i];
        if (v->value.type == FLAGS_BOOL ? v->value.boolean : !span_eq(v->name, f->off_variant))
            f->on_variant = v->name;
    }
}

static int read_default(struct flagd *g, const struct tree_node *node, struct flags_flag *f) {
    const struct tree_node *given = read_get(node, "defaultVariant");
    bool truth;
    if (given && tree_is_bool(given, &truth)) {
        f->off_variant = given->text; /* unquoted in YAML: the variants true and false */
    } else if (given) {
        int rc = read_text(g->r, "defaultVariant", given, FLAGS_NAME_MAX, &f->off_variant);
        if (rc < 0)
            return rc;
    }
    if (given && !find_variant(f, f->off_variant))
        return read_fail(g->r, given->at, "defaultVariant '%s' is not one of its variants",
                         f->off_variant.ptr);
    choose_on(f);
    return 0;
}

/* ---- flags ---- */

static int read_state(struct flagd *g, const struct tree_node *node, struct flags_flag *f) {
    const struct tree_node *state = read_get(node, "state");
    unsigned choice = 0;
    if (!state)
        return read_fail(g->r, node->at, "'state' is missing; it is ENABLED or DISABLED");
    int rc = read_choice(g->r, "state", state, "ENABLED DISABLED", &choice);
    f->enabled = choice == 0;
    f->no_value_when_off = true;
    return rc;
}

static int read_metadata(struct reader *r, const struct tree_node *map, struct span *ret) {
    if (!map)
        return 0;
    int rc = read_kind(r, "metadata", map, TREE_MAP);
    for (const struct tree_entry *e = map->first; rc == 0 && e; e = e->next)
        if (e->value->kind != TREE_SCALAR || tree_is_null(e->value))
            rc = read_fail(r, e->value->at, "metadata '%s' must be text, a number, true or false",
                           e->key.ptr);
    return rc < 0 ? rc : read_json(r, map, ret);
}

static int read_flag(struct flagd *g, const char *keys, const struct tree_node *node,
                     struct flags_flag *f) {
    g->r->flag = f->name.ptr;
    const struct tree_node *targeting;
    int rc = read_keys(g->r, "flags", node, keys);
    if (rc == 0)
        rc = read_state(g, node, f);
    if (rc == 0)
        rc = read_variants(g, node, f);
    if (rc == 0)
        rc = read_default(g, node, f);
    if (rc == 0)
        rc = read_metadata(g->r, read_get(node, "metadata"), &f->metadata);
    targeting = rc == 0 ? read_get(node, "targeting") : NULL;
    if (targeting && !(targeting->kind == TREE_MAP && targeting->count == 0))
        rc = convert(g, targeting, &f->targeting);
    f->fixed = !f->targeting;
    g->r->flag = NULL;
    return rc;
}

static int read_entry(struct flagd *g, bool list, const struct tree_entry *e,
                      struct flags_flag *f) {
    if (!list) {
        f->name = e->key;
        f->place = read_place(e->key_at);
        if (e->key.len == 0 || e->key.len > FLAGS_NAME_MAX)
            return read_fail(g->r, e->key_at, "a flag's name must have 1 to %d bytes",
                             FLAGS_NAME_MAX);
        return read_flag(g, FLAG_KEYS, e->value, f);
    }
    const struct tree_node *key = read_get(e->value, "key");
    if (!key)
        return read_fail(g->r, e->value->at, "'key' is missing: the flag's name");
    int rc = read_text(g->r, "key", key, FLAGS_NAME_MAX, &f->name);
    f->place = read_place(key->at);
    return rc < 0 ? rc : read_flag(g, FLAG_KEYS " key", e->value, f);
}

int flagd_read(struct reader *r) {
    struct flagd g = {.r = r};
    int rc = read_keys(r, "the file", r->root, FILE_KEYS);
    const struct tree_node *all = rc == 0 ? read_get(r->root, "flags") : NULL;
    if (rc == 0 && !all)
        rc = read_fail(r, r->root->at, "'flags' is missing");
    if (rc == 0 && all->kind == TREE_SCALAR)
        rc = read_kind(r, "flags", all, TREE_MAP);
    if (rc == 0 && all->count > FLAGS_MAX)
        rc = read_fail(r, all->at, "more than %d flags", FLAGS_MAX);
    if (rc == 0)
        rc = read_evaluators(&g, read_get(r->root, "$evaluators"));
    if (rc == 0)
        rc = read_metadata(r, read_get(r->root, "metadata"), &r->out->model.metadata);
    if (rc < 0)
        return rc;
    struct flags_flag *flags = read_alloc(r, all->count, sizeof *flags);
    struct flagfile_lines *lines = read_alloc(r, all->count, sizeof *lines);
    size_t n = 0;
    if (!flags || !lines)
        return ERR_CONF;
    for (const struct tree_entry *e = all->first; rc == 0 && e; e = e->next, n++) {
        rc = read_entry(&g, all->kind == TREE_LIST, e, &flags[n]);
        lines[n] = (struct flagfile_lines){flags[n].place.line, read_last_line(e->value)};
    }
    if (rc == 0)
        read_finish(r, flags, lines, n);
    return rc;
}

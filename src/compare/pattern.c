#include "compare/pattern.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE 0.0001 /* of the reference */

/* ---- names ---- */

static int folded(unsigned char c) {
    return c < 0x80 ? tolower(c) : c;
}

static int name_order(struct span a, struct span b) {
    size_t i = 0, k = 0;
    for (;;) {
        while (i < a.len && a.ptr[i] == '_')
            i++;
        while (k < b.len && b.ptr[k] == '_')
            k++;
        if (i == a.len || k == b.len)
            return (i < a.len) - (k < b.len);
        int x = folded((unsigned char)a.ptr[i++]), y = folded((unsigned char)b.ptr[k++]);
        if (x != y)
            return x < y ? -1 : 1;
    }
}

bool name_like(struct span a, struct span b) {
    return name_order(a, b) == 0;
}

static int bytes_order(struct span a, struct span b) {
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len ? memcmp(a.ptr, b.ptr, a.len) : 0;
}

/* ---- compiling ---- */

/* One name, its backslashes taken away; in `text`, which is the rules' own. */
static char *cut_name(char **text, bool *ret_star) {
    char *name = *text, *to = name;
    const char *from = name;
    *ret_star = name[0] == '*' && (name[1] == '.' || !name[1]);
    while (*from && *from != '.') {
        from += *from == '\\' && from[1];
        *to++ = *from++;
    }
    *text = *from ? name + (from - name) + 1 : NULL;
    *to = '\0';
    return name;
}

/* Not more than the path has names; COMPARE_SEGMENTS_MAX at most are ever used. */
static struct segment *make_segments(const char *path) {
    size_t room = 1;
    for (; *path && room < COMPARE_SEGMENTS_MAX; path++)
        room += *path == '.';
    return mem_zalloc(room, sizeof(struct segment));
}

static int compile_one(struct pattern *p, const struct compare_pattern *given, struct err *err) {
    if (given->key && !*given->key)
        return err_set(err, ERR_CONF, "the key of '%s' has no name", given->path);
    p->path = mem_strdup(given->path);
    p->segments = make_segments(given->path);
    p->key = given->key ? mem_strdup(given->key) : NULL;
    p->effect = *given;
    p->key_hash = p->key ? compare_hash(span_of(p->key)) : 0;
    for (char *rest = *p->path ? p->path : NULL; rest;) {
        if (p->count == COMPARE_SEGMENTS_MAX)
            return err_set(err, ERR_CONF, "the path '%s' has more than %d names", given->path,
                           COMPARE_SEGMENTS_MAX);
        struct segment *s = &p->segments[p->count++];
        s->name = span_of(cut_name(&rest, &s->star));
        s->hash = compare_hash(s->name);
        p->starred |= s->star;
        if (s->name.len == 0)
            return err_set(err, ERR_CONF, "the path '%s' has an empty name", given->path);
        if (s->star && p->count > 1 && s[-1].star)
            p->count--; /* two say no more than one */
    }
    if (p->count && p->segments[p->count - 1].star)
        return err_set(err, ERR_CONF, "the path '%s' ends with a star; name what is meant",
                       given->path);
    return 0;
}

/* Names that belong together in this mode are equal here. */
static int order_names(const struct compare_rules *rules, struct span a, struct span b) {
    if (pattern_same_name(rules, a, b))
        return 0;
    return rules->mode == COMPARE_REFERENCE ? name_order(a, b) : bytes_order(a, b);
}

static int order(const void *x, const void *y, void *context) {
    const struct pattern *a = x, *b = y;
    if (a->starred != b->starred)
        return a->starred ? 1 : -1;
    for (size_t i = 0; !a->starred && i < a->count && i < b->count; i++) {
        const struct segment *s = &a->segments[i], *t = &b->segments[i];
        if (s->hash != t->hash)
            return s->hash < t->hash ? -1 : 1;
        int names = order_names(context, s->name, t->name);
        if (names)
            return names;
    }
    if (!a->starred && a->count != b->count)
        return a->count < b->count ? -1 : 1;
    return a->given < b->given ? -1 : a->given > b->given;
}

/* ---- the tree of those without a star ---- */

static void apply(const struct pattern *pattern, struct effect *e) {
    const struct compare_pattern *p = &pattern->effect;
    e->ignore |= p->ignore;
    e->mask |= p->mask;
    e->null_is_absent |= p->null_is_absent;
    e->any_order |= p->any_order;
    if (pattern->key && (!e->key.ptr || pattern->given > e->key_given)) {
        e->key = span_of(pattern->key);
        e->key_hash = pattern->key_hash;
        e->key_given = pattern->given;
    }
    if (p->form != COMPARE_ANY && (e->form == COMPARE_ANY || pattern->given > e->form_given)) {
        e->form = p->form;
        e->form_given = pattern->given;
    }
}

static uint32_t *bucket_of(const struct compare_rules *rules, uint32_t parent, uint32_t hash) {
    return &rules->buckets[(hash + parent * UINT32_C(0x9e3779b1)) & rules->bucket_mask];
}

static uint64_t name_bit(uint32_t hash) {
    return UINT64_C(1) << (hash & 63);
}

static uint32_t add_node(struct compare_rules *rules, uint32_t parent, const struct segment *s) {
    uint32_t n = rules->node_count++, *bucket = bucket_of(rules, parent, s->hash);
    rules->nodes[n] = (struct node){.name = s->name, .hash = s->hash, .parent = parent};
    rules->nodes[n].next = *bucket;
    *bucket = n;
    rules->nodes[parent].names |= name_bit(s->hash);
    return n;
}

/* The patterns stand in their order: one that goes on as the one before does finds the node of it
 * the last that was made at that depth. */
static void make_nodes(struct compare_rules *rules) {
    uint32_t path[COMPARE_SEGMENTS_MAX + 1] = {0};
    size_t depth = 0; /* of path that is there */
    for (size_t i = 0; i < rules->plain_count; i++) {
        const struct pattern *p = &rules->patterns[i];
        size_t k = 0;
        while (k < p->count && k < depth &&
               pattern_same_name(rules, rules->nodes[path[k + 1]].name, p->segments[k].name))
            k++;
        for (; k < p->count; k++)
            path[k + 1] = add_node(rules, path[k], &p->segments[k]);
        depth = p->count;
        apply(p, &rules->nodes[path[depth]].effect);
    }
}

static void make_tree(struct compare_rules *rules) {
    size_t room = 1, buckets = 8;
    for (size_t i = 0; i < rules->plain_count; i++)
        room += rules->patterns[i].count;
    while (buckets < 4 * room)
        buckets *= 2;
    rules->nodes = mem_zalloc(room, sizeof *rules->nodes);
    rules->buckets = mem_zalloc(buckets, sizeof *rules->buckets);
    rules->bucket_mask = (uint32_t)(buckets - 1);
    rules->node_count = 1;
    rules->nodes->effect.any_order = rules->any_order;
    make_nodes(rules);
}

/* ---- rules ---- */

int compare_compile(const struct compare_options *options, struct compare_rules **ret,
                    struct err *err) {
    if (options->pattern_count > COMPARE_PATTERNS_MAX)
        return err_set(err, ERR_CONF, "more than %d paths", COMPARE_PATTERNS_MAX);
    struct compare_rules *rules = mem_zalloc(1, sizeof *rules);
    rules->mode = options->mode;
    rules->tolerance = options->tolerance > 0 ? options->tolerance : TOLERANCE;
    rules->any_order = options->any_order;
    rules->patterns = mem_zalloc(options->pattern_count + 1, sizeof *rules->patterns);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < options->pattern_count; i++) {
        struct pattern *p = &rules->patterns[rules->pattern_count++];
        p->given = (uint32_t)i;
        rc = compile_one(p, &options->patterns[i], err);
        rules->states_room += p->starred ? p->count : 0;
        rules->plain_count += !p->starred;
        rules->masks |= p->effect.mask;
    }
    if (rc < 0) {
        compare_rules_free(rules);
        return rc;
    }
    qsort_r(rules->patterns, rules->pattern_count, sizeof *rules->patterns, order, rules);
    make_tree(rules);
    *ret = rules;
    return 0;
}

void compare_rules_free(struct compare_rules *rules) {
    if (!rules)
        return;
    for (size_t i = 0; i < rules->pattern_count; i++) {
        free(rules->patterns[i].segments);
        free(rules->patterns[i].path);
        free(rules->patterns[i].key);
    }
    free(rules->patterns);
    free(rules->nodes);
    free(rules->buckets);
    free(rules);
}

/* ---- following ---- */

static void add(const struct compare_rules *rules, struct states *s, size_t pattern,
                size_t segment) {
    for (size_t i = s->count; i > 0 && s->items[i - 1].pattern == pattern; i--)
        if (s->items[i - 1].segment == segment)
            return;
    const struct segment *at = &rules->patterns[pattern].segments[segment];
    s->star |= at->star;
    at += at->star; /* the star stands for nothing, too */
    s->names |= name_bit(at->hash);
    s->items[s->count++] = (struct state){(uint16_t)pattern, (uint16_t)segment};
}

void pattern_start(const struct compare_rules *rules, struct states *ret, struct effect *effect) {
    *effect = rules->nodes->effect;
    *ret = (struct states){.items = ret->items, .node = rules->nodes, .names = rules->nodes->names};
    for (size_t i = rules->plain_count; i < rules->pattern_count; i++)
        add(rules, ret, i, 0);
}

static void step_plain(const struct compare_rules *rules, const struct states *from,
                       struct span name, uint32_t hash, struct states *ret, struct effect *effect) {
    if (!from->node)
        return;
    uint32_t parent = (uint32_t)(from->node - rules->nodes);
    for (uint32_t n = *bucket_of(rules, parent, hash); n; n = rules->nodes[n].next) {
        const struct node *node = &rules->nodes[n];
        if (node->hash != hash || node->parent != parent ||
            !pattern_same_name(rules, node->name, name))
            continue;
        bool mask = effect->mask; /* of what the value is in */
        ret->node = node;
        ret->names = node->names;
        *effect = node->effect;
        effect->mask |= mask;
        return;
    }
}

/* `ret` is for what is in the value: NULL where nothing is. */
static void step_starred(const struct compare_rules *rules, const struct states *from,
                         struct span name, uint32_t hash, struct states *ret,
                         struct effect *effect) {
    for (size_t i = 0; i < from->count; i++) {
        const struct pattern *p = &rules->patterns[from->items[i].pattern];
        size_t at = from->items[i].segment;
        if (p->segments[at].star) {
            if (ret)
                add(rules, ret, from->items[i].pattern, at);
            at++; /* the star stands for nothing */
        }
        const struct segment *s = &p->segments[at];
        if (s->hash != hash || !pattern_same_name(rules, s->name, name))
            continue;
        if (at + 1 == p->count)
            apply(p, effect);
        else if (ret)
            add(rules, ret, from->items[i].pattern, at + 1);
    }
}

void pattern_step(const struct compare_rules *rules, const struct states *from, struct span name,
                  uint32_t hash, bool has_parts, struct states *ret, struct effect *effect) {
    step_plain(rules, from, name, hash, ret, effect);
    step_starred(rules, from, name, hash, has_parts ? ret : NULL, effect);
}

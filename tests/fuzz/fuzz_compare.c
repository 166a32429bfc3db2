/*
 * Two answers, each as BSON or JSON: whatever can be read can be compared under all rules and
 * shown. A tree is always the same as itself, with nothing to explain; the other way round missing
 * is extra. The input: a byte of which bit 0 says that the first is BSON, bit 1 that the second is;
 * the length of the first, two bytes; both.
 */
#include "compare/compare.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY ((size_t)64 << 20)

enum { RULES = 5 };

static const struct compare_pattern patterns[] = {
    {.path = "", .key = "id"},
    {.path = "k", .key = "id", .any_order = true},
    {.path = "k.id", .form = COMPARE_UUIDS},
    {.path = "*.s", .any_order = true},
    {.path = "*.n", .form = COMPARE_NUMBER},
    {.path = "*.b", .form = COMPARE_BOOLEAN},
    {.path = "*.t", .form = COMPARE_TIME, .null_is_absent = true},
    {.path = "i", .ignore = true},
    {.path = "*.m.*.p", .mask = true},
};

static struct compare_rules *rules[RULES];

static void compile(void) {
    struct err err;
    for (int i = 0; i < RULES; i++) {
        const struct compare_options o = {
            .mode = i < 3 ? (enum compare_mode)i : (enum compare_mode)(i - 2),
            .any_order = i >= 3,
            .patterns = patterns,
            .pattern_count = i == 0 ? 0 : sizeof patterns / sizeof *patterns};
        if (compare_compile(&o, &rules[i], &err) < 0)
            abort();
    }
}

struct counts {
    uint32_t kinds[COMPARE_TYPE_DIFFERENCE + 1];
};

static void show(const struct compare_value *v, size_t max) {
    struct buf out;
    struct arena arena;
    struct compare_tree tree;
    struct err err = {0};
    buf_init(&out, 1 << 20);
    arena_init(&arena, MEMORY);
    compare_show(v, max, &out);
    /* BSON may have a name twice; so may texts that were cut. */
    if (v && buf_ok(&out) && compare_read_json(buf_span(&out), &arena, &tree, &err) == ERR_VALUE &&
        !strstr(err.text, "twice"))
        abort();
    buf_clear(&out);
    compare_show_masked(v, SPAN_LIT("key"), &out);
    if (!buf_ok(&out) || (v && out.len == 0))
        abort();
    buf_release(&out);
    arena_release(&arena);
}

static int note(void *context, const struct compare_difference *d) {
    struct counts *c = context;
    c->kinds[d->kind]++;
    if (d->path.len > COMPARE_PATH_MAX || d->shape.len > COMPARE_PATH_MAX)
        abort();
    if ((d->kind == COMPARE_MISSING) != !d->mongodb || (d->kind == COMPARE_EXTRA) != !d->sql)
        abort();
    if (c->kinds[d->kind] == 1) {
        show(d->sql, 20);
        show(d->mongodb, 20);
    }
    return 0;
}

/* False: too much work. */
static bool compare(const struct compare_rules *by, const struct compare_tree *a,
                    const struct compare_tree *b, struct counts *ret,
                    struct compare_result *result) {
    struct arena scratch;
    struct err err = {0};
    arena_init(&scratch, MEMORY);
    *ret = (struct counts){0};
    int rc = compare_trees(by, a, b, &scratch, note, ret, result, &err);
    if (rc < 0 && (rc != ERR_LIMIT || !err.text[0]))
        abort();
    arena_release(&scratch);
    return rc == 0;
}

static void try_self(const struct compare_tree *t) {
    struct counts counts;
    struct compare_result result;
    for (int i = 0; i < RULES; i++) {
        if (!compare(rules[i], t, t, &counts, &result))
            continue;
        if (result.differences)
            abort();
        for (int rule = 0; rule < COMPARE_RULE_COUNT; rule++)
            if (result.explained[rule])
                abort();
    }
    show(t->nodes, 100);
    show(t->nodes, SIZE_MAX);
}

static void try_both(const struct compare_tree *a, const struct compare_tree *b) {
    struct counts one, other;
    struct compare_result result;
    for (int i = 0; i < RULES; i++) {
        bool ok =
            compare(rules[i], a, b, &one, &result) && compare(rules[i], b, a, &other, &result);
        if (!ok || i > 0) /* what is left of sets, and like names, are joined as they come */
            continue;
        if (one.kinds[COMPARE_MISSING] != other.kinds[COMPARE_EXTRA] ||
            one.kinds[COMPARE_EXTRA] != other.kinds[COMPARE_MISSING] ||
            one.kinds[COMPARE_MISMATCH] != other.kinds[COMPARE_MISMATCH] ||
            one.kinds[COMPARE_TYPE_DIFFERENCE] != other.kinds[COMPARE_TYPE_DIFFERENCE])
            abort();
    }
}

static bool read_one(bool bson, struct span bytes, struct arena *arena, struct compare_tree *ret) {
    struct err err = {0};
    int rc = bson ? compare_read_bson(bytes, arena, ret, &err)
                  : compare_read_json(bytes, arena, ret, &err);
    if (rc < 0 && ((rc != ERR_VALUE && rc != ERR_LIMIT) || !err.text[0]))
        abort();
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3)
        return 0;
    if (!rules[0])
        compile();
    size_t first = data[1] | (size_t)data[2] << 8;
    if (first > size - 3)
        first = size - 3;
    struct arena arena;
    struct compare_tree a, b;
    arena_init(&arena, MEMORY);
    bool has_a = read_one(data[0] & 1, span_make(data + 3, first), &arena, &a);
    bool has_b = read_one(data[0] & 2, span_make(data + 3 + first, size - 3 - first), &arena, &b);
    if (has_a)
        try_self(&a);
    if (has_b)
        try_self(&b);
    if (has_a && has_b)
        try_both(&a, &b);
    arena_release(&arena);
    return 0;
}

/*
 * What it costs to compare two answers: documents of about 1 kB and 30 fields whose fields stand in
 * another order, read from BSON and walked, with rules that were compiled before. Prints
 * nanoseconds, the best of many short rounds (the machine is shared), and exits 1 when a line
 * passes its limit. JSON and a list of a hundred documents stand beside it, without a limit.
 */
#include "compare/compare.h"

#include <bson/bson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIELDS = 30, LISTED = 100, ROUNDS = 300, CALLS = 300, MEMORY = 64 << 20 };

struct side {
    bson_t doc;
    struct span bson, json;
    struct span list[LISTED];
    struct arena arena;
};

static struct side sides[2];
static struct arena scratch;
static struct compare_rules *rules;
static volatile unsigned sink;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void stop(const char *what) {
    fprintf(stderr, "compare_bench: %s\n", what);
    exit(1);
}

static const char *const names[FIELDS] = {
    "_id",     "customerId", "status",     "createdAt",    "updatedAt",  "currency",
    "total",   "tax",        "discount",   "weight",       "firstName",  "lastName",
    "email",   "phone",      "street",     "city",         "postalCode", "country",
    "isPaid",  "isShipped",  "trackingId", "warehouse",    "itemCount",  "notes",
    "channel", "campaign",   "reference",  "exchangeRate", "loyalty",    "version"};

/* One field of what a shop's order is like: mostly texts and integers, some dates, decimals,
 * doubles and booleans, a uuid. */
static void field(bson_t *doc, int i) {
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    const char *name = names[i];
    bson_decimal128_t decimal;
    switch (i) {
    case 3:
    case 4:
        BSON_APPEND_DATE_TIME(doc, name, INT64_C(1771622898123) + i);
        return;
    case 6:
    case 7:
        if (!bson_decimal128_from_string(i == 6 ? "1249.90" : "207.48", &decimal))
            stop("no decimal");
        BSON_APPEND_DECIMAL128(doc, name, &decimal);
        return;
    case 9:
    case 27:
        BSON_APPEND_DOUBLE(doc, name, 1.0 / (i + 1));
        return;
    case 18:
    case 19:
        BSON_APPEND_BOOL(doc, name, i == 18);
        return;
    case 20:
        BSON_APPEND_BINARY(doc, name, BSON_SUBTYPE_UUID, (const uint8_t *)text, 16);
        return;
    case 0:
    case 1:
    case 22:
    case 28:
    case 29:
        BSON_APPEND_INT64(doc, name, 1000 + i);
        return;
    default:
        bson_append_utf8(doc, name, -1, text, i == 23 ? 43 : 17 + i);
    }
}

/* Seven and thirty have no divisor in common: every field has a turn. */
static void make(struct side *s, int from, int step) {
    struct err err;
    struct compare_tree tree;
    bson_init(&s->doc);
    for (int i = 0; i < FIELDS; i++)
        field(&s->doc, (from + i * step) % FIELDS);
    s->bson = span_make(bson_get_data(&s->doc), s->doc.len);
    for (int i = 0; i < LISTED; i++)
        s->list[i] = s->bson;
    arena_init(&s->arena, MEMORY);
    struct buf json;
    buf_init(&json, 1 << 16);
    if (compare_read_bson(s->bson, &s->arena, &tree, &err) < 0)
        stop(err.text);
    compare_show(tree.nodes, SIZE_MAX, &json);
    s->json = buf_span(&json); /* until the end */
}

typedef int reader(struct side *s, struct compare_tree *ret, struct err *err);

static int read_bson(struct side *s, struct compare_tree *ret, struct err *err) {
    return compare_read_bson(s->bson, &s->arena, ret, err);
}

static int read_list(struct side *s, struct compare_tree *ret, struct err *err) {
    return compare_read_bson_list(s->list, LISTED, &s->arena, ret, err);
}

static int read_json(struct side *s, struct compare_tree *ret, struct err *err) {
    return compare_read_json(s->json, &s->arena, ret, err);
}

static void read_both(reader *f, struct compare_tree trees[2]) {
    struct err err;
    for (int i = 0; i < 2; i++) {
        arena_reset(&sides[i].arena);
        if (f(&sides[i], &trees[i], &err) < 0)
            stop(err.text);
    }
}

static void walk(const struct compare_tree trees[2]) {
    struct compare_result result;
    struct err err;
    if (compare_trees(rules, &trees[0], &trees[1], &scratch, NULL, NULL, &result, &err) < 0)
        stop(err.text);
    if (result.differences > 0)
        stop("a difference");
    sink += result.differences;
}

/* Nanoseconds a comparison, the best round; of reading and of both. */
static void measure(reader *f, int calls, double ret[2]) {
    struct compare_tree trees[2];
    for (int what = 0; what < 2; what++) {
        ret[what] = 1e12;
        for (int round = 0; round < ROUNDS; round++) {
            int64_t start = now_ns();
            for (int i = 0; i < calls; i++) {
                read_both(f, trees);
                if (what)
                    walk(trees);
            }
            double ns = (double)(now_ns() - start) / calls;
            if (ns < ret[what])
                ret[what] = ns;
        }
    }
}

static bool line(const char *name, reader *f, int calls, double limit) {
    double ns[2];
    measure(f, calls, ns);
    bool ok = limit == 0 || ns[1] <= limit;
    printf("%-52s %9.0f %9.0f", name, ns[0], ns[1]);
    if (limit > 0)
        printf("   %6.0f%s", limit, ok ? "" : "  passed!");
    printf("\n");
    fflush(stdout);
    return ok;
}

/* `typed`: of that many fields it is said what they hold, as a mapping does. */
static void compile(enum compare_mode mode, bool patterns, size_t typed) {
    struct compare_pattern given[6 + FIELDS] = {{.path = "updatedAt", .ignore = true},
                                                {.path = "total", .form = COMPARE_NUMBER},
                                                {.path = "createdAt", .form = COMPARE_TIME},
                                                {.path = "email", .mask = true},
                                                {.path = "*.iban", .mask = true},
                                                {.path = "items", .key = "id"}};
    for (size_t i = 0; i < typed; i++)
        given[6 + i] = (struct compare_pattern){.path = names[i], .form = COMPARE_NUMBER};
    const struct compare_options options = {
        .mode = mode, .patterns = given, .pattern_count = patterns ? 6 + typed : 0};
    struct err err;
    compare_rules_free(rules);
    if (compare_compile(&options, &rules, &err) < 0)
        stop(err.text);
}

int main(void) {
    bool ok = true;
    arena_init(&scratch, MEMORY);
    make(&sides[0], 0, 1);
    make(&sides[1], 3, 7);
    printf("%-52s %9s %9s   limit\n", "ns for two documents:", "read", "and walk");
    char name[80];
    snprintf(name, sizeof name, "BSON, %zu bytes, 30 fields, exact", sides[0].bson.len);
    compile(COMPARE_EXACT, false, 0);
    ok &= line(name, read_bson, CALLS, 2000);
    compile(COMPARE_MAPPED, true, 0);
    ok &= line("the same, mapped, 6 patterns", read_bson, CALLS, 2000);
    compile(COMPARE_REFERENCE, true, 0);
    ok &= line("the same, reference, 6 patterns", read_bson, CALLS, 2000);
    compile(COMPARE_MAPPED, true, FIELDS);
    ok &= line("the same, mapped, 36 patterns", read_bson, CALLS, 2000);
    line("the same as JSON, mapped, 36 patterns", read_json, CALLS, 0);
    line("lists of 100 such documents as BSON, mapped", read_list, CALLS / 100, 0);
    return ok ? 0 : 1;
}

/*
 * What one evaluation of a flag costs: a line for each kind of flag, a column for each size of the
 * set. Prints nanoseconds, the best of many short rounds (the machine is shared), and exits 1 when
 * a line passes its limit. Every call takes another flag of the set and another user.
 */
#include "base/mem.h"
#include "flags/bucket.h"
#include "flags/compile.h"
#include "flags/flags.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { USERS = 1024, LISTED = 100000, ROUNDS = 200, CALLS = 5000, SIZES = 3 };
static const size_t sizes[SIZES] = {10, 1000, 10000};

#define S(text) SPAN_LIT(text)

struct targeting;

struct bench {
    struct flags_set set;
    struct buf blob;
    struct flags_flag *flags;
    char (*names)[32];
    struct targeting *targeting;
    size_t count;
};

static char users[USERS][24];
static volatile unsigned sink;

static const struct flags_value tiers[] = {{.type = FLAGS_STRING, .text = {"enterprise", 10}},
                                           {.type = FLAGS_STRING, .text = {"premium", 7}}};
static const struct flags_value adult = {.type = FLAGS_NUMBER, .number = 65};
static const struct flags_condition conditions[] = {{.subject = FLAGS_TENANT_ATTRIBUTE,
                                                     .attribute = {"tier", 4},
                                                     .op = FLAGS_IN,
                                                     .values = tiers,
                                                     .value_count = 2},
                                                    {.subject = FLAGS_USER_ATTRIBUTE,
                                                     .attribute = {"age", 3},
                                                     .op = FLAGS_GREATER,
                                                     .values = &adult,
                                                     .value_count = 1}};
static const struct flags_window window = {.start_minute = 0, .end_minute = 1439};
static const struct flags_attribute user_attributes[] = {
    {{"country", 7}, {.type = FLAGS_STRING, .text = {"FR", 2}}},
    {{"email", 5}, {.type = FLAGS_STRING, .text = {"anna@example.com", 16}}},
    {{"age", 3}, {.type = FLAGS_NUMBER, .number = 42}}};
static const struct flags_attribute tenant_attributes[] = {
    {{"tier", 4}, {.type = FLAGS_STRING, .text = {"premium", 7}}}};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct flags_context context_of(size_t i) {
    return (struct flags_context){.user = span_of(users[i % USERS]),
                                  .tenant = S("bank_7"),
                                  .user_attributes = user_attributes,
                                  .user_attribute_count = 3,
                                  .tenant_attributes = tenant_attributes,
                                  .tenant_attribute_count = 1,
                                  .now_us = INT64_C(1771622898123456)};
}

/* {"if":[{"ends_with":[{"var":"email"},"@acme.com"]},"on",{"fractional":[["on",25],["off",75]]}]},
 * with percentages of its own for each flag. */
struct targeting {
    struct flags_node share[2], pair[2], list[2], operation[2];
    struct flags_member in_pair[2][2], in_list[2][3], in_operation[2];
};

#define TEXT(t)                                                                                    \
    &(const struct flags_node) {                                                                   \
        .type = FLAGS_NODE_STRING, .text = { t, sizeof(t) - 1 }                                    \
    }
#define LIST(...)                                                                                  \
    &(const struct flags_node) {                                                                   \
        .type = FLAGS_NODE_LIST, .in = (const struct flags_member[]){__VA_ARGS__},                 \
        .count = sizeof((const struct flags_member[]){__VA_ARGS__}) / sizeof(struct flags_member)  \
    }
#define OPERATION(name, arguments)                                                                 \
    &(const struct flags_node) {                                                                   \
        .type = FLAGS_NODE_OBJECT,                                                                 \
        .in = &(const struct flags_member){{name, sizeof(name) - 1}, arguments}, .count = 1        \
    }
#define ITEM(value)                                                                                \
    { {0}, value }

static const struct flags_node *const sides[] = {TEXT("on"), TEXT("off")};
static const struct flags_node *const staff =
    OPERATION("ends_with", LIST(ITEM(OPERATION("var", TEXT("email"))), ITEM(TEXT("@acme.com"))));

static struct flags_node list_of(const struct flags_member *in, size_t count) {
    return (struct flags_node){.type = FLAGS_NODE_LIST, .in = in, .count = count};
}

static struct flags_node operation_of(struct flags_member *in, const char *name,
                                      const struct flags_node *arguments) {
    *in = (struct flags_member){span_of(name), arguments};
    return (struct flags_node){.type = FLAGS_NODE_OBJECT, .in = in, .count = 1};
}

static const struct flags_node *fill(struct targeting *t, size_t i) {
    for (size_t k = 0; k < 2; k++) {
        double share = 1 + (double)(i % 9973);
        t->share[k] =
            (struct flags_node){.type = FLAGS_NODE_NUMBER, .number = k ? 10000 - share : share};
        t->in_pair[k][0].value = sides[k];
        t->in_pair[k][1].value = &t->share[k];
        t->pair[k] = list_of(t->in_pair[k], 2);
        t->in_list[0][k].value = &t->pair[k];
    }
    t->list[0] = list_of(t->in_list[0], 2);
    t->operation[0] = operation_of(&t->in_operation[0], "fractional", &t->list[0]);
    t->in_list[1][0].value = staff;
    t->in_list[1][1].value = sides[0];
    t->in_list[1][2].value = &t->operation[0];
    t->list[1] = list_of(t->in_list[1], 3);
    t->operation[1] = operation_of(&t->in_operation[1], "if", &t->list[1]);
    return &t->operation[1];
}

/* A set of `count` flags, all like `pattern` but for their names and percentages. */
static void make(struct bench *b, size_t count, const struct flags_flag *pattern) {
    struct err err;
    *b = (struct bench){.count = count,
                        .flags = mem_zalloc(count, sizeof *b->flags),
                        .names = mem_zalloc(count, sizeof *b->names),
                        .targeting = mem_zalloc(count, sizeof *b->targeting)};
    for (size_t i = 0; i < count; i++) {
        b->flags[i] = *pattern;
        int n = snprintf(b->names[i], sizeof b->names[i], "module_%zu_mongodb", i);
        b->flags[i].name = span_make(b->names[i], (size_t)n);
        if (pattern->rollout > 0 && pattern->rollout < FLAGS_ROLLOUT_ALL)
            b->flags[i].rollout = 1 + (uint32_t)(i * 7919 % (FLAGS_ROLLOUT_ALL - 1));
        if (pattern->targeting)
            b->flags[i].targeting = fill(&b->targeting[i], i);
    }
    const struct flags_model model = {.flags = b->flags, .flag_count = count};
    buf_init(&b->blob, FLAGS_BLOB_MAX);
    if (flags_compile(&model, &b->blob, &err) < 0 ||
        flags_open(b->blob.data, b->blob.len, &b->set, &err) < 0) {
        fprintf(stderr, "flags_bench: %s\n", err.text);
        exit(1);
    }
}

static void release(struct bench *b) {
    free(b->flags);
    free(b->names);
    free(b->targeting);
    buf_release(&b->blob);
}

typedef void call(const struct bench *b, size_t i, const struct flags_context *context);

static void by_number(const struct bench *b, size_t i, const struct flags_context *context) {
    struct flags_result r;
    flags_evaluate(&b->set, (uint32_t)(i % b->count), context, &r);
    sink += r.on;
}

static void by_name(const struct bench *b, size_t i, const struct flags_context *context) {
    struct flags_result r;
    uint32_t flag = flags_find(&b->set, b->flags[i % b->count].name);
    flags_evaluate(&b->set, flag, context, &r);
    sink += r.on;
}

/* Nanoseconds a call, the best round. Contexts are made before, as a server has them. */
static double measure(const struct bench *b, call *f) {
    static struct flags_context contexts[USERS];
    double best = 1e9;
    for (size_t i = 0; i < USERS; i++)
        contexts[i] = context_of(i);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now_ns();
        for (size_t i = 0; i < CALLS; i++)
            f(b, ((size_t)round * CALLS + i) * 7, &contexts[i % USERS]);
        double ns = (double)(now_ns() - start) / CALLS;
        if (ns < best)
            best = ns;
    }
    return best;
}

static bool line(const char *name, double limit, const struct flags_flag *pattern, call *f) {
    bool ok = true;
    printf("%-44s", name);
    for (int i = 0; i < SIZES; i++) {
        struct bench b;
        make(&b, sizes[i], pattern);
        double ns = measure(&b, f);
        printf(" %8.1f", ns);
        fflush(stdout);
        ok = ok && ns <= limit;
        release(&b);
    }
    printf("   %6.0f%s\n", limit, ok ? "" : "  passed!");
    return ok;
}

/* Its own set: one flag that lists them all. */
static bool listed_line(const char *name, double limit, size_t listed) {
    static struct span ids[LISTED];
    static char texts[LISTED][16];
    for (size_t i = 0; i < listed; i++) {
        int n = snprintf(texts[i], sizeof texts[i], "listed_%zu", i);
        ids[i] = span_make(texts[i], (size_t)n);
    }
    const struct flags_flag f = {.enabled = true, .users_on = ids, .users_on_count = listed};
    struct bench b;
    make(&b, 1, &f);
    double miss = measure(&b, by_number), hit = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now_ns();
        for (size_t i = 0; i < CALLS; i++) {
            const struct flags_context context = {.user = ids[i * 7919 % listed]};
            by_number(&b, i, &context);
        }
        double ns = (double)(now_ns() - start) / CALLS;
        if (ns < hit)
            hit = ns;
    }
    bool ok = miss <= limit && hit <= limit;
    printf("%-44s %8.1f %8.1f %8s   %6.0f%s\n", name, miss, hit, "", limit, ok ? "" : "  passed!");
    release(&b);
    return ok;
}

static bool flagd_line(void) {
    const struct flags_variant variants[] = {{S("on"), {.type = FLAGS_BOOL, .boolean = true}},
                                             {S("off"), {.type = FLAGS_BOOL}}};
    const struct flags_flag f = {
        .enabled = true,
        .variants = variants,
        .variant_count = 2,
        .off_variant = S("off"),
        .targeting = &(const struct flags_node){.type = FLAGS_NODE_NULL}}; /* see make */
    return line("flagd: if, ends_with, fractional", 500, &f, by_number);
}

int main(void) {
    bool ok = true;
    for (int i = 0; i < USERS; i++)
        snprintf(users[i], sizeof users[i], "user_%d", i * 37);
    printf("%-44s %8zu %8zu %8zu   limit\n", "ns an evaluation; flags in the set:", sizes[0],
           sizes[1], sizes[2]);
    struct flags_flag f = {.enabled = true, .rollout = FLAGS_ROLLOUT_ALL};
    ok &= line("static, key resolved", 50, &f, by_number);
    ok &= line("static, by name", 100, &f, by_name);
    f.rollout = 50000;
    ok &= line("percentage", 100, &f, by_number);
    f.conditions = conditions;
    f.condition_count = 2;
    f.windows = &window;
    f.window_count = 1;
    ok &= line("percentage, 2 conditions, a window", 200, &f, by_number);
    f = (struct flags_flag){.enabled = true, .rollout = 50000};
    static const char *const names[] = {NULL, "percentage, java31", "percentage, flagd",
                                        "percentage, unleash", "percentage, launchdarkly (SHA-1)"};
    for (int hash = FLAGS_HASH_JAVA31; hash <= FLAGS_HASH_LAUNCHDARKLY; hash++) {
        f.bucketing.hash = (enum flags_hash)hash;
        f.bucketing.salt = S("9f1c2d3e4b5a69788796a5b4c3d2e1f0");
        ok &= line(names[hash], hash == FLAGS_HASH_LAUNCHDARKLY ? 500 : 200, &f, by_number);
    }
    ok &= flagd_line();
    printf("%-44s %8s %8s\n", "one flag with a list of users:", "miss", "hit");
    ok &= listed_line("10 users listed", 200, 10);
    ok &= listed_line("100,000 users listed", 200, LISTED);
    return ok ? 0 : 1;
}

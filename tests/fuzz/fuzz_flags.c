/*
 * Compiled flags from anywhere: what flags_open accepts can be evaluated by anybody, and everything
 * handed out lies inside. The first byte says how the context looks. The rest is a blob, where it
 * begins with its magic; else edits of an honest blob that has something of everything: 2 bytes
 * which word, 4 bytes what it becomes. Length and checksum are put right, since no mutation would
 * find them.
 */
#include "../unit/flags_node.h"
#include "flags/blob.h"
#include "flags/compile.h"
#include "flags/flags.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* clang-format off: a span where constants are wanted */
#define S(text)                                                                                    \
    { text, sizeof(text) - 1 }
/* clang-format on */

static const struct flags_attribute attributes[] = {
    {S("a"), {.type = FLAGS_STRING, .text = S("gold")}},
    {S("n"), {.type = FLAGS_NUMBER, .number = 17}},
    {S("b"), {.type = FLAGS_BOOL, .boolean = true}},
    {S("ip"), {.type = FLAGS_STRING, .text = S("10.1.2.3")}},
    {S("j"), {.type = FLAGS_JSON, .text = S("[1,\"x\",{\"a\":[true]}]")}},
};

static volatile unsigned sink;

static void look(struct span s) {
    for (size_t i = 0; i < s.len; i++)
        sink += (unsigned char)s.ptr[i];
}

static void evaluate_all(const struct flags_set *set, uint8_t choice) {
    struct flags_context context = {.now_us = choice & 16 ? INT64_MIN : INT64_C(1771622898123456)};
    if (choice & 1)
        context.user = (struct span){"user_1", 6};
    if (choice & 2)
        context.tenant = (struct span){"bank_7", 6};
    if (choice & 4)
        context.user_attributes = attributes, context.user_attribute_count = 5;
    if (choice & 8)
        context.tenant_attributes = attributes, context.tenant_attribute_count = 5;
    if (choice & 32)
        context.random = choice;
    uint32_t count = flags_count(set) < 50 ? flags_count(set) : 50;
    look(flags_metadata(set));
    for (uint32_t i = 0; i < count; i++) {
        struct flags_info info;
        struct flags_result r;
        flags_describe(set, i, &info);
        look(info.name);
        look(info.owner);
        look(info.module);
        look(info.metadata);
        uint32_t found = flags_find(set, info.name);
        if (found != FLAGS_NONE && found >= flags_count(set))
            abort();
        flags_evaluate(set, i, &context, &r);
        look(r.variant);
        look(r.value.text);
        if ((r.error != FLAGS_OK) != (r.reason == FLAGS_ERROR) ||
            (r.error != FLAGS_OK && (r.has_value || r.on || !r.detail)) || (r.on && !r.has_value))
            abort();
    }
}

static const struct span users[] = {S("user_1"), S("user_2"), S("user_3")}, banks[] = {S("bank_7")};
static const struct flags_value values[] = {{.type = FLAGS_STRING, .text = S("gold")},
                                            {.type = FLAGS_STRING, .text = S("silver")},
                                            {.type = FLAGS_NUMBER, .number = 17},
                                            {.type = FLAGS_BOOL, .boolean = true}};
static const struct flags_value network = {.type = FLAGS_STRING, .text = S("10.0.0.0/8")};
static const struct flags_condition conditions[] = {
    {.attribute = S("a"), .op = FLAGS_NOT_IN, .values = values, .value_count = 4},
    {.attribute = S("n"), .op = FLAGS_GREATER, .values = &values[2], .value_count = 1},
    {.subject = FLAGS_TENANT_ATTRIBUTE, .attribute = S("b"), .values = values, .value_count = 4},
    {.subject = FLAGS_CUSTOM,
     .attribute = S("internal_network"),
     .op = FLAGS_NOT_EQUAL,
     .values = &network,
     .value_count = 1}};
static const struct flags_transition changes[] = {{0, 3600}, {1774746000, 7200}};
static const struct flags_zone zones[] = {
    {.name = "Europe/Paris", .first_offset = 561, .transitions = changes, .transition_count = 2}};
static const struct flags_window windows[] = {
    {.start_minute = 1300, .end_minute = 1299, .zone = "Europe/Paris"},
    {.start_minute = 0, .end_minute = 1439}};
static const struct flags_require requires[] = {{.flag = S("listed")},
                                                {.flag = S("split"), .variant = S("on")}};
static const struct flags_variant variants[] = {{S("on"), {.type = FLAGS_BOOL, .boolean = true}},
                                                {S("off"), {.type = FLAGS_STRING, .text = S("x")}}};
static const struct flags_weight weights[] = {{S("on"), 30000}, {S("off"), 70000}};

/* Compiled once; never changed afterwards. */
static const struct buf *honest_blob(void) {
    static struct buf blob = {.max = FLAGS_BLOB_MAX};
    static const char targeting[] =
        "{\"if\":[{\"or\":[{\"in\":[{\"var\":\"a\"},[\"gold\",{\"cat\":[\"x\",{\"var\":\"j.2\"}]}]]"
        "},"
        "{\"some\":[{\"var\":\"j\"},{\"<\":[1,{\"var\":\"\"},{\"+\":[2,\"3\"]}]}]}]},\"on\","
        "{\"fractional\":[{\"var\":\"a\"},[\"on\",25],[\"off\",{\"*\":[5,15]}]]}]}";
    if (blob.len)
        return &blob;
    struct arena arena;
    struct err err;
    arena_init(&arena, (size_t)1 << 20);
    const struct flags_node *logic = node_parse(span_of(targeting), &arena);
    struct flags_rule rules[5] = {{.rollout = 0}, {.when = logic, .rollout = 1}};
    struct flags_flag flags[16] = {
        {.name = S("listed"),
         .users_on = users,
         .users_on_count = 3,
         .users_off = &users[1],
         .users_off_count = 1,
         .tenants_on = banks,
         .tenants_on_count = 1,
         .rollout = 50000},
        {.name = S("conditions"), .conditions = conditions, .condition_count = 4, .rollout = 1},
        {.name = S("any"), .conditions = conditions, .condition_count = 4, .match_any = true},
        {.name = S("windows"), .windows = windows, .window_count = 2, .rollout = 100000},
        {.name = S("requires"), .requires = requires, .require_count = 2, .rollout = 100000},
        {.name = S("logic"), .variants = variants, .variant_count = 2, .targeting = logic},
        {.name = S("split"),
         .variants = variants,
         .variant_count = 2,
         .rollout = 100000,
         .split = weights,
         .split_count = 2},
        {.name = S("killed"),
         .killed = true,
         .owner = S("o"),
         .module = S("m"),
         .metadata = S("{}")}};
    for (int hash = 0; hash <= FLAGS_HASH_LAUNCHDARKLY; hash++) {
        static char names[FLAGS_HASH_LAUNCHDARKLY + 1][2] = {"0", "1", "2", "3", "4"};
        struct flags_bucketing b = {.hash = (enum flags_hash)hash,
                                    .by = {{FLAGS_BY_ATTRIBUTE, S("n")},
                                           {FLAGS_BY_TENANT, S("")},
                                           {FLAGS_BY_RANDOM, S("")}},
                                    .by_count = 3};
        rules[hash].rollout = 30000;
        rules[hash].bucketing = rules[hash].split_bucketing = b;
        rules[hash].conditions = conditions;
        rules[hash].condition_count = (size_t)hash;
        rules[hash].match_any = true;
        rules[hash].split = hash == FLAGS_HASH_JAVA31 ? NULL : weights;
        rules[hash].split_count = hash == FLAGS_HASH_JAVA31 ? 0 : 2;
        flags[8 + hash] = (struct flags_flag){.name = {names[hash], 1},
                                              .rollout = 30000,
                                              .bucketing = {.hash = (enum flags_hash)hash}};
    }
    flags[13] = (struct flags_flag){.name = S("rules"),
                                    .variants = variants,
                                    .variant_count = 2,
                                    .rules = rules,
                                    .rule_count = 5,
                                    .rules_only = true};
    for (size_t i = 0; i < 14; i++)
        flags[i].enabled = true;
    const struct flags_model model = {.flags = flags,
                                      .flag_count = 14,
                                      .zones = zones,
                                      .zone_count = 1,
                                      .metadata = S("{\"v\":1}")};
    if (flags_compile(&model, &blob, &err) < 0)
        abort();
    arena_release(&arena);
    return &blob;
}

/* The blob that the input stands for, on the heap in its exact size. */
static uint8_t *make_blob(const uint8_t *data, size_t size, size_t *ret_len) {
    bool raw = size >= 8 && memcmp(data, BLOB_MAGIC, 8) == 0;
    const struct buf *honest = honest_blob();
    size_t len = raw ? size : honest->len;
    uint8_t *blob = malloc(len);
    if (!blob)
        abort();
    memcpy(blob, raw ? data : (const uint8_t *)honest->data, len);
    for (size_t i = 0; !raw && i + 6 <= size; i += 6) {
        size_t word = (size_t)(data[i] | data[i + 1] << 8) % (len / 4);
        memcpy(blob + word * 4, data + i + 2, 4);
    }
    *ret_len = len;
    return blob;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    size_t len;
    uint8_t *blob = make_blob(data + 1, size - 1, &len);
    if (len >= sizeof(struct blob_header)) {
        struct blob_header head;
        memcpy(&head, blob, sizeof head);
        head.len = len;
        memcpy(blob, &head, sizeof head);
        head.checksum = blob_checksum(blob, len);
        memcpy(blob, &head, sizeof head);
    }
    struct flags_set set;
    struct err err = {0};
    int r = flags_open(blob, len, &set, &err);
    if (size == 1 && r < 0)
        abort(); /* unchanged, it is right */
    if (r == 0)
        evaluate_all(&set, data[0]);
    else if (err.text[0] == '\0')
        abort();
    free(blob);
    return 0;
}

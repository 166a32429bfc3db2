/*
 * Targeting as text, and the context of it: whatever compiles can be opened and evaluated, twice
 * with the same answer. The input is JSON of an attribute, a line feed, and JSON of the targeting.
 */
#include "../unit/flags_node.h"
#include "flags/compile.h"
#include "flags/flags.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct flags_variant variants[] = {
    {{"on", 2}, {.type = FLAGS_BOOL, .boolean = true}},
    {{"off", 3}, {.type = FLAGS_BOOL}},
};

static void evaluate(const struct buf *blob, struct span attribute) {
    const struct flags_attribute attributes[] = {
        {{"j", 1}, {.type = FLAGS_JSON, .text = attribute}},
        {{"s", 1}, {.type = FLAGS_STRING, .text = attribute}},
        {{"n", 1}, {.type = FLAGS_NUMBER, .number = (double)attribute.len / 3}},
    };
    const struct flags_context context = {.user = {"user_1", 6},
                                          .user_attributes = attributes,
                                          .user_attribute_count = 3,
                                          .now_us = INT64_C(1771622898123456)};
    struct flags_set set;
    struct flags_result r, again;
    struct err err;
    if (flags_open(blob->data, blob->len, &set, &err) < 0)
        abort();
    flags_evaluate(&set, 0, &context, &r);
    flags_evaluate(&set, 0, &context, &again);
    if (r.error != again.error || r.on != again.on || !span_eq(r.variant, again.variant))
        abort();
    if (r.error == FLAGS_OK && r.has_value && !span_is(r.variant, "on") &&
        !span_is(r.variant, "off"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    if (!line)
        return 0;
    struct arena arena;
    struct buf blob;
    struct err err = {0};
    arena_init(&arena, (size_t)1 << 28);
    buf_init(&blob, FLAGS_BLOB_MAX);
    struct span text = span_make(line + 1, size - (size_t)(line + 1 - data));
    const struct flags_node *node = text.len ? node_parse(text, &arena) : NULL;
    const struct flags_flag flag = {.name = {"f", 1},
                                    .enabled = true,
                                    .variants = variants,
                                    .variant_count = 2,
                                    .off_variant = {"off", 3},
                                    .targeting = node};
    const struct flags_model model = {.flags = &flag, .flag_count = 1};
    if (node && flags_compile(&model, &blob, &err) == 0)
        evaluate(&blob, span_make(data, (size_t)(line - data)));
    else if (node && err.text[0] == '\0')
        abort();
    buf_release(&blob);
    arena_release(&arena);
    return 0;
}

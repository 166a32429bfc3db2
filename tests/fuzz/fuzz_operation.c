/* The body of a call: what was accepted has both forms of each parameter, and no key of a template
 * comes from the caller. */
#include "operation/exchange.h"
#include "operation/param.h"
#include "operation/template.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char configuration[] =
    "source: {uri: postgresql://h}\ntarget: {uri: mongodb://h, database: d}\nmodules:\n"
    "  m:\n    collections: {c: {table: t}}\n    operations:\n      o:\n        sql: SELECT 1\n"
    "        mongodb:\n          aggregate: c\n          pipeline:\n"
    "            - {$match: {a: ':s', b: ':i', r: {$regex: {contains: ':s'}}, f: {$regex: {ends: "
    "a.b}}, $expr: {$eq: [$x, ':s']}}}\n"
    "            - {$project: {v: ':s', j: ':j', l: ':l'}}\n"
    "        params: {s: {type: string, default: ''}, i: {type: int64, default: 0}, d: {type: "
    "decimal, "
    "null: true, default: ~}, t: {type: timestamp, null: true, default: ~}, y: {type: bytes, null: "
    "true, default: ~}, u: {type: uuid, null: true, default: ~}, j: {type: json, null: true, "
    "default: "
    "~}, l: {type: 'string[]', default: []}, f: {type: double, default: 0}, e: {type: date, null: "
    "true, default: ~}}\n";

/* Every key of the result that begins with '$' is one of the template's, and every text that does
 * stands where it is a value. */
static void check(const bson_iter_t *parent, bool literal) {
    bson_iter_t it;
    if (!bson_iter_recurse(parent, &it))
        abort();
    while (bson_iter_next(&it)) {
        static const char *const known[] = {"$match", "$expr",    "$eq",
                                            "$regex", "$project", "$literal"};
        const char *key = bson_iter_key(&it);
        bool found = key[0] != '$';
        for (size_t i = 0; !found && i < sizeof known / sizeof *known; i++)
            found = strcmp(known[i], key) == 0;
        if (!found)
            abort();
        if (BSON_ITER_HOLDS_DOCUMENT(&it) || BSON_ITER_HOLDS_ARRAY(&it))
            check(&it, literal || strcmp(key, "$literal") == 0);
    }
}

static void check_projection(const bson_t *pipeline) {
    bson_iter_t it, stage, field, inner;
    if (!bson_iter_init_find(&it, pipeline, "1") || !bson_iter_recurse(&it, &stage) ||
        !bson_iter_find(&stage, "$project") || !bson_iter_recurse(&stage, &field))
        abort();
    while (bson_iter_next(&field))
        if (BSON_ITER_HOLDS_UTF8(&field) ||
            (BSON_ITER_HOLDS_DOCUMENT(&field) &&
             !(bson_iter_recurse(&field, &inner) && bson_iter_find(&inner, "$literal"))))
            abort();
}

static void use(const struct conf *conf, const struct params *p) {
    const struct conf_value *pipeline = conf->modules[0].operations[0].mongodb.pipeline;
    _cleanup_(buf_release) struct buf out = {.max = 1 << 22};
    struct err err = {0};
    bson_t doc;
    bson_iter_t it;
    if (template_write(pipeline, TEMPLATE_PIPELINE, p, &out, &err) < 0)
        return; /* too deep: said so */
    if (!bson_init_static(&doc, (const uint8_t *)out.data, out.len) ||
        !bson_validate(&doc, BSON_VALIDATE_NONE, NULL) || !bson_iter_init(&it, &doc))
        abort();
    while (bson_iter_next(&it))
        check(&it, false);
    check_projection(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct conf *conf;
    struct operation_body body;
    struct params params;
    struct arena arena;
    struct err err = {0};
    if (!conf && conf_parse("c", configuration, strlen(configuration), &conf, &err) < 0)
        abort();
    if (size > 65536)
        return 0;
    arena_init(&arena, 1 << 24);
    int rc = operation_body_read(span_make(data, size), &arena, 0, 1, &body, &err);
    if (rc == 0)
        rc = params_read(&conf->modules[0].operations[0], &conf->types, body.params, &arena,
                         &params, &err);
    if (rc < 0 && !*err.text)
        abort();
    if (rc == 0)
        use(conf, &params);
    arena_release(&arena);
    return 0;
}

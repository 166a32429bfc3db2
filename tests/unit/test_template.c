/* Templates for MongoDB: where a parameter is one, and that its value stays a value. */
#include "operation/operation.h"
#include "operation/param.h"
#include "operation/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "operation_conf.h"

#define PARAMS "params: {q: string, n: int64, t: \"string[]\", j: json}"
#define GIVEN "{\"q\": \"$secret\", \"n\": 7, \"t\": [\"$a\"], \"j\": {\"a\": 1}}"

static const struct conf_value *template_of(const struct conf *conf, enum template_use *ret_use) {
    const struct conf_operation_mongodb *m = &OPERATION(conf)->mongodb;
    *ret_use = m->pipeline     ? TEMPLATE_PIPELINE
               : m->projection ? TEMPLATE_EXPRESSION
                               : TEMPLATE_FILTER;
    return m->pipeline ? m->pipeline : m->projection ? m->projection : m->filter;
}

static void writes(const char *mongodb, const char *wanted) {
    _cleanup_(mem_freep) char *keys = mem_printf("sql: SELECT, mongodb: {%s}, " PARAMS, mongodb);
    struct conf *conf = operation_conf(keys);
    enum template_use use;
    const struct conf_value *value = template_of(conf, &use);
    bool used[CONF_PARAMS_MAX] = {false};
    struct template_mistake mistake;
    struct arena arena;
    struct params p;
    struct err err = {0};
    _cleanup_(buf_release) struct buf out = {.max = 1 << 16};
    bson_t doc;
    arena_init(&arena, 1 << 20);
    if (!template_check(value, use, OPERATION(conf), used, &mistake))
        fail_msg("%s: %s", mongodb, mistake.text);
    assert_int_equal(params_read(OPERATION(conf), &conf->types, SPAN_LIT(GIVEN), &arena, &p, &err),
                     0);
    assert_int_equal(template_write(value, use, &p, &out, &err), 0);
    assert_true(bson_init_static(&doc, (const uint8_t *)out.data, out.len));
    char *shown = use == TEMPLATE_PIPELINE ? bson_array_as_json(&doc, NULL)
                                           : bson_as_relaxed_extended_json(&doc, NULL);
    assert_string_equal(shown, wanted);
    bson_free(shown);
    arena_release(&arena);
    conf_free(conf);
}

static void refuses(const char *mongodb, const char *wanted) {
    _cleanup_(mem_freep) char *keys = mem_printf("sql: SELECT 1, mongodb: {%s}, " PARAMS, mongodb);
    struct conf *conf = operation_conf(keys);
    enum template_use use;
    const struct conf_value *value = template_of(conf, &use);
    bool used[CONF_PARAMS_MAX] = {false};
    struct template_mistake mistake;
    if (template_check(value, use, OPERATION(conf), used, &mistake))
        fail_msg("accepted: %s", mongodb);
    assert_string_equal(mistake.text, wanted);
    assert_true(mistake.at.line > 0);
    conf_free(conf);
}

static void filters(void **state) {
    (void)state;
    writes("find: c, filter: {a: \":q\", b: {$in: \":t\"}, c: \":n\"}",
           "{ \"a\" : \"$secret\", \"b\" : { \"$in\" : [ \"$a\" ] }, \"c\" : 7 }");
    writes("find: c, filter: {a: \"::q\", b: \"x :q\", c: \":\", d: \"::\"}",
           "{ \"a\" : \":q\", \"b\" : \"x :q\", \"c\" : \":\", \"d\" : \":\" }");
    writes("find: c, filter: {j: \":j\", k: [1, 2.5, true, ~, \"1\"]}",
           "{ \"j\" : { \"a\" : 1 }, \"k\" : [ 1, 2.5, true, null, \"1\" ] }");
    /* Keys are never parameters. */
    writes("find: c, filter: {\":q\": 1}", "{ \":q\" : 1 }");
}

static void expressions(void **state) {
    (void)state;
    writes("find: c, filter: {$expr: {$eq: [\"$name\", \":q\"]}}",
           "{ \"$expr\" : { \"$eq\" : [ \"$name\", { \"$literal\" : \"$secret\" } ] } }");
    writes(
        "aggregate: c, pipeline: [{$match: {a: \":q\"}}, {$limit: \":n\"}, {$project: {x: \":q\", "
        "y: \":t\", z: \":j\"}}]",
        "[ { \"$match\" : { \"a\" : \"$secret\" } }, { \"$limit\" : 7 }, { \"$project\" : { \"x\" "
        ": { "
        "\"$literal\" : \"$secret\" }, \"y\" : { \"$literal\" : [ \"$a\" ] }, \"z\" : { "
        "\"$literal\" : { "
        "\"a\" : 1 } } } } ]");
    writes("aggregate: c, pipeline: [{$set: {x: {$literal: \":q\"}, query: \":q\"}}]",
           "[ { \"$set\" : { \"x\" : { \"$literal\" : \"$secret\" }, \"query\" : { \"$literal\" : "
           "\"$secret\" } } } ]");
    writes(
        "aggregate: c, pipeline: [{$lookup: {from: d, as: x, pipeline: [{$match: {a: \":q\"}}]}}]",
        "[ { \"$lookup\" : { \"from\" : \"d\", \"as\" : \"x\", \"pipeline\" : [ { \"$match\" : { "
        "\"a\" : "
        "\"$secret\" } } ] } } ]");
    writes("aggregate: c, pipeline: [{$geoNear: {query: {a: \":q\"}, key: \":q\"}}]",
           "[ { \"$geoNear\" : { \"query\" : { \"a\" : \"$secret\" }, \"key\" : { \"$literal\" : "
           "\"$secret\" } } } ]");
}

/* What MongoDB reads as a condition, or as plain values, though expressions stand around it. */
static void no_expressions(void **state) {
    (void)state;
    writes("find: c, projection: {a: {$elemMatch: {b: \":q\"}}, c: \":q\"}",
           "{ \"a\" : { \"$elemMatch\" : { \"b\" : \"$secret\" } }, \"c\" : { \"$literal\" : "
           "\"$secret\" } }");
    writes("aggregate: c, pipeline: [{$search: {text: {query: \":q\", path: a}}}]",
           "[ { \"$search\" : { \"text\" : { \"query\" : \"$secret\", \"path\" : \"a\" } } } ]");
}

static void regexes(void **state) {
    (void)state;
    writes("find: c, filter: {a: {$regex: {contains: \"a.b\"}}, t: \":q\"}",
           "{ \"a\" : { \"$regex\" : \"a\\\\.b\" }, \"t\" : \"$secret\" }");
    writes("find: c, filter: {a: {$regex: {contains: \"\"}}, t: \":q\"}",
           "{ \"a\" : { \"$regex\" : \"\" }, \"t\" : \"$secret\" }");
    writes("find: c, filter: {a: {$regex: {starts: \"::q\"}}}",
           "{ \"a\" : { \"$regex\" : \"^:q\" } }");
    writes("find: c, filter: {a: {$regex: {contains: \":q\"}, $options: i}}",
           "{ \"a\" : { \"$regex\" : \"\\\\$secret\", \"$options\" : \"i\" } }");
    writes("find: c, filter: {a: {$regex: {starts: \":q\"}}}",
           "{ \"a\" : { \"$regex\" : \"^\\\\$secret\" } }");
    writes("find: c, filter: {a: {$regex: {ends: \":q\"}}}",
           "{ \"a\" : { \"$regex\" : \"\\\\$secret(?![\\\\s\\\\S])\" } }");
    writes("find: c, filter: {a: {$regex: \"^x\"}}", "{ \"a\" : { \"$regex\" : \"^x\" } }");
    refuses("find: c, filter: {a: {$regex: \":q\"}}",
            "'$regex' is a text, or {contains: \":name\"} (also starts, ends); a caller's text is "
            "never a regular expression");
    refuses("find: c, filter: {a: {$regex: {contains: \":n\"}}}",
            "'n' must be a string that is not null, to be looked for");
}

/* The operators of expressions that search by one. */
static void regexes_of_expressions(void **state) {
    (void)state;
    writes("find: c, filter: {$expr: {$regexMatch: {input: \":q\", regex: \"^x\"}}}",
           "{ \"$expr\" : { \"$regexMatch\" : { \"input\" : { \"$literal\" : \"$secret\" }, "
           "\"regex\" : "
           "\"^x\" } } }");
    refuses("find: c, filter: {$expr: {$regexMatch: {input: \"$a\", regex: \":q\"}}}",
            "'regex' of '$regexMatch' holds a parameter; a caller's text is never a regular "
            "expression");
    refuses("aggregate: c, pipeline: [{$set: {x: {$regexFind: {input: \"$a\", regex: {$concat: "
            "[\"^\", \":q\"]}}}}}]",
            "'regex' of '$regexFind' holds a parameter; a caller's text is never a regular "
            "expression");
    refuses("find: c, projection: {x: {$regexFindAll: {regex: \":q\", input: \"$a\"}}}",
            "'regex' of '$regexFindAll' holds a parameter; a caller's text is never a regular "
            "expression");
}

static void refusals(void **state) {
    (void)state;
    refuses("find: c, filter: {a: \":x\"}",
            "there is no parameter ':x'; \":x\" as a text is \"::x\"");
    refuses("find: c, filter: {$or: [{$where: \"sleep(1)\"}]}",
            "'$where' is not for reads: it runs code on the server");
    refuses("aggregate: c, pipeline: [{$set: {a: {$function: {body: x, args: [], lang: js}}}}]",
            "'$function' is not for reads: it runs code on the server");
    refuses("aggregate: c, pipeline: [{$match: {}}, {$out: x}]",
            "'$out' is not for reads: it writes");
    refuses("aggregate: c, pipeline: [{$facet: {x: [{$merge: {into: y}}]}}]",
            "'$merge' is not for reads: it writes");
    refuses("aggregate: c, pipeline: [\":q\"]",
            "a stage is a mapping of one operator, such as {$match: {...}}");
}

/* What the whole configuration is checked for, with its place. */
static void checked(const char *keys, const char *wanted) {
    struct conf *conf = operation_conf(keys);
    struct err err = {0};
    assert_int_equal(operations_check(conf, &err), ERR_CONF);
    if (strcmp(err.text, wanted) != 0)
        fail_msg("%s\n  gives  %s\n  wanted %s", keys, err.text, wanted);
    conf_free(conf);
}

static void whole(void **state) {
    (void)state;
    checked("sql: SELECT :x, mongodb: {find: c}",
            "c.yml:7:16: 'sql' of operation 'o': there is no such parameter, at \":x\"");
    checked(
        "sql: DROP TABLE t, mongodb: {find: c}",
        "c.yml:7:16: 'sql' of operation 'o': a read begins with SELECT, WITH, VALUES or TABLE, at "
        "\"DROP TABLE t\"");
    checked("sql: SELECT 1, mongodb: {find: c}, params: {a: int64}",
            "c.yml:7:55: operation 'o' uses parameter 'a' in neither form; remove it");
    checked("sql: \"SELECT :a|like\", mongodb: {find: c}, params: {a: int64}",
            "c.yml:7:16: 'sql' of operation 'o': :a|like needs a string");
    checked("sql: \"SELECT :a\", mongodb: {find: c}, params: {a: {type: int64, default: x}}",
            "c.yml:7:84: the default of parameter 'a': must be a whole number of 64 bits");
    checked(
        "sql: \"SELECT :a\", mongodb: {find: c, limit: \":a\"}, params: {a: string}",
        "c.yml:7:55: 'limit' must be a number, or a parameter of type int32 or int64 that is not "
        "null");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters),
        cmocka_unit_test(expressions),
        cmocka_unit_test(no_expressions),
        cmocka_unit_test(regexes),
        cmocka_unit_test(regexes_of_expressions),
        cmocka_unit_test(refusals),
        cmocka_unit_test(whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

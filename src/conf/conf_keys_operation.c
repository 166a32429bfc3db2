/* The rows of operations and of the parallel run. */
#include "conf/conf_check.h"
#include "conf/conf_keys.h"

#define MS ((int64_t)1000)
#define SECOND ((int64_t)1000000)
#define AT(type, member) .offset = offsetof(struct type, member)
#define RANGE(low, high) .min = (low), .max = (high)
#define LATER(where_scope, key_name, text)                                                         \
    { .scope = (where_scope), .name = (key_name), .kind = KIND_LATER, .help = (text) }

const struct conf_key conf_operation_keys[] = {
    {SCOPE_OPERATION, "write", KIND_FIXED, 0, .fallback = "false", .example = "write: false",
     .help = "Whether it writes."},
    {SCOPE_OPERATION, "sql", KIND_TEXT_AT, KEY_NEEDED, AT(conf_operation, sql),
     .example = "sql: \"SELECT id, name FROM products WHERE id = :id\"",
     .help = "One statement that reads: SELECT, WITH, VALUES or TABLE."},
    {SCOPE_OPERATION, "mongodb", KIND_SECTION, KEY_NEEDED, AT(conf_operation, mongodb),
     .child = SCOPE_OPERATION_MONGODB,
     .example = "mongodb: {find: products, filter: {_id: \":id\"}, limit: 1}",
     .help = "The same question for MongoDB."},
    {SCOPE_OPERATION, "params", KIND_PARAMS, 0, AT(conf_operation, params),
     .at_offset = offsetof(struct conf_operation, param_count), .child = SCOPE_PARAM,
     .otherwise = "none", .example = "params: {id: int64, tags: \"string[]\"}",
     .help = "The parameters, each with its type: bool, int32, int64, double, decimal, string, "
             "date, timestamp, uuid, objectid, bytes, json, or one of them with `[]`; at most 64."},
    {SCOPE_OPERATION, "returns", KIND_CHOICE, 0, AT(conf_operation, returns),
     .choices = "many|one|set", .fallback = "many", .example = "returns: one",
     .help = "one: an object; no row is 404, and more than one a failure. many: an array, in the "
             "order of the rows. set: an array whose order says nothing."},
    {SCOPE_OPERATION, "timeout", KIND_DURATION, 0, AT(conf_operation, timeout_us),
     RANGE(MS, 3600 * SECOND), .fallback = "5s", .example = "timeout: 500ms",
     .help = "How long a side may take; then its work is cancelled. Where SQL covers for MongoDB, "
             "MongoDB has only `fallback.timeout`."},
    {SCOPE_OPERATION, "evaluate", KIND_FLAG, 0, AT(conf_operation, evaluate), .fallback = "false",
     .example = "evaluate: true",
     .help = "true: the token `tokens.evaluate` may call it, and it is offered on "
             "`ofrep.listen`."},
    {SCOPE_OPERATION, "fallback", KIND_FALLBACK, 0, AT(conf_operation, fallback),
     .child = SCOPE_FALLBACK, .fallback = "true", .example = "fallback: {timeout: 1s, budget: 20%}",
     .help = "The other side answers when the one that should fails: SQL for MongoDB, and MongoDB "
             "for SQL while it has caught up."},
    {SCOPE_OPERATION, "compare", KIND_SECTION, 0, AT(conf_operation, compare),
     .child = SCOPE_COMPARE, .example = "compare: {sample: 100%, ignore: [updated_at]}",
     .help = "How the answers of both sides are compared."},
    LATER(SCOPE_OPERATION, "compensate", "what undoes a write, in both forms"),
    LATER(SCOPE_OPERATION, "mode", "how a write reaches both sides"),
    LATER(SCOPE_OPERATION, "idempotency", "the parameter that names one request"),

    {SCOPE_OPERATION_MONGODB, "find", KIND_TEXT_AT, 0, AT(conf_operation_mongodb, find),
     .check = conf_check_collection, .otherwise = "`aggregate`", .example = "find: products",
     .help = "The collection to look in. Of a mapped one `_id` is given as the columns of its "
             "key."},
    {SCOPE_OPERATION_MONGODB, "filter", KIND_VALUE, 0, AT(conf_operation_mongodb, filter),
     .otherwise = "everything", .example = "filter: {name: {$regex: {contains: \":query\"}}}",
     .help = "Which documents."},
    {SCOPE_OPERATION_MONGODB, "sort", KIND_VALUE, 0, AT(conf_operation_mongodb, sort),
     .otherwise = "no order", .example = "sort: {_id: 1}", .help = "In which order."},
    {SCOPE_OPERATION_MONGODB, "projection", KIND_VALUE, 0, AT(conf_operation_mongodb, projection),
     .otherwise = "whole documents", .example = "projection: {name: 1, price: 1}",
     .help = "What of them."},
    {SCOPE_OPERATION_MONGODB, "limit", KIND_VALUE, 0, AT(conf_operation_mongodb, limit),
     .otherwise = "all", .example = "limit: \":page_size\"",
     .help = "How many: a number or a parameter."},
    {SCOPE_OPERATION_MONGODB, "skip", KIND_VALUE, 0, AT(conf_operation_mongodb, skip),
     .otherwise = "none", .example = "skip: 20", .help = "How many not: a number or a parameter."},
    {SCOPE_OPERATION_MONGODB, "aggregate", KIND_TEXT_AT, 0, AT(conf_operation_mongodb, aggregate),
     .check = conf_check_collection, .otherwise = "`find`", .example = "aggregate: orders",
     .help = "The collection that `pipeline` works on."},
    {SCOPE_OPERATION_MONGODB, "pipeline", KIND_VALUE, 0, AT(conf_operation_mongodb, pipeline),
     .otherwise = "none",
     .example = "pipeline: [{$match: {customer: \":id\"}}, {$group: {_id: null, n: {$sum: 1}}}]",
     .help = "Its stages. $out, $merge, $function, $accumulator and $where are refused."},
    LATER(SCOPE_OPERATION_MONGODB, "insert", "a write"),
    LATER(SCOPE_OPERATION_MONGODB, "update", "a write"),
    LATER(SCOPE_OPERATION_MONGODB, "replace", "a write"),
    LATER(SCOPE_OPERATION_MONGODB, "delete", "a write"),
    LATER(SCOPE_OPERATION_MONGODB, "document", "what a write inserts"),

    {SCOPE_PARAM, "type", KIND_TEXT_AT, KEY_NEEDED, AT(conf_param, type_name),
     .example = "type: int64", .help = "As above."},
    {SCOPE_PARAM, "default", KIND_VALUE, 0, AT(conf_param, value),
     .otherwise = "none: the caller must give one", .example = "default: 20",
     .help = "The value where the caller gives none."},
    {SCOPE_PARAM, "null", KIND_FLAG, 0, AT(conf_param, null), .fallback = "false",
     .example = "null: true", .help = "Whether it may be null."},
    {SCOPE_PARAM, "max", KIND_INT64, 0, AT(conf_param, max), RANGE(1, INT64_MAX),
     .example = "max: 100", .otherwise = "none",
     .help = "The most it may be: of a number its value, of a string its characters, of bytes and "
             "json their bytes, of an array its elements."},

    {SCOPE_COMPARE, "sample", KIND_PERCENT, 0, AT(conf_compare, sample), RANGE(0, 100),
     .fallback = "5%", .example = "sample: 100%",
     .help = "The share of the reads that both sides answer. The first 20 a minute are always "
             "taken, unless it is 0%."},
    {SCOPE_COMPARE, "rules", KIND_CHOICE, 0, AT(conf_compare, rules),
     .choices = "exact|mapped|reference", .fallback = "mapped", .example = "rules: exact",
     .help = "exact: names, types and values are equal. mapped: what the mapping or `types` says "
             "of a field counts as well. reference: loose, with names in either case, numbers, "
             "dates and booleans in any form, null as absent. What a rule explains away is "
             "counted."},
    {SCOPE_COMPARE, "tolerance", KIND_REAL, 0, AT(conf_compare, tolerance), RANGE(0, 1),
     .fallback = "0.0001", .example = "tolerance: 0.01",
     .help = "How far apart numbers may be where one side is binary floating point; decimals are "
             "compared exactly, but under `rules: reference`."},
    {SCOPE_COMPARE, "ignore", KIND_WORDS, 0, AT(conf_compare, ignore), .otherwise = "nothing",
     .example = "ignore: [updated_at, \"*.version\"]",
     .help = "Paths that may differ: names separated by dots, arrays passed through, `*` for any "
             "names. Each use is counted as explained."},
    {SCOPE_COMPARE, "key", KIND_PAIRS, 0, AT(conf_compare, key),
     .at_offset = offsetof(struct conf_compare, key_count),
     .otherwise = "the primary key of the mapped child", .example = "key: {items: id}",
     .help = "The member that tells the elements of an array apart, so that one removed element "
             "is one difference."},
    {SCOPE_COMPARE, "types", KIND_PAIRS, 0, AT(conf_compare, types),
     .at_offset = offsetof(struct conf_compare, type_count), .choices = "number|boolean|date|uuid",
     .otherwise = "what the mapping says",
     .example = "types: {price: number, \"items.active\": boolean}",
     .help = "What a path holds, so that the forms which this type can take are equal (12.5 and "
             "\"12.50\", 1 and true); for `rules: mapped`."},
    {SCOPE_COMPARE, "headers", KIND_WORDS, 0, AT(conf_compare, headers), .otherwise = "none",
     .example = "headers: [ETag]",
     .help = "Headers of the answer that must be equal too (routes only; never Set-Cookie)."},
    {SCOPE_COMPARE, "store", KIND_CHOICE, 0, AT(conf_compare, store), .choices = "fields|documents",
     .fallback = "fields", .example = "store: documents",
     .help = "What is kept of a difference. fields: the parameters and the values that differ. "
             "documents: both whole answers as well."},
    {SCOPE_COMPARE, "mask", KIND_WORDS, 0, AT(conf_compare, mask), .otherwise = "nothing",
     .example = "mask: [email, \"*.iban\"]",
     .help = "Paths whose values are never kept or shown, only a keyed hash, type and length."},

    {SCOPE_BUDGET, "per_second", KIND_INT, 0, AT(conf_budget, per_second), RANGE(0, 1000000),
     .fallback = "200", .example = "per_second: 50",
     .help = "The most calls of the other side in a second; 0 is none."},
    {SCOPE_BUDGET, "concurrent", KIND_INT, 0, AT(conf_budget, concurrent), RANGE(1, 256),
     .fallback = "16", .example = "concurrent: 4", .help = "The most of them at one time."},

    LATER(SCOPE_GATES, "cdc_lag", "how far the stream may be behind"),
    LATER(SCOPE_GATES, "read_accuracy", "the share of reads that must agree"),
    LATER(SCOPE_GATES, "error_rate", "the share of MongoDB's calls that may fail"),
    {SCOPE_GATES, "divergence_rate", KIND_SECTION, 0, .child = SCOPE_DIVERGENCE_RATE,
     .example = "divergence_rate: {over: 1%, window: 5m}",
     .help = "The share of compared reads that may really differ, what the noise of SQL itself "
             "accounts for taken off."},
    LATER(SCOPE_GATES, "reverse_lag", "how far the reverse sync may be behind"),

    {SCOPE_DIVERGENCE_RATE, "over", KIND_PERCENT, 0, AT(conf_gates, divergence_rate), RANGE(0, 100),
     .fallback = "1%", .example = "over: 0.1%", .help = "Over it is too much."},
    {SCOPE_DIVERGENCE_RATE, "window", KIND_DURATION, 0, AT(conf_gates, divergence_window_us),
     RANGE(60 * SECOND, 24 * 3600 * SECOND), .fallback = "5m", .example = "window: 1h",
     .help = "Of the reads in this time: what the alert divergence_rate looks at, unless "
             "`alerts.rules` is written."},

    {SCOPE_DIVERGENCES, "retention", KIND_DURATION, 0, AT(conf_divergences, retention_us),
     RANGE(3600 * SECOND, 366 * 24 * 3600 * SECOND), .fallback = "7d", .example = "retention: 30d",
     .help = "How long they are kept."},
    {SCOPE_DIVERGENCES, "fingerprints", KIND_INT, 0, AT(conf_divergences, fingerprints),
     RANGE(1, 100000), .fallback = "1000", .example = "fingerprints: 200",
     .help = "How many kinds (operation, path, kind of difference) are told apart; the rest is "
             "counted as `other`."},
    {SCOPE_DIVERGENCES, "examples", KIND_INT, 0, AT(conf_divergences, examples), RANGE(0, 1000),
     .fallback = "20", .example = "examples: 5", .help = "Examples of each that are kept."},
    {SCOPE_DIVERGENCES, "collection", KIND_TEXT_AT, 0, AT(conf_divergences, collection),
     .check = conf_check_collection, .otherwise = "none", .example = "collection: divergences",
     .help = "A collection of the target's database that gets a copy of each example, with "
             "`analyzed: false`. No mapped collection."},
};
const size_t conf_operation_key_count = sizeof conf_operation_keys / sizeof conf_operation_keys[0];

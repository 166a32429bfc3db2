#include "confq/keys.h"

#include <stddef.h>

#define AT(field) offsetof(struct conf, field)
#define SECOND INT64_C(1000000)

#define SECTION(p, h) {.path = p, .type = KEY_SECTION, .help = h}
#define LATER(p, h) {.path = p, .type = KEY_LATER, .help = h}
#define STRUCTURE(p, h) {.path = p, .type = KEY_STRUCTURE, .help = h}

const struct key conf_keys[] = {
    SECTION("source", "the SQL database that is being left"),
    {.path = "source.uri", .type = KEY_SECRET_URI, .offset = AT(source.uri), .needed = true,
     .help = "connection URI of libpq, TLS parameters included"},
    {.path = "source.slot", .type = KEY_TEXT, .offset = AT(source.slot),
     .help = "replication slot; default `banyan_<database>`. A run of one module appends "
             "`_<module>`"},
    {.path = "source.publication", .type = KEY_TEXT, .offset = AT(source.publication),
     .help = "publication; default as the slot"},
    {.path = "source.heartbeat", .type = KEY_DURATION, .offset = AT(source.heartbeat_us),
     .fallback = "10s", .least = 0, .most = 3600 * SECOND,
     .help = "how often a logical message lets a quiet database advance its slot (PostgreSQL 14 "
             "and later); 0s is never"},
    SECTION("source.snapshot", "the copy of what is there"),
    {.path = "source.snapshot.threads", .type = KEY_INTEGER, .offset = AT(source.snapshot_threads),
     .fallback = "2", .least = 1, .most = 64, .help = "chunks copied at the same time"},
    {.path = "source.snapshot.rows_per_second", .type = KEY_INTEGER,
     .offset = AT(source.snapshot_rows_per_second), .fallback = "0", .least = 0,
     .most = INT64_C(1000000000), .help = "limit for root rows read; 0 is no limit"},
    {.path = "source.snapshot.chunk_rows", .type = KEY_INTEGER,
     .offset = AT(source.snapshot_chunk_rows), .fallback = "100000", .least = 100,
     .most = 100000000,
     .help = "root rows of a chunk, the unit of work and of restart; a tenth of it where something "
             "is embedded"},
    {.path = "source.snapshot.consistent", .type = KEY_BOOL, .offset = AT(source.snapshot_consistent),
     .fallback = "false", .help = "true is not built in this version"},
    SECTION("target", "the MongoDB that is being moved to. `w: majority`, `journal: true`, primary "
                      "reads and retryable writes are always set by Banyan, whatever the URI says"),
    {.path = "target.uri", .type = KEY_SECRET_URI, .offset = AT(target.uri), .needed = true,
     .help = "connection URI of MongoDB, TLS and authentication included"},
    {.path = "target.database", .type = KEY_TEXT, .offset = AT(target.database), .needed = true,
     .help = "its database"},
    {.path = "target.lanes", .type = KEY_INTEGER, .offset = AT(target.lanes), .fallback = "2",
     .least = 1, .most = 64,
     .help = "apply threads; all changes of one document keep their order"},
    SECTION("target.batch", "how changes are bundled"),
    {.path = "target.batch.operations", .type = KEY_INTEGER, .offset = AT(target.batch_operations),
     .fallback = "1000", .least = 1, .most = 100000, .help = "documents of one write command"},
    {.path = "target.batch.delay", .type = KEY_DURATION, .offset = AT(target.batch_delay_us),
     .fallback = "5ms", .least = 0, .most = 10 * SECOND,
     .help = "how long a change may wait for others under load"},
    {.path = "target.writes_per_second", .type = KEY_INTEGER, .offset = AT(target.writes_per_second),
     .fallback = "0", .least = 0, .most = INT64_C(1000000000),
     .help = "limit for documents written; 0 is no limit"},
    LATER("target.atomic", "each source transaction as one MongoDB transaction"),
    {.path = "state", .type = KEY_TEXT, .offset = AT(state), .fallback = "banyan.db",
     .help = "the SQLite file with positions and phases"},
    SECTION("types", "what to do where BSON cannot hold a value"),
    {.path = "types.microseconds", .type = KEY_CHOICE, .offset = AT(types.microseconds),
     .fallback = "truncate", .choices = "truncate|string|split",
     .help = "timestamps finer than a millisecond: cut, kept as text, or {date, micros}"},
    {.path = "types.numeric_overflow", .type = KEY_CHOICE, .offset = AT(types.numeric_overflow),
     .fallback = "string", .choices = "string|fail", .help = "numeric of over 34 digits"},
    {.path = "types.infinity", .type = KEY_CHOICE, .offset = AT(types.infinity),
     .fallback = "string", .choices = "string|null|fail",
     .help = "infinite timestamps and dates"},
    {.path = "types.bigint_json", .type = KEY_CHOICE, .offset = AT(types.bigint_json),
     .fallback = "int64", .choices = "int64|decimal",
     .help = "integers inside json and jsonb that fit 64 bits"},
    STRUCTURE("modules", "business domains, by name; each migrates as one"),
    STRUCTURE("modules.*.collections", "collections, by name; no name twice in the file"),
    STRUCTURE("….table", "needed. The table, parts quoted as in SQL: `public.\"Order.Items\"`; the "
                         "default schema is `public`"),
    STRUCTURE("….id", "collections: columns of `_id` (default the primary key; several columns give "
                      "a document), or `objectid`: a stable ObjectId made from the key"),
    STRUCTURE("….keep_id", "collections: true keeps the key columns as fields too"),
    STRUCTURE("….only", "the columns that are taken; default all"),
    STRUCTURE("….case", "`keep` or `camel` (unit_price becomes unitPrice); inherited by what is "
                        "embedded"),
    STRUCTURE("….nulls", "`keep`: SQL NULL is null; `omit`: the field is absent; inherited"),
    STRUCTURE("….fields", "exceptions by column: a new name, `~` (left out), or `{as: name, type: "
                          "t}` with t one of string, int32, int64, double, decimal, bool, date, "
                          "binary, json"),
    STRUCTURE("….add", "fields that no column gives: a constant, `{now: true}`, `{column: name}`"),
    STRUCTURE("….embed", "by field name: embedded objects and arrays, with the same keys as a "
                         "collection, to a depth of 20"),
    STRUCTURE("….embed.*.join", "needed. `{child column: parent column}`; the child's are left out "
                                "of the document"),
    STRUCTURE("….embed.*.keep_join", "true keeps them"),
    STRUCTURE("….embed.*.one", "true: an object (or null), not an array"),
    STRUCTURE("….embed.*.order", "columns that order the array; the key always comes last"),
    STRUCTURE("….indexes", "collections: list of `{keys: {field: 1}, unique: true, name: n}`; kinds "
                           "1, -1, 2dsphere, text, hashed"),
    LATER("….where", "row filters"),
    LATER("….validator", "`$jsonSchema` validators"),
    LATER("….time_series", "time-series collections"),
    LATER("….fields.*.sql", "computed columns"),
    LATER("modules.*.flag", "feature flag of the module"),
    LATER("modules.*.operations", "named reads and writes"),
    LATER("modules.*.routes", "gateway routes"),
    LATER("modules.*.reads", "who answers reads"),
    LATER("modules.*.writes", "who takes writes"),
    LATER("modules.*.stage", "reads and writes at once"),
    LATER("modules.*.rollout", "steps of the rollout"),
    LATER("modules.*.approvals", "phases that wait for a person"),
    LATER("modules.*.gates", "gates of the phases"),
    LATER("modules.*.budget", "cost limit of the parallel run"),
    LATER("listen", "admin API"),
    LATER("tokens", "tokens of the admin API"),
    LATER("tls", "TLS of the admin API"),
    LATER("hosts", "names of the admin page"),
    LATER("ofrep", "OFREP listener"),
    LATER("insecure", "admin API without TLS"),
    LATER("gateway", "nginx gateway"),
    LATER("flags", "feature flags"),
    LATER("redis", "shared flags"),
    LATER("kafka", "Kafka transport"),
    LATER("alerts", "alert rules"),
};
const size_t conf_key_count = sizeof conf_keys / sizeof *conf_keys;

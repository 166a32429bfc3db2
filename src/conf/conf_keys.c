#include "conf/conf_keys.h"

#include "base/text.h"

#include "conf/conf_check.h"

#define SECOND ((int64_t)1000000)
#define AT(type, member) .offset = offsetof(struct type, member)
#define RANGE(low, high) .min = (low), .max = (high)
#define LATER(where_scope, key_name, where, text)                                                  \
    {                                                                                              \
        .scope = (where_scope), .name = (key_name), .kind = KIND_LATER, .flags = (where),          \
        .help = (text)                                                                             \
    }

static const struct conf_key keys[] = {
    /* --- the file --- */
    {SCOPE_ROOT, "source", KIND_SECTION, KEY_NEEDED | KEY_CONTROL, .child = SCOPE_SOURCE,
     .example = "source: {uri: \"postgresql://banyan@127.0.0.1:5432/shop\"}",
     .help = "The SQL database that is being left."},
    {SCOPE_ROOT, "target", KIND_SECTION, KEY_NEEDED | KEY_CONTROL, .child = SCOPE_TARGET,
     .example = "target: {uri: \"mongodb://127.0.0.1:27017/?replicaSet=rs0\", database: shop}",
     .help = "The MongoDB deployment that takes over."},
    {SCOPE_ROOT, "state", KIND_TEXT, 0, AT(conf, state), .fallback = "banyan.db",
     .example = "state: /var/lib/banyan/shop.db",
     .help =
         "The SQLite file that holds positions and progress, relative to the folder the program "
         "runs in. `--state FILE` wins over it. One file serves one configuration."},
    {SCOPE_ROOT, "types", KIND_SECTION, KEY_CONTROL, .child = SCOPE_TYPES,
     .example = "types: {microseconds: string}",
     .help = "What to do where BSON cannot hold a value."},
    {SCOPE_ROOT, "modules", KIND_MODULES, KEY_NEEDED | KEY_FILLED, AT(conf, modules),
     .at_offset = offsetof(struct conf, module_count), .child = SCOPE_MODULE,
     .example = "modules: {catalogue: {collections: {products: {table: public.products}}}}",
     .help = "The business domains, each under its name. A module migrates as one. `all` is not a "
             "name: commands take it for every module."},
    {SCOPE_ROOT, "listen", KIND_TEXT, 0, AT(conf, serve.listen), .fallback = "127.0.0.1:8420",
     .check = conf_check_listen, .example = "listen: 127.0.0.1:8420",
     .help = "Where `banyan serve` answers: admin API, dashboard, OFREP, /metrics, /health. An "
             "address other than loopback needs `tokens` and `tls`, or `insecure: true`."},
    {SCOPE_ROOT, "tokens", KIND_SECTION, 0, .child = SCOPE_TOKENS,
     .otherwise = "everybody on loopback may do everything",
     .example = "tokens: {viewer: \"${BANYAN_VIEW}\", operator: \"${BANYAN_TOKEN}\"}",
     .help = "Who may use what `banyan serve` offers. Without any, everybody on loopback may do "
             "everything."},
    {SCOPE_ROOT, "tls", KIND_SECTION, 0, .child = SCOPE_TLS, .otherwise = "plain HTTP",
     .example = "tls: {cert: server.pem, key: server.key}",
     .help = "The certificate of `listen` and `ofrep.listen`."},
    {SCOPE_ROOT, "insecure", KIND_FLAG, 0, AT(conf, serve.insecure), .fallback = "false",
     .example = "insecure: true",
     .help = "Allows an address other than loopback without TLS. Tokens then cross the network in "
             "the clear."},
    {SCOPE_ROOT, "hosts", KIND_WORDS, 0, AT(conf, serve.hosts),
     .otherwise = "loopback names and the listen address", .example = "hosts: [banyan.example.com]",
     .help = "Further names under which the page and the API may be asked; others are refused, so "
             "that no foreign page can reach them by a name of its own (DNS rebinding)."},
    {SCOPE_ROOT, "ofrep", KIND_SECTION, KEY_CONTROL, .child = SCOPE_OFREP,
     .otherwise = "flags are evaluated on `listen`",
     .example = "ofrep: {listen: \"127.0.0.1:8421\", origins: [\"https://app.example\"]}",
     .help = "A second listener that only evaluates flags (and /health, and operations that are "
             "granted)."},
    {SCOPE_ROOT, "gateway", KIND_SECTION, 0, AT(conf, gateway),
     .at_offset = offsetof(struct conf, gateway.at), .child = SCOPE_GATEWAY,
     .otherwise = "no gateway",
     .example = "gateway: {listen: \"127.0.0.1:8080\", trusted: [127.0.0.1/8]}",
     .help = "The nginx in front of both sides, which decides for each request who answers."},
    {SCOPE_ROOT, "edge", KIND_SECTION, 0, AT(conf, edge),
     .at_offset = offsetof(struct conf, edge.at), .child = SCOPE_EDGE, .otherwise = "no edge",
     .example = "edge: {control: \"https://control.example:8420\", token: \"${file:/run/secrets/"
                "banyan-edge}\", ca: ca.pem}",
     .help = "A gateway on a machine of its own (`banyan serve --edge`), and the daemon that it "
             "follows. An edge reads `gateway`, the modules with their `flag` and `routes`, "
             "`listen`, `tokens`, `tls`, `state` and this; the other keys may stand in its file "
             "and are not looked into, so their secrets need not be on its machine."},
    {SCOPE_ROOT, "flags", KIND_TEXT_AT, KEY_CONTROL, AT(conf, flags),
     .fallback = "feature-flags.yml", .example = "flags: /etc/banyan/feature-flags.yml",
     .help = "The file of feature flags, relative to the folder the program is started in: "
             "feature-flags.yml, flagd's JSON, Unleash's features or LaunchDarkly's flags. The "
             "default need not exist. What is in it can change while Banyan runs; another name "
             "needs a restart."},
    {SCOPE_ROOT, "redis", KIND_URI, KEY_SECRET | KEY_CONTROL, AT(conf, redis),
     .at_offset = offsetof(struct conf, redis_at), .check = conf_check_redis, .otherwise = "none",
     .example = "redis: \"redis://:${REDIS_PASSWORD}@127.0.0.1:6379/0\"",
     .help =
         "A Redis through which several daemons share what people change about flags: a change "
         "at one holds at all within a second. redis://[[user]:password@]host[:port][/database]; "
         "TLS (rediss://) is not built. While it is away, flags can only be switched off or "
         "lowered; what was shared last goes on."},
    {SCOPE_ROOT, "divergences", KIND_SECTION, KEY_CONTROL, AT(conf, divergences),
     .child = SCOPE_DIVERGENCES, .example = "divergences: {retention: 30d}",
     .help = "What is kept of the differences that the parallel run finds."},
    LATER(SCOPE_ROOT, "kafka", 0, "changes by way of Kafka"),
    {SCOPE_ROOT, "alerts", KIND_SECTION, KEY_CONTROL, .child = SCOPE_ALERTS,
     .example = "alerts: {webhook: \"http://127.0.0.1:9093/api/v2/alerts\"}",
     .help = "What `banyan serve` watches, and whom it tells. Alerts are always in the log, in "
             "`/v1/alerts` and on the page."},

    /* --- source --- */
    {SCOPE_SOURCE, "uri", KIND_URI, KEY_NEEDED | KEY_SECRET, AT(conf, source.uri),
     .at_offset = offsetof(struct conf, source.uri_at), .check = conf_check_source_uri,
     .example =
         "uri: \"postgresql://banyan:${file:/run/secrets/pg}@db:5432/shop?sslmode=verify-full\"",
     .help =
         "How to reach PostgreSQL: a libpq URI (`postgresql://` or `postgres://`) or libpq's "
         "`key=value` form. `mariadb://` is in the contract but not built yet. What is expanded "
         "inside a URI must be percent-encoded, as libpq wants it."},
    {SCOPE_SOURCE, "slot", KIND_TEXT, 0, AT(conf, source.slot), .check = conf_check_slot,
     .otherwise = "`banyan_<database>_<module>`; `banyan_<database>` for `run all`",
     .example = "slot: banyan_shop",
     .help = "The replication slot: 1 to 63 lower case letters, digits and underscores."},
    {SCOPE_SOURCE, "publication", KIND_TEXT, 0, AT(conf, source.publication),
     .check = conf_check_publication, .otherwise = "the slot's name",
     .example = "publication: banyan_shop", .help = "The publication, at most 63 bytes."},
    {SCOPE_SOURCE, "heartbeat", KIND_DURATION, 0, AT(conf, source.heartbeat_us),
     RANGE(SECOND / 10, 3600 * SECOND), .fallback = "10s", .example = "heartbeat: 30s",
     .help =
         "How often a quiet database is made to advance its slot, so that it can let its log go."},
    {SCOPE_SOURCE, "heartbeat_table", KIND_TABLE, 0, AT(conf, source.heartbeat_table),
     .otherwise = "a message in the log, which PostgreSQL 12 and 13 cannot send us",
     .example = "heartbeat_table: public.banyan_heartbeat",
     .help = "A table of Banyan's own in the source, for its heartbeat: made where it is missing, "
             "with one row a slot, and never copied. Needed with PostgreSQL 12 and 13 where a busy "
             "database shares the server with a quiet one that is migrated: without it the slot of "
             "the quiet one may keep log for as long as nothing changes there."},
    {SCOPE_SOURCE, "snapshot", KIND_SECTION, 0, .child = SCOPE_SNAPSHOT,
     .example = "snapshot: {threads: 4, rows_per_second: 20000}",
     .help = "How the first copy is made."},

    {SCOPE_SNAPSHOT, "threads", KIND_INT, 0, AT(conf, source.snapshot_threads), RANGE(1, 64),
     .fallback = "2", .example = "threads: 4",
     .help = "Chunks that are copied at the same time; each has a connection to the source."},
    {SCOPE_SNAPSHOT, "rows_per_second", KIND_INT64, KEY_RELOAD,
     AT(conf, source.snapshot_rows_per_second), RANGE(0, 1000000000), .fallback = "0",
     .example = "rows_per_second: 20000",
     .help = "The most root rows copied in a second, all threads together; 0 is no limit."},
    {SCOPE_SNAPSHOT, "chunk_rows", KIND_INT64, 0, AT(conf, source.snapshot_chunk_rows),
     RANGE(1, 100000000), .fallback = "100000", .example = "chunk_rows: 20000",
     .help =
         "Root rows in a chunk, roughly: the unit of parallel work, of progress and of restart."},
    {SCOPE_SNAPSHOT, "consistent", KIND_FLAG, 0, AT(conf, source.snapshot_consistent),
     .fallback = "false", .example = "consistent: true",
     .help =
         "true: all chunks read one snapshot, the one that the new slot exported; it holds back "
         "vacuum until the copy is done, and a copy that was interrupted begins anew: its "
         "collections are emptied and copied from a new snapshot. So are collections that are "
         "copied over a slot that exists (`--recopy`, a new collection). false: each chunk reads "
         "in a short transaction of its own, and the replay of the log makes them agree; a copy "
         "that was interrupted goes on."},

    /* --- target --- */
    {SCOPE_TARGET, "uri", KIND_URI, KEY_NEEDED | KEY_SECRET, AT(conf, target.uri),
     .at_offset = offsetof(struct conf, target.uri_at), .check = conf_check_target_uri,
     .example = "uri: \"mongodb://banyan:${MONGO_PASSWORD}@db1,db2,db3/?replicaSet=rs0&tls=true\"",
     .help =
         "How to reach MongoDB: `mongodb://` or `mongodb+srv://`. Whatever it says, Banyan sets "
         "w: majority, journal: true, primary reads and retryable writes."},
    {SCOPE_TARGET, "database", KIND_TEXT, KEY_NEEDED, AT(conf, target.database),
     .check = conf_check_database, .example = "database: shop",
     .help = "The database for all collections: 1 to 63 bytes, none of `/ \\ . \" $` or space; not "
             "admin, local or config."},
    {SCOPE_TARGET, "lanes", KIND_INT, 0, AT(conf, target.lanes), RANGE(1, 64), .fallback = "2",
     .example = "lanes: 4",
     .help = "Threads that write. All changes of one document keep their order."},
    {SCOPE_TARGET, "batch", KIND_SECTION, 0, .child = SCOPE_BATCH,
     .example = "batch: {operations: 2000, delay: 10ms}", .help = "How writes are put together."},
    {SCOPE_TARGET, "fanout_documents", KIND_INT64, 0, AT(conf, target.fanout_documents),
     RANGE(1, 100000), .fallback = "10000", .example = "fanout_documents: 1000",
     .help = "A change that concerns more documents than this (a row that they all embed) lets the "
             "stream go on, and they are read again in the background."},
    {SCOPE_TARGET, "writes_per_second", KIND_INT64, KEY_RELOAD, AT(conf, target.writes_per_second),
     RANGE(0, 1000000000), .fallback = "0", .example = "writes_per_second: 5000",
     .help = "The most documents written in a second, all lanes together; 0 is no limit."},
    {SCOPE_TARGET, "atomic", KIND_FIXED, 0, .fallback = "false", .example = "atomic: false",
     .help = "Each source transaction as one MongoDB transaction."},

    {SCOPE_BATCH, "operations", KIND_INT64, 0, AT(conf, target.batch_operations), RANGE(1, 100000),
     .fallback = "1000", .example = "operations: 2000",
     .help = "The most operations in one write."},
    {SCOPE_BATCH, "delay", KIND_DURATION, 0, AT(conf, target.batch_delay_us), RANGE(0, 10 * SECOND),
     .fallback = "5ms", .example = "delay: 20ms",
     .help = "How long a lane waits for more before it writes what it has."},

    /* --- types --- */
    {SCOPE_TYPES, "microseconds", KIND_CHOICE, 0, AT(conf, types.microseconds),
     .fallback = "truncate", .choices = "truncate|string|split", .example = "microseconds: split",
     .help = "Times with microseconds, where a BSON date has milliseconds: cut; the text; or a "
             "document {date, micros}."},
    {SCOPE_TYPES, "numeric_overflow", KIND_CHOICE, 0, AT(conf, types.numeric_overflow),
     .fallback = "string", .choices = "string|fail", .example = "numeric_overflow: fail",
     .help = "Numbers of more than 34 digits: the text; or the collection stops."},
    {SCOPE_TYPES, "infinity", KIND_CHOICE, 0, AT(conf, types.infinity), .fallback = "string",
     .choices = "string|null|fail", .example = "infinity: \"null\"",
     .help = "Infinite dates and times: the text; null; or the collection stops."},
    {SCOPE_TYPES, "bigint_json", KIND_CHOICE, 0, AT(conf, types.bigint_json), .fallback = "int64",
     .choices = "int64|decimal", .example = "bigint_json: decimal",
     .help = "Whole numbers inside json and jsonb: int64 where they fit; or always Decimal128."},

    /* --- alerts --- */
    {SCOPE_ALERTS, "webhook", KIND_URI, KEY_SECRET | KEY_RELOAD, AT(conf, alerts.webhook),
     .at_offset = offsetof(struct conf, alerts.webhook_at), .check = conf_check_webhook,
     .otherwise = "none", .example = "webhook: \"https://hooks.slack.com/services/${HOOK}\"",
     .help = "Where alerts are posted when they fire, every 4 hours while they do, and when they "
             "are over."},
    {SCOPE_ALERTS, "format", KIND_CHOICE, KEY_RELOAD, AT(conf, alerts.format),
     .choices = "auto|alertmanager|slack", .fallback = "auto", .example = "format: slack",
     .help = "The body of a post. alertmanager: as Alertmanager's webhooks, version 4, or the list "
             "that its own `/api/v2/alerts` takes. slack: a text, as Slack and Mattermost take it. "
             "auto: slack for hosts and paths that look like it, else alertmanager."},
    {SCOPE_ALERTS, "command", KIND_WORDS, KEY_RELOAD | KEY_FILLED, AT(conf, alerts.command),
     .otherwise = "none", .example = "command: [/usr/local/bin/page, --team, data]",
     .help = "A program and its arguments, run without a shell when alerts fire or are over, with "
             "the alertmanager body on its standard input and at most 30 seconds of time."},
    {SCOPE_ALERTS, "rules", KIND_ALERT_RULES, KEY_RELOAD, AT(conf, alerts.rules),
     .at_offset = offsetof(struct conf, alerts.rule_count), .child = SCOPE_ALERT_RULE,
     .otherwise = "kafka_lag over 10000, streaming_lag over 60s, error_rate over 1%, "
                  "divergence_rate over 1% (window 5m), verification_rate over 1% (window 5m)",
     .example = "rules: [{metric: streaming_lag, over: 60s, for: 2m, severity: critical}]",
     .help = "What is watched, instead of the default. `[]` is nothing."},

    {SCOPE_ALERT_RULE, "metric", KIND_TEXT_AT, KEY_NEEDED, AT(conf_alert_rule, metric),
     .example = "metric: streaming_lag",
     .help = "kafka_lag (changes that wait), streaming_lag (age of what was applied last), "
             "error_rate (failed attempts to write), divergence_rate (reads that the parallel run "
             "found different), verification_rate (documents that verifications found different), "
             "or a name of docs/metrics.md: a counter counts as its growth a second, a histogram "
             "as its 99th percentile."},
    {SCOPE_ALERT_RULE, "over", KIND_THRESHOLD, 0, AT(conf_alert_rule, over),
     .otherwise = "`under` is needed", .example = "over: 60s",
     .help = "Fires above this: a number, a duration, or a percentage."},
    {SCOPE_ALERT_RULE, "under", KIND_THRESHOLD, 0, AT(conf_alert_rule, under),
     .otherwise = "`over` is needed", .example = "under: 0.5", .help = "Fires below this."},
    {SCOPE_ALERT_RULE, "window", KIND_DURATION, 0, AT(conf_alert_rule, window_us),
     RANGE(SECOND, 24 * 3600 * SECOND),
     .otherwise = "5m for rates and histograms, 1m for counters, for others the value as it is",
     .example = "window: 5m", .help = "The time over which it is counted, or averaged."},
    {SCOPE_ALERT_RULE, "for", KIND_DURATION, 0, AT(conf_alert_rule, for_us),
     RANGE(0, 24 * 3600 * SECOND), .fallback = "0s", .example = "for: 2m",
     .help = "How long it must be so before the alert fires."},
    {SCOPE_ALERT_RULE, "severity", KIND_CHOICE, 0, AT(conf_alert_rule, severity),
     .choices = "low|medium|high|critical", .fallback = "high", .example = "severity: critical",
     .help = "Handed on with the alert."},
    {SCOPE_ALERT_RULE, "min_samples", KIND_INT64, 0, AT(conf_alert_rule, min_samples),
     RANGE(1, 1000000000), .otherwise = "100 for rates, 20 for histograms, 1 for counters",
     .example = "min_samples: 500",
     .help = "With fewer in the window nothing is decided. Not for gauges."},

    /* --- serve --- */
    {SCOPE_TOKENS, "viewer", KIND_TEXT, KEY_SECRET, AT(conf, serve.token_viewer),
     .check = conf_check_token, .example = "viewer: \"${BANYAN_VIEW}\"",
     .help = "May look at everything and change nothing."},
    {SCOPE_TOKENS, "operator", KIND_TEXT, KEY_SECRET, AT(conf, serve.token_operator),
     .check = conf_check_token, .example = "operator: \"${file:/run/secrets/banyan}\"",
     .help = "May change things too."},
    {SCOPE_TOKENS, "evaluate", KIND_TEXT, KEY_SECRET, AT(conf, serve.token_evaluate),
     .check = conf_check_token, .example = "evaluate: \"${BANYAN_EVAL}\"",
     .help =
         "May ask for the value of flags and call operations that are granted to it, and nothing "
         "else."},
    {SCOPE_TOKENS, "edge", KIND_TEXT, KEY_SECRET, AT(conf, serve.token_edge),
     .check = conf_check_token, .example = "edge: \"${BANYAN_EDGE}\"",
     .help = "For gateways on other machines: may fetch published flags and settings and hand over "
             "what nginx has counted, and nothing else."},
    {SCOPE_TLS, "cert", KIND_TEXT, 0, AT(conf, serve.tls_cert), .example = "cert: server.pem",
     .help = "The certificate and what leads to its root, in PEM."},
    {SCOPE_TLS, "key", KIND_TEXT, 0, AT(conf, serve.tls_key), .example = "key: server.key",
     .help = "Its key, in PEM; readable by this user only."},
    {SCOPE_TLS, "client_ca", KIND_TEXT, 0, AT(conf, serve.tls_client_ca),
     .example = "client_ca: ca.pem", .help = "Clients must have a certificate of this authority."},
    {SCOPE_TLS, "ca", KIND_TEXT, 0, AT(conf, serve.tls_ca), .otherwise = "`cert`",
     .example = "ca: /etc/ssl/certs/ca-certificates.crt",
     .help =
         "The authority of `cert`, where its file does not have that too: by it commands on this "
         "machine know the daemon."},
    {SCOPE_TLS, "client_cert", KIND_TEXT, 0, AT(conf, serve.tls_client_cert),
     .example = "client_cert: command.pem",
     .help = "With client_ca: the certificate by which commands on this machine ask the daemon "
             "(`banyan flags off`, `banyan pause` and so on). Without it they cannot."},
    {SCOPE_TLS, "client_key", KIND_TEXT, 0, AT(conf, serve.tls_client_key),
     .example = "client_key: command.key", .help = "Its key, in PEM."},
    {SCOPE_TLS, "name", KIND_TEXT, 0, AT(conf, serve.tls_name), .otherwise = "the one of `listen`",
     .example = "name: banyan.example",
     .help =
         "The host name of `cert`, where that does not have the address of `listen`: commands on "
         "this machine reach the daemon by it."},
    {SCOPE_OFREP, "listen", KIND_TEXT, 0, AT(conf, serve.ofrep_listen), .check = conf_check_listen,
     .otherwise = "only `listen` answers", .example = "listen: 127.0.0.1:8421",
     .help = "Its address and port."},
    {SCOPE_OFREP, "origins", KIND_WORDS, 0, AT(conf, serve.ofrep_origins),
     .otherwise = "no page of another site may ask",
     .example = "origins: [\"https://app.example\"]",
     .help = "Web pages of which sites may evaluate flags (CORS)."},

    {SCOPE_MODULE, "collections", KIND_COLLECTIONS, KEY_NEEDED | KEY_FILLED | KEY_CONTROL,
     AT(conf_module, collections), .at_offset = offsetof(struct conf_module, collection_count),
     .child = SCOPE_MAPPING, .example = "collections: {products: {table: public.products}}",
     .help =
         "The collections, each under its name, which may stand only once in the file. Not empty, "
         "no `$`, not beginning with `.` or `system.`; with the database's name at most 255 "
         "bytes."},
    {SCOPE_MODULE, "flag", KIND_TEXT_AT, 0, AT(conf_module, flag), .otherwise = "none",
     .example = "flag: products_mongodb",
     .help = "The flag that decides, for each request, which side answers. It must be in the "
             "file of `flags`."},
    {SCOPE_MODULE, "operations", KIND_OPERATIONS, 0, AT(conf_module, operations),
     .at_offset = offsetof(struct conf_module, operation_count), .child = SCOPE_OPERATION,
     .otherwise = "none",
     .example = "operations: {get_product: {sql: \"SELECT id, name FROM products WHERE id = :id\", "
                "mongodb: {find: products, filter: {_id: \":id\"}, projection: {name: 1}}, params: "
                "{id: int64}, returns: one}}",
     .help = "Named reads in a SQL and a MongoDB form, each under its name (letters, digits, `_`, "
             "`-` and `.`), which may stand only once in the file; at most 1000."},
    {SCOPE_MODULE, "routes", KIND_ROUTES, 0, AT(conf_module, routes),
     .at_offset = offsetof(struct conf_module, route_count), .child = SCOPE_ROUTE,
     .otherwise = "none",
     .example = "routes: [{prefix: /api/products, sql: {url: \"http://127.0.0.1:9001\", service: "
                "shop}, mongodb: {url: \"http://127.0.0.1:9002\", service: shop-mongo}}]",
     .help = "Paths of the gateway that belong to the module; at most 1024 in the file."},
    {SCOPE_MODULE, "reads", KIND_CHOICE, 0, AT(conf_module, reads), .fallback = "auto",
     .choices = "auto|sql|shadow|flag|mongodb", .example = "reads: flag",
     .help = "Who answers reads. auto: the phase decides. shadow: SQL answers, and a sample is "
             "asked of MongoDB too and compared. flag: the module's flag decides for each request, "
             "with SQL behind MongoDB. What is set at run time wins (`banyan reads`)."},
    {SCOPE_MODULE, "writes", KIND_CHOICE, 0, AT(conf_module, writes), .fallback = "auto",
     .choices = "auto|sql|both|mongodb", .example = "writes: sql",
     .help = "Who takes writes, for the whole module at once. both: operations write SQL, then "
             "MongoDB; routes write to the SQL service."},
    {SCOPE_MODULE, "stage", KIND_TEXT_AT, 0, AT(conf_module, stage),
     .otherwise = "`reads` and `writes` as they are", .example = "stage: shadow",
     .help = "Both at once, by LaunchDarkly's names: off (sql, sql), dualwrite (sql, both), shadow "
             "(shadow, both), live (flag, both), rampdown (mongodb, both), complete (mongodb, "
             "mongodb). Not together with `reads` or `writes`."},
    LATER(SCOPE_MODULE, "rollout", 0, "steps of the rollout"),
    LATER(SCOPE_MODULE, "approvals", 0, "phases that wait for a person"),
    {SCOPE_MODULE, "gates", KIND_SECTION, KEY_CONTROL, AT(conf_module, gates), .child = SCOPE_GATES,
     .example = "gates: {divergence_rate: {over: 1%, window: 5m}}",
     .help = "Thresholds that the module must keep."},
    {SCOPE_MODULE, "budget", KIND_SECTION, KEY_CONTROL, AT(conf_module, budget),
     .child = SCOPE_BUDGET, .example = "budget: {per_second: 200, concurrent: 16}",
     .help = "What the parallel run may cost the side that does not answer. A sample over it is "
             "dropped and counted."},

    /* --- a collection, or what is embedded in one --- */
    {SCOPE_MAPPING, "table", KIND_TABLE, KEY_NEEDED | KEY_ANYWHERE, AT(conf_mapping, table),
     .example = "table: public.products",
     .help =
         "The table: one row, one document. `schema.table`, or `table` in the schema public. "
         "Parts are quoted as in SQL (`'\"My Schema\".\"order.items\"'`); what is not quoted is "
         "folded to lower case."},
    {SCOPE_MAPPING, "id", KIND_ID, KEY_COLLECTION, AT(conf_mapping, id),
     .otherwise = "the primary key", .example = "id: [tenant, number]",
     .help = "The columns of `_id`: one gives a scalar, several a document {column: value} in this "
             "order. `id: objectid` gives a stable ObjectId for each primary key."},
    {SCOPE_MAPPING, "keep_id", KIND_FLAG, KEY_COLLECTION, AT(conf_mapping, keep_id),
     .fallback = "false", .example = "keep_id: true",
     .help = "true: the key columns also stay as fields."},
    {SCOPE_MAPPING, "one", KIND_FLAG, KEY_EMBEDDED, AT(conf_mapping, one), .fallback = "false",
     .example = "one: true",
     .help = "true: one document, null where there is no row. false: an array, [] where there is "
             "none."},
    {SCOPE_MAPPING, "join", KIND_JOIN, KEY_NEEDED | KEY_EMBEDDED | KEY_FILLED,
     AT(conf_mapping, join), .at_offset = offsetof(struct conf_mapping, join_count),
     .example = "join: {product_id: id}",
     .help =
         "Which rows belong to the parent: {column of this table: column of the parent's table}."},
    {SCOPE_MAPPING, "keep_join", KIND_FLAG, KEY_EMBEDDED, AT(conf_mapping, keep_join),
     .fallback = "false", .example = "keep_join: true",
     .help = "true: this table's columns in `join` also stay as fields."},
    {SCOPE_MAPPING, "order", KIND_LIST, KEY_EMBEDDED, AT(conf_mapping, order),
     .otherwise = "the table's primary key", .example = "order: [position]",
     .help = "The order of an array, by these columns and then by the primary key. Not with `one: "
             "true`."},
    {SCOPE_MAPPING, "only", KIND_LIST, KEY_ANYWHERE, AT(conf_mapping, only),
     .otherwise = "every column", .example = "only: [id, name, unit_price]",
     .help = "The columns that become fields."},
    {SCOPE_MAPPING, "case", KIND_CHOICE, KEY_ANYWHERE | KEY_INHERITED, AT(conf_mapping, casing),
     .fallback = "keep", .choices = "keep|camel", .example = "case: camel",
     .help = "camel: unit_price becomes unitPrice, unless `fields` renames it."},
    {SCOPE_MAPPING, "nulls", KIND_CHOICE, KEY_ANYWHERE | KEY_INHERITED, AT(conf_mapping, nulls),
     .fallback = "keep", .choices = "keep|omit", .example = "nulls: omit",
     .help = "keep: SQL NULL is null. omit: the field is absent."},
    {SCOPE_MAPPING, "fields", KIND_FIELDS, KEY_ANYWHERE, AT(conf_mapping, fields),
     .at_offset = offsetof(struct conf_mapping, field_count), .child = SCOPE_FIELD,
     .otherwise = "every column keeps its name",
     .example = "fields: {unit_price: price, internal_note: ~, released: {as: on, type: string}}",
     .help = "Exceptions, by column: another name; ~ to leave it out; or {as, type}."},
    {SCOPE_MAPPING, "add", KIND_ADD, KEY_ANYWHERE, AT(conf_mapping, add),
     .at_offset = offsetof(struct conf_mapping, add_count), .child = SCOPE_ADD,
     .otherwise = "nothing",
     .example =
         "add: {_cdc_source: postgresql, _cdc_synced_at: {now: true}, legacy_id: {column: id}}",
     .help =
         "Fields that no column gives, by name: a constant (text, number, true, false or ~); or "
         "{now}; or {column}."},
    {SCOPE_MAPPING, "indexes", KIND_INDEXES, KEY_COLLECTION, AT(conf_mapping, indexes),
     .at_offset = offsetof(struct conf_mapping, index_count), .child = SCOPE_INDEX,
     .otherwise = "none but `_id`", .example = "indexes: [{keys: {sku: 1}, unique: true}]",
     .help = "The collection's indexes."},
    {SCOPE_MAPPING, "validator", KIND_FIXED, KEY_COLLECTION, .fallback = "off",
     .example = "validator: off", .help = "A $jsonSchema validator (auto, or of your own)."},
    LATER(SCOPE_MAPPING, "where", KEY_ANYWHERE, "which rows become documents"),
    LATER(SCOPE_MAPPING, "time_series", KEY_COLLECTION, "a time-series collection"),
    {SCOPE_MAPPING, "embed", KIND_EMBED, KEY_ANYWHERE, AT(conf_mapping, embed),
     .at_offset = offsetof(struct conf_mapping, embed_count), .child = SCOPE_MAPPING,
     .otherwise = "nothing",
     .example = "embed: {category: {table: public.categories, one: true, join: {id: category_id}}}",
     .help = "Rows of other tables inside the document, each under the name of its field, with the "
             "same keys again; at most 20 levels deep."},

    /* --- entries --- */
    {SCOPE_FIELD, "as", KIND_TEXT_AT, 0, AT(conf_field, as), .otherwise = "the name stays",
     .example = "as: released_on", .help = "The field's name."},
    {SCOPE_FIELD, "type", KIND_TEXT_AT, 0, AT(conf_field, type), .otherwise = "the type stays",
     .example = "type: string", .help = "The BSON type it is turned into."},
    LATER(SCOPE_FIELD, "sql", 0, "a field computed by the source"),

    {SCOPE_ADD, "now", KIND_FLAG, 0, AT(conf_add_keys, now), .fallback = "false",
     .example = "now: true", .help = "true: the time of the write. Never compared by verify."},
    {SCOPE_ADD, "column", KIND_TEXT_AT, 0, AT(conf_add_keys, column), .otherwise = "none",
     .example = "column: id", .help = "The value of a column, as a second field."},

    {SCOPE_INDEX, "keys", KIND_INDEX_KEYS, KEY_NEEDED | KEY_FILLED, AT(conf_index, keys),
     .at_offset = offsetof(struct conf_index, key_count), .choices = "1|-1|2dsphere|text|hashed",
     .example = "keys: {\"category.id\": 1, price: -1}",
     .help = "Paths of fields in the document, in order, each with its kind."},
    {SCOPE_INDEX, "unique", KIND_FLAG, 0, AT(conf_index, unique), .fallback = "false",
     .example = "unique: true", .help = "true: no two documents with equal keys."},
    {SCOPE_INDEX, "name", KIND_TEXT, 0, AT(conf_index, name), .check = conf_check_index_name,
     .otherwise = "MongoDB's own naming", .example = "name: by_category", .help = "Its name."},
};

static const struct conf_key *rows_of(const struct conf_key *table, size_t all,
                                      enum conf_scope scope, size_t *ret_count) {
    size_t first = 0;
    while (first < all && table[first].scope != scope)
        first++;
    size_t end = first;
    while (end < all && table[end].scope == scope)
        end++;
    *ret_count = end - first;
    return table + first;
}

const struct conf_key *conf_keys(enum conf_scope scope, size_t *ret_count) {
    const struct conf_key *rows = rows_of(keys, sizeof keys / sizeof keys[0], scope, ret_count);
    if (*ret_count == 0)
        rows = rows_of(conf_route_keys, conf_route_key_count, scope, ret_count);
    if (*ret_count == 0)
        rows = rows_of(conf_operation_keys, conf_operation_key_count, scope, ret_count);
    return rows;
}

const struct conf_key *conf_key_find(enum conf_scope scope, struct span name) {
    size_t count;
    const struct conf_key *row = conf_keys(scope, &count);
    for (size_t i = 0; i < count; i++)
        if (span_is(name, row[i].name))
            return &row[i];
    return NULL;
}

const char *conf_key_similar(enum conf_scope scope, struct span name) {
    size_t count;
    const struct conf_key *row = conf_keys(scope, &count);
    const char *best = NULL;
    size_t least = 3;
    for (size_t i = 0; i < count; i++) {
        struct span candidate = span_of(row[i].name);
        size_t d = text_distance(name, candidate);
        if (d < least && d < candidate.len && d < name.len) {
            least = d;
            best = row[i].name;
        }
    }
    return best;
}

const char *conf_scope_path(enum conf_scope scope) {
    static const char *const paths[SCOPE_COUNT] = {
        [SCOPE_ROOT] = "",
        [SCOPE_SOURCE] = "source",
        [SCOPE_SNAPSHOT] = "source.snapshot",
        [SCOPE_TARGET] = "target",
        [SCOPE_BATCH] = "target.batch",
        [SCOPE_TYPES] = "types",
        [SCOPE_TOKENS] = "tokens",
        [SCOPE_TLS] = "tls",
        [SCOPE_OFREP] = "ofrep",
        [SCOPE_ALERTS] = "alerts",
        [SCOPE_ALERT_RULE] = "alerts.rules[]",
        [SCOPE_GATEWAY] = "gateway",
        [SCOPE_GATEWAY_TLS] = "gateway.tls",
        [SCOPE_EDGE] = "edge",
        [SCOPE_MODULE] = "modules.<module>",
        [SCOPE_ROUTE] = "modules.<module>.routes[]",
        [SCOPE_SIDE] = "routes[].sql",
        [SCOPE_ASKER] = "routes[].user",
        [SCOPE_ATTRIBUTES] = "routes[].attributes",
        [SCOPE_FALLBACK] = "routes[].fallback",
        [SCOPE_BREAKER] = "routes[].fallback.breaker",
        [SCOPE_OPERATION] = "modules.<module>.operations.<operation>",
        [SCOPE_OPERATION_MONGODB] = "operations.<operation>.mongodb",
        [SCOPE_PARAM] = "params.<param>",
        [SCOPE_OWN_WRITES] = "routes[].own_writes",
        [SCOPE_COMPARE] = "routes[].compare",
        [SCOPE_BUDGET] = "modules.<module>.budget",
        [SCOPE_GATES] = "modules.<module>.gates",
        [SCOPE_DIVERGENCE_RATE] = "gates.divergence_rate",
        [SCOPE_DIVERGENCES] = "divergences",
        [SCOPE_MAPPING] = "modules.<module>.collections.<collection>",
        [SCOPE_FIELD] = "fields.<column>",
        [SCOPE_ADD] = "add.<field>",
        [SCOPE_INDEX] = "indexes[]",
    };
    return paths[scope];
}

struct span conf_choice(const char *choices, size_t i) {
    const char *p = choices;
    for (; i > 0 && p; i--) {
        p = strchr(p, '|');
        p = p ? p + 1 : NULL;
    }
    return p ? span_make(p, strcspn(p, "|")) : (struct span){"", 0};
}

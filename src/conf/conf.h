/*
 * The configuration: banyan.yml, read, checked key by key, expanded, immutable.
 *
 * Everything here is owned by the struct conf and lives until conf_free; after conf_load returns
 * nothing changes, so any thread may read it. Every name that can turn out to be wrong later (a
 * table, a column) carries its place in the file, for errors like "shop.yml:14:9: unknown table".
 */
#ifndef BANYAN_CONF_CONF_H
#define BANYAN_CONF_CONF_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits, checked by conf_load and conf_parse. */
#define CONF_FILE_MAX (4 * 1024 * 1024)     /* bytes of the file */
#define CONF_VALUE_MAX (64 * 1024)          /* bytes of one value, after expansion too */
#define CONF_NODES_MAX 200000               /* values, aliases counted with all they stand for */
#define CONF_EMBED_DEPTH_MAX 20             /* embedded documents in embedded documents */
#define CONF_FREE_DEPTH_MAX 50              /* of a filter, a pipeline, a default */
#define CONF_COLUMNS_MAX 1600               /* columns in one list, as in a PostgreSQL table */
#define CONF_ENTRIES_MAX 10000              /* entries in one mapping or list */
#define CONF_ROUTES_MAX 1024                /* of all modules */
#define CONF_ATTRIBUTES_MAX 32              /* of a user, or of a tenant */
#define CONF_OPERATIONS_MAX 1000            /* of all modules */
#define CONF_PARAMS_MAX 64                  /* of one operation */
#define CONF_PARAM_NAME_MAX 63              /* bytes */
#define CONF_PATTERNS_MAX 256               /* paths in one `compare` */
#define CONF_NAMESPACE_MAX 255              /* bytes of database.collection (MongoDB manual) */
#define CONF_MEMORY_MAX (128 * 1024 * 1024) /* bytes of everything read */

struct conf_at {
    int line, column; /* from 1; 0: not from the file (a default) */
};

/* A scalar and its place. text is NULL where the key is absent and has no default. */
struct conf_text {
    const char *text;
    struct conf_at at;
};

struct conf_list {
    struct conf_text *items;
    size_t count;
    struct conf_at at; /* line 0: the key is absent (different from an empty list) */
};

/* `public.orders`, parts quoted as in SQL: "My Schema"."order.items"; the default schema is
 * `public`. Unquoted parts are folded to lower case, as PostgreSQL folds them. */
struct conf_table {
    const char *schema;
    const char *name;
    struct conf_at at;
};

/* One entry of `fields:`: column -> name, ~, or {as, type}. */
struct conf_field {
    struct conf_text column;
    bool omit;
    struct conf_text as;   /* NULL: the name stays */
    struct conf_text type; /* NULL: the type stays */
};

enum conf_add_kind { CONF_ADD_CONSTANT, CONF_ADD_NOW, CONF_ADD_COLUMN };
enum conf_scalar_kind { CONF_NULL, CONF_BOOL, CONF_INT, CONF_DOUBLE, CONF_STRING };

/* One entry of `add:`. */
struct conf_add {
    struct conf_text name;
    enum conf_add_kind kind;
    struct conf_text column; /* CONF_ADD_COLUMN */
    enum conf_scalar_kind scalar;
    bool boolean;
    int64_t integer;
    double real;
    const char *string;
};

struct conf_join {
    struct conf_text child;
    struct conf_text parent;
};

enum conf_case { CONF_CASE_KEEP, CONF_CASE_CAMEL };
enum conf_nulls { CONF_NULLS_KEEP, CONF_NULLS_OMIT };

struct conf_index_key {
    struct conf_text path;
    const char *kind; /* "1", "-1", "2dsphere", "text", "hashed" */
};

struct conf_index {
    struct conf_at at;
    const char *name; /* NULL: MongoDB's own naming */
    bool unique;
    struct conf_index_key *keys;
    size_t key_count;
};

/* A collection, or a document or array embedded in one: the same keys, with a few of their own. */
struct conf_mapping {
    struct conf_text name;
    struct conf_table table;
    struct conf_list only;
    struct conf_field *fields;
    size_t field_count;
    struct conf_add *add;
    size_t add_count;
    enum conf_case casing; /* inherited from the parent mapping where absent */
    enum conf_nulls nulls; /* likewise */
    struct conf_mapping *embed;
    size_t embed_count;

    /* collections only */
    struct conf_list id; /* absent: the primary key */
    bool id_objectid;
    bool keep_id;
    struct conf_index *indexes;
    size_t index_count;

    /* embedded only */
    bool one;
    bool keep_join;
    struct conf_join *join;
    size_t join_count;
    struct conf_list order; /* absent: the child's primary key */
};

/* Who asks: a text with nginx variables in it, or a claim of a JWT that is verified. */
struct conf_asker {
    struct conf_text value; /* "$http_x_user_id" */
    struct conf_text claim; /* instead: of the JWT in the header Authorization */
    const char *key;        /* secret: of HS256, or a public key in PEM (RS256, ES256) */
};

struct conf_attribute {
    struct conf_text name;
    struct conf_asker from;
};

/* One of the two services behind a route. */
struct conf_side {
    struct conf_text url; /* http://host:port */
    struct conf_text service;
};

/* When SQL answers in the place of a MongoDB service that fails. */
struct conf_fallback {
    bool enabled;
    struct conf_list on; /* connect, timeout, 5xx, 404 */
    int64_t connect_us, timeout_us;
    double budget; /* percent of the calls */
    struct {
        double errors; /* percent ... */
        int of;        /* ... of so many calls open it ... */
        int64_t open_us;
    } breaker;
};

/* Two texts, of which the file chooses the first. */
struct conf_pair {
    struct conf_text name, value;
    int choice; /* of `value`, where the key has a fixed set */
};

enum conf_compare_rules {
    CONF_COMPARE_EXACT,
    CONF_COMPARE_MAPPED,
    CONF_COMPARE_REFERENCE,
};
enum conf_compare_store { CONF_STORE_FIELDS, CONF_STORE_DOCUMENTS };
enum conf_form { CONF_FORM_NUMBER, CONF_FORM_BOOLEAN, CONF_FORM_DATE, CONF_FORM_UUID };

/* How the answers of both sides are compared, of a route or an operation. */
struct conf_compare {
    double sample; /* percent of the calls */
    enum conf_compare_rules rules;
    double tolerance;
    struct conf_list ignore, mask; /* paths */
    struct conf_list headers;      /* routes only */
    struct conf_pair *key; /* path of an array -> the member that tells its elements apart */
    size_t key_count;
    struct conf_pair *types; /* path -> choice is an enum conf_form */
    size_t type_count;
    enum conf_compare_store store;
};

/* What the parallel run of a module may cost the other side. */
struct conf_budget {
    int per_second, concurrent;
};

/* Thresholds of a module. */
struct conf_gates {
    double divergence_rate; /* percent ... */
    int64_t divergence_window_us;
};

struct conf_route {
    struct conf_at at;
    struct conf_text prefix;
    struct conf_side sql, mongodb;
    struct conf_asker user, tenant;
    struct conf_attribute *user_attributes, *tenant_attributes;
    size_t user_attribute_count, tenant_attribute_count;
    struct conf_list read; /* "POST /api/products/search" */
    struct conf_fallback fallback;
    struct conf_compare compare;
    int64_t own_writes_us;    /* the longest that an own write keeps reads on SQL; 0: not at all */
    struct conf_text planned; /* a date */
};

/* Any value of the file: a template for MongoDB, a default. Texts are expanded. */
enum conf_value_kind {
    CONF_VALUE_NULL,
    CONF_VALUE_BOOL,
    CONF_VALUE_INT,
    CONF_VALUE_DOUBLE,
    CONF_VALUE_TEXT,
    CONF_VALUE_LIST,
    CONF_VALUE_MAP
};

struct conf_member;

struct conf_value {
    enum conf_value_kind kind;
    struct conf_at at;
    bool boolean;
    int64_t integer;
    double real;
    struct span text;
    struct conf_member *members; /* of a list or map */
    size_t count;
};

struct conf_member {
    struct conf_text name; /* of a map */
    struct conf_value value;
};

enum conf_param_type {
    CONF_PARAM_BOOL,
    CONF_PARAM_INT32,
    CONF_PARAM_INT64,
    CONF_PARAM_DOUBLE,
    CONF_PARAM_DECIMAL,
    CONF_PARAM_STRING,
    CONF_PARAM_DATE,
    CONF_PARAM_TIMESTAMP,
    CONF_PARAM_UUID,
    CONF_PARAM_OBJECTID,
    CONF_PARAM_BYTES,
    CONF_PARAM_JSON
};
/* "int64". Static. */
const char *conf_param_type_name(enum conf_param_type type);

struct conf_param {
    struct conf_text name;
    struct conf_text type_name; /* "int64[]" */
    enum conf_param_type type;
    bool array;                     /* of them */
    bool null;                      /* may be null */
    const struct conf_value *value; /* where the caller gives none; NULL: the caller must */
    int64_t max;                    /* 0: no limit of its own */
};

/* The MongoDB form of a read: a find or an aggregate. */
struct conf_operation_mongodb {
    struct conf_text find, aggregate; /* the collection; one of them */
    const struct conf_value *filter, *sort, *projection, *limit, *skip, *pipeline; /* or NULL */
};

enum conf_returns { CONF_RETURNS_MANY, CONF_RETURNS_ONE, CONF_RETURNS_SET };

struct conf_operation {
    struct conf_text name;
    struct conf_text sql;
    struct conf_operation_mongodb mongodb;
    struct conf_param *params;
    size_t param_count;
    enum conf_returns returns;
    int64_t timeout_us;
    bool evaluate; /* who may only evaluate may call it */
    struct conf_fallback fallback;
    struct conf_compare compare;
};

/* `reads` and `writes`; auto follows the phase. In the order of enum route_reads and route_writes,
 * one later. */
enum conf_reads {
    CONF_READS_AUTO,
    CONF_READS_SQL,
    CONF_READS_SHADOW,
    CONF_READS_FLAG,
    CONF_READS_MONGODB
};
enum conf_writes { CONF_WRITES_AUTO, CONF_WRITES_SQL, CONF_WRITES_BOTH, CONF_WRITES_MONGODB };

struct conf_module {
    struct conf_text name;
    struct conf_text flag; /* NULL: none; that it exists is for whoever reads the flags */
    struct conf_mapping *collections;
    size_t collection_count;
    struct conf_operation *operations;
    size_t operation_count;
    struct conf_route *routes;
    size_t route_count;
    enum conf_reads reads; /* with `stage` worked in */
    enum conf_writes writes;
    struct conf_text stage; /* NULL: not given */
    struct conf_budget budget;
    struct conf_gates gates;
};

enum conf_nginx { CONF_NGINX_MANAGED, CONF_NGINX_EXTERNAL };

struct conf_gateway {
    struct conf_at at; /* line 0: there is none */
    enum conf_nginx nginx;
    const char *listen;
    struct conf_list trusted;
    const char *tls_cert, *tls_key;
    const char *workers; /* "auto" or a number */
    int64_t body_limit;  /* bytes */
    int64_t drain_us;    /* of WebSockets, on a rollback */
    int64_t watermark_max_age_us;
    const char *reload_command;
    const char *program, *module; /* of nginx */
};

enum conf_micros { CONF_MICROS_TRUNCATE, CONF_MICROS_STRING, CONF_MICROS_SPLIT };
enum conf_overflow { CONF_OVERFLOW_STRING, CONF_OVERFLOW_FAIL };
enum conf_infinity { CONF_INFINITY_STRING, CONF_INFINITY_NULL, CONF_INFINITY_FAIL };
enum conf_bigint { CONF_BIGINT_INT64, CONF_BIGINT_DECIMAL };

struct conf_types {
    enum conf_micros microseconds;
    enum conf_overflow numeric_overflow;
    enum conf_infinity infinity;
    enum conf_bigint bigint_json;
};

struct conf_source {
    const char *uri; /* secret inside: never print, see conf_show */
    struct conf_at uri_at;
    const char *slot;        /* NULL: derived from database and module */
    const char *publication; /* NULL: same as the slot */
    int64_t heartbeat_us;
    struct conf_table heartbeat_table; /* at.line 0: none */
    int snapshot_threads;
    int64_t snapshot_rows_per_second; /* 0: no limit */
    int64_t snapshot_chunk_rows;
    bool snapshot_consistent;
};

struct conf_target {
    const char *uri; /* secret inside */
    struct conf_at uri_at;
    const char *database;
    int lanes;
    int64_t batch_operations;
    int64_t fanout_documents;
    int64_t batch_delay_us;
    int64_t writes_per_second; /* 0: no limit */
};

/* A threshold of an alert rule, as it was written: 10000, 60s, 1%. */
enum conf_unit { CONF_UNIT_NUMBER, CONF_UNIT_SECONDS, CONF_UNIT_PERCENT };
struct conf_threshold {
    const char *text; /* NULL: the key is absent */
    double value;     /* in its unit */
    enum conf_unit unit;
    struct conf_at at;
};

struct conf_alert_rule {
    struct conf_at at;
    struct conf_text metric; /* whether there is one of that name is for whoever watches them */
    struct conf_threshold over, under; /* one of them */
    int64_t window_us;                 /* 0: the metric's default */
    int64_t for_us;
    int64_t min_samples; /* 0: the metric's default */
    int severity;        /* 0 to 3: low, medium, high, critical */
};

enum conf_alert_format { CONF_ALERT_AUTO, CONF_ALERT_ALERTMANAGER, CONF_ALERT_SLACK };

struct conf_alerts {
    const char *webhook; /* a secret may be in it; NULL: none */
    struct conf_at webhook_at;
    enum conf_alert_format format;
    struct conf_list command;      /* program and arguments; at.line 0: none */
    struct conf_alert_rule *rules; /* NULL: the key is absent (different from no rules) */
    size_t rule_count;
};

#define CONF_EDGE_NAME_MAX 64

/* 1 to 64 letters, digits, dots, dashes and underscores. */
bool conf_is_edge_name(const char *name);

/* A gateway on a machine of its own, and the daemon that it follows. */
struct conf_edge {
    struct conf_at at;        /* line 0: there is none */
    struct conf_text control; /* http[s]://host:port; NULL: not said */
    const char *token;        /* secret; NULL: none */
    const char *ca, *cert, *key;
    struct conf_text name; /* NULL: the machine's */
};

/* What `banyan serve` offers, and to whom. */
struct conf_serve {
    const char *listen; /* address:port */
    struct conf_at listen_at;
    const char *token_viewer, *token_operator, *token_evaluate,
        *token_edge;                                                  /* secrets; NULL: none */
    const char *tls_cert, *tls_key, *tls_client_ca;                   /* files; NULL: none */
    const char *tls_ca, *tls_name, *tls_client_cert, *tls_client_key; /* for commands; or NULL */
    bool insecure;
    struct conf_list hosts;
    const char *ofrep_listen; /* NULL: no listener of its own */
    struct conf_list ofrep_origins;
};

/* What is kept of differences that the parallel run has found. */
struct conf_divergences {
    int64_t retention_us;
    int fingerprints, examples;
    struct conf_text collection; /* of the target, for copies; NULL: none */
};

struct conf {
    const char *file; /* as given: the prefix of every error */
    const char *state;
    struct conf_text flags; /* the file of flags; at.line 0: the default, which need not exist */
    struct conf_serve serve;
    struct conf_alerts alerts;
    struct conf_gateway gateway;
    bool is_edge; /* read as an edge reads it: what only a control daemon needs is not there */
    struct conf_edge edge;
    struct conf_divergences divergences;
    const char *redis; /* secret inside; NULL: none */
    struct conf_at redis_at;
    struct conf_source source;
    struct conf_target target;
    struct conf_types types;
    struct conf_module *modules;
    size_t module_count;
};

/* Appends a file that people write, of at most `limit` bytes; `to` has room for two reads more, so
 * that its parser does the exact check. `way_out`: what to do about an errno; NULL: not said.
 * ERR_CONF with "path:1:1: ". */
int conf_read_file(const char *path, size_t limit, const char *(*way_out)(int), struct buf *to,
                   struct err *err) must_check;

/* Reads and checks `path`. On failure the error text begins with "path:line:column: ". */
int conf_load(const char *path, struct conf **ret_conf, struct err *err) must_check;

/* As an edge reads it: the keys that only the control daemon needs (source, target, collections and
 * so on) may be there or not and are not looked into, so that their secrets need not be on this
 * machine. A file with edge.control is read so by conf_load as well. */
int conf_load_edge(const char *path, struct conf **ret_conf, struct err *err) must_check;

/* Same, from memory; `name` stands for the path in errors. For tests and fuzzing. */
int conf_parse(const char *name, const char *text, size_t len, struct conf **ret_conf,
               struct err *err) must_check;
void conf_free(struct conf *conf);

/* The module of that name; NULL if there is none. */
const struct conf_module *conf_module(const struct conf *conf, const char *name);

/* The operation of that name, of any module (ret_module may be NULL); NULL if there is none. */
const struct conf_operation *conf_operation(const struct conf *conf, const char *name,
                                            const struct conf_module **ret_module);

/* Appends the value as JSON; numbers that JSON does not have become texts (".inf"). */
void conf_value_json(const struct conf_value *value, struct buf *out);

/* Effective values as YAML or JSON, passwords replaced by "***". */
void conf_show(const struct conf *conf, bool json, struct buf *out);

/* What conf_show can take: `max` of its buffer. */
#define CONF_SHOWN_MAX ((size_t)64 * 1024 * 1024)

/* Whether all effective values are the same, secrets included. */
bool conf_same(const struct conf *a, const struct conf *b);

/* `uri` with its password (userinfo and password/sslpassword/... parameters) replaced by "***".
 * For every message that names a server. Works on libpq's and MongoDB's URIs; of an http or https
 * address only the host is left, as in hooks the path is the secret. */
void conf_redact_uri(const char *uri, struct buf *out);

/* docs/configuration.md, from the table of keys. */
void conf_docs(struct buf *out);

/* "file:line:column: ..." with code ERR_CONF. */
int conf_error(const struct conf *conf, struct conf_at at, struct err *err, const char *fmt, ...)
    printf_like(4, 5);

#endif

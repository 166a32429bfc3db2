/*
 * The table of keys: what may stand in banyan.yml, where, and what it means. Private to conf/.
 *
 * Parser, checks, conf_show and conf_docs all read this table; a key exists nowhere else. Rows of
 * one scope stand together, in the order in which they are bound, shown and documented. Constant
 * data, any thread.
 */
#ifndef BANYAN_CONF_CONF_KEYS_H
#define BANYAN_CONF_CONF_KEYS_H

#include "conf/conf.h"

/* A mapping with a fixed set of keys. */
enum conf_scope {
    SCOPE_ROOT,
    SCOPE_SOURCE,
    SCOPE_SNAPSHOT,
    SCOPE_TARGET,
    SCOPE_BATCH,
    SCOPE_TYPES,
    SCOPE_TOKENS,
    SCOPE_TLS,
    SCOPE_OFREP,
    SCOPE_ALERTS,
    SCOPE_ALERT_RULE,
    SCOPE_GATEWAY,
    SCOPE_GATEWAY_TLS,
    SCOPE_EDGE,
    SCOPE_MODULE,
    SCOPE_ROUTE,
    SCOPE_SIDE,
    SCOPE_ASKER,
    SCOPE_ATTRIBUTES,
    SCOPE_FALLBACK,
    SCOPE_BREAKER,
    SCOPE_OPERATION,
    SCOPE_OPERATION_MONGODB,
    SCOPE_PARAM,
    SCOPE_OWN_WRITES,
    SCOPE_COMPARE,
    SCOPE_BUDGET,
    SCOPE_GATES,
    SCOPE_DIVERGENCE_RATE,
    SCOPE_DIVERGENCES,
    SCOPE_MAPPING,
    SCOPE_FIELD,
    SCOPE_ADD,
    SCOPE_INDEX
};
#define SCOPE_COUNT (SCOPE_INDEX + 1)

enum conf_kind {
    KIND_SECTION,   /* `child` scope, in the struct at `offset`: 0, the same; the place of one that
                       is there at at_offset, where that is not 0 */
    KIND_TEXT,      /* const char * */
    KIND_TEXT_AT,   /* struct conf_text */
    KIND_URI,       /* const char *, place at at_offset */
    KIND_INT,       /* int */
    KIND_INT64,     /* int64_t */
    KIND_DURATION,  /* int64_t, microseconds */
    KIND_FLAG,      /* bool */
    KIND_CHOICE,    /* an enum: index in `choices` */
    KIND_LIST,      /* struct conf_list, of columns */
    KIND_WORDS,     /* struct conf_list, of any texts */
    KIND_THRESHOLD, /* struct conf_threshold */
    KIND_PERCENT,   /* double, 0 to 100 */
    KIND_SIZE,      /* int64_t, bytes */
    KIND_REAL,      /* double, min to max */
    KIND_ASKER,     /* struct conf_asker: a text, or the keys of `child` */
    KIND_FALLBACK,  /* struct conf_fallback: true, false, or the keys of `child` */
    KIND_TABLE,     /* struct conf_table */
    KIND_ID,        /* conf_mapping.id and id_objectid */
    KIND_MODULES,   /* the rest: named or listed entries, each of scope `child` */
    KIND_COLLECTIONS,
    KIND_FIELDS,
    KIND_ADD,
    KIND_EMBED,
    KIND_INDEXES,
    KIND_INDEX_KEYS,
    KIND_JOIN,
    KIND_ALERT_RULES,
    KIND_ROUTES,
    KIND_ATTRIBUTES,
    KIND_OPERATIONS,
    KIND_PARAMS,
    KIND_VALUE, /* const struct conf_value * */
    KIND_PAIRS, /* struct conf_pair; of `choices`, where there are some */
    KIND_FIXED, /* in the contract, but only its default is built */
    KIND_LATER  /* in the contract, not built at all */
};

enum {
    KEY_NEEDED = 1,
    KEY_SECRET = 2,     /* shown redacted */
    KEY_RELOAD = 4,     /* the contract wants it changeable while running */
    KEY_COLLECTION = 8, /* scope mapping: in a collection ... */
    KEY_EMBEDDED = 16,  /* ... in an embedded document */
    KEY_INHERITED = 32, /* embedded: the default is the value of what it is embedded in */
    KEY_FILLED = 64,    /* a mapping or list that may not be empty */
    KEY_CONTROL = 128   /* not for an edge: there it may stand, and is not looked into */
};
#define KEY_ANYWHERE (KEY_COLLECTION | KEY_EMBEDDED)

struct conf_key {
    enum conf_scope scope;
    const char *name;
    enum conf_kind kind;
    unsigned flags;
    size_t offset; /* in the struct of the scope */
    size_t at_offset;
    int64_t min, max;     /* numbers and durations (microseconds) */
    const char *fallback; /* the default, as it would stand in the file; NULL: none */
    const char *choices;  /* "keep|camel" */
    enum conf_scope child;
    const char *(*check)(const char *value); /* what is wrong with the value; NULL: nothing */
    const char *otherwise;                   /* for docs: what holds where the key is absent */
    const char *example;
    const char *help;
};

/* The rows of the gateway and of routes, and of operations and the parallel run; conf_keys.c has
 * the others. */
extern const struct conf_key conf_route_keys[];
extern const size_t conf_route_key_count;
extern const struct conf_key conf_operation_keys[];
extern const size_t conf_operation_key_count;

/* The rows of a scope. */
const struct conf_key *conf_keys(enum conf_scope scope, size_t *ret_count);

/* NULL: not in this scope. */
const struct conf_key *conf_key_find(enum conf_scope scope, struct span name);

/* The nearest name of the scope, at most 2 edits away and fewer than its length; NULL: none. */
const char *conf_key_similar(enum conf_scope scope, struct span name);

/* Whether the row counts for a mapping of this kind: `where` is KEY_COLLECTION or KEY_EMBEDDED for
 * the scope mapping, else 0. */
static inline bool conf_key_applies(const struct conf_key *key, unsigned where) {
    return !where || (key->flags & where);
}

/* "target.batch", "modules.<module>", ...: how the scope is reached, for docs. */
const char *conf_scope_path(enum conf_scope scope);

/* `a|b|c`: choice number `i` as a span; empty past the last. */
struct span conf_choice(const char *choices, size_t i);

#endif

/*
 * Flags as their authors write them: what every reader of flag files fills in and flags_compile
 * turns into a blob. A superset of feature-flags.yml, flagd, Unleash and LaunchDarkly.
 *
 * Everything a model points to lives in the caller's arena and is only read. A struct set to zero
 * is a valid empty one, but for the fields whose comment says otherwise. Lists are an array and a
 * count. Plain data, any thread while nobody writes.
 *
 * How a flag decides (flags_evaluate), the first that decides:
 *   1 not enabled, or killed: off          2 a required flag is off: off
 *   3 users_off, tenants_off: off          4 users_on, tenants_on: on
 *   5 a window that does not hold: off     6 conditions, where there are any, hold: on
 *   7 targeting, where there is one: what it says
 *   8 rules, in order: the first that holds and whose rollout takes the user in
 *   9 rollout, unless rules_only: on, or off
 * "On" gives on_variant (or what a split draws), "off" gives off_variant.
 */
#ifndef BANYAN_FLAGS_MODEL_H
#define BANYAN_FLAGS_MODEL_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stated limits; flags_compile refuses what passes them, and so does flags_open. */
enum {
    FLAGS_MAX = 100000,            /* flags in a blob */
    FLAGS_NAME_MAX = 256,          /* bytes of a name: flag, variant, attribute, zone, salt */
    FLAGS_TEXT_MAX = 65536,        /* bytes of any other text: a value, a literal, metadata */
    FLAGS_BLOB_MAX = 256 << 20,    /* bytes */
    FLAGS_VARIANTS_MAX = 1000,     /* of a flag */
    FLAGS_CONDITIONS_MAX = 1000,   /* of a flag or of a rule */
    FLAGS_VALUES_MAX = 100000,     /* of a condition */
    FLAGS_RULES_MAX = 1000,        /* of a flag */
    FLAGS_WINDOWS_MAX = 100,       /* of a flag */
    FLAGS_REQUIRES_MAX = 64,       /* of a flag, those of the required ones included */
    FLAGS_LISTED_MAX = 1000000,    /* users and tenants of a flag */
    FLAGS_ZONES_MAX = 1000,        /* time zones */
    FLAGS_TRANSITIONS_MAX = 4096,  /* of a zone */
    FLAGS_LOGIC_DEPTH_MAX = 64,    /* of targeting: operators and lists in each other */
    FLAGS_LOGIC_NODES_MAX = 10000, /* of one targeting */
    FLAGS_JSON_DEPTH_MAX = 32,     /* of a JSON value of the context */
    FLAGS_SOURCES_MAX = 4          /* of a bucketing */
};

/* 1/1000 percent: 12.5 % is 12500. */
#define FLAGS_ROLLOUT_ALL 100000

enum flags_type { FLAGS_NULL, FLAGS_BOOL, FLAGS_NUMBER, FLAGS_STRING, FLAGS_JSON };

/* A number has `number`, and in `text` how it was written where that matters (it is what a JSON
 * answer repeats; empty: shortest form of `number`). JSON is an object or a list as text. */
struct flags_value {
    enum flags_type type;
    bool boolean;
    double number;
    struct span text;
};

/* Where something stands in its file, for errors; line 0: unknown. From 1. */
struct flags_place {
    unsigned line, column;
};

struct flags_variant {
    struct span name;
    struct flags_value value;
};

/* A part of every day. Includes its start, excludes its end, spans midnight where end < start;
 * equal ones are refused. */
struct flags_window {
    unsigned start_minute, end_minute; /* 0 to 1439; the end also 1440 */
    const char *zone;                  /* name in flags_model.zones; NULL: UTC */
    struct flags_place place;
};

enum flags_subject { FLAGS_USER_ATTRIBUTE, FLAGS_TENANT_ATTRIBUTE, FLAGS_CUSTOM };

enum flags_operator {
    FLAGS_EQUAL,     /* = : any of the values, normally one */
    FLAGS_NOT_EQUAL, /* != : none of the values */
    FLAGS_LESS,      /* < */
    FLAGS_GREATER,   /* > */
    FLAGS_IN,        /* in */
    FLAGS_NOT_IN     /* not_in */
};

/* A missing attribute, and one whose type is not that of the values, satisfies nothing. < and >
 * take exactly one number or string. */
struct flags_condition {
    enum flags_subject subject;
    struct span attribute; /* custom: the name of the predicate */
    enum flags_operator op;
    const struct flags_value *values; /* string, number, bool */
    size_t value_count;
    struct flags_place place;
};

enum flags_hash {
    FLAGS_HASH_BANYAN1,
    FLAGS_HASH_JAVA31,
    FLAGS_HASH_FLAGD,
    FLAGS_HASH_UNLEASH,
    FLAGS_HASH_LAUNCHDARKLY
};

enum flags_source { FLAGS_BY_USER, FLAGS_BY_TENANT, FLAGS_BY_ATTRIBUTE, FLAGS_BY_RANDOM };

/* What is hashed, and how. The first source that the context has is the key. */
struct flags_bucketing {
    enum flags_hash hash;
    struct {
        enum flags_source source;
        struct span attribute; /* BY_ATTRIBUTE: of the user */
    } by[FLAGS_SOURCES_MAX];
    size_t by_count;   /* 0: user, else tenant; BY_RANDOM is the last if at all */
    struct span group; /* banyan1: bucket_group. unleash: groupId. launchdarkly: the key hashed.
                          flagd: put before the targeting key. ptr NULL: the flag's name; for
                          the split of banyan1 and flagd: the flag's name and "#split" */
    struct span salt;  /* launchdarkly */
    uint32_t seed;     /* unleash: 0, or 86028157 for variants. launchdarkly: with seeded */
    bool seeded;       /* launchdarkly: "<seed>.<value>" instead of "<key>.<salt>.<value>" */
    bool needs_key;    /* unleash: who has no key is out at 100 % too */
};

struct flags_weight {
    struct span variant;
    uint32_t weight; /* any scale; launchdarkly: 1/1000 percent */
};

/* A JSON value as read from a file; `$ref`s are resolved by the reader. An object with exactly one
 * member is an operation when it stands in targeting. Nodes may be shared, not cyclic. */
enum flags_node_type {
    FLAGS_NODE_NULL,
    FLAGS_NODE_BOOL,
    FLAGS_NODE_NUMBER,
    FLAGS_NODE_STRING,
    FLAGS_NODE_LIST,
    FLAGS_NODE_OBJECT
};

struct flags_node {
    enum flags_node_type type;
    bool boolean;
    double number;
    struct span text;              /* of a string; a number as written */
    const struct flags_member *in; /* list and object */
    size_t count;
    struct flags_place place;
};

struct flags_member {
    struct span key; /* object */
    const struct flags_node *value;
};

/* Unleash's strategies, LaunchDarkly's rules. Holds when its conditions (all | any) and `when`
 * hold; then the rollout decides, or gives way to the next rule. No conditions: they hold. */
struct flags_rule {
    const struct flags_condition *conditions;
    size_t condition_count;
    bool match_any;
    const struct flags_node *when; /* JSONLogic; NULL: holds */
    uint32_t rollout;              /* 1/1000 percent; FLAGS_ROLLOUT_ALL: everybody */
    struct flags_bucketing bucketing;
    struct span variant;              /* what "on" gives; empty: the flag's on_variant */
    const struct flags_weight *split; /* instead of `variant`: drawn by weight */
    size_t split_count;
    struct flags_bucketing split_bucketing;
    bool otherwise_off; /* holds, but the rollout leaves the user out: off, no further rule */
};

struct flags_require {
    struct span flag;
    struct span variant; /* must be given by a flag that is not switched off; empty: must be on */
    struct flags_place place;
};

struct flags_flag {
    struct span name;
    struct flags_place place;
    bool enabled, killed;

    /* None: the two variants on (true) and off (false). */
    const struct flags_variant *variants;
    size_t variant_count;
    /* Names of variants. on_variant empty: "on". off_variant empty: "off" where variants is empty,
     * else none: "use the default of the code", an answer without a value. */
    struct span on_variant, off_variant;
    bool no_value_when_off; /* flagd: switched off gives no value, even with an off_variant */

    const struct span *users_on, *users_off, *tenants_on, *tenants_off;
    size_t users_on_count, users_off_count, tenants_on_count, tenants_off_count;

    const struct flags_window *windows;
    size_t window_count;
    const struct flags_condition *conditions;
    size_t condition_count;
    bool match_any;

    uint32_t rollout; /* 1/1000 percent */
    struct flags_bucketing bucketing;
    const struct flags_weight *split; /* what "on" of step 9 gives; none: on_variant */
    size_t split_count;
    struct flags_bucketing split_bucketing;

    const struct flags_rule *rules;
    size_t rule_count;
    bool rules_only; /* after the rules: off */

    /* flagd. Present: steps 8 and 9 do not run. off_variant is flagd's defaultVariant. */
    const struct flags_node *targeting;
    /* flagd without targeting: gives off_variant, STATIC, and does not look at rollout. */
    bool fixed;

    const struct flags_require *requires;
    size_t require_count;

    /* Not evaluated, given back. metadata: a JSON object as text, or empty. expires: days since
     * 1970-01-01; 0: never. */
    struct span owner, module, metadata;
    int32_t expires;
};

/* A time zone: offsets are seconds east of UTC, `at` seconds since 1970 in rising order. The
 * reader expands the rule that a TZif file ends with as far as it wants to be right. */
struct flags_transition {
    int64_t at;
    int32_t offset;
};

struct flags_zone {
    const char *name;
    int32_t first_offset; /* before the first transition */
    const struct flags_transition *transitions;
    size_t transition_count;
};

struct flags_model {
    const char *file; /* for errors; NULL: none */
    const struct flags_flag *flags;
    size_t flag_count;
    const struct flags_zone *zones;
    size_t zone_count;
    uint64_t version;     /* the caller's; kept in the blob */
    struct span metadata; /* of the set: a JSON object as text, or empty */
};

#endif

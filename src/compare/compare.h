/*
 * Compares what SQL and MongoDB answered: every difference with its path and kind; every difference
 * that a rule explains away is counted under that rule, so that nothing disappears silently.
 *
 * Three strictnesses. exact: same names, types (an int32 is an int64; a number of JSON: value.h)
 * and values. mapped: the same, but numbers of any type are compared by value, with tolerance where
 * one side is binary floating point, decimals exactly; and where the mapping or `compare.types`
 * says what a path holds, the forms that this type may take are one. reference: the loose
 * normalisation of the reference's ComparisonService: snake_case is camelCase, numbers, dates (to
 * the millisecond) and booleans in any form, tolerance for all numbers, null is absent, internal
 * fields (a name that begins with "_") do not count.
 *
 * In all of them: 0 is -0, NaN is NaN; fields of an object may be in any order, and where a name is
 * there twice, the first belongs to the first; elements of an array belong together by position
 * unless a pattern gives a key or says that order says nothing.
 *
 * Pure: rules do not change once they are compiled, so any number of threads may use them.
 */
#ifndef BANYAN_COMPARE_COMPARE_H
#define BANYAN_COMPARE_COMPARE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "compare/value.h"

#define COMPARE_PATH_MAX 512      /* longer paths end in "..." */
#define COMPARE_PATTERNS_MAX 1024 /* of one set of rules */
#define COMPARE_SEGMENTS_MAX 32   /* of one pattern */
#define COMPARE_STEPS_MAX 5000000 /* values looked at; sets of floating point can be quadratic */

enum compare_mode { COMPARE_EXACT, COMPARE_MAPPED, COMPARE_REFERENCE };
/* "exact", "mapped", "reference". */
bool compare_mode_parse(const char *text, enum compare_mode *ret) must_check;

enum compare_kind {
    COMPARE_MISSING,        /* SQL has it, MongoDB does not */
    COMPARE_EXTRA,          /* MongoDB has it, SQL does not */
    COMPARE_MISMATCH,       /* another value; of an array: another order */
    COMPARE_TYPE_DIFFERENCE /* another type */
};
/* The names of the reference: "missing", "extra", "mismatch", "type_difference". */
const char *compare_kind_name(enum compare_kind kind);

/* Rules that explain a difference. */
#define COMPARE_RULES(X)                                                                           \
    X(COMPARE_BY_NAME, "name")           /* unit_price, unitPrice */                               \
    X(COMPARE_BY_NUMBER, "number")       /* 12.50, "12.5" */                                       \
    X(COMPARE_BY_TOLERANCE, "tolerance") /* 0.30000000000000004, 0.3 */                            \
    X(COMPARE_BY_BOOLEAN, "boolean")     /* 1, true */                                             \
    X(COMPARE_BY_DATE, "date")         /* "2026-11-24 10:00:00+00", "2026-11-24T10:00:00.000Z" */  \
    X(COMPARE_BY_UUID, "uuid")         /* "A0EE...", 16 bytes */                                   \
    X(COMPARE_BY_NULL, "null")         /* null, absent */                                          \
    X(COMPARE_BY_INTERNAL, "internal") /* __v */                                                   \
    X(COMPARE_BY_ORDER, "order")       /* elements in another order where order says nothing */    \
    X(COMPARE_BY_IGNORED, "ignored")   /* what somebody said is not to be compared */

enum compare_rule {
#define COMPARE_RULE_ENUM(id, text) id,
    COMPARE_RULES(COMPARE_RULE_ENUM)
#undef COMPARE_RULE_ENUM
        COMPARE_RULE_COUNT
};
const char *compare_rule_name(enum compare_rule rule);

/* What a path holds, for mapped. */
enum compare_form { COMPARE_ANY, COMPARE_NUMBER, COMPARE_BOOLEAN, COMPARE_TIME, COMPARE_UUIDS };

/* A path and what holds there. Names are separated by dots; arrays are passed through
 * ("items.price" is the price of every item, "price" of an array at the root that of each element);
 * `*` stands for any number of names, none included ("*.iban" is every iban). A dot, star or
 * backslash in a name is written with a backslash before it. The empty path is the whole. Where
 * several patterns speak of one path, all hold; of two keys or forms the last. */
struct compare_pattern {
    const char *path;
    /* An array: the member by which its elements belong together. Elements without it belong
     * together by position among themselves. NULL: none. Order counts all the same. */
    const char *key;
    enum compare_form form; /* that its type may take besides; of an array: its elements */
    bool ignore;            /* and all that is in it */
    bool mask;              /* and all that is in it; names are never masked */
    bool null_is_absent;
    bool any_order; /* an array: order says nothing. Without a key elements that are equal belong
                     * together, the others by position among themselves. */
};

struct compare_options {
    enum compare_mode mode;
    double tolerance; /* 0: 0.0001 */
    bool any_order;   /* of an array at the root */
    const struct compare_pattern *patterns;
    size_t pattern_count;
};

struct compare_rules;

/* ERR_CONF names the pattern. */
int compare_compile(const struct compare_options *options, struct compare_rules **ret,
                    struct err *err) must_check;
void compare_rules_free(struct compare_rules *rules); /* NULL is fine */

struct compare_difference {
    /* "items[id=7].price", "tags[2]"; of the whole: "". Positions are those of SQL's side (extra:
     * MongoDB's), as are names; a key that is masked gives a position. */
    struct span path;
    struct span shape; /* "items[].price": what differences have in common */
    enum compare_kind kind;
    const struct compare_value *sql, *mongodb; /* NULL: missing or extra */
    bool masked;                               /* or something in it: neither may be shown */
};

/* Spans are valid until it returns. Not 0: enough, the rest is not compared. */
typedef int (*compare_fn)(void *context, const struct compare_difference *difference);

struct compare_result {
    uint32_t differences;
    uint32_t explained[COMPARE_RULE_COUNT];
};

/* `scratch` is used and reset; the trees must not be in it. fn may be NULL. ERR_LIMIT: too much
 * work, or scratch is full. */
int compare_trees(const struct compare_rules *rules, const struct compare_tree *sql,
                  const struct compare_tree *mongodb, struct arena *scratch, compare_fn fn,
                  void *context, struct compare_result *ret, struct err *err) must_check;

/* What differences of one cause have in common: operation, shape and kind. May be stored: the same
 * in every version. */
uint64_t compare_fingerprint(struct span operation, struct span shape, enum compare_kind kind);

/* Appends the value as JSON (what JSON does not have as in MongoDB's extended JSON: {"$date":
 * "2026-11-24T10:00:00Z"}), valid also where it is cut after about `max` bytes: then a text ends in
 * "..." and what is left out of an object or array is "...". NULL: nothing. */
void compare_show(const struct compare_value *value, size_t max, struct buf *out);

/* What may be kept of a value that is masked: {"masked":"string","length":12,"hash":"..."}; equal
 * values have equal hashes under one key (numbers of any type; objects and arrays only with the
 * same order). HMAC-SHA-256, of which 64 bits. length: bytes of a text, members, elements. */
void compare_show_masked(const struct compare_value *value, struct span key, struct buf *out);

#endif

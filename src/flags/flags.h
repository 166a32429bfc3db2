/*
 * Reads a blob of compiled flags and evaluates them.
 *
 * A set is a view of somebody's bytes: they must stay as they are, and mapped, while it is used.
 * After flags_open accepted a blob (any bytes may be offered, at an address divisible by 8),
 * every call is safe and bounded, whatever the bytes say. Nothing here allocates, locks, does I/O
 * or reads a clock; any number of threads may use one set. Spans in results point into the blob.
 */
#ifndef BANYAN_FLAGS_FLAGS_H
#define BANYAN_FLAGS_FLAGS_H

#include "base/compiler.h"
#include "base/err.h"
#include "base/span.h"
#include "flags/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLAGS_LAYOUT 1

/* A flag's number in its set. */
#define FLAGS_NONE UINT32_MAX

struct flags_set {
    const unsigned char *bytes;
    size_t len;
};

/* Checks magic, layout, length, checksum and every offset. ERR_STATE: damaged, or written by a
 * newer Banyan. */
int flags_open(const void *bytes, size_t len, struct flags_set *ret_set,
               struct err *err) must_check;

/* 0 for an empty (zeroed) set. */
uint32_t flags_count(const struct flags_set *set);
struct span flags_metadata(const struct flags_set *set);

/* FLAGS_NONE: no such flag. Flags are numbered in the byte order of their names. */
uint32_t flags_find(const struct flags_set *set, struct span name);

struct flags_info {
    struct span name, owner, module, metadata;
    int32_t expires;
    bool enabled, killed;
    uint32_t rollout;
    uint32_t variants;
};

/* `flag` < flags_count. */
void flags_describe(const struct flags_set *set, uint32_t flag, struct flags_info *ret_info);

/* An attribute of the one who asks. Nested values are JSON text. */
struct flags_attribute {
    struct span name;
    struct flags_value value;
};

struct flags_context {
    struct span user, tenant; /* empty: nobody */
    const struct flags_attribute *user_attributes, *tenant_attributes;
    size_t user_attribute_count, tenant_attribute_count;
    int64_t now_us; /* since 1970-01-01 UTC */
    /* For sources BY_RANDOM: a new number for each request. 0: there is none. */
    uint64_t random;
    /* For targeting that builds lists and texts; NULL: 16 KiB of the stack. */
    void *scratch;
    size_t scratch_len;
};

#define FLAGS_REASONS(X)                                                                           \
    X(FLAGS_STATIC, "STATIC")                                                                      \
    X(FLAGS_TARGETING_MATCH, "TARGETING_MATCH")                                                    \
    X(FLAGS_SPLIT, "SPLIT")                                                                        \
    X(FLAGS_DISABLED, "DISABLED")                                                                  \
    X(FLAGS_DEFAULT, "DEFAULT")                                                                    \
    X(FLAGS_ERROR, "ERROR")

enum flags_reason {
#define FLAGS_REASON_ENUM(id, text) id,
    FLAGS_REASONS(FLAGS_REASON_ENUM)
#undef FLAGS_REASON_ENUM
};

#define FLAGS_ERRORS(X)                                                                            \
    X(FLAGS_OK, "")                                                                                \
    X(FLAGS_FLAG_NOT_FOUND, "FLAG_NOT_FOUND")                                                      \
    X(FLAGS_TARGETING_KEY_MISSING, "TARGETING_KEY_MISSING")                                        \
    X(FLAGS_PARSE_ERROR, "PARSE_ERROR")                                                            \
    X(FLAGS_INVALID_CONTEXT, "INVALID_CONTEXT")                                                    \
    X(FLAGS_GENERAL, "GENERAL")

enum flags_error {
#define FLAGS_ERROR_ENUM(id, text) id,
    FLAGS_ERRORS(FLAGS_ERROR_ENUM)
#undef FLAGS_ERROR_ENUM
};

struct flags_result {
    enum flags_reason reason;
    enum flags_error error; /* not FLAGS_OK: reason ERROR, off, no value */
    const char *detail;     /* of an error; static text */
    /* The flag as a switch: the value of a boolean; else: another variant than the off one. */
    bool on;
    bool has_value; /* false: the code's own default holds */
    struct span variant;
    struct flags_value value;
};

/* FLAGS_NONE and numbers past the end give FLAGS_FLAG_NOT_FOUND. */
void flags_evaluate(const struct flags_set *set, uint32_t flag, const struct flags_context *context,
                    struct flags_result *ret_result);

/* "STATIC" and so on, as OFREP spells them. Static text. */
const char *flags_reason_name(enum flags_reason reason);
const char *flags_error_name(enum flags_error error);

#endif

/*
 * A value to compare, whether it came as BSON or as JSON: a flat array of nodes.
 *
 * An object or array is followed by what is in it: its first child is `v + 1`, the node behind it
 * and all that is in it is `v + v->size`. Names and texts point into the bytes read, or into the
 * arena where something had to be decoded: both must stay as long as the tree. Pure; one thread a
 * tree.
 *
 * JSON has one type of number. Such a number is exact (its text), so it is of one type with BSON's
 * integers and decimals, not with a double; 1, 1.0 and 1e0 are one value.
 */
#ifndef BANYAN_COMPARE_VALUE_H
#define BANYAN_COMPARE_VALUE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define COMPARE_DEPTH_MAX 100
#define COMPARE_NODES_MAX 500000

enum compare_type {
    COMPARE_NULL,
    COMPARE_BOOL,
    COMPARE_INT,     /* an integer that fits 64 bits, written without fraction and exponent */
    COMPARE_DOUBLE,  /* of BSON: binary floating point */
    COMPARE_DECIMAL, /* any other number, as text: of JSON, and Decimal128 */
    COMPARE_STRING,
    COMPARE_DATE,      /* of BSON: milliseconds since 1970 UTC */
    COMPARE_UUID,      /* 16 bytes */
    COMPARE_BINARY,    /* its subtype and its bytes */
    COMPARE_OBJECT_ID, /* 12 bytes */
    COMPARE_OBJECT,
    COMPARE_ARRAY,
    COMPARE_OTHER /* of BSON: its type byte and its bytes */
};

/* "int", "string", ...: for reports. Static. */
const char *compare_type_name(enum compare_type type);

struct compare_value {
    struct span name; /* in an object; else empty */
    struct span text; /* string, decimal, bytes */
    int64_t number;   /* int, date; bool 0 or 1; binary: the subtype; other: the BSON type */
    double real;      /* double */
    uint32_t hash;    /* of the name: compare_hash */
    uint32_t size;    /* nodes of it and all that is in it */
    uint32_t count;   /* members, elements */
    uint8_t type;     /* enum compare_type */
    bool json;        /* it came as JSON */
};

struct compare_tree {
    const struct compare_value *nodes; /* [0] is the whole */
    uint32_t count;
};

/* A BSON document, at the root an object. A name may be there twice. ERR_VALUE: it is none;
 * ERR_LIMIT: a limit above, or the arena is full. */
int compare_read_bson(struct span bson, struct arena *arena, struct compare_tree *ret,
                      struct err *err) must_check;
/* Several of them, at the root an array. */
int compare_read_bson_list(const struct span *documents, size_t count, struct arena *arena,
                           struct compare_tree *ret, struct err *err) must_check;
/* Any JSON value. ERR_VALUE with line and column; ERR_LIMIT: a limit above or one of
 * base/json_read.h, or the arena is full. */
int compare_read_json(struct span json, struct arena *arena, struct compare_tree *ret,
                      struct err *err) must_check;

/* One for names that differ only in underscores and case. Fast; never stored. */
uint32_t compare_hash(struct span name);
/* The name that begins at `from` and ends before a zero, and its hash, in one pass; ptr NULL: there
 * is no zero before `end`. */
struct span compare_name(const char *from, const char *end, uint32_t *ret_hash);

#endif

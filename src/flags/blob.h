/*
 * The bytes of compiled flags. Private to flags/.
 *
 * Structs lie in the blob as they lie in memory, at offsets divisible by 8, in the byte order of
 * the machine (a foreign one changes `layout`, and is refused). Offsets count from the first byte
 * of the blob, so it may stand anywhere. Everything a reader follows was checked by flags_open; raw
 * numbers that choose something are checked there too, so readers index without asking again.
 */
#ifndef BANYAN_FLAGS_BLOB_H
#define BANYAN_FLAGS_BLOB_H

#include "flags/flags.h"
#include "flags/model.h"

#define BLOB_MAGIC "BANYANFL"

/* Bytes of text, without alignment and without NUL. */
struct blob_text {
    uint32_t at, len;
};

/* Structs one after the other. */
struct blob_list {
    uint32_t at, count;
};

struct blob_header {
    char magic[8];
    uint32_t layout;
    uint32_t header_len;
    uint64_t len;
    uint64_t checksum; /* XXH3-64 of all that follows */
    uint64_t version;
    struct blob_text metadata;
    struct blob_list flags; /* blob_flag, in the byte order of names */
    struct blob_list index; /* blob_slot, a power of two of them */
    struct blob_list zones; /* blob_zone */
};

#define BLOB_CHECKED_FROM 32

/* Open addressing with steps of one. `flag` is the number + 1; 0: free. */
struct blob_slot {
    uint32_t fingerprint; /* upper half of the hash; the lower one chooses the slot */
    uint32_t flag;
    struct blob_text name;
};

struct blob_value {
    uint32_t type; /* enum flags_type */
    uint32_t boolean;
    double number;
    struct blob_text text;
};

struct blob_variant {
    struct blob_text name;
    struct blob_value value;
};

enum {
    BLOB_ENABLED = 1,
    BLOB_KILLED = 2,
    BLOB_MATCH_ANY = 4,
    BLOB_NO_VALUE = 8, /* switched off gives no value */
    BLOB_SETTLED = 32, /* settled_* is the answer to everybody */
    BLOB_OFF_LAST = 64 /* rule: holds, but the rollout leaves out: off */
};

/* No variant: no value. */
#define BLOB_NO_VARIANT (-1)

struct blob_flag {
    uint32_t bits;
    uint32_t settled_reason; /* enum flags_reason */
    int32_t settled_variant;
    int32_t on_variant, off_variant;
    uint32_t targeting; /* where a blob_logic stands; 0: none */
    struct blob_list variants;
    struct blob_list listed; /* blob_listed, a power of two of them, or none */
    struct blob_list requires;
    struct blob_list windows;
    struct blob_list conditions;
    struct blob_list rules; /* the flag's own rollout is the last one */
    struct blob_text name, owner, module, metadata;
    int32_t expires;
    uint32_t rollout;
};

/* A user or a tenant; bits 0: free. Chosen by the hash whose seed is the subject's bit. */
enum { BLOB_LISTED_OFF = 1, BLOB_LISTED_ON = 2, BLOB_LISTED_USER = 4, BLOB_LISTED_TENANT = 8 };
struct blob_listed {
    uint32_t fingerprint;
    uint32_t bits;
    struct blob_text id;
};

/* All of them, the required flags' own included, so that nothing is followed twice. */
struct blob_require {
    uint32_t flag;
    int32_t variant; /* BLOB_NO_VARIANT: must be on */
};

struct blob_window {
    uint32_t start_minute, end_minute;
    uint32_t zone; /* number + 1; 0: UTC */
    uint32_t unused;
};

struct blob_zone {
    struct blob_text name;
    int32_t first_offset;
    uint32_t unused;
    struct blob_list transitions;
};

struct blob_transition {
    int64_t at;
    int32_t offset;
    uint32_t unused;
};

/* Values by type, numbers and texts in rising order. */
struct blob_condition {
    uint32_t subject;  /* enum flags_subject */
    uint32_t op;       /* enum flags_operator */
    uint32_t booleans; /* 1: false is among the values, 2: true is */
    uint32_t custom;   /* number of the predicate */
    struct blob_text attribute;
    struct blob_list numbers; /* double */
    struct blob_list texts;   /* blob_text */
    struct blob_list raw;     /* uint64_t, as the predicate compiled them */
};

struct blob_bucketing {
    uint32_t hash; /* enum flags_hash */
    uint32_t by_count;
    struct {
        uint32_t source; /* enum flags_source */
        uint32_t unused;
        struct blob_text attribute;
    } by[FLAGS_SOURCES_MAX];
    struct blob_text prefix;
    uint64_t seed;
};

struct blob_weight {
    int32_t variant;
    uint32_t weight;
};

struct blob_rule {
    uint32_t bits;
    uint32_t rollout;
    struct blob_list conditions;
    uint32_t when;      /* a blob_logic; 0: none */
    uint32_t bucketing; /* a blob_bucketing; 0: nobody is left out, or all are */
    int32_t variant;
    uint32_t split_bucketing; /* 0: no split */
    struct blob_list split;   /* blob_weight; their sum is not 0 and has 32 bits */
};

/* Breadth first: children stand together, behind their parent, and are one deeper. */
struct blob_node {
    uint32_t op;    /* enum logic_op */
    uint32_t depth; /* of the root: 0 */
    uint32_t first, count;
    struct blob_value literal;
};

struct blob_logic {
    struct blob_list nodes; /* at least one */
};

static inline const void *blob_at(const struct flags_set *set, uint32_t at) {
    return set->bytes + at;
}

static inline struct span blob_span(const struct flags_set *set, struct blob_text t) {
    return span_make(set->bytes + t.at, t.len);
}

static inline const struct blob_header *blob_head(const struct flags_set *set) {
    return blob_at(set, 0);
}

static inline const struct blob_flag *blob_flag_at(const struct flags_set *set, uint32_t flag) {
    return (const struct blob_flag *)blob_at(set, blob_head(set)->flags.at) + flag;
}

static inline struct flags_value blob_value_of(const struct flags_set *set,
                                               const struct blob_value *v) {
    return (struct flags_value){.type = (enum flags_type)v->type,
                                .boolean = v->boolean != 0,
                                .number = v->number,
                                .text = blob_span(set, v->text)};
}

/* Of names, and of listed ids with their subject's bit as seed. */
uint64_t blob_hash(struct span s, uint64_t seed);
uint64_t blob_checksum(const void *bytes, size_t len);

#endif

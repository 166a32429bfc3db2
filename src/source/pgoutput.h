/*
 * Step 2 of 8: gets one WAL message from the receiver, gives a struct of spans to the builder.
 *
 * Decodes logical replication messages of protocol version 1 (PostgreSQL 15 docs, 55.9 "Logical
 * Replication Message Formats"). Decides nothing: it knows no tables, keeps no relations. Every
 * read is bounds-checked; leftover bytes, unknown kinds and numbers that cannot be are errors.
 * Spans point into the message; arrays belong to the decoder and hold until its next call. Pure.
 */
#ifndef BANYAN_SOURCE_PGOUTPUT_H
#define BANYAN_SOURCE_PGOUTPUT_H

#include "base/err.h"
#include "base/span.h"
#include "model/lsn.h"

#include <stdint.h>

enum pgo_kind {
    PGO_BEGIN,
    PGO_COMMIT,
    PGO_ORIGIN,
    PGO_RELATION,
    PGO_TYPE,
    PGO_INSERT,
    PGO_UPDATE,
    PGO_DELETE,
    PGO_TRUNCATE,
    PGO_MESSAGE
};

/* A table has at most 1600 columns (PostgreSQL 15 docs, appendix K "Limits"). */
#define PGO_COLUMNS_MAX 1600

struct pgo_column {
    bool key; /* part of the replica identity */
    struct span name;
    uint32_t type_oid;
    int32_t typmod;
};

enum pgo_value_kind { PGO_NULL, PGO_UNCHANGED, PGO_TEXT };

struct pgo_value {
    enum pgo_value_kind kind;
    struct span text; /* PGO_TEXT */
};

struct pgo_tuple {
    const struct pgo_value *values;
    size_t count; /* 0: the message has no such tuple */
};

struct pgo_begin {
    lsn_t final_lsn;        /* of the commit */
    int64_t commit_time_us; /* since 2000-01-01 UTC */
    uint32_t xid;
};

struct pgo_commit {
    lsn_t commit_lsn;
    lsn_t end_lsn;
    int64_t commit_time_us;
};

struct pgo_relation {
    uint32_t oid;
    struct span schema; /* "" in the message means pg_catalog */
    struct span name;
    char replica_identity;
    const struct pgo_column *columns;
    size_t column_count;
};

struct pgo_change { /* INSERT, UPDATE, DELETE */
    uint32_t relation;
    bool old_is_full; /* 'O' (whole old row) and not 'K' (its key columns, the rest null) */
    struct pgo_tuple old_row;
    struct pgo_tuple new_row;
};

struct pgo_truncate {
    const uint32_t *relations;
    size_t relation_count;
    bool cascade, restart_identity;
};

struct pgo_logical_message {
    bool transactional;
    lsn_t lsn;
    struct span prefix;
    struct span content;
};

struct pgo_message {
    enum pgo_kind kind;
    union {
        struct pgo_begin begin;
        struct pgo_commit commit;
        struct pgo_relation relation;
        struct pgo_change change;
        struct pgo_truncate truncate;
        struct pgo_logical_message message;
    };
};

struct pgo_decoder;

struct pgo_decoder *pgo_decoder_new(void);
void pgo_decoder_free(struct pgo_decoder *d);

/* ERR_WIRE names the message kind and the offset at which it went wrong. */
int pgo_decode(struct pgo_decoder *d, struct span bytes, struct pgo_message *ret_message,
               struct err *err) must_check;

#endif

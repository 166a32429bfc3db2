/*
 * From PostgreSQL's text form to BSON: one decoder per type, for snapshot, stream, refresh and
 * verification alike. The table of types is in pg_type.c; pg_type_back.h is its inverse, written
 * apart, so that verification catches a mistake here.
 *
 * A struct pg_type is immutable after it is built. Pure: no I/O here (pg_catalog reads the types).
 */
#ifndef BANYAN_DB_PG_TYPE_H
#define BANYAN_DB_PG_TYPE_H

#include "base/err.h"
#include "base/span.h"
#include "conf/conf.h"
#include "model/bsonw.h"

#include <stdint.h>

enum pg_kind {
    PG_KIND_BOOL,
    PG_KIND_INT32, /* int2, int4 */
    PG_KIND_INT64, /* int8, oid */
    PG_KIND_FLOAT, /* float4, float8 */
    PG_KIND_NUMERIC,
    PG_KIND_TEXT, /* text, varchar, bpchar, name, "char", enums */
    PG_KIND_BYTEA,
    PG_KIND_DATE,
    PG_KIND_TIMESTAMP,
    PG_KIND_TIMESTAMPTZ,
    PG_KIND_UUID,
    PG_KIND_JSON, /* json, jsonb */
    PG_KIND_ARRAY,
    PG_KIND_OTHER /* anything else: its text as a string (time, interval, inet, ranges, ...) */
};

struct pg_type {
    uint32_t oid;
    const char *name;              /* as format_type gives it, for messages */
    const char *sql_name;          /* "schema"."name", quoted, for casts: '{...}'::sql_name[] */
    enum pg_kind kind;             /* a domain has the kind of its base type */
    const struct pg_type *element; /* PG_KIND_ARRAY */
    char delimiter;                /* PG_KIND_ARRAY: ',' for nearly all (';' for box) */
    /* Quoted schema of the operators its default operator class compares by; NULL: pg_catalog.
     * Sessions see pg_catalog only, where a citext would compare as a text and a hstore not. */
    const char *operator_schema;
    bool composite; /* a row type: unnest() would turn its fields into columns */
};

/* Kind of a built-in type by its OID (pg_type.dat of PostgreSQL 15); PG_KIND_OTHER for the rest. */
enum pg_kind pg_kind_of_builtin(uint32_t oid);

/* Appends the value `text` (never NULL) under `key`. Fails with ERR_VALUE when the text is not of
 * the type or a `fail` policy forbids it. The text may hold any bytes. */
int pg_type_append(const struct pg_type *type, const struct conf_types *policy, struct span text,
                   struct bsonw *w, struct span key, struct err *err) must_check;

/* `type:` of a field: a declared BSON type instead of the natural one. */
enum pg_retype {
    PG_RETYPE_NONE,
    PG_RETYPE_STRING,
    PG_RETYPE_INT32,
    PG_RETYPE_INT64,
    PG_RETYPE_DOUBLE,
    PG_RETYPE_DECIMAL,
    PG_RETYPE_BOOL,
    PG_RETYPE_DATE,
    PG_RETYPE_BINARY,
    PG_RETYPE_JSON
};

/* "string" -> PG_RETYPE_STRING; false for an unknown name. */
bool pg_retype_parse(const char *name, enum pg_retype *ret);
/* Whether a value of `type` can be asked to become `retype` at all (checked before start). */
bool pg_retype_possible(const struct pg_type *type, enum pg_retype retype);
int pg_type_append_as(const struct pg_type *type, enum pg_retype retype,
                      const struct conf_types *policy, struct span text, struct bsonw *w,
                      struct span key, struct err *err) must_check;

/* Whether equal BSON means equal value, so that the column may be part of `_id` or of an array
 * look-up: false for timestamps cut to milliseconds, json, floats with their NaN, intervals. */
bool pg_type_is_one_to_one(const struct pg_type *type, const struct conf_types *policy);

#endif

/*
 * PostgreSQL's ISO date and time text -> milliseconds since 1970-01-01 UTC, proleptic Gregorian.
 *
 * PostgreSQL 15 docs, 8.5.2 and appendix B. Years BC carry the suffix " BC" (1 BC is year 0 of the
 * formula), years over 9999 have more digits. Pure, no allocation.
 */
#ifndef BANYAN_DB_PG_TYPE_TIME_H
#define BANYAN_DB_PG_TYPE_TIME_H

#include "base/compiler.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_moment {
    int64_t ms; /* rounded toward minus infinity */
    int micros; /* 0 to 999, on top of ms */
};

/* "infinity" or "-infinity". */
bool pg_text_is_infinity(struct span text);

/* "2024-02-29", "4713-01-01 BC". */
bool pg_text_date(struct span text, struct pg_moment *ret) must_check;

/* "2024-02-29 12:34:56.789012", and with `zone` an offset behind it: "+00", "-05:30". */
bool pg_text_timestamp(struct span text, bool zone, struct pg_moment *ret) must_check;

/* What people keep in text columns: a date, or a date and a time with ' ' or 'T' between, seconds
 * and fraction optional, then nothing (UTC), "Z" or an offset. */
bool pg_text_iso(struct span text, struct pg_moment *ret) must_check;

#endif

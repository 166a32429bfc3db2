/*
 * A position in PostgreSQL's write-ahead log: PostgreSQL 15 docs, 8.20 "pg_lsn Type".
 *
 * Text form is two hexadecimal numbers of up to 8 digits with a slash between: "16/B374D848".
 * Pure, any thread.
 */
#ifndef BANYAN_MODEL_LSN_H
#define BANYAN_MODEL_LSN_H

#include "base/compiler.h"
#include "base/span.h"

#include <stdint.h>

typedef uint64_t lsn_t; /* 0: none */

struct lsn_text {
    char text[20];
};

/* "16/B374D848", in the returned struct. */
struct lsn_text lsn_format(lsn_t lsn);

/* False when `s` is not exactly one position. */
bool lsn_parse(struct span s, lsn_t *ret_lsn) must_check;

#endif

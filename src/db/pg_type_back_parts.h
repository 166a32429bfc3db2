/* The parts of pg_type_back.c. Nothing of pg_type_*.c is used here: see pg_type_back.h. Pure. */
#ifndef BANYAN_DB_PG_TYPE_BACK_PARTS_H
#define BANYAN_DB_PG_TYPE_BACK_PARTS_H

#include "base/buf.h"
#include "db/pg_type_back.h"

/* A decimal number in text: which digits count and where the point is. */
struct back_number {
    bool negative;
    bool integer;      /* written without fraction and exponent */
    const char *first; /* first digit that is not 0; == last for zero */
    const char *last;  /* behind the last digit that is not 0; points may lie between */
    size_t count;      /* digits from first to last */
    int64_t top;       /* the value is 0.d1d2d3... * 10^top */
    int64_t scale;     /* power of ten of the last digit written */
};

bool back_number_read(struct span text, struct back_number *ret);
bool back_number_equal(const struct back_number *a, const struct back_number *b);
/* Whether Decimal128 can hold it exactly. */
bool back_number_is_decimal(const struct back_number *n);

/* Decimal128 without an exponent where it is at most 0: "1.50", "-0.001", "NaN"; "12E+5" else. */
void back_decimal_text(const bson_decimal128_t *v, struct buf *out);
/* Value and, where Decimal128 can hold it as written, scale. */
bool back_decimal_agrees(const bson_decimal128_t *v, struct span text);

/* Whether a BSON value says what the JSON text says. `unique_keys`: jsonb, no key comes twice. */
bool back_json_agrees(const bson_iter_t *value, struct span text, const struct conf_types *policy,
                      bool unique_keys);

/* "2024-02-29", "0044-03-15 12:00:00.5 BC", ... `micros` are those below `ms`. */
void back_date_text(int64_t ms, struct buf *out);
void back_timestamp_text(int64_t ms, int micros, const char *zone, struct buf *out);
/* Any of the ISO forms that `type: date` takes from a text column. */
bool back_iso_ms(struct span text, int64_t *ret_ms);

#endif

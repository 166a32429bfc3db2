/* Rows as one plain JSON form, whichever side they came from. Private to operation/. Pure. */
#ifndef BANYAN_OPERATION_RESULT_H
#define BANYAN_OPERATION_RESULT_H

#include "base/buf.h"
#include "operation/operation.h"

#include <bson/bson.h>

/*
 * Appends a value: integers and decimals with all their digits (as texts with
 * OPERATION_NUMBERS_STRING), doubles as the shortest text that reads back, dates as
 * "2027-02-01T10:00:00.000Z", binary in base64, UUIDs and ObjectIds as texts. Numbers that JSON
 * does not have are "NaN", "Infinity", "-Infinity". Types that only MongoDB has keep the form of
 * its extended JSON. False: nested deeper than BSONW_DEPTH_MAX.
 */
bool result_add_value(const bson_iter_t *value, enum operation_numbers numbers, int depth,
                      struct buf *out);

#endif

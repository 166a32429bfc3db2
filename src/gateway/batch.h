/*
 * What an edge has counted, on its way to the control daemon: a batch of sums, with the edge's id
 * and a number that grows, so that one which is sent twice is counted once.
 *
 *   "BYB1", id (16 bytes), u64 sequence, then rows to the end:
 *   u16 length and module, u16 length and route, u8 side, u64 count, errors, rescued,
 *   u32 length and histogram (obs_histogram_to_blob, µs)
 *
 * Numbers are big-endian. Pure; what is read points into the batch.
 */
#ifndef BANYAN_GATEWAY_BATCH_H
#define BANYAN_GATEWAY_BATCH_H

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "route/decide.h"

#include <stdint.h>

#define BATCH_ID 16                    /* bytes of an id */
#define BATCH_MAX ((size_t)900 * 1000) /* bytes: what the control daemon takes in one request */

struct batch_row {
    struct span module, route;
    enum route_side side;
    int64_t count, errors, rescued;
    struct span histogram;
};

struct batch {
    char id[BATCH_ID + 1];
    int64_t sequence;
    struct cursor rows;
};

void batch_begin(struct buf *out, const char *id, int64_t sequence);
/* False (and `out` as it was): there is no room for it. */
bool batch_add(struct buf *out, const struct batch_row *row) must_check;

/* ERR_WIRE. */
int batch_open(struct span bytes, struct batch *ret, struct err *err) must_check;
/* 1: a row; 0: there are no more. ERR_WIRE. */
int batch_next(struct batch *b, struct batch_row *ret, struct err *err) must_check;

#endif

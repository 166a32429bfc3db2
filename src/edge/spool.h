/*
 * Batches of statistics on their way: each is a file until the control daemon has taken it, so that
 * neither a death of ours nor an absence of its loses one. Sequences grow over restarts: the last
 * one is stored before it is used. Private to edge/. @thread sender
 */
#ifndef BANYAN_EDGE_SPOOL_H
#define BANYAN_EDGE_SPOOL_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define SPOOL_MAX 1440 /* batches that wait: a day of them, when none can be sent */

struct spool;

/* "FOLDER/statistics"; finds what waits from before. ERR_STATE. */
int spool_open(const char *folder, struct spool **ret_spool, struct err *err) must_check;
void spool_close(struct spool *s); /* NULL is fine; what waits stays */

size_t spool_count(const struct spool *s);

/* The number of the batch that is put next. */
int64_t spool_next(const struct spool *s);
/* Durable when it returns. *ret_lost of the oldest had to go. ERR_STATE: its number is used up. */
int spool_put(struct spool *s, int64_t made_us, struct span batch, size_t *ret_lost,
              struct err *err) must_check;

/* The oldest; `batch` has the limit. ERR_STATE. */
int spool_first(struct spool *s, struct buf *batch, int64_t *ret_made_us,
                struct err *err) must_check;
/* It is over, one way or the other. */
void spool_drop_first(struct spool *s);

#endif

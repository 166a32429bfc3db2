/*
 * What nginx's workers have counted, summed by route and side. Any thread adds; one makes batches.
 * Private to edge/.
 */
#ifndef BANYAN_EDGE_COUNTS_H
#define BANYAN_EDGE_COUNTS_H

#include "base/buf.h"
#include "conf/conf.h"
#include "obs/metrics.h"
#include "route/frame.h"

struct counts;

struct counts *counts_new(const struct conf *conf);
void counts_free(struct counts *c); /* NULL is fine */

/* False: there is no such route, or the histogram is none. */
bool counts_add(struct counts *c, const struct frame_statistics *f) must_check;

/* Rows of what came since the batch before, behind what batch_begin has written; *ret_rows of
 * them. What has no room stays for the next one. */
void counts_batch(struct counts *c, struct buf *batch, size_t *ret_rows);

void counts_sample(struct counts *c, struct obs_page *page);

#endif

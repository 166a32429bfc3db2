/*
 * Timelines of a PostgreSQL cluster: where the log of one was left for the next.
 *
 * A server that was promoted, or restored to a point in time, goes on with a new timeline; its
 * history file names the ones before it and where each was left (PostgreSQL 15 docs, 26.3.5). Pure.
 */
#ifndef BANYAN_SOURCE_TIMELINE_H
#define BANYAN_SOURCE_TIMELINE_H

#include "base/err.h"
#include "base/span.h"
#include "model/lsn.h"

#include <stdbool.h>
#include <stdint.h>

/* *ret_left: where `timeline` was left, by a history file's text. *ret_found false: it is not among
 * the ancestors. ERR_WIRE: the text is no history. */
int timeline_left_at(struct span history, uint32_t timeline, bool *ret_found, lsn_t *ret_left,
                     struct err *err) must_check;

#endif

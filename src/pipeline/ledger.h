/*
 * Which source positions are finished: pairs commits with the work they caused. Pure.
 *
 * An entry is added whenever the receiver has handed out all batches up to some commit. It is
 * finished when the resolver has passed on everything up to that point, and then every lane has
 * acknowledged all that it had been given by then. Only the head of the list may be confirmed, so
 * a position never passes a change that is not in the target. Tickets count batches of a queue.
 * @thread receiver
 */
#ifndef BANYAN_PIPELINE_LEDGER_H
#define BANYAN_PIPELINE_LEDGER_H

#include "model/lsn.h"

#include <stdbool.h>
#include <stddef.h>

#define LEDGER_LANES_MAX 64

/* Entries kept apart; when that many wait, the two newest are merged, which only makes the
 * position move in larger steps. */
#define LEDGER_ENTRIES_MAX 4096

struct ledger;

struct ledger *ledger_new(size_t lanes);
void ledger_free(struct ledger *l);

/* Everything up to `lsn` (the end of a commit, or an idle position) has been handed out;
 * resolver_ticket is the newest ticket given to the resolver. Positions never go back. */
void ledger_add(struct ledger *l, lsn_t lsn, uint64_t resolver_ticket);

/* What is done by now: the resolver's finished ticket, and for each lane the newest ticket given
 * and the newest one finished. Returns the finished head (0: none yet). The caller reads
 * resolver_done first, then `given`: what the resolver passed on before is then counted. */
lsn_t ledger_advance(struct ledger *l, uint64_t resolver_done, const uint64_t *given,
                     const uint64_t *done);

/* No entry waits. */
bool ledger_is_empty(const struct ledger *l);

#endif

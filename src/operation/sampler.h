/*
 * The other side of sampled calls: threads of its own for each side, a budget for each module.
 * A thread between passes calls on twice in a millisecond, so the other side is asked up to that
 * much later, and who answers a call wakes nobody for it.
 *
 * A module's budget counts samples from their start until the observer is done with them, so the
 * queues are bounded by it. Private to operation/. Any thread.
 */
#ifndef BANYAN_OPERATION_SAMPLER_H
#define BANYAN_OPERATION_SAMPLER_H

#include "operation/call.h"

struct sampler *sampler_new(struct operations *ops);
/* Waits for what is under way. NULL is fine. */
void sampler_free(struct sampler *s);

/* How many samples of a side can be under way. */
size_t sampler_threads(const struct conf *conf);

/* Asks the other side, of the one that answers. NULL: it will; else why not: "budget", "busy". */
const char *sampler_start(struct sampler *s, struct call *call);

/* The caller's part of a sampled call has ended. */
void sampler_caller_ended(struct sampler *s, struct call *call);

#endif

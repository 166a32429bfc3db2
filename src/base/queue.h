/*
 * A bounded queue of owned pointers between threads: full means the producer waits.
 *
 * Ownership of an item goes to the queue with a successful push and to the consumer with a pop.
 * Bounded by items and by their weight (bytes); one item is always accepted by an empty queue.
 * After queue_close pushes fail and pops hand out what is left. Any thread.
 */
#ifndef BANYAN_BASE_QUEUE_H
#define BANYAN_BASE_QUEUE_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_new(size_t max_items, size_t max_weight);
/* Only when no thread uses it; items still inside are not freed: pop them first. */
void queue_free(struct queue *q);

enum queue_result { QUEUE_OK, QUEUE_TIMEOUT, QUEUE_CLOSED };

/* Waits up to `wait_us` for room. */
enum queue_result queue_push(struct queue *q, void *item, size_t weight,
                             int64_t wait_us) must_check;

/* Waits up to `wait_us` for an item; QUEUE_CLOSED when it is closed and empty. */
enum queue_result queue_pop(struct queue *q, void **ret_item, int64_t wait_us) must_check;

void queue_close(struct queue *q);

/* Items ever pushed: the ticket of the newest one. */
uint64_t queue_pushed(struct queue *q);
size_t queue_length(struct queue *q);

#endif

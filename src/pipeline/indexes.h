/*
 * Unique indexes of collections that have caught up, built while the stream goes on: on a large
 * collection the target needs hours for one.
 *
 * One thread with a connection of its own takes one collection after another. An error that may
 * pass is tried again until it is asked to end; one that stays (two documents with one value) is
 * reported once. Ending never waits for a build: what the target was told to build it goes on
 * building, and the next run ensures it again. So everything the thread touches while it waits for
 * an answer is its own: it may outlive whoever started it by that one answer.
 * @thread main; events come from the thread of the indexes
 */
#ifndef BANYAN_PIPELINE_INDEXES_H
#define BANYAN_PIPELINE_INDEXES_H

#include "map/plan.h"

#include <bson/bson.h>
#include <stdbool.h>

struct indexes_events {
    void *context;
    /* All unique indexes of the collection are there (failure NULL), or one of them cannot be. */
    void (*ended)(void *context, size_t collection, const struct err *failure);
};

struct indexes_config {
    const char *uri, *app, *database;
    const char *file; /* configuration, for messages */
    struct indexes_events events;
};

struct indexes;

/* Copies what it needs of the configuration, events excepted. No thread is made yet. */
struct indexes *indexes_new(const struct indexes_config *config);
/* Has the unique indexes of the collection built; one that has none is ignored. */
int indexes_add(struct indexes *x, size_t collection, const struct plan_collection *c,
                struct err *err) must_check;
/* Nothing waits or is under way. */
bool indexes_is_idle(struct indexes *x);
/* Ends the thread, or leaves it to its last answer; no event comes after it. NULL is fine. */
void indexes_free(struct indexes *x);

/* The keys of an index as the target takes them; the caller destroys the document. */
void indexes_keys(const struct conf_index *index, bson_t *ret_keys);

#endif

/*
 * From a document back to the key of its row. Pure.
 */
#ifndef BANYAN_MAP_IDENTITY_BACK_H
#define BANYAN_MAP_IDENTITY_BACK_H

#include "map/plan.h"

#include <bson/bson.h>

/* Room for the texts; one for each column of a key. */
struct identity_texts {
    struct buf texts[PG_INDEX_COLUMNS_MAX];
};
void identity_texts_init(struct identity_texts *t);
void identity_texts_release(struct identity_texts *t);

/* Fields that a document needs to name its row: `_id`, and with ObjectIds the key's fields. The
 * caller destroys the document. */
void identity_projection(const struct plan_collection *c, bson_t *ret_projection);

/* The texts of the id columns, in `room`; false when the document names no row of the collection.
 */
bool identity_key(const struct plan_collection *c, const bson_t *document,
                  struct identity_texts *room, struct span *ret_key);

/* Same for a document whose `_id` holds numbers of other types than ours, which the server may
 * take for the same `_id`: the key is the one those numbers say. Whether the server really takes
 * them for the same is for the caller to ask. */
bool identity_twin(const struct plan_collection *c, const bson_t *document,
                   struct identity_texts *room, struct span *ret_key);

#endif

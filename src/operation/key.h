/*
 * `_id` of a mapped collection, given back as the columns of its key. Any thread.
 *
 * A composite `_id` holds the names of its columns. The name of a single one stands in the mapping
 * (`id: [column]`), or else only in the source's catalogue, which is asked once.
 */
#ifndef BANYAN_OPERATION_KEY_H
#define BANYAN_OPERATION_KEY_H

#include "conf/conf.h"
#include "model/bsonw.h"

#include <stdatomic.h>

struct key {
    const struct conf_mapping *mapping; /* NULL: no mapped collection, `_id` stays */
    _Atomic(char *) column;             /* of a single one, from the catalogue; owned */
};

void key_init(struct key *k, const struct conf *conf, const char *collection);
void key_release(struct key *k);

/* The column must be asked for before documents with such an `_id` can be written. */
bool key_is_unknown(struct key *k, const bson_iter_t *id);
void key_learn(struct key *k, const char *column);

/* Appends the document's fields. */
void key_write(struct key *k, const bson_t *document, struct bsonw *w);

#endif

#include "operation/key.h"

#include "base/mem.h"

#include <string.h>

static const struct conf_mapping *mapping_of(const struct conf *conf, const char *collection) {
    for (size_t i = 0; i < conf->module_count; i++)
        for (size_t j = 0; j < conf->modules[i].collection_count; j++)
            if (strcmp(conf->modules[i].collections[j].name.text, collection) == 0)
                return &conf->modules[i].collections[j];
    return NULL;
}

void key_init(struct key *k, const struct conf *conf, const char *collection) {
    k->mapping = collection ? mapping_of(conf, collection) : NULL;
    atomic_init(&k->column, NULL);
}

void key_release(struct key *k) {
    free(atomic_load(&k->column));
}

static const char *column_of(struct key *k) {
    return k->mapping->id.count == 1 ? k->mapping->id.items[0].text : atomic_load(&k->column);
}

bool key_is_unknown(struct key *k, const bson_iter_t *id) {
    return k->mapping && !k->mapping->id_objectid && !column_of(k) && !BSON_ITER_HOLDS_DOCUMENT(id);
}

void key_learn(struct key *k, const char *column) {
    char *copy = mem_strdup(column), *none = NULL;
    if (!atomic_compare_exchange_strong(&k->column, &none, copy))
        free(copy);
}

/* A column that also stays as a field (keep_id) is given once. */
static void write_column(const bson_t *document, const char *name, const bson_iter_t *value,
                         struct bsonw *w) {
    if (!bson_has_field(document, name))
        bsonw_iter(w, span_of(name), value);
}

static void write_id(struct key *k, const bson_t *document, const bson_iter_t *id,
                     struct bsonw *w) {
    bson_iter_t part;
    if (k->mapping->id_objectid)
        return; /* made from the key, whose columns are fields */
    const char *column = column_of(k);
    if (column)
        write_column(document, column, id, w);
    else if (bson_iter_recurse(id, &part))
        while (bson_iter_next(&part))
            write_column(document, bson_iter_key(&part), &part, w);
}

void key_write(struct key *k, const bson_t *document, struct bsonw *w) {
    bson_iter_t it;
    if (!bson_iter_init(&it, document))
        return;
    while (bson_iter_next(&it)) {
        struct span name = span_make(bson_iter_key(&it), bson_iter_key_len(&it));
        if (k->mapping && span_is(name, "_id"))
            write_id(k, document, &it, w);
        else
            bsonw_iter(w, name, &it);
    }
}

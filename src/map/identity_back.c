#include "map/identity_back.h"

#include "base/text.h"
#include "db/pg_type_back.h"
#include "map/document.h"
#include "model/canon.h"

#include <inttypes.h>
#include <math.h>

#define TEXT_MAX ((size_t)64 * 1024)

void identity_texts_init(struct identity_texts *t) {
    for (size_t i = 0; i < PG_INDEX_COLUMNS_MAX; i++)
        buf_init(&t->texts[i], TEXT_MAX);
}

void identity_texts_release(struct identity_texts *t) {
    for (size_t i = 0; i < PG_INDEX_COLUMNS_MAX; i++)
        buf_release(&t->texts[i]);
}

void identity_projection(const struct plan_collection *c, bson_t *ret_projection) {
    bson_init(ret_projection);
    BSON_APPEND_INT32(ret_projection, "_id", 1);
    for (size_t i = 0; c->id_kind == PLAN_ID_OBJECTID && i < c->id_count; i++)
        if (c->id_paths[i])
            BSON_APPEND_INT32(ret_projection, c->id_paths[i], 1);
}

/* Where the i-th id column is in the document. */
static bool find_id_value(const struct plan_collection *c, const bson_t *doc, size_t i,
                          bson_iter_t *ret) {
    bson_iter_t it, below;
    if (c->id_kind == PLAN_ID_OBJECTID)
        return c->id_paths[i] && bson_iter_init_find(ret, doc, c->id_paths[i]);
    if (!bson_iter_init_find(&it, doc, "_id"))
        return false;
    if (c->id_kind == PLAN_ID_SCALAR) {
        *ret = it;
        return true;
    }
    if (!BSON_ITER_HOLDS_DOCUMENT(&it) || !bson_iter_recurse(&it, &below) ||
        !bson_iter_find(&below, c->id_names[i].ptr))
        return false;
    *ret = below;
    return true;
}

/* The text must be a value of the column, or SQL would fail on it. */
static bool is_value(const struct plan_collection *c, const struct pg_type *type,
                     struct span text) {
    _cleanup_(buf_release) struct buf scratch = {.max = 2 * TEXT_MAX};
    struct bsonw w;
    struct err ignored;
    bsonw_begin(&w, &scratch);
    return pg_type_append(type, c->types, text, &w, SPAN_LIT("v"), &ignored) == 0;
}

static bool read_text(const struct plan_collection *c, const bson_t *doc, size_t i,
                      struct buf *text) {
    const struct pg_type *type = c->root->columns[c->id[i]].source->type;
    bson_iter_t value;
    if (!find_id_value(c, doc, i, &value))
        return false;
    /* Only the text is wanted. In `_id` values are canonical: an integer is int64 there. */
    if (c->id_kind == PLAN_ID_OBJECTID)
        (void)pg_type_back_agrees(type, PG_RETYPE_NONE, c->types, &value, SPAN_LIT(""), text);
    else
        (void)pg_type_back_key_agrees(type, c->types, &value, SPAN_LIT(""), text);
    return buf_ok(text) && is_value(c, type, span_of(buf_text(text)));
}

/* The key must lead back to this very `_id`; anything else is somebody else's document. */
static bool leads_back(const struct plan_collection *c, const bson_t *doc, const struct span *key) {
    _cleanup_(buf_release) struct buf made = {.max = 1024 * 1024};
    struct err ignored;
    bson_iter_t want, have;
    if (map_identity(c, key, &made, &ignored) < 0 || !bson_iter_init_find(&have, doc, "_id") ||
        !bson_iter_init_from_data(&want, (const uint8_t *)made.data, made.len) ||
        !bson_iter_next(&want))
        return false;
    uint32_t want_len = want.next_off - want.d1, have_len = have.next_off - have.d1;
    return bson_iter_type(&want) == bson_iter_type(&have) && want_len == have_len &&
           memcmp(want.raw + want.d1, have.raw + have.d1, want_len) == 0;
}

bool identity_key(const struct plan_collection *c, const bson_t *document,
                  struct identity_texts *room, struct span *ret_key) {
    for (size_t i = 0; i < c->id_count; i++) {
        if (!read_text(c, document, i, &room->texts[i]))
            return false;
        ret_key[i] = span_of(buf_text(&room->texts[i]));
    }
    return leads_back(c, document, ret_key);
}

/* A double that is whole says so without an exponent; any other, the fewest digits that lead back.
 */
static void add_double(struct buf *out, double v) {
    if (isnan(v) || isinf(v)) {
        buf_add_text(out, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
        return;
    }
    if (v == rint(v) && fabs(v) < 1e18) {
        buf_printf(out, "%" PRId64, (int64_t)v);
        return;
    }
    char text[TEXT_DOUBLE_MAX];
    buf_add(out, text, text_double(v, text));
}

static void add_decimal(struct buf *out, const bson_iter_t *value) {
    _cleanup_(buf_release) struct buf scratch = {.max = 256};
    struct bsonw w;
    bson_iter_t it;
    bson_decimal128_t v;
    char text[BSON_DECIMAL128_STRING];
    bsonw_begin(&w, &scratch);
    canon_append(&w, SPAN_LIT("v"), value); /* 1E+3 is 1000 */
    bsonw_end(&w);
    if (!bson_iter_init_from_data(&it, (const uint8_t *)scratch.data, scratch.len) ||
        !bson_iter_next(&it) || !bson_iter_decimal128(&it, &v))
        return;
    bson_decimal128_to_string(&v, text);
    buf_add_text(out, text);
}

static bool add_number(struct buf *out, const bson_iter_t *value) {
    buf_clear(out);
    if (BSON_ITER_HOLDS_INT32(value) || BSON_ITER_HOLDS_INT64(value))
        buf_printf(out, "%" PRId64, bson_iter_as_int64(value));
    else if (BSON_ITER_HOLDS_DOUBLE(value))
        add_double(out, bson_iter_double(value));
    else if (BSON_ITER_HOLDS_DECIMAL128(value))
        add_decimal(out, value);
    else
        return false;
    return buf_ok(out) && out->len > 0;
}

bool identity_twin(const struct plan_collection *c, const bson_t *document,
                   struct identity_texts *room, struct span *ret_key) {
    if (c->id_kind == PLAN_ID_OBJECTID)
        return false; /* nothing but itself is equal to an ObjectId */
    for (size_t i = 0; i < c->id_count; i++) {
        const struct pg_type *type = c->root->columns[c->id[i]].source->type;
        bson_iter_t value;
        struct buf *text = &room->texts[i];
        if (!find_id_value(c, document, i, &value))
            return false;
        bool ok = add_number(text, &value) ? is_value(c, type, span_of(buf_text(text)))
                                           : read_text(c, document, i, text);
        if (!ok)
            return false;
        ret_key[i] = span_of(buf_text(text));
    }
    return true;
}

/* Array text -> BSON -> compared with the text again by the code of verification. The first byte
 * chooses the element type. */
#include "db/pg_type_back.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct pg_type elements[] = {
        {.oid = 25, .name = "text", .kind = PG_KIND_TEXT},
        {.oid = 114, .name = "json", .kind = PG_KIND_JSON},
        {.oid = 1700, .name = "numeric", .kind = PG_KIND_NUMERIC},
        {.oid = 603, .name = "box", .kind = PG_KIND_OTHER},
    };
    _cleanup_(buf_release) struct buf out = {.max = 1 << 22}, back = {.max = 1 << 20};
    struct conf_types policy = {0};
    struct err err;
    struct bsonw w;
    bson_iter_t it;
    bson_t doc;
    if (size == 0)
        return 0;
    const struct pg_type *element = &elements[data[0] % 4];
    struct pg_type array = {.name = "array",
                            .kind = PG_KIND_ARRAY,
                            .element = element,
                            .delimiter = element->oid == 603 ? ';' : ','};
    struct span text = span_make(data + 1, size - 1);
    bsonw_begin(&w, &out);
    int rc = pg_type_append(&array, &policy, text, &w, SPAN_LIT("v"), &err);
    bsonw_end(&w);
    if (!bsonw_ok(&w))
        return 0;
    if (!bson_init_static(&doc, (const uint8_t *)out.data, out.len) ||
        !bson_validate(&doc, BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL, NULL))
        abort();
    if (rc < 0)
        return 0;
    if (!bson_iter_init(&it, &doc) || !bson_iter_next(&it))
        abort();
    bool agrees = pg_type_back_agrees(&array, PG_RETYPE_NONE, &policy, &it, text, &back);
    /* numbers may be written in ways that PostgreSQL does not print: 007 */
    if (!agrees && element->kind != PG_KIND_NUMERIC)
        abort();
    return 0;
}

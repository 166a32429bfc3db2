/* JSON text -> BSON -> compared with the text again by the code of verification. */
#include "db/pg_type_back.h"
#include "db/pg_type_json.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct pg_type json = {.oid = 114, .name = "json", .kind = PG_KIND_JSON};
    _cleanup_(buf_release) struct buf out = {.max = 1 << 22}, back = {.max = 1 << 20};
    struct conf_types policy = {0};
    struct bsonw w;
    bson_iter_t it;
    bson_t doc;
    if (size == 0)
        return 0;
    policy.bigint_json = data[0] & 1 ? CONF_BIGINT_DECIMAL : CONF_BIGINT_INT64;
    struct span text = span_make(data + 1, size - 1);
    bsonw_begin(&w, &out);
    bool ok = pg_json_append(text, &policy, &w, SPAN_LIT("v"));
    bsonw_end(&w);
    if (!bsonw_ok(&w))
        return 0;
    if (!bson_init_static(&doc, (const uint8_t *)out.data, out.len) ||
        !bson_validate(&doc, BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL, NULL))
        abort();
    bool there = bson_iter_init(&it, &doc) && bson_iter_next(&it);
    if (there != ok)
        abort();
    if (ok && !pg_type_back_agrees(&json, PG_RETYPE_NONE, &policy, &it, text, &back))
        abort();
    return 0;
}

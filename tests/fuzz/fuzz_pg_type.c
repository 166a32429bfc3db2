/* Any text as any type under any policy and any declared type. Bytes: kind, declared type,
 * policies, text. A value that was accepted must be valid BSON and must survive the way back
 * without a crash; one that was refused must leave the document whole. */
#include "db/pg_type_back.h"
#include "model/canon.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_back(const struct pg_type *type, enum pg_retype retype,
                      const struct conf_types *policy, struct buf *out, struct span text) {
    _cleanup_(buf_release) struct buf back = {.max = 1 << 20}, canonical = {.max = 1 << 22};
    struct bsonw w;
    bson_iter_t it;
    if (!bson_iter_init_from_data(&it, (const uint8_t *)out->data, out->len) ||
        !bson_iter_next(&it))
        abort();
    (void)pg_type_back_agrees(type, retype, policy, &it, text, &back);
    bsonw_begin(&w, &canonical);
    canon_append(&w, SPAN_LIT("v"), &it);
    bsonw_end(&w);
    if (!bsonw_ok(&w))
        abort();
    canon_value_text(&it, &back);
    if (canon_diff(buf_span(out), buf_span(&canonical), NULL, NULL, NULL) < 0)
        abort();
    /* exact conversions agree however the number was written */
    if ((retype == PG_RETYPE_INT64 || retype == PG_RETYPE_INT32) &&
        !pg_type_back_agrees(type, retype, policy, &it, text, &back))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct pg_type text_type = {.oid = 25, .name = "text", .kind = PG_KIND_TEXT};
    _cleanup_(buf_release) struct buf out = {.max = 1 << 22};
    struct err err;
    struct bsonw w;
    bson_t doc;
    if (size < 3)
        return 0;
    struct pg_type type = {.name = "type",
                           .kind = (enum pg_kind)(data[0] % (PG_KIND_OTHER + 1)),
                           .element = &text_type,
                           .delimiter = ','};
    enum pg_retype retype = (enum pg_retype)(data[1] % (PG_RETYPE_JSON + 1));
    const struct conf_types policy = {.microseconds = (enum conf_micros)(data[2] % 3),
                                      .infinity = (enum conf_infinity)(data[2] / 3 % 3),
                                      .numeric_overflow = (enum conf_overflow)(data[2] / 9 % 2),
                                      .bigint_json = (enum conf_bigint)(data[2] / 18 % 2)};
    struct span text = span_make(data + 3, size - 3);
    bsonw_begin(&w, &out);
    int rc = pg_type_append_as(&type, retype, &policy, text, &w, SPAN_LIT("v"), &err);
    bsonw_end(&w);
    if (!bsonw_ok(&w))
        return 0;
    if (!bson_init_static(&doc, (const uint8_t *)out.data, out.len) ||
        !bson_validate(&doc, BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL, NULL))
        abort();
    if (rc == 0)
        look_back(&type, retype, &policy, &out, text);
    else if (rc != ERR_VALUE || out.len != 5)
        abort();
    return 0;
}

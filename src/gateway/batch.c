#include "gateway/batch.h"

#define MAGIC "BYB1"

void batch_begin(struct buf *out, const char *id, int64_t sequence) {
    buf_add_text(out, MAGIC);
    buf_add(out, id, BATCH_ID);
    buf_add_uint(out, (uint64_t)sequence, 8);
}

bool batch_add(struct buf *out, const struct batch_row *row) {
    size_t before = out->len;
    if (row->module.len > UINT16_MAX || row->route.len > UINT16_MAX)
        return false;
    buf_add_uint(out, row->module.len, 2);
    buf_add_span(out, row->module);
    buf_add_uint(out, row->route.len, 2);
    buf_add_span(out, row->route);
    buf_add_uint(out, row->side, 1);
    buf_add_uint(out, (uint64_t)row->count, 8);
    buf_add_uint(out, (uint64_t)row->errors, 8);
    buf_add_uint(out, (uint64_t)row->rescued, 8);
    buf_add_uint(out, row->histogram.len, 4);
    buf_add_span(out, row->histogram);
    if (buf_ok(out))
        return true;
    buf_cut(out, before);
    return false;
}

int batch_open(struct span bytes, struct batch *ret, struct err *err) {
    struct cursor c = cursor_over(bytes);
    struct span magic = cursor_take(&c, sizeof MAGIC - 1), id = cursor_take(&c, BATCH_ID);
    uint64_t sequence = cursor_u64(&c);
    bool hex = !c.failed;
    for (size_t i = 0; i < id.len; i++)
        hex = hex &&
              ((id.ptr[i] >= '0' && id.ptr[i] <= '9') || (id.ptr[i] >= 'a' && id.ptr[i] <= 'f'));
    if (c.failed || !span_is(magic, MAGIC) || !hex || sequence > INT64_MAX)
        return err_set(err, ERR_WIRE, "not a batch of an edge's statistics, or of another version");
    *ret = (struct batch){.sequence = (int64_t)sequence, .rows = c};
    memcpy(ret->id, id.ptr, BATCH_ID);
    return 0;
}

static int64_t take_count(struct cursor *c) {
    uint64_t v = cursor_u64(c);
    c->failed = c->failed || v > INT64_MAX;
    return c->failed ? 0 : (int64_t)v;
}

int batch_next(struct batch *b, struct batch_row *ret, struct err *err) {
    struct cursor *c = &b->rows;
    if (cursor_done(c))
        return 0;
    struct batch_row row;
    row.module = cursor_take(c, cursor_u16(c));
    row.route = cursor_take(c, cursor_u16(c));
    uint8_t side = cursor_u8(c);
    row.count = take_count(c);
    row.errors = take_count(c);
    row.rescued = take_count(c);
    row.histogram = cursor_take(c, cursor_u32(c));
    if (c->failed || side > ROUTE_MONGODB)
        return err_set(err, ERR_WIRE, "a row of an edge's statistics is cut or damaged");
    row.side = (enum route_side)side;
    *ret = row;
    return 1;
}

#include "apply/opbatch.h"

#include "base/mem.h"

struct opbatch_place {
    size_t id, document, end;
};

void opbatch_init(struct opbatch *b) {
    *b = (struct opbatch){0};
    buf_init(&b->bytes, OPBATCH_MAX);
}

void opbatch_release(struct opbatch *b) {
    buf_release(&b->bytes);
    free(b->ops);
    free(b->places);
    b->ops = NULL;
    b->places = NULL;
    b->count = b->cap = 0;
}

/* What a huge document made grow is given back. */
void opbatch_clear(struct opbatch *b) {
    b->count = 0;
    if (b->bytes.cap > 2 * OPBATCH_BYTES)
        buf_release(&b->bytes);
    buf_clear(&b->bytes);
}

void opbatch_begin(struct opbatch *b, enum target_op_kind kind, struct span identity) {
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 256;
        b->ops = mem_realloc(b->ops, b->cap, sizeof *b->ops);
        b->places = mem_realloc(b->places, b->cap, sizeof *b->places);
    }
    b->ops[b->count] = (struct target_op){.kind = kind};
    b->places[b->count].id = b->bytes.len;
    buf_add_span(&b->bytes, identity);
    b->places[b->count].document = b->bytes.len;
}

void opbatch_end(struct opbatch *b) {
    b->places[b->count].end = b->bytes.len;
    b->count++;
}

void opbatch_cancel(struct opbatch *b) {
    b->bytes.len = b->places[b->count].id;
    b->bytes.full = false;
}

bool opbatch_is_full(const struct opbatch *b, int64_t operations) {
    return (int64_t)b->count >= operations || b->bytes.len >= OPBATCH_BYTES;
}

struct target_op *opbatch_ops(struct opbatch *b) {
    for (size_t i = 0; i < b->count; i++) {
        const struct opbatch_place *p = &b->places[i];
        b->ops[i].id = span_make(b->bytes.data + p->id, p->document - p->id);
        b->ops[i].document = span_make(b->bytes.data + p->document, p->end - p->document);
    }
    return b->ops;
}

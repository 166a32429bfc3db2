/* Frames of nginx's workers. What is read must be written again as the same bytes. */
#include "route/frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span frame, bool written, const struct buf *out) {
    if (!written || !span_eq(buf_span(out), frame))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct frame_sample sample;
    struct frame_statistics statistics;
    struct span bytes = span_make(data, size);
    struct err err = {0};
    enum frame_kind kind;
    size_t len = 0;
    if (frame_peek(bytes, &len, &kind, &err) < 0 || len == 0)
        return 0;
    if (len > size)
        abort();
    _cleanup_(buf_release) struct buf out = {.max = FRAME_MAX};
    bytes.len = len;
    if (kind == FRAME_SAMPLE && frame_sample_read(bytes, &sample, &err) == 0)
        check(bytes, frame_sample_write(&out, &sample), &out);
    if (kind == FRAME_STATISTICS && frame_statistics_read(bytes, &statistics, &err) == 0)
        check(bytes, frame_statistics_write(&out, &statistics), &out);
    return 0;
}

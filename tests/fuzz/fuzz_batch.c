/* Batches of an edge's statistics. What is read whole is written again as the same bytes. */
#include "gateway/batch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(buf_release) struct buf out = {.max = 4 * BATCH_MAX};
    struct span bytes = span_make(data, size);
    struct batch_row row;
    struct batch b;
    struct err err = {0};
    int rc = batch_open(bytes, &b, &err);
    if (rc < 0)
        return 0;
    batch_begin(&out, b.id, b.sequence);
    while ((rc = batch_next(&b, &row, &err)) > 0)
        if (row.count < 0 || row.errors < 0 || row.rescued < 0 || !batch_add(&out, &row))
            abort();
    if (rc == 0 && !span_eq(buf_span(&out), bytes))
        abort();
    return 0;
}

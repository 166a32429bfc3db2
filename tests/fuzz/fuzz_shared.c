/* The document that daemons share by Redis: anything may stand there. What is accepted reads the
 * same after it was written. */
#include "flagfile/shared.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct shared_flags first, again;
    struct err err = {0};
    struct buf json = {.max = 2 * SHARED_MAX};
    if (shared_read(span_make(data, size), &first, &err) < 0)
        return 0;
    shared_write(&first, &json);
    if (shared_read(buf_span(&json), &again, &err) < 0 || again.count != first.count ||
        again.version != first.version)
        abort();
    const struct state_flag **taken = NULL;
    size_t count = 0;
    bool given = false;
    if (shared_merge(&again, first.flags, first.count, &taken, &count, &given, &err) == 0)
        free(taken);
    shared_clear(&first);
    shared_clear(&again);
    buf_release(&json);
    return 0;
}

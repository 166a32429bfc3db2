/* A timeline history, as a server sends it. */
#include "source/timeline.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    bool found = false;
    lsn_t left = 0;
    int rc = timeline_left_at(span_make(data, size), 1, &found, &left, &err);
    if (rc < 0 && (err.code != ERR_WIRE || err.text[0] == '\0'))
        abort();
    return 0;
}

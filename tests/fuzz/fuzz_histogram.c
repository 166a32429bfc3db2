/* Stored histograms: what is accepted is written again byte for byte, and adds up; what is refused
 * changes nothing. */
#include "obs/histogram.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(buf_release) struct buf again = {.max = OBS_HISTOGRAM_BLOB_MAX};
    struct obs_histogram *h = obs_histogram_new();
    struct err err;
    struct span blob = span_make(data, size);
    if (obs_histogram_merge_blob(h, blob, &err) == 0) {
        obs_histogram_to_blob(h, &again);
        if (!span_eq(buf_span(&again), blob))
            abort();
        double half = obs_histogram_percentile(h, 50), most = obs_histogram_percentile(h, 99);
        if (half > most || most > (double)OBS_HISTOGRAM_MAX)
            abort();
    } else if (obs_histogram_count(h) != 0 || obs_histogram_sum(h) != 0 || err.text[0] == '\0') {
        abort();
    }
    obs_histogram_free(h);
    return 0;
}

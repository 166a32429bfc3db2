/* The Accept header of whoever scrapes: any bytes give one of the two formats, and OpenMetrics only
 * to who names it. */
#include "obs/metrics.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *accept = mem_strndup((const char *)data, size);
    enum obs_format format = obs_format_accepted(accept);
    if (format != OBS_PROMETHEUS && format != OBS_OPENMETRICS)
        abort();
    if (format == OBS_OPENMETRICS && !strcasestr(accept, "application/openmetrics-text"))
        abort();
    free(accept);
    return 0;
}

/* A raw path, and the same bytes as published settings. */
#include "route/path.h"
#include "route/settings.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct span prefixes[] = {SPAN_LIT("/api/products"), SPAN_LIT("/api"),
                                           SPAN_LIT("/")};
    static struct route_settings settings;
    static char work[ROUTE_PATH_MAX];
    struct span raw = span_make(data, size);
    struct err err = {0};
    if (size <= sizeof work) {
        size_t len = route_decode(raw, work);
        size_t resolved = route_resolve(work, len);
        if (len > size || resolved > len)
            abort();
        /* what is resolved stays as it is */
        if (route_resolve(work, resolved) != resolved)
            abort();
    }
    (void)route_is_ambiguous(prefixes, 3, raw, route_find(prefixes, 3, raw));
    if (route_settings_read(raw, &settings, &err) == 0 && settings.count > ROUTE_MODULES_MAX)
        abort();
    return 0;
}

/* Percent-decoding, comma lists and URLs. */
#include "base/mem.h"
#include "base/utf8.h"
#include "http/client.h"
#include "http/request.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(mem_freep) char *space = mem_alloc(size);
    _cleanup_(mem_freep) char *text = mem_strndup((const char *)data, size);
    struct span all = span_make(data, size), s, list = all;
    struct http_url url;
    if (size == 0)
        return 0;
    if (http_percent_decode(all, true, space, &s) && (s.len > size || !utf8_valid(s)))
        abort();
    /* In place, as the header allows. */
    memcpy(space, data, size);
    if (http_percent_decode(span_make(space, size), false, space, &s) && s.len > size)
        abort();
    size_t sum = 0;
    while (http_list_next(&list, &s))
        sum += s.len;
    if (sum > size)
        abort();
    if (http_url_parse(text, &url, NULL) == 0 &&
        (url.host.len == 0 || url.target.ptr[0] != '/' || url.port.len == 0))
        abort();
    return 0;
}

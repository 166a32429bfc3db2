/* SQL with parameters: what was accepted holds $n for what was named, every other byte as it stood,
 * and has nothing to replace when it is read again. */
#include "operation/sql_text.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int find(void *context, struct span name) {
    (void)context;
    return name.len == 1 && name.ptr[0] >= 'a' && name.ptr[0] <= 'd' ? name.ptr[0] - 'a' : -1;
}

/* "$12" -> 12 at `at`; 0: no such thing. */
static size_t number_at(struct span s, size_t at, size_t *ret_len) {
    size_t n = 0, i = at + 1;
    if (s.ptr[at] != '$')
        return 0;
    while (i < s.len && i < at + 4 && s.ptr[i] >= '0' && s.ptr[i] <= '9')
        n = n * 10 + (size_t)(s.ptr[i++] - '0');
    *ret_len = i - at;
    return n;
}

/* Walks both texts side by side: equal bytes, or a name here and its number there. */
static void compare(struct span in, struct span out, const struct sql_text *t) {
    size_t i = 0, o = 0;
    while (i < in.len) {
        size_t len;
        if (o < out.len && in.ptr[i] == out.ptr[o]) {
            i++;
            o++;
            continue;
        }
        if (in.ptr[i] == ';') { /* the one at the end is left out */
            i++;
            continue;
        }
        size_t n = o < out.len ? number_at(out, o, &len) : 0;
        if (in.ptr[i] != ':' || n == 0 || n > t->count || i + 1 >= in.len ||
            in.ptr[i + 1] != 'a' + t->params[n - 1].param)
            abort();
        i += t->params[n - 1].like ? 7U : 2U;
        o += len;
    }
    if (o != out.len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sql_text t;
    struct err err = {0};
    struct span in = span_make(data, size);
    if (size > 65536)
        return 0;
    if (sql_text_compile(in, find, NULL, &t, &err) < 0) {
        if (err.code == 0 || !*err.text)
            abort();
        return 0;
    }
    compare(in, buf_span(&t.text), &t);
    sql_text_release(&t);
    return 0;
}

/* Answers of services: whatever two of them send is opened within the limit and compared, both ways
 * round alike, and equal to itself. The first byte says where the second answer begins; each is a
 * head, an empty line and a body. */
#include "parallel/answer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct answer answer_of(struct span bytes) {
    struct answer a = {.status = 200};
    const char *end = bytes.len ? memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) : NULL;
    size_t head = end ? (size_t)(end - bytes.ptr) + 4 : bytes.len;
    a.head = span_make(bytes.ptr, head);
    a.body = span_make(bytes.ptr + head, bytes.len - head);
    if (bytes.len > 2)
        a.status = 200 + bytes.ptr[0] % 4 * 102; /* 200, 302, 404, 506 */
    return a;
}

static bool equal(const struct answer_rules *rules, const struct answer *a, const struct answer *b,
                  struct arena *memory, struct arena *scratch, bool *ret_limit) {
    struct answer_compared c;
    struct err err;
    arena_reset(memory);
    *ret_limit = answer_compare(rules, a, b, true, SPAN_LIT("key"), memory, scratch, &c, &err) < 0;
    if (!*ret_limit && (c.equal != (c.found == 0) || c.count > ANSWER_DIFFERENCES_MAX))
        abort();
    return !*ret_limit && c.equal;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct compare_pattern patterns[] = {{.path = "*.email", .mask = true},
                                                      {.path = "items", .key = "id"}};
    static const char *const headers[] = {"ETag"};
    const struct compare_options options = {
        .mode = COMPARE_REFERENCE, .patterns = patterns, .pattern_count = 2};
    struct answer_rules rules = {.headers = headers, .header_count = 1, .store_documents = true};
    _cleanup_(buf_release) struct buf first = {.max = 1 << 20}, second = {.max = 1 << 20};
    struct arena memory, scratch;
    struct err err;
    bool limit[3];
    if (size == 0 || compare_compile(&options, &rules.rules, &err) < 0)
        return 0;
    size_t cut = data[0] * (size - 1) / 255;
    struct answer a = answer_of(span_make(data + 1, cut)),
                  b = answer_of(span_make(data + 1 + cut, size - 1 - cut));
    arena_init(&memory, 1 << 26);
    arena_init(&scratch, 1 << 26);
    if (answer_open(&a, false, &first) == COMPARABLE &&
        answer_open(&b, false, &second) == COMPARABLE) {
        bool one = equal(&rules, &a, &b, &memory, &scratch, &limit[0]);
        bool other = equal(&rules, &b, &a, &memory, &scratch, &limit[1]);
        if (!limit[0] && !limit[1] && one != other)
            abort();
        if (!equal(&rules, &a, &a, &memory, &scratch, &limit[2]) && !limit[2])
            abort();
    }
    arena_release(&memory);
    arena_release(&scratch);
    compare_rules_free(rules.rules);
    return 0;
}

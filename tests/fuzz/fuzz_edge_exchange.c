/* What edge and control daemon say to each other, from a byte that says which, and the rest: what
 * is read is written and read again as the same. */
#include "base/mem.h"
#include "gateway/exchange.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ask(struct span json) {
    _cleanup_(mem_freep) struct exchange_ask *one = mem_alloc(sizeof *one);
    _cleanup_(mem_freep) struct exchange_ask *two = mem_alloc(sizeof *two);
    _cleanup_(buf_release) struct buf out = {.max = 8 * EXCHANGE_ASK_MAX};
    struct err err = {0};
    if (exchange_ask_read(json, one, &err) < 0) {
        if (!err.text[0])
            abort();
        return;
    }
    exchange_ask_write(&out, one);
    if (!conf_is_edge_name(one->name) || exchange_ask_read(buf_span(&out), two, &err) < 0 ||
        memcmp(one->name, two->name, sizeof one->name) != 0 ||
        strcmp(one->problem, two->problem) != 0 || one->waiting_count != two->waiting_count ||
        one->samples_dropped != two->samples_dropped || one->nginx != two->nginx)
        abort();
}

static void check_answer(struct span json) {
    _cleanup_(mem_freep) struct exchange_answer *one = mem_alloc(sizeof *one);
    _cleanup_(mem_freep) struct exchange_answer *two = mem_alloc(sizeof *two);
    _cleanup_(buf_release) struct buf out = {.max = 8 * EXCHANGE_ANSWER_MAX};
    struct err err = {0};
    if (exchange_answer_read(json, one, &err) < 0)
        return;
    exchange_answer_write(&out, one);
    if (exchange_answer_read(buf_span(&out), two, &err) < 0 ||
        strcmp(one->flags, two->flags) != 0 || one->applied_count != two->applied_count)
        abort();
    for (size_t i = 0; i < one->applied_count; i++)
        if (one->applied[i].age_us != two->applied[i].age_us || one->applied[i].beat_us < 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    (data[0] & 1 ? check_ask : check_answer)(span_make(data + 1, size - 1));
    return 0;
}

/* What nginx's workers have counted, in batches for the control daemon. */
#include "edge/counts.h"

#include "conf_try.h"
#include "gateway/batch.h"
#include "parallel/tally.h"

#include <stdio.h>

#define PREFIX_LEN 400

/* A prefix that is too long for a name has the same one here as at the control daemon. */
static void long_prefixes_have_the_name_of_the_control_daemon(void **state) {
    (void)state;
    char prefix[PREFIX_LEN + 1], yaml[PREFIX_LEN + 500], name[STATE_NAME_MAX];
    memset(prefix, 'x', PREFIX_LEN);
    prefix[0] = '/';
    prefix[PREFIX_LEN] = '\0';
    (void)snprintf(yaml, sizeof yaml,
                   "edge: {control: 'https://control:8420', token: 0123456789abcdef, name: e-1}\n"
                   "modules: {m: {flag: f, routes: [{prefix: %s, "
                   "sql: {url: 'http://a:1', service: x}, "
                   "mongodb: {url: 'http://a:2', service: y}}]}}\n",
                   prefix);
    struct conf *conf = parse(yaml);
    struct counts *c = counts_new(conf);
    const struct frame_statistics f = {
        .module = SPAN_LIT("m"), .route = span_of(prefix), .side = ROUTE_MONGODB, .count = 3};
    assert_true(counts_add(c, &f));
    _cleanup_(buf_release) struct buf bytes = {.max = BATCH_MAX};
    size_t rows = 0;
    struct batch batch;
    struct batch_row row;
    struct err err = {0};
    batch_begin(&bytes, "0123456789abcdef", 1);
    counts_batch(c, &bytes, &rows);
    assert_int_equal(rows, 1);
    assert_int_equal(batch_open(buf_span(&bytes), &batch, &err), 0);
    assert_int_equal(batch_next(&batch, &row, &err), 1);
    tally_name(prefix, name);
    assert_true(span_is(row.route, name));
    assert_int_equal(row.count, 3);
    counts_free(c);
    conf_free(conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_prefixes_have_the_name_of_the_control_daemon)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

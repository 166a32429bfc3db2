/* The end of an edge's sender: everything that nginx's workers have counted is on the disk. */
#include "base/clock.h"
#include "base/mem.h"
#include "conf_try.h"
#include "edge/core.h"
#include "edge/spool.h"
#include "gateway/batch.h"
#include "route/frame.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ROUTES 300 /* so many, with as much to say of each, that one batch has no room for them */

static char folder[] = "/tmp/banyan-send-XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where) {
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static int remove_folder(void **state) {
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct conf *conf_with_routes(void) {
    _cleanup_(buf_release) struct buf yaml = {.max = 1 << 20};
    buf_add_text(&yaml, "edge: {control: 'http://127.0.0.1:1', name: e-1}\n"
                        "gateway: {nginx: external, module: /dev/null}\n"
                        "modules:\n  m:\n    flag: f\n    routes:\n");
    for (int i = 0; i < ROUTES; i++)
        buf_printf(&yaml,
                   "      - {prefix: /r%d, sql: {url: 'http://a:1', service: x}, "
                   "mongodb: {url: 'http://a:2', service: y}}\n",
                   i);
    return parse(buf_text(&yaml));
}

/* A call of every length that there is. */
static void write_latency(struct buf *out) {
    struct obs_histogram *h = obs_histogram_new();
    for (int64_t us = 1; us < OBS_HISTOGRAM_MAX; us += us / 70 + 1)
        obs_histogram_add(h, us);
    obs_histogram_to_blob(h, out);
    free(h);
}

static void send_statistics(const struct gateway *g) {
    _cleanup_(buf_release) struct buf latency = {.max = OBS_HISTOGRAM_BLOB_MAX};
    _cleanup_(buf_release) struct buf frames = {.max = 8 << 20};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    write_latency(&latency);
    for (int i = 0; i < ROUTES; i++) {
        char prefix[16];
        (void)snprintf(prefix, sizeof prefix, "/r%d", i);
        assert_true(frame_statistics_write(
            &frames, &(struct frame_statistics){.module = SPAN_LIT("m"),
                                                .route = span_of(prefix),
                                                .count = 1,
                                                .latency = buf_span(&latency)}));
    }
    memcpy(address.sun_path, gateway_samples(g), strlen(gateway_samples(g)));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    for (size_t at = 0; at < frames.len;) {
        ssize_t n = send(fd, frames.data + at, frames.len - at, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += (size_t)n;
    }
    close(fd);
}

/* Until the last of them is counted. */
static void wait_until_counted(struct edge *e) {
    const struct timespec moment = {.tv_nsec = 1000000};
    int64_t until = clock_mono_us() + 20000000;
    char wanted[100];
    (void)snprintf(wanted, sizeof wanted, "route=\"/r%d\",side=\"sql\"} 1\n", ROUTES - 1);
    for (bool found = false; !found;) {
        _cleanup_(buf_release) struct buf text = {.max = 64 << 20};
        _cleanup_(obs_page_freep) struct obs_page *page = obs_page_new();
        send_sample(e, page);
        obs_page_write(page, OBS_OPENMETRICS, &text);
        found = strstr(buf_text(&text), wanted);
        assert_true(clock_mono_us() < until);
        (void)nanosleep(&moment, NULL);
    }
}

static size_t rows_on_disk(const struct edge *e, size_t *ret_batches) {
    struct spool *s = NULL;
    struct err err = {0};
    size_t rows = 0;
    assert_int_equal(spool_open(e->folder, &s, &err), 0);
    for (*ret_batches = 0; spool_count(s); ++*ret_batches) {
        _cleanup_(buf_release) struct buf bytes = {.max = BATCH_MAX};
        struct batch batch;
        struct batch_row row;
        int64_t made;
        assert_int_equal(spool_first(s, &bytes, &made, &err), 0);
        assert_int_equal(batch_open(buf_span(&bytes), &batch, &err), 0);
        while (batch_next(&batch, &row, &err) > 0)
            rows++;
        spool_drop_first(s);
    }
    spool_close(s);
    return rows;
}

static void what_is_counted_is_on_the_disk_at_the_end(void **state) {
    (void)state;
    char state_path[100], blob[100];
    size_t batches = 0;
    struct err err = {0};
    (void)snprintf(state_path, sizeof state_path, "%s/s", folder);
    (void)snprintf(blob, sizeof blob, "%s/blob", folder);
    struct conf *conf = conf_with_routes();
    struct edge e = {.conf = conf,
                     .control = conf->edge.control.text,
                     .id = "0123456789abcdef",
                     .folder = gateway_folder(state_path)};
    assert_int_equal(gateway_new(conf, state_path, blob, &e.gateway, &err), 0);
    assert_int_equal(send_start(&e, &err), 0);
    send_statistics(e.gateway);
    wait_until_counted(&e);
    atomic_store(&e.stop, true);
    send_stop(&e);
    assert_int_equal(rows_on_disk(&e, &batches), ROUTES);
    assert_in_range(batches, 2, ROUTES);
    gateway_free(e.gateway);
    free(e.folder);
    conf_free(conf);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
        what_is_counted_is_on_the_disk_at_the_end, make_folder, remove_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

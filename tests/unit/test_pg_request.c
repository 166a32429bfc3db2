/* Deadlines of requests to PostgreSQL, on bad days: no server is needed, each test is one. */
#include "base/clock.h"
#include "base/mem.h"
#include "db/pg_request.h"
#include "db/pg_session.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_pg.h"

#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define PLAIN "?sslmode=disable&gssencmode=disable"

/* What is there to read is no reason to go on: a value may keep coming for as long as it likes. */
static void a_deadline_holds_while_something_comes(void **state) {
    (void)state;
    struct fake_pg server;
    struct pg *pg = NULL;
    struct err err = {0};
    PGresult *r = NULL;
    fake_pg_start(&server, 1);
    _cleanup_(mem_freep) char *uri = mem_printf("postgresql://u@127.0.0.1:%d/d" PLAIN, server.port);
    if (pg_request_connect(uri, "test", SECOND, clock_mono_us() + 10 * SECOND, &pg, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(PQsendQuery(pg_conn(pg), "SELECT 1"), 1);
    assert_int_equal(PQflush(pg_conn(pg)), 0);
    struct pollfd p = {.fd = PQsocket(pg_conn(pg)), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    pg_request_until(pg, clock_mono_us() - 1);
    assert_int_equal(pg_next_result(pg, &r, &err), ERR_UNREACHABLE);
    assert_true(pg_timed_out(pg) && err.retriable);
    pg_free(pg);
    fake_pg_stop(&server);
}

/* The first host of the URI drops packets: it takes its share of the time, not all of it. */
static void a_host_that_drops_packets_is_passed(void **state) {
    (void)state;
    struct fake_pg server;
    struct pg *pg = NULL;
    struct err err = {0};
    int port, fill;
    int hole = fake_pg_listen(0, &port);
    fake_pg_fill(port, &fill, 1);
    fake_pg_start(&server, 1);
    _cleanup_(mem_freep) char *uri =
        mem_printf("postgresql://u@127.0.0.1:%d,127.0.0.1:%d/d" PLAIN, port, server.port);
    if (pg_request_connect(uri, "test", SECOND, clock_mono_us() + SECOND, &pg, &err) < 0)
        fail_msg("%s", err.text);
    pg_free(pg);
    fake_pg_stop(&server);
    (void)close(fill);
    (void)close(hole);
}

/* Who refuses is passed at once, and the last one's word counts. */
static void what_the_last_host_says(void **state) {
    (void)state;
    struct pg *pg = NULL;
    struct err err = {0};
    int port, fill;
    int hole = fake_pg_listen(0, &port);
    fake_pg_fill(port, &fill, 1);
    _cleanup_(mem_freep) char *uri =
        mem_printf("postgresql://u@127.0.0.1:%d,127.0.0.1:1/d" PLAIN, port);
    assert_true(pg_request_connect(uri, "test", SECOND, clock_mono_us() + SECOND, &pg, &err) < 0);
    assert_non_null(strstr(err.text, "Connection refused"));
    assert_true(err.retriable);
    _cleanup_(mem_freep) char *alone = mem_printf("postgresql://u@127.0.0.1:%d/d" PLAIN, port);
    assert_int_equal(
        pg_request_connect(alone, "test", SECOND, clock_mono_us() + 100 * MS, &pg, &err),
        ERR_UNREACHABLE);
    assert_string_equal(err.text, "cannot connect to the source: no connection in time");
    assert_true(err.retriable);
    (void)close(fill);
    (void)close(hole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_holds_while_something_comes),
        cmocka_unit_test(a_host_that_drops_packets_is_passed),
        cmocka_unit_test(what_the_last_host_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

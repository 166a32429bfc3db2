/* A client that keeps its connections, against servers of the test's own: many requests at one
 * time, connections that are used again or have ended, answers that are late, broken or none. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/span.h"
#include "http/keep.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define REQUEST SPAN_LIT("GET /a HTTP/1.1\r\nHost: s\r\n\r\n")
#define OK(body) "HTTP/1.1 200 OK\r\nContent-Length: " body

/* ---- servers: each plays its part in a thread, and ends ---- */

struct server {
    int fd;
    char url[64];
    pthread_t thread;
    const char *says; /* to every request */
};

static void server_open(struct server *s) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 128), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", ntohs(a.sin_port));
}

static void server_start(struct server *s, void *(*play)(void *), const char *says) {
    server_open(s);
    s->says = says;
    assert_int_equal(pthread_create(&s->thread, NULL, play, s), 0);
}

static void server_end(struct server *s) {
    pthread_join(s->thread, NULL);
    close(s->fd);
}

/* False: the client has closed. */
static bool read_request(int fd) {
    char bytes[1000];
    size_t n = 0;
    while (n < REQUEST.len) {
        ssize_t got = recv(fd, bytes + n, sizeof bytes - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
    }
    return true;
}

static void say(int fd, const char *text) {
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* One connection, until the client closes it. */
static void *answers(void *argument) {
    const struct server *s = argument;
    int fd = accept(s->fd, NULL, NULL);
    while (read_request(fd))
        say(fd, s->says);
    close(fd);
    return NULL;
}

/* One answer, and the end of the connection; then the next. */
static void *answers_and_closes_twice(void *argument) {
    const struct server *s = argument;
    for (int i = 0; i < 2; i++) {
        int fd = accept(s->fd, NULL, NULL);
        if (read_request(fd))
            say(fd, s->says);
        close(fd);
    }
    return NULL;
}

#define MANY 10

/* Waits for all requests, and answers the last first. */
static void *answers_backwards(void *argument) {
    const struct server *s = argument;
    int fds[MANY];
    char answer[100];
    for (int i = 0; i < MANY; i++) {
        fds[i] = accept(s->fd, NULL, NULL);
        (void)read_request(fds[i]);
    }
    for (int i = MANY; i-- > 0;) {
        snprintf(answer, sizeof answer, OK("1\r\n\r\n%d"), i);
        say(fds[i], answer);
    }
    for (int i = 0; i < MANY; i++) {
        (void)read_request(fds[i]);
        close(fds[i]);
    }
    return NULL;
}

/* ---- the client ---- */

static struct http_ask to(const struct server *s) {
    return (struct http_ask){
        .url = s->url, .request = REQUEST, .limit_us = 5 * SECOND, .answer_max = 1000};
}

static void wait_for(struct http_keeper *k, struct http_done *ret) {
    int64_t until = clock_mono_us() + 20 * SECOND;
    while (!http_keeper_next(k, ret)) {
        assert_true(clock_mono_us() < until);
        (void)http_keeper_wait(k, -1, SECOND);
    }
}

static struct http_done ask(struct http_keeper *k, const struct http_ask *a) {
    struct http_done done;
    struct err err;
    assert_int_equal(http_keeper_begin(k, a, NULL, &err), 0);
    wait_for(k, &done);
    return done;
}

static void says(const struct http_done *d, const char *body) {
    assert_int_equal(d->rc, 0);
    assert_int_equal(d->answer.status, 200);
    assert_true(span_is(d->answer.body, body));
}

/* Exchanges with a server of their own, one after another. */
static void ask_times(int times, void *(*play)(void *), const char *says_this,
                      void (*check)(const struct http_done *done)) {
    struct server s;
    struct http_keeper *k = http_keeper_new();
    server_start(&s, play, says_this);
    const struct http_ask a = to(&s);
    for (int n = 0; n < times; n++) {
        struct http_done done = ask(k, &a);
        check(&done);
    }
    http_keeper_free(k);
    server_end(&s);
}

static void says_a(const struct http_done *d) {
    says(d, "a");
}

static void says_abc(const struct http_done *d) {
    says(d, "abc");
}

/* ---- tests ---- */

static void many_at_one_time(void **state) {
    (void)state;
    struct server s;
    struct http_keeper *k = http_keeper_new();
    struct http_done done;
    struct err err;
    int owners[MANY];
    server_start(&s, answers_backwards, NULL);
    const struct http_ask a = to(&s);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(http_keeper_begin(k, &a, &owners[i], &err), 0);
    bool seen[MANY] = {false};
    for (int i = 0; i < MANY; i++) {
        wait_for(k, &done);
        char body[2] = {(char)('0' + ((int *)done.owner - owners)), 0};
        says(&done, body);
        assert_false(seen[(int *)done.owner - owners]);
        seen[(int *)done.owner - owners] = true;
    }
    assert_false(http_keeper_next(k, &done));
    http_keeper_free(k);
    server_end(&s);
}

static void a_connection_is_used_again(void **state) {
    (void)state;
    static const char *const ways[] = {
        OK("3\r\n\r\nabc"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n" OK("3\r\n\r\nabc")};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        ask_times(3, answers, ways[i], says_abc); /* it accepts one connection */
}

static void one_that_has_ended_is_replaced(void **state) {
    (void)state;
    static const char *const ways[] = {OK("1\r\n\r\na"), "HTTP/1.1 200 OK\r\n\r\na",
                                       OK("1\r\nConnection: close\r\n\r\na")};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        ask_times(2, answers_and_closes_twice, ways[i], says_a);
}

/* What chunks take besides their bytes does not count, nor what the server would accept itself. */
static void large_bodies_in_chunks(void **state) {
    (void)state;
    static const struct {
        size_t count, size, max;
        int rc;
    } cases[] = {
        {300000, 1, 300000, 0}, {25, 65536, 25 * 65536, 0}, {26, 65536, 25 * 65536, ERR_LIMIT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_(buf_release) struct buf text = {.max = 4 << 20};
        struct server s;
        struct http_keeper *k = http_keeper_new();
        buf_add_text(&text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (size_t n = 0; n < cases[i].count; n++)
            buf_printf(&text, "%zx\r\n%0*d\r\n", cases[i].size, (int)cases[i].size, (int)(n % 10));
        buf_add_text(&text, "0\r\n\r\n");
        server_start(&s, answers, buf_text(&text));
        struct http_ask a = to(&s);
        a.answer_max = cases[i].max;
        struct http_done done = ask(k, &a);
        assert_int_equal(done.rc, cases[i].rc);
        if (cases[i].rc == 0) {
            assert_int_equal(done.answer.body.len, cases[i].count * cases[i].size);
            for (size_t n = 0; n < cases[i].count; n++)
                assert_int_equal(done.answer.body.ptr[(n + 1) * cases[i].size - 1], '0' + n % 10);
        }
        http_keeper_free(k);
        server_end(&s);
    }
}

static size_t memory_in_use(void) {
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void memory_of_a_large_answer_is_not_kept(void **state) {
    (void)state;
    const int size = 1 << 20;
    _cleanup_(buf_release) struct buf text = {.max = 2 << 20};
    struct server s;
    struct http_keeper *k = http_keeper_new();
    buf_printf(&text, OK("%d\r\n\r\n%0*d"), size, size, 7);
    server_start(&s, answers, buf_text(&text));
    struct http_ask a = to(&s);
    a.answer_max = (size_t)size;
    size_t before = memory_in_use();
    struct http_done done = ask(k, &a);
    assert_int_equal(done.answer.body.len, size);
    assert_int_equal(done.answer.body.ptr[size - 1], '7');
    assert_false(http_keeper_next(k, &done));
    assert_in_range(memory_in_use(), 0, before + 300000);
    http_keeper_free(k);
    server_end(&s);
}

/* What nobody asked for stands on the connection: the next answer is not that. */
static void what_comes_too_much_is_no_answer(void **state) {
    (void)state;
    ask_times(2, answers_and_closes_twice, OK("1\r\n\r\na") OK("1\r\n\r\nb"), says_a);
}

static void answers_that_are_none(void **state) {
    (void)state;
    static const struct {
        const char *says;
        int rc;
    } cases[] = {{"nonsense\r\n\r\n", ERR_WIRE},
                 {OK("9\r\n\r\nabc"), ERR_WIRE}, /* and closes */
                 {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", ERR_WIRE},
                 {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", ERR_WIRE},
                 {OK("1001\r\n\r\n"), ERR_LIMIT},
                 {"", ERR_UNREACHABLE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server s;
        struct http_keeper *k = http_keeper_new();
        server_start(&s, answers_and_closes_twice, cases[i].says);
        const struct http_ask a = to(&s);
        for (int n = 0; n < 2; n++) {
            struct http_done done = ask(k, &a);
            assert_int_equal(done.rc, cases[i].rc);
            assert_int_equal(done.err->code, cases[i].rc);
            assert_false(done.late);
        }
        http_keeper_free(k);
        server_end(&s);
    }
}

static void nobody_is_there(void **state) {
    (void)state;
    struct server s;
    struct http_keeper *k = http_keeper_new();
    server_open(&s);
    close(s.fd);
    const struct http_ask a = to(&s);
    struct http_done done = ask(k, &a);
    assert_int_equal(done.rc, ERR_UNREACHABLE);
    assert_true(done.err->retriable);
    struct err err;
    const struct http_ask tls = {.url = "https://127.0.0.1:1", .request = REQUEST};
    assert_int_equal(http_keeper_begin(k, &tls, NULL, &err), ERR_CONF);
    http_keeper_free(k);
}

/* The server listens, and never accepts. */
static void silence(void **state) {
    (void)state;
    struct server silent, s;
    struct http_keeper *k = http_keeper_new();
    struct http_done done;
    struct err err;
    atomic_bool stop = false;
    int late, stopped, answered;
    server_open(&silent);
    server_start(&s, answers, OK("1\r\n\r\na"));
    struct http_ask a = to(&silent), b = to(&silent), c = to(&s);
    a.limit_us = SECOND / 2;
    b.stop = &stop;
    assert_int_equal(http_keeper_begin(k, &a, &late, &err), 0);
    assert_int_equal(http_keeper_begin(k, &b, &stopped, &err), 0);
    assert_int_equal(http_keeper_begin(k, &c, &answered, &err), 0);
    wait_for(k, &done); /* the others hold up nobody */
    assert_ptr_equal(done.owner, &answered);
    says(&done, "a");
    wait_for(k, &done);
    assert_ptr_equal(done.owner, &late);
    assert_int_equal(done.rc, ERR_UNREACHABLE);
    assert_true(done.late);
    assert_in_range(done.took_us, SECOND / 2, 10 * SECOND);
    atomic_store(&stop, true);
    wait_for(k, &done);
    assert_ptr_equal(done.owner, &stopped);
    assert_int_equal(done.rc, ERR_STOPPED);
    http_keeper_free(k);
    close(silent.fd);
    server_end(&s);
}

/* Who looks late does not make the answer late. */
static void the_time_is_that_of_the_answer(void **state) {
    (void)state;
    const struct timespec second = {.tv_sec = 1};
    struct server s;
    struct http_keeper *k = http_keeper_new();
    struct http_done done;
    struct err err;
    server_start(&s, answers, OK("1\r\n\r\na"));
    const struct http_ask a = to(&s);
    for (int i = 0; i < 2; i++) { /* on a fresh connection, on a kept one */
        assert_int_equal(http_keeper_begin(k, &a, NULL, &err), 0);
        if (i == 0) /* it is sent when the connection is there */
            (void)http_keeper_wait(k, -1, SECOND / 1000);
        nanosleep(&second, NULL);
        wait_for(k, &done);
        says(&done, "a");
        assert_in_range(done.took_us, 0, SECOND * 9 / 10);
    }
    http_keeper_free(k);
    server_end(&s);
}

static void it_can_be_woken(void **state) {
    (void)state;
    struct server s;
    struct http_keeper *k = http_keeper_new();
    struct err err;
    int wake = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    server_open(&s);
    int64_t before = clock_mono_us();
    assert_true(http_keeper_wait(k, wake, 20 * SECOND)); /* nothing is under way */
    const struct http_ask a = to(&s);
    assert_int_equal(http_keeper_begin(k, &a, NULL, &err), 0);
    assert_true(http_keeper_wait(k, wake, 20 * SECOND));
    assert_in_range(clock_mono_us() - before, 0, 10 * SECOND);
    assert_false(http_keeper_wait(k, -1, SECOND / 10));
    http_keeper_free(k); /* gives up what is under way */
    close(s.fd);
    close(wake);
}

static void there_is_a_limit(void **state) {
    (void)state;
    struct server s;
    struct http_keeper *k = http_keeper_new();
    struct err err;
    server_open(&s);
    const struct http_ask a = to(&s);
    for (int i = 0; i < HTTP_KEPT_MAX; i++)
        assert_int_equal(http_keeper_begin(k, &a, NULL, &err), 0);
    assert_int_equal(http_keeper_begin(k, &a, NULL, &err), ERR_LIMIT);
    http_keeper_free(k);
    close(s.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_at_one_time),
        cmocka_unit_test(a_connection_is_used_again),
        cmocka_unit_test(large_bodies_in_chunks),
        cmocka_unit_test(memory_of_a_large_answer_is_not_kept),
        cmocka_unit_test(one_that_has_ended_is_replaced),
        cmocka_unit_test(what_comes_too_much_is_no_answer),
        cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(silence),
        cmocka_unit_test(the_time_is_that_of_the_answer),
        cmocka_unit_test(it_can_be_woken),
        cmocka_unit_test(there_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

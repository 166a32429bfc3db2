/* The socket of nginx's workers: what cannot be listened at, and no descriptor left. */
#include "parallel/listener.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const struct listener_sink sink;
static char folder[] = "/tmp/banyan-listener-XXXXXX";
static char path[100];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

/* It closed descriptor 0. */
static void a_path_that_is_too_long_costs_no_descriptor(void **state) {
    (void)state;
    char long_path[300];
    struct listener *l = NULL;
    struct err err = {0};
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    int zero = open("/dev/null", O_RDONLY | O_CLOEXEC); /* whatever it was: now there is one */
    if (zero > 0)
        assert_int_equal(dup2(zero, 0), 0);
    assert_int_equal(listener_start(long_path, &sink, &l, &err), ERR_CONF);
    assert_true(fcntl(0, F_GETFD) >= 0);
}

static int64_t cpu_us(void) {
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void wait_for_connections(const struct listener *l, uint64_t count) {
    const struct timespec moment = {.tv_nsec = 1000000};
    int64_t until = clock_mono_us() + 20000000;
    while (listener_connections(l) != count) {
        assert_true(clock_mono_us() < until);
        (void)nanosleep(&moment, NULL);
    }
}

/* As many as are open. */
static struct rlimit limit_now(void) {
    struct rlimit limit;
    int next = dup(0);
    assert_true(next > 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)next;
    return limit;
}

/* A worker that waits to be accepted was asked for as fast as the thread could. */
static void without_descriptors_it_waits(void **state) {
    (void)state;
    const struct timespec second = {.tv_sec = 1};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct listener *l = NULL;
    struct err err = {0};
    struct rlimit before, none;
    assert_int_equal(listener_start(path, &sink, &l, &err), 0);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = limit_now();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = connect(fd, (struct sockaddr *)&address, sizeof address);
    int64_t used = cpu_us();
    (void)nanosleep(&second, NULL);
    used = cpu_us() - used;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(rc, 0);
    assert_in_range(used, 0, 300000);
    wait_for_connections(l, 1); /* and then takes it */
    close(fd);
    wait_for_connections(l, 0);
    listener_stop(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_that_is_too_long_costs_no_descriptor),
        cmocka_unit_test(without_descriptors_it_waits),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

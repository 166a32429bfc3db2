/* A call to a host that has several addresses: the resolver is the test's own. */
#include "http/client.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ADDRESSES 2

static struct sockaddr_in addresses[ADDRESSES];
static struct addrinfo found[ADDRESSES];

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the system's are reserved */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **ret) {
    (void)host, (void)port, (void)hints;
    for (int i = 0; i < ADDRESSES; i++)
        found[i] = (struct addrinfo){.ai_family = AF_INET,
                                     .ai_addr = (struct sockaddr *)&addresses[i],
                                     .ai_addrlen = sizeof addresses[i],
                                     .ai_next = i + 1 < ADDRESSES ? &found[i + 1] : NULL};
    *ret = found;
    return 0;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
void freeaddrinfo(struct addrinfo *list) {
    (void)list;
}

static int open_socket(struct sockaddr_in *ret) {
    socklen_t len = sizeof *ret;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof *ret), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
    return fd;
}

/* Takes a request and resets the connection. */
static void *resets(void *argument) {
    const struct linger now = {.l_onoff = 1};
    char bytes[1000];
    int fd = accept(*(int *)argument, NULL, NULL);
    (void)recv(fd, bytes, sizeof bytes, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    return NULL;
}

static bool call_was_refused(void) {
    bool refused = false;
    int status = 0;
    struct err err = {0};
    const struct http_call call = {
        .url = "http://service/", .limit_us = 10000000, .refused = &refused};
    assert_int_equal(http_call(&call, &status, NULL, &err), ERR_UNREACHABLE);
    return refused;
}

static void nobody_listens_only_if_no_address_answers(void **state) {
    (void)state;
    pthread_t thread;
    int nobody = open_socket(&addresses[0]), somebody = open_socket(&addresses[1]);
    assert_true(call_was_refused()); /* bound, but neither listens */
    assert_int_equal(listen(somebody, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, resets, &somebody), 0);
    assert_false(call_was_refused()); /* the second may have done what it was asked */
    pthread_join(thread, NULL);
    close(nobody);
    close(somebody);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nobody_listens_only_if_no_address_answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

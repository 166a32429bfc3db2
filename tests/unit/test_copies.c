/* Copies of divergences for a target that is away. */
#include "parallel/copies.h"

#include "base/clock.h"
#include "conf_try.h"
#include "db/mongo.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMMANDS 20
#define SECOND INT64_C(1000000)

/* It accepts nobody: each command would take half a second to find that out. */
static int silent_target(struct sockaddr_in *ret) {
    socklen_t len = sizeof *ret;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof *ret), 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
    return fd;
}

static void the_end_waits_for_no_target(void **state) {
    (void)state;
    char yaml[500];
    struct sockaddr_in target;
    int fd = silent_target(&target);
    (void)snprintf(yaml, sizeof yaml,
                   "source: {uri: 'postgresql://h/d'}\n"
                   "target: {uri: 'mongodb://127.0.0.1:%d/?serverSelectionTryOnce=false"
                   "&serverSelectionTimeoutMS=500&connectTimeoutMS=500', database: d}\n"
                   "divergences: {collection: divergences}\n"
                   "modules: {m: {collections: {c: {table: t}}}}\n",
                   ntohs(target.sin_port));
    struct conf *conf = parse(yaml);
    struct copies *c = copies_new(conf);
    assert_non_null(c);
    for (int i = 0; i < COMMANDS; i++)
        copies_expire(c, i);
    int64_t begin = clock_mono_us();
    copies_free(c);
    assert_in_range(clock_mono_us() - begin, 0, 5 * SECOND);
    conf_free(conf);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_end_waits_for_no_target)};
    mongo_global_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    mongo_global_cleanup();
    return failed;
}

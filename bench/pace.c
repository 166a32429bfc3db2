/*
 * A load at a steady rate, for `make bench`: each connection is a thread with a timetable of its
 * own, all of them together send at even distances. Prints one JSON object: answers, how many of
 * them were no 200, and percentiles in microseconds.
 *
 * A request's time begins when it is sent or, where the answer before it came so late that it could
 * not be sent in time, when it should have been: a server that stands still is not asked less often
 * and so looks no better than it is.
 */
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)
#define ANSWER_MAX 65536

static struct {
    int port, connections;
    long rate, seconds;
    const char *path, *body; /* body NULL: GET */
} options = {.connections = 16, .rate = 1000, .seconds = 3, .path = "/"};

static int64_t begin_ns;
static int64_t *took_ns; /* of all requests */
static atomic_size_t answers, failures;

static void stop(const char *what) {
    (void)fprintf(stderr, "banyan-pace: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

static void sleep_until(int64_t ns) {
    const struct timespec t = {.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static int dial(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        stop("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* True: 200. Only answers with a Content-Length can be read. */
static bool ask(int fd, const char *request, size_t len) {
    char answer[ANSWER_MAX];
    size_t have = 0;
    if (write(fd, request, len) != (ssize_t)len)
        stop("cannot send");
    for (;;) {
        ssize_t n = read(fd, answer + have, sizeof answer - 1 - have);
        if (n <= 0)
            stop("no answer");
        answer[have += (size_t)n] = '\0';
        const char *end = strstr(answer, "\r\n\r\n"),
                   *length = strcasestr(answer, "content-length:");
        if (!end)
            continue;
        if (!length || length > end)
            stop("an answer without Content-Length");
        size_t whole = (size_t)(end + 4 - answer) + strtoul(length + 15, NULL, 10);
        if (whole >= sizeof answer)
            stop("an answer that is too long");
        if (have >= whole)
            return strncmp(answer, "HTTP/1.1 200 ", 13) == 0;
    }
}

static void *connection_main(void *argument) {
    const long *number = argument;
    char request[4096];
    int len = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n",
                       options.body ? "POST" : "GET", options.path, options.port);
    if (options.body)
        len += snprintf(request + len, sizeof request - (size_t)len,
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                        strlen(options.body));
    len += snprintf(request + len, sizeof request - (size_t)len, "\r\n%s",
                    options.body ? options.body : "");
    if ((size_t)len >= sizeof request)
        stop("the request is too long");
    int fd = dial();
    prctl(PR_SET_TIMERSLACK, 1UL);
    int64_t distance = SECOND_NS / options.rate, free_at = 0;
    for (long i = *number; i < options.rate * options.seconds; i += options.connections) {
        int64_t due = begin_ns + i * distance;
        if (due > free_at)
            sleep_until(due);
        int64_t sent = due > free_at ? now_ns() : due;
        if (!ask(fd, request, (size_t)len))
            atomic_fetch_add(&failures, 1);
        free_at = now_ns();
        took_ns[atomic_fetch_add(&answers, 1)] = free_at - sent;
    }
    close(fd);
    return NULL;
}

static int order(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double wanted) {
    size_t n = atomic_load(&answers);
    size_t at = (size_t)(wanted * (double)n);
    return n ? (double)took_ns[at < n ? at : n - 1] / 1000 : 0;
}

static void parse_options(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--port") == 0)
            options.port = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--rate") == 0)
            options.rate = strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            options.seconds = strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--connections") == 0)
            options.connections = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--path") == 0)
            options.path = value;
        else if (strcmp(argv[i], "--body") == 0)
            options.body = value;
    }
    if (options.port <= 0 || options.port > 65535 || options.rate < 1 || options.rate > 1000000 ||
        options.seconds < 1 || options.seconds > 600 || options.connections < 1 ||
        options.connections > 1000) {
        (void)fprintf(stderr, "usage: banyan-pace --port PORT [--rate A-SECOND] [--seconds N] "
                              "[--connections N] [--path PATH] [--body JSON]\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    parse_options(argc, argv);
    pthread_t *threads = mem_zalloc((size_t)options.connections, sizeof *threads);
    long *numbers = mem_zalloc((size_t)options.connections, sizeof *numbers);
    took_ns = mem_zalloc((size_t)options.rate * (size_t)options.seconds, sizeof *took_ns);
    begin_ns = now_ns() + SECOND_NS / 20; /* all of them are connected by then */
    for (long i = 0; i < options.connections; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, connection_main, &numbers[i]) != 0)
            stop("no thread");
    }
    for (long i = 0; i < options.connections; i++)
        pthread_join(threads[i], NULL);
    qsort(took_ns, atomic_load(&answers), sizeof *took_ns, order);
    printf("{\"answers\": %zu, \"failures\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"max_us\": %.1f}\n",
           atomic_load(&answers), atomic_load(&failures), percentile(0.5), percentile(0.99),
           percentile(1));
    free(took_ns);
    free(numbers);
    free(threads);
    return 0;
}

/*
 * Asks servers, for tests of src/http.
 *
 *   http_test_client call URL LIMIT_MS [CA [BODY]]     http_call: prints the status and the body
 *   http_test_client kept URL LIMIT_MS [CA]            the same on one connection, once for each
 * line of standard input http_test_client load PORT REQUESTS CONNECTIONS    small JSON posts with
 * keep-alive, one at a time on each connection
 */
#include "http/client.h"
#include "base/buf.h"
#include "base/stop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256

static int call(int argc, char **argv) {
    _cleanup_(buf_release) struct buf body = {.max = HTTP_CLIENT_ANSWER_MAX};
    struct err err = {0};
    int status = 0, ms = 0;
    if (sscanf(argv[3], "%d", &ms) != 1)
        return 2;
    const struct http_call c = {.url = argv[2],
                                .limit_us = (int64_t)ms * 1000,
                                .tls_ca = argc > 4 && *argv[4] ? argv[4] : NULL,
                                .body = argc > 5 ? span_of(argv[5]) : (struct span){0}};
    if (http_call(&c, &status, &body, &err) < 0) {
        printf("%s %s\n", err_code_name(err.code), err.text);
        return 1;
    }
    printf("%d %s", status, buf_text(&body));
    return 0;
}

static int kept(int argc, char **argv) {
    struct http_kept *k = http_kept_new();
    int ms = 0;
    if (sscanf(argv[3], "%d", &ms) != 1)
        return 2;
    for (int c; (c = getchar()) != EOF;) {
        _cleanup_(buf_release) struct buf body = {.max = HTTP_CLIENT_ANSWER_MAX};
        struct err err = {0};
        int status = 0;
        const struct http_call call = {.url = argv[2],
                                       .limit_us = (int64_t)ms * 1000,
                                       .tls_ca = argc > 4 ? argv[4] : NULL,
                                       .kept = k};
        if (c != '\n')
            continue;
        if (http_call(&call, &status, &body, &err) < 0)
            printf("%s %s\n", err_code_name(err.code), err.text);
        else
            printf("%d %s\n", status, buf_text(&body));
        (void)fflush(stdout);
    }
    http_kept_free(k);
    return 0;
}

static const char request[] =
    "POST /json/new-checkout HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Accept: */*\r\nUser-Agent: load\r\nAuthorization: Bearer "
    "evaluate-token-0123\r\nContent-Length: 71\r\n\r\n"
    "{\"context\":{\"targetingKey\":\"user-4711\",\"tenantId\":\"acme\"},\"n\":41,\"x\":1}";

static bool ask(int fd) {
    char answer[4096];
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1)
        return false;
    ssize_t n = recv(fd, answer, sizeof answer - 1, 0); /* a short answer comes in one piece */
    if (n <= 0)
        return false;
    answer[n] = '\0';
    return strncmp(answer, "HTTP/1.1 200", 12) == 0 && strstr(answer, "\"n\":42}");
}

static int load(char **argv) {
    unsigned port = 0;
    int requests = 0, connections = 0, one = 1, fds[CONNECTIONS_MAX];
    if (sscanf(argv[2], "%u", &port) != 1 || sscanf(argv[3], "%d", &requests) != 1 ||
        sscanf(argv[4], "%d", &connections) != 1 || connections > CONNECTIONS_MAX)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    for (int i = 0; i < connections; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&to, sizeof to) < 0) {
            perror("connect");
            return 1;
        }
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    for (int i = 0; i < requests; i++) {
        if (!ask(fds[i % connections])) {
            printf("request %d failed\n", i);
            return 1;
        }
    }
    for (int i = 0; i < connections; i++)
        close(fds[i]);
    printf("%d answered\n", requests);
    return 0;
}

int main(int argc, char **argv) {
    stop_install();
    if (argc >= 4 && strcmp(argv[1], "call") == 0)
        return call(argc, argv);
    if (argc >= 4 && strcmp(argv[1], "kept") == 0)
        return kept(argc, argv);
    if (argc == 5 && strcmp(argv[1], "load") == 0)
        return load(argv);
    fprintf(stderr,
            "usage: http_test_client call URL LIMIT_MS [CA [BODY]] | kept URL LIMIT_MS [CA] | "
            "load PORT REQUESTS CONNECTIONS\n");
    return 2;
}

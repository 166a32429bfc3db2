/*
 * A service for `make bench` that answers every request, without a body of its own, after it has
 * slept for --us microseconds; SIGUSR1 makes it answer nothing at all, SIGUSR2 makes it answer
 * again. One thread a connection.
 */
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 65536

static long sleep_us;
static volatile sig_atomic_t stalled;

static void on_signal(int number) {
    stalled = number == SIGUSR1;
}

static void pause_for(long us) {
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&t, &t) < 0)
        ;
}

/* True: a whole head is there; what stands behind it is thrown away. */
static bool read_request(int fd) {
    char request[REQUEST_MAX];
    size_t have = 0;
    while (have + 1 < sizeof request) {
        ssize_t n = read(fd, request + have, sizeof request - 1 - have);
        if (n <= 0)
            return false;
        request[have += (size_t)n] = '\0';
        if (strstr(request, "\r\n\r\n"))
            return true;
    }
    return false;
}

static void *serve(void *argument) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 "Content-Length: 38\r\n\r\n"
                                 "{\"id\":7,\"name\":\"lamp\",\"price\":12.50}\r\n";
    int fd = *(int *)argument;
    free(argument);
    prctl(PR_SET_TIMERSLACK, 1UL);
    while (read_request(fd)) {
        while (stalled)
            pause_for(10000);
        pause_for(sleep_us);
        if (write(fd, answer, sizeof answer - 1) != (ssize_t)sizeof answer - 1)
            break;
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv) {
    int port = 0, on = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--port") == 0)
            port = (int)strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--us") == 0)
            sleep_us = strtol(argv[i + 1], NULL, 10);
    }
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGUSR1, on_signal);
    (void)signal(SIGUSR2, on_signal);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (port <= 0 || sleep_us < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 256) < 0) {
        perror("banyan-sleeper --port PORT --us MICROSECONDS");
        return 1;
    }
    for (;;) {
        int *fd = mem_zalloc(1, sizeof *fd); /* its thread's */
        pthread_t thread;
        while ((*fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
            continue;
        setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, NULL, serve, fd) == 0) {
            pthread_detach(thread);
        } else {
            close(*fd);
            free(fd);
        }
    }
}

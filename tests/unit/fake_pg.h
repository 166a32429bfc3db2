/* A server that speaks as much of PostgreSQL's protocol (manual, 55) as a session of ours needs to
 * begin: plain queries have answers, prepared statements none. */
#ifndef TEST_FAKE_PG_H
#define TEST_FAKE_PG_H

#include "base/buf.h"

#include <endian.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_PG_SESSIONS 8
#define FAKE_PG_BACKLOG 8

struct fake_pg {
    int listener;
    int port;
    int takes; /* as many connections, then no more */
    pthread_t acceptor;
    pthread_t threads[FAKE_PG_SESSIONS];
    int fds[FAKE_PG_SESSIONS];
    bool shut;
    int fill[FAKE_PG_BACKLOG + 1];
};

/* A socket of a free port of 127.0.0.1; nobody takes its connections. */
static inline int fake_pg_listen(int backlog, int *ret_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        abort();
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* From now on a port drops packets of those who want to connect: Linux does so where the backlog is
 * full (of connections that stand, so this waits for each). fds: to be closed. */
static inline void fake_pg_fill(int port, int *fds, int count) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    for (int i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fds[i], (struct sockaddr *)&address, sizeof address) < 0)
            abort();
    }
}

static inline void fake_pg_message(struct buf *out, char type, const void *body, size_t len) {
    uint32_t all = htobe32((uint32_t)len + 4);
    buf_add_char(out, type);
    buf_add(out, &all, sizeof all);
    buf_add(out, body, len);
}

/* One row of `columns` columns of text, each of them "f". */
static inline void fake_pg_row(struct buf *out, size_t columns) {
    _cleanup_(buf_release) struct buf head = {.max = 4096}, row = {.max = 4096};
    uint16_t count = htobe16((uint16_t)columns);
    buf_add(&head, &count, sizeof count);
    buf_add(&row, &count, sizeof count);
    for (size_t i = 0; i < columns; i++) {
        /* no table, no column of it; text (25), of any length, no modifier, as text */
        buf_add(&head,
                "v\0"
                "\0\0\0\0"
                "\0\0"
                "\0\0\0\x19"
                "\xff\xff"
                "\xff\xff\xff\xff"
                "\0\0",
                20);
        buf_add(&row, "\0\0\0\1f", 5);
    }
    fake_pg_message(out, 'T', head.data, head.len);
    fake_pg_message(out, 'D', row.data, row.len);
}

static inline bool fake_pg_read(int fd, void *bytes, size_t len) {
    return len == 0 || recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len;
}

static inline bool fake_pg_send(int fd, const struct buf *out) {
    return send(fd, out->data, out->len, MSG_NOSIGNAL) == (ssize_t)out->len;
}

static inline void fake_pg_answer_query(const char *sql, struct buf *out) {
    size_t columns = 1;
    for (const char *p = sql; (p = strstr(p, "set_config")); p++)
        columns++;
    if (columns > 1)
        fake_pg_row(out, columns);
    fake_pg_message(out, 'C', "SELECT 1", 9);
}

/* Message by message, until the other end goes. */
static inline void fake_pg_serve(int fd) {
    char body[8192], head[5];
    for (;;) {
        _cleanup_(buf_release) struct buf out = {.max = 65536};
        uint32_t len;
        if (!fake_pg_read(fd, head, sizeof head))
            return;
        memcpy(&len, head + 1, sizeof len);
        len = be32toh(len) - 4;
        if (len >= sizeof body || !fake_pg_read(fd, body, len))
            return;
        body[len] = '\0';
        if (head[0] != 'Q')
            continue;
        fake_pg_answer_query(body, &out);
        fake_pg_message(&out, 'Z', "I", 1);
        if (!fake_pg_send(fd, &out))
            return;
    }
}

static inline void *fake_pg_session(void *argument) {
    int fd = *(int *)argument;
    static const char version[] = "server_version\0"
                                  "15.0";
    _cleanup_(buf_release) struct buf out = {.max = 4096};
    char start[4096];
    uint32_t len;
    if (!fake_pg_read(fd, &len, sizeof len) || be32toh(len) > sizeof start ||
        !fake_pg_read(fd, start, be32toh(len) - 4))
        return NULL;
    fake_pg_message(&out, 'R', "\0\0\0\0", 4);
    fake_pg_message(&out, 'S', version, sizeof version);
    fake_pg_message(&out, 'K', "\0\0\0\1\0\0\0\1", 8);
    fake_pg_message(&out, 'Z', "I", 1);
    if (fake_pg_send(fd, &out))
        fake_pg_serve(fd);
    return NULL;
}

static inline void *fake_pg_main(void *argument) {
    struct fake_pg *f = argument;
    for (int i = 0; i < f->takes; i++) {
        f->fds[i] = accept(f->listener, NULL, NULL);
        if (f->fds[i] < 0 || pthread_create(&f->threads[i], NULL, fake_pg_session, &f->fds[i]) != 0)
            abort();
    }
    return NULL;
}

/* `takes`: connections that will come, all of them. */
static inline void fake_pg_start(struct fake_pg *f, int takes) {
    *f = (struct fake_pg){.takes = takes};
    f->listener = fake_pg_listen(FAKE_PG_BACKLOG, &f->port);
    if (pthread_create(&f->acceptor, NULL, fake_pg_main, f) != 0)
        abort();
}

/* All have come: from now on it drops packets of others. */
static inline void fake_pg_shut(struct fake_pg *f) {
    pthread_join(f->acceptor, NULL);
    f->shut = true;
    fake_pg_fill(f->port, f->fill, FAKE_PG_BACKLOG + 1);
}

static inline void fake_pg_stop(struct fake_pg *f) {
    if (!f->shut)
        pthread_join(f->acceptor, NULL);
    for (int i = 0; f->shut && i <= FAKE_PG_BACKLOG; i++)
        (void)close(f->fill[i]);
    for (int i = 0; i < f->takes; i++) {
        (void)shutdown(f->fds[i], SHUT_RDWR);
        pthread_join(f->threads[i], NULL);
        (void)close(f->fds[i]);
    }
    (void)close(f->listener);
}

#endif

/*
 * One connection that is kept, and the exchange on it: told what its socket is ready for, it goes
 * on as far as it comes without waiting. Private to http/ (keep.h waits).
 *
 *   NONE --call_begin--> CONNECTING --> SENDING --> RECEIVING --> ENDED --call_end--> NONE
 *                 |          ^             ^            |
 *                 |          +--a kept one was stale----+
 *                 +--a kept connection-----+
 */
#ifndef BANYAN_HTTP_CALL_H
#define BANYAN_HTTP_CALL_H

#include "http/keep.h"
#include "http/reply.h"

#include <netdb.h>

enum call_step { CALL_NONE, CALL_CONNECTING, CALL_SENDING, CALL_RECEIVING, CALL_ENDED };

struct call {
    char url[280], host[280], port[8]; /* as asked, and its parts */
    int fd;                            /* -1: none */
    int64_t used_us;
    struct buf in;

    enum call_step step;
    struct http_ask ask;
    void *owner;
    bool kept; /* on a connection that was there before */
    bool late;
    int64_t began_us, until_us;
    int64_t began_wall_us, came_wall_us; /* came: the last bytes, says the kernel; 0: it does not */
    int64_t took_us;
    struct addrinfo *found, *next; /* found: owned */
    size_t sent;
    struct http_reading reading;
    int rc;
    struct err err; /* of rc */
};

/* `c` is NONE, with the host and port of the ask, and perhaps a connection to it. */
void call_begin(struct call *c, const struct http_ask *ask, void *owner, int64_t now_us);
/* POLLIN or POLLOUT; 0: nothing is under way. */
short call_wants(const struct call *c);
/* The socket is ready. */
void call_go_on(struct call *c);
/* Ends it if its time is over, or it is to stop. */
void call_check(struct call *c, int64_t now_us);
/* NONE again; what came stays readable. */
void call_end(struct call *c);
void call_hang_up(struct call *c);

#endif

/*
 * One connection: what its parts share. Private to http/. @thread its loop
 *
 *   HEAD --head complete--> BODY --body complete--> (handler) --answered--> HEAD
 *                            |                          |
 *                            |                          +--> STREAM   until the client or we end it
 *                            +--HTTP_SLOW--> WORKING --given back--> HEAD
 *   any of these --to be closed, all is sent--> LINGER --client's end, or time is over--> DEAD
 *
 * HEAD, BODY: input is read, unless more than HTTP_PIPELINED_MAX bytes of answers wait.
 * WORKING: nothing is read, so that the request stays where it is.
 * LINGER: input is read and thrown away: closing with unread input would make the kernel send a
 *   reset, and the client might lose our answer.
 * DEAD: freed when the call from the loop ends (settle), but not before a worker has given back
 * what it was lent; nothing else frees a connection there.
 */
#ifndef BANYAN_HTTP_CONNECTION_H
#define BANYAN_HTTP_CONNECTION_H

#include "http/server.h"

#include <netinet/in.h>

#define CONNECTION_ROUNDS 16             /* of reading and handling, until others have their turn */
#define CONNECTION_BODY_ROOM 65536       /* bytes to read at once of a body */
#define CONNECTION_KEEP_BYTES (64 << 10) /* memory of a buffer that a connection keeps */

enum connection_state {
    STATE_HEAD,
    STATE_BODY,
    STATE_WORKING,
    STATE_STREAM,
    STATE_LINGER,
    STATE_DEAD
};

struct http_connection {
    struct http_loop *loop;
    struct http_connection *prev, *next;
    int fd;
    SSL *ssl; /* NULL: plain */
    struct event read_event, write_event;
    bool reading, writing; /* which of them is added */
    bool read_wants_write; /* TLS */
    enum connection_state state;
    int64_t now_us;      /* of this call from the loop */
    int64_t deadline_us; /* of the state */
    int64_t write_us;    /* when the client must have taken a byte of the output */
    int64_t begun_us;    /* this request's first byte; 0: none yet */
    int64_t handled_us;  /* when handling it began */
    bool close;          /* after what is in the output */
    bool held;           /* there may be input that was not handled because takes_input was false */
    bool end;            /* the client sends no more */

    struct buf in;
    size_t at; /* in `in`: where the request begins */
    struct http_head head;
    struct http_chunks chunks;
    struct http_match match;
    struct http_asker asker;

    struct buf out;
    size_t sent;

    struct http_exchange *exchange; /* lent to a worker */
    bool has_slot;                  /* of the streams */
    int channel;
    uint64_t place;
    bool caught_up;
    int64_t heartbeat_us;
    char peer[INET6_ADDRSTRLEN + 10];
};

static inline size_t connection_unsent(const struct http_connection *c) {
    return c->out.len - c->sent;
}

/* What was read and is not handled yet. */
static inline struct span connection_input(const struct http_connection *c) {
    return c->in.data ? span_make(c->in.data + c->at, c->in.len - c->at) : SPAN_LIT("");
}

/* connection.c: calls from the loop, each of which may free the connection. */
void http_connection_new(struct http_loop *loop, int fd, const struct sockaddr *peer, bool refused);
void http_connection_free(struct http_connection *c);
void http_connection_returned(struct http_exchange *x);
void http_connection_tick(struct http_connection *c, int64_t now_us);
void http_connection_stop(struct http_connection *c, int64_t stop_us);
void http_connection_events(struct http_connection *c); /* of the hub, for a stream */

/* connection_bytes.c: to and from the socket */

/* Reads and handles, until others have their turn. */
void connection_pump(struct http_connection *c);
/* Sends what the socket takes. */
void connection_flush(struct http_connection *c);
void connection_throw_away(struct http_connection *c);
void connection_linger(struct http_connection *c);

/* connection_request.c: what was read becomes requests */

bool connection_takes_input(const struct http_connection *c);
/* Handles what has been read. */
void connection_run(struct http_connection *c);

/* connection_answer.c: what goes to the output */

/* What the handler has filled becomes the answer. */
void connection_answer(struct http_connection *c, struct http_exchange *x);
/* OPTIONS: what is possible here; the browser's question before a request from another site too. */
void connection_answer_options(struct http_connection *c);
/* An answer of our own to a request whose body is not wanted. */
void connection_refuse(struct http_connection *c, int status, const char *code, const char *message,
                       const char *way_out);
/* The bytes are no request: nothing behind them can be believed. */
void connection_refuse_bytes(struct http_connection *c, int status, const char *why);
/* Events of the hub go to the output, as much as fits. */
void connection_fill_stream(struct http_connection *c);

#endif

/*
 * What the parts of the server share. Private to http/.
 *
 * A loop owns its connections: only its thread touches them, except that a connection in the state
 * WORKING lends its exchange to a worker until that hands it back (loop_return).
 */
#ifndef BANYAN_HTTP_SERVER_H
#define BANYAN_HTTP_SERVER_H

#include "base/queue.h"
#include "http/guard.h"
#include "http/http.h"
#include "http/hub.h"
#include "http/openssl.h"
#include "http/request.h"
#include "http/route.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>

#define HTTP_LINGERING_US INT64_C(2000000) /* for the client's end of a closed connection */
#define HTTP_LINGERING_MAX 64              /* refused connections that wait for theirs */
#define HTTP_WORKERS_MAX 64

/* Threads that run handlers which wait, and what waits for them. */
struct http_crew {
    struct http_server *server;
    struct queue *work; /* struct http_exchange */
    pthread_t threads[HTTP_WORKERS_MAX];
    size_t count;
};

struct http_counters {
    _Atomic uint64_t connections, streams, accepted, refused, events, streams_cut;
    _Atomic uint64_t unknown_host, not_allowed, malformed, slow;
    _Atomic uint64_t requests[6];
};

/* One request and its answer, while a handler has them. */
struct http_exchange {
    struct http_request request;
    struct http_response response;
    struct arena arena;
    const struct http_route *route;
    struct http_connection *connection;
};

void http_exchange_init(struct http_exchange *x);
void http_exchange_clear(struct http_exchange *x); /* keeps memory for the next */
void http_exchange_release(struct http_exchange *x);

struct http_loop {
    struct http_server *server;
    struct http_service *service;
    struct event_base *base;
    struct event accept, wake, tick;
    int listen_fd, wake_fd;
    bool stopping;
    int64_t stop_us; /* monotonic: when what is left is cut */
    struct http_connection *connections;
    struct http_exchange exchange; /* for handlers that run here */
    char date[64];                 /* "Date: ...\r\n" of this second */
    size_t date_len;
    int64_t date_second;
    _Atomic uint64_t streams; /* of this loop */
    atomic_bool waking;       /* wake_fd was written and not yet read */
    pthread_mutex_t lock;     /* of `returned` */
    struct http_exchange *returned[HTTP_CONNECTIONS_MAX + HTTP_LINGERING_MAX];
    size_t returned_count;
    pthread_t thread;
    bool started;
};

/* One listener at work. */
struct http_service {
    const struct http_listener *config;
    struct http_guard guard;
    struct http_router router;
    char address[128];
    pthread_mutex_t tls_lock;
    SSL_CTX *tls; /* NULL: plain */
    struct http_loop *loops;
    size_t loop_count;
};

struct http_server {
    struct http_service services[HTTP_LISTENERS_MAX];
    size_t service_count;
    http_observe_fn observe;
    void *observe_context;
    struct http_counters counters;
    struct http_hub hub;
    struct http_crew slow, data;
    atomic_bool stopping;
    atomic_bool cutting; /* the time to stop is over: work that has not begun is dropped */
};

/* loop.c */
int http_loop_init(struct http_loop *loop, struct http_service *service, struct http_server *server,
                   int listen_fd, struct err *err) must_check;
void http_loop_release(struct http_loop *loop);
void *http_loop_main(void *argument);        /* struct http_loop */
void http_loop_wake(struct http_loop *loop); /* any thread */
/* A worker gives an exchange back. Any thread. */
void http_loop_return(struct http_loop *loop, struct http_exchange *x);

/* response.c: an answer, head and body, appended to `out`. */
struct http_outgoing {
    const struct http_response *response;
    struct span cors_origin;
    const char *date;
    size_t date_len;
    bool close, head_only;
    unsigned allowed; /* for Allow; 0: none */
};
void http_answer_write(const struct http_outgoing *a, struct buf *out);

#endif

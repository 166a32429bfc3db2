/*
 * The HTTP/1.1 server: admin API, dashboard, OFREP, /metrics and /health.
 *
 *   struct http_listener admin = {.address = "127.0.0.1:8420", .key = "listen", .threads = 1,
 *                                 .routes = routes, .route_count = n};
 *   http_server_start(&(struct http_config){.listeners = &admin, .listener_count = 1}, &server,
 * err)
 *
 * Each thread of a listener has an event loop and a listening socket of its own (SO_REUSEPORT).
 * Handlers run in the loop: they must not wait; a route with HTTP_SLOW runs in one of the worker
 * threads instead (state, databases). A handler reads the request, fills the response, and returns;
 * both are gone afterwards. Everything that a listener points to must live until the server stops.
 *
 * Not accepted, on purpose: obs-fold, bare LF, absolute-form targets, chunk extensions, trailers,
 * more than one Content-Length, Content-Length with Transfer-Encoding: nothing that two readers of
 * one message could read in two ways.
 *
 * Who may do what: docs in http/guard.h. An address that is not loopback needs tokens and TLS (or
 * insecure); a Host header that is not known gets 421; cross-site requests change and read nothing
 * but what a route with HTTP_CORS gives to the listener's origins.
 */
#ifndef BANYAN_HTTP_HTTP_H
#define BANYAN_HTTP_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/span.h"

#include <stdatomic.h>
#include <stdint.h>

/* Limits. The status is what a client gets that passes one. */
#define HTTP_LINE_MAX 8192              /* request line; 414 */
#define HTTP_HEAD_MAX 32768             /* request line and headers, bytes; 431 */
#define HTTP_HEADERS_MAX 100            /* 431 */
#define HTTP_BODY_MAX 1000000           /* 413 */
#define HTTP_BODY_ANYONE_MAX 16384      /* of a route that takes anybody; 413 */
#define HTTP_ANSWER_MAX (16 << 20)      /* body of a response; 500 */
#define HTTP_CONNECTIONS_MAX 1000       /* of a server; 503 and close */
#define HTTP_HEAD_US INT64_C(10000000)  /* first byte to the end of the headers, TLS too; 408 */
#define HTTP_BODY_US INT64_C(30000000)  /* end of the headers to the end of the body; 408 */
#define HTTP_WRITE_US INT64_C(30000000) /* no byte of the response taken: cut */
#define HTTP_IDLE_US INT64_C(60000000)  /* keep-alive without a request: closed */
#define HTTP_PIPELINED_MAX (64 << 10)   /* bytes of answers that wait: no more requests are read */
#define HTTP_STREAMS_MAX 200            /* server-sent events; 503 */
#define HTTP_STREAM_QUEUED_MAX (256 << 10) /* bytes a stream may be behind: cut */
#define HTTP_STREAM_US INT64_C(15000000)   /* heartbeat */
#define HTTP_EVENT_MAX (64 << 10)          /* bytes of one event; a longer one is not sent */
#define HTTP_RING 1000                     /* events of a channel that can be replayed */
#define HTTP_RING_BYTES (4 << 20)          /* of a channel: older events are forgotten */
#define HTTP_CHANNELS 4
#define HTTP_PARAMETERS 4 /* {parameters} of a route */
#define HTTP_ROUTES_MAX 200
#define HTTP_LISTENERS_MAX 4
#define HTTP_THREADS_MAX 64    /* of a listener */
#define HTTP_SESSIONS_MAX 1000 /* logins by cookie; the oldest ends */
#define HTTP_SESSION_US (INT64_C(12) * 3600 * 1000000)
#define HTTP_TICKET_US (INT64_C(30) * 60 * 1000000) /* a ticket lasts once to twice that */
#define HTTP_TICKET_TEXT 32                         /* hexadecimal characters */
#define HTTP_TOKEN_MIN 16             /* bytes of a token, for an address off loopback */
#define HTTP_JSON_NODES 20000         /* values in the JSON body of a request; 400 */
#define HTTP_STOP_US INT64_C(5000000) /* for answers under way, at the end */

/* Rights: an operator has them all; a viewer looks; evaluate (OFREP) and edge (a gateway on another
 * machine) have routes of their own, and neither look nor change. */
enum http_role { HTTP_ANYONE, HTTP_EVALUATE, HTTP_EDGE, HTTP_VIEWER, HTTP_OPERATOR };

const char *http_role_name(enum http_role role); /* "anyone", "evaluate", "edge" ... */

struct http_connection;
struct http_head;

struct http_request {
    const char *method;                     /* "GET" (for HEAD as well), "POST" ... */
    struct span path;                       /* as sent, without the query */
    struct span query;                      /* as sent, without '?' */
    struct span body;                       /* decoded from chunks */
    struct span parameter[HTTP_PARAMETERS]; /* {parts} of the route, decoded, valid UTF-8 */
    enum http_role role;                    /* of who asks; at least the route's */
    const char *who;                        /* for the audit: "operator", "viewer", "local" ... */
    const char *peer;                       /* "127.0.0.1:40312" */
    struct arena *arena;                    /* for the handler: freed with the request */
    int64_t now_us;                         /* monotonic, at the start of this request */
    const struct http_head *head;           /* private from here on */
    struct http_connection *connection;
};

/* The value of a header (name in any case), ptr NULL: not there. */
struct span http_header(const struct http_request *r, const char *name);

/* A parameter of the query, decoded ('+' is a blank), ptr NULL: not there or not valid UTF-8. */
struct span http_query(const struct http_request *r, const char *name);
/* A whole number from `least` to `most`; false: there, but not that. Absent leaves *value alone. */
bool http_query_int(const struct http_request *r, const char *name, int64_t least, int64_t most,
                    int64_t *value) must_check;

/* The event that tells a client of a stream that it may have missed some. */
struct http_lost {
    const char *type, *data; /* static; the data a line */
};

struct http_response {
    int status;               /* 200 unless the handler says otherwise */
    const char *content_type; /* static text; "application/json" */
    struct buf headers;       /* "Name: value\r\n" each: http_add_header */
    struct buf body;
    struct span fixed; /* instead of body: bytes that live as long as the server */
    int stream;        /* private: channel + 1 */
    struct http_lost lost;
};

/* Asserts that neither holds a control character. A Cache-Control of ours (no-store) is sent where
 * the handler adds none. */
void http_add_header(struct http_response *a, const char *name, const char *value);

/* {"error":{"code":"not_found","message":"...","way_out":"..."}}; way_out NULL: left out. Replaces
 * what the body had. */
void http_error(struct http_response *a, int status, const char *code, const char *message,
                const char *way_out);
/* From an error of ours: ERR_NO and ERR_USAGE 400, ERR_BUSY 409, ERR_UNREACHABLE 502 ..., else 500.
 */
void http_error_from(struct http_response *a, const struct err *err);

/* 304 without a body if the request has this ETag in If-None-Match (`etag` with its quotes); adds
 * the header ETag either way. True: 304, the handler is done. */
bool http_not_modified(const struct http_request *r, struct http_response *a, const char *etag);

/* The body as JSON, in the request's arena. False: the response has become the error (400 with the
 * place of the mistake, 415). */
bool http_json_body(const struct http_request *r, struct http_response *a,
                    struct json_doc *ret) must_check;

typedef void (*http_handler)(const struct http_request *r, struct http_response *a, void *context);

enum http_route_flags {
    HTTP_SLOW = 1,   /* runs in a worker thread */
    HTTP_CORS = 2,   /* the listener's origins may ask from a browser */
    HTTP_DATA = 4,   /* runs in one of the threads that are kept for requests of applications */
    HTTP_TICKET = 8, /* ?ticket= in its address is as good as the token `evaluate` */
};

struct http_route {
    const char *method; /* "GET" answers HEAD too */
    const char *path;   /* "/v1/modules/{module}/pause"; a part is a text or one {parameter}; a last
                           part {name*} takes the rest of the path, slashes and all */
    enum http_role role; /* that it takes */
    http_handler handler;
    void *context;
    unsigned flags;
};

/* A ticket for a route with HTTP_TICKET, named by its path, for who asked `r`: for an address that
 * a client opens without headers. Good at the listener that was asked, for HTTP_TICKET_US at least,
 * until the server stops. False: this listener has no tokens, so none is needed. */
bool http_ticket(const struct http_request *r, const char *path,
                 char text[HTTP_TICKET_TEXT + 1]) must_check;

/* Handlers for login and logout by cookie, for a route of role HTTP_ANYONE each (context unused):
 * POST {"token":"..."} -> {"role":"operator"} and the cookie; 401 else. Changes by cookie need the
 * header X-Banyan-CSRF (any value) and an Origin that is ours. */
void http_login(const struct http_request *r, struct http_response *a, void *context);
void http_logout(const struct http_request *r, struct http_response *a, void *context);

struct http_listener {
    const char *address; /* "127.0.0.1:8420", "[::1]:8420", "localhost:0"; port 0: any free one */
    const char *key;     /* of the configuration, for errors: "listen", "ofrep.listen" */
    unsigned threads;    /* 0: 1 */
    const struct http_route *routes;
    size_t route_count;
    const char *token_viewer, *token_operator, *token_evaluate, *token_edge; /* NULL: none */
    const char *tls_cert, *tls_key, *tls_client_ca; /* files (PEM); NULL: none */
    bool insecure;            /* an address off loopback without tokens or TLS is meant */
    const char *const *hosts; /* more names in Host */
    size_t host_count;
    const char *const *origins; /* "https://app.example"; "*": any */
    size_t origin_count;
};

/* Called in the thread that handled it, after each response; must return at once. */
typedef void (*http_observe_fn)(void *context, const struct http_route *route /* NULL: none */,
                                int status, int64_t took_us);

struct http_config {
    const struct http_listener *listeners;
    size_t listener_count;
    unsigned workers;      /* for HTTP_SLOW; 0: 2 */
    unsigned data_workers; /* for HTTP_DATA; started where there is such a route */
    http_observe_fn observe;
    void *observe_context;
};

struct http_server;

/* Listens and starts the threads. Errors name the keys of the configuration. @thread main */
int http_server_start(const struct http_config *config, struct http_server **ret_server,
                      struct err *err) must_check;

/* No new connections; answers under way end (HTTP_STOP_US at most), streams and the rest close;
 * joins and frees. NULL is fine. @thread main */
void http_server_stop(struct http_server *server);

/* Reads certificates and keys again, for new connections; on failure the old ones stay. @thread
 * main */
int http_server_reload_tls(struct http_server *server, struct err *err) must_check;

/* "127.0.0.1:8420" with the port in use. */
const char *http_server_address(const struct http_server *server, size_t listener);

struct http_counts {
    uint64_t connections;       /* open now */
    uint64_t streams;           /* open now */
    uint64_t accepted, refused; /* ever; refused: over HTTP_CONNECTIONS_MAX */
    uint64_t unknown_host;      /* ever: requests for a name that is not ours */
    uint64_t not_allowed;     /* ever: of another site, without a token or with too small a role */
    uint64_t malformed, slow; /* ever: connections ended for what they sent, or did not in time */
    uint64_t requests[6]; /* ever, by the first digit of the status; [0]: cut before an answer */
    uint64_t events, streams_cut;
};
void http_server_counts(const struct http_server *server, struct http_counts *ret); /* any thread */

/* Makes the response a stream of server-sent events of a channel (0 to HTTP_CHANNELS - 1). Events
 * later than Last-Event-ID are sent again; `lost` comes first where that is no longer possible (too
 * old, or another run of the server): the client asks for everything anew. */
void http_stream(struct http_response *a, int channel, struct http_lost lost);

/* Sends an event to the streams of a channel. `type` is one word; `data` is UTF-8, of any lines.
 * Any thread; never waits for a client. */
void http_publish(struct http_server *server, int channel, const char *type, struct span data);

#endif

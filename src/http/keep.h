/*
 * A client that keeps its connections: many small requests to a few services, plain HTTP/1.1.
 *
 * The caller writes the request's bytes, head and all; an answer is borrowed until the next one. A
 * request goes out a second time, on a fresh connection, only where a kept one turns out to be
 * closed before any byte of an answer has come: so it is for reads. Waits in the calling thread;
 * one thread a keeper.
 */
#ifndef BANYAN_HTTP_KEEP_H
#define BANYAN_HTTP_KEEP_H

#include "base/err.h"
#include "base/span.h"

#include <stdatomic.h>

#define HTTP_KEPT_MAX 16                       /* connections; the one unused for longest ends */
#define HTTP_KEPT_IDLE_US INT64_C(30000000)    /* unused for so long: not used again */
#define HTTP_KEPT_ANSWER_MAX (4 * 1024 * 1024) /* memory that a kept connection may hold */

struct http_keeper;
struct http_keeper *http_keeper_new(void);
void http_keeper_free(struct http_keeper *k); /* NULL is fine */

struct http_ask {
    const char *url;     /* http://host[:port]; what follows does not count */
    struct span request; /* the whole of it */
    bool is_head;        /* HEAD: the answer has no body */
    int64_t limit_us;    /* for everything but the lookup of the host's name */
    size_t answer_max;   /* bytes of the body */
    const atomic_bool *stop;
};

struct http_answer {
    int status;
    struct span head; /* with its empty line */
    struct span body;
};

/* ERR_CONF: not such a URL; ERR_UNREACHABLE (retriable): nobody answers, or not in time (*ret_late,
 * where it is not NULL, says which); ERR_WIRE: no HTTP; ERR_LIMIT: too long; ERR_STOPPED. */
int http_keeper_ask(struct http_keeper *k, const struct http_ask *ask, struct http_answer *ret,
                    bool *ret_late, struct err *err) must_check;

/* The value of a header of an answer's or a request's head (its first line is passed over); ptr
 * NULL: not there. `from` NULL, or a value that was returned: the next one of that name. Pure. */
struct span http_head_value(struct span head, const char *name, const char *from);

#endif

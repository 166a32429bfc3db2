/*
 * A client that keeps its connections: many small requests to a few services, plain HTTP/1.1, many
 * of them under way at one time.
 *
 * The caller writes the request's bytes, head and all. A request goes out a second time, on a fresh
 * connection, only where a kept one turns out to be closed before any byte of an answer has come:
 * so it is for reads. Only http_keeper_wait waits, and the lookup of a host's name; one thread a
 * keeper.
 */
#ifndef BANYAN_HTTP_KEEP_H
#define BANYAN_HTTP_KEEP_H

#include "base/err.h"
#include "base/span.h"

#include <stdatomic.h>

#define HTTP_KEPT_MAX 64                    /* connections; the one unused for longest ends */
#define HTTP_KEPT_IDLE_US INT64_C(30000000) /* unused for so long: not used again */
#define HTTP_KEPT_ANSWER_MAX (64 * 1024)    /* memory that an idle connection holds */

struct http_keeper;
struct http_keeper *http_keeper_new(void);
/* What is under way is given up. NULL is fine. */
void http_keeper_free(struct http_keeper *k);

struct http_ask {
    const char *url;     /* http://host[:port], at most 279 bytes; what follows does not count */
    struct span request; /* the whole of it; stays until the end */
    bool is_head;        /* HEAD: the answer has no body */
    int64_t limit_us;    /* for everything but the lookup of the host's name */
    size_t answer_max;   /* bytes of the body */
    const atomic_bool *stop; /* NULL: nobody says stop */
};

struct http_answer {
    int status;
    struct span head; /* with its empty line */
    struct span body;
};

/* An exchange that has ended. */
struct http_done {
    void *owner;
    /* ERR_UNREACHABLE (retriable): nobody answers, or not in time; ERR_WIRE: no HTTP; ERR_LIMIT:
     * too long; ERR_STOPPED. */
    int rc;
    const struct err *err;     /* of rc */
    bool late;                 /* it was not in time */
    int64_t began_us;          /* clock_mono_us */
    int64_t took_us;           /* until the last bytes came, even if nobody was waiting then */
    struct http_answer answer; /* rc is 0 */
};

/* `owner` comes back with its end. ERR_CONF: no such URL; ERR_LIMIT: HTTP_KEPT_MAX are under way.
 */
int http_keeper_begin(struct http_keeper *k, const struct http_ask *ask, void *owner,
                      struct err *err) must_check;
/* One that has ended; false: there is none. What it points to stays until the keeper is called
 * again. */
bool http_keeper_next(struct http_keeper *k, struct http_done *ret) must_check;
/* Goes on with all that is under way, until one has ended, `wake_fd` (-1: none) can be read, or
 * wait_us are over. True: it can be read. */
bool http_keeper_wait(struct http_keeper *k, int wake_fd, int64_t wait_us);

/* The value of a header of an answer's or a request's head (its first line is passed over); ptr
 * NULL: not there. `from` NULL, or a value that was returned: the next one of that name. Pure. */
struct span http_head_value(struct span head, const char *name, const char *from);

#endif

/*
 * A small HTTP/1.1 client: one request, one bounded answer, a deadline over everything but the
 * lookup of the host's name, which the system's resolver bounds. No redirects, no proxies, no
 * credentials in URLs. https verifies the server's certificate and name.
 *
 * Waits in the calling thread. Any thread.
 */
#ifndef BANYAN_HTTP_CLIENT_H
#define BANYAN_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#include <stdatomic.h>

#define HTTP_CLIENT_ANSWER_MAX 1000000 /* bytes of an answer's body */
#define HTTP_CLIENT_URL_MAX 4096

/* A connection that is kept between calls to one server with the same certificates. One thread at a
 * time. A server may close it at any moment: a call that finds it closed makes a new one, and one
 * during which it breaks fails as any other does. */
struct http_kept;
struct http_kept *http_kept_new(void);
void http_kept_free(struct http_kept *k); /* NULL is fine */

struct http_call {
    const char *method; /* NULL: GET, with a body POST */
    const char *url;    /* http://host[:port]/path or https:// */
    struct span body;
    const char *content_type;       /* NULL: application/json, where there is a body */
    const char *token;              /* Authorization: Bearer; NULL: none */
    const char *headers;            /* more, "Name: value\r\n" each; NULL: none */
    const char *tls_ca;             /* file of certificates to believe; NULL: the system's */
    const char *tls_cert, *tls_key; /* of ours; NULL: none */
    int64_t limit_us;               /* for everything */
    size_t answer_max;              /* 0: HTTP_CLIENT_ANSWER_MAX */
    struct http_kept *kept;         /* taken from here, left here; NULL: closed afterwards */
    const atomic_bool *stop;        /* ends it with ERR_STOPPED soon after it is set; NULL: none */
    bool
        *refused; /* set where ERR_UNREACHABLE is sure to mean that nobody listens; NULL: unasked */
};

/* 0 with any status; the body is appended to `ret_body` (initialised by the caller; NULL: thrown
 * away). ERR_CONF: not such a URL or certificate file; ERR_UNREACHABLE (retriable): nobody answers,
 * or not in time; ERR_WIRE: no HTTP; ERR_LIMIT: too long; ERR_STOPPED. No error has the URL's query
 * or the path: webhooks have their secret there. */
int http_call(const struct http_call *call, int *ret_status, struct buf *ret_body,
              struct err *err) must_check;

/* The same for a JSON body whose answer does not matter. */
int http_post_json(const char *url, struct span body, int64_t limit_us, const atomic_bool *stop,
                   int *ret_status, struct err *err) must_check;

/* Parts of a URL; spans point into it. Pure. */
struct http_url {
    bool tls;
    struct span host; /* without brackets */
    struct span port; /* digits; "80" or "443" if it has none */
    struct span authority;
    struct span target; /* "/path?query"; "/" at least */
};
int http_url_parse(const char *url, struct http_url *ret, struct err *err) must_check;

#endif

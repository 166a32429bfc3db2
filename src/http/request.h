/*
 * The strict reader of HTTP/1.1 requests. Pure: bytes in, offsets out. Private to http/.
 *
 * What arrives is kept in one block of memory that may move while it grows, so a head holds offsets
 * from the request's first byte. Give it the block again when more has arrived; it goes on where it
 * was. Every mistake ends the connection with the status that the reader names.
 */
#ifndef BANYAN_HTTP_REQUEST_H
#define BANYAN_HTTP_REQUEST_H

#include "http/http.h"

#include <stddef.h>

struct http_part {
    uint32_t at, len;
};

struct http_field {
    struct http_part name, value;
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER /* a token, but none of these: 501 */
};

const char *http_method_name(enum http_method m); /* "GET" ...; "" */

/* http_head_clear before a request. */
struct http_head {
    uint32_t scanned;  /* bytes that were looked at for the end of the head */
    uint32_t line_len; /* of the request line, once its end was seen */
    uint32_t len;      /* of the whole head, with its empty line */
    enum http_method method;
    struct http_part path, query;
    uint32_t field_count;
    uint64_t length; /* of the body, if not chunked */
    bool chunked, close, expects_continue;
    const char *base;                           /* where the request is, while it is handled */
    struct http_field fields[HTTP_HEADERS_MAX]; /* last: the first field_count are set */
};

static inline void http_head_clear(struct http_head *head) {
    memset(head, 0, offsetof(struct http_head, fields));
}

/* 1: complete; 0: more bytes are needed; else minus the status (400, 414, 431, 501, 505), with the
 * reason in *ret_why (static text). */
int http_head_read(struct http_head *head, struct span bytes, const char **ret_why) must_check;

/* The value of a header; ptr NULL: not there. base must be set. */
struct span http_head_field(const struct http_head *head, const char *name);

/* Takes chunks apart in place: `data` is where the body begins, `len` the bytes there are from
 * there. What was read is moved together at `data`. Zeroed before a body, but for `max`. */
struct http_chunks {
    enum {
        HTTP_CHUNK_SIZE,
        HTTP_CHUNK_DATA,
        HTTP_CHUNK_DATA_END,
        HTTP_CHUNK_LAST,
        HTTP_CHUNK_DONE
    } state;
    size_t max;  /* of `body` */
    size_t at;   /* raw bytes read */
    size_t body; /* decoded bytes */
    size_t left; /* of this chunk */
};

/* 1: complete (at: where the next message begins, body: the body's length); 0: more is needed; else
 * minus the status: 413, where there are more than `max`, or 400. */
int http_chunks_read(struct http_chunks *c, char *data, size_t len,
                     const char **ret_why) must_check;
/* Closes the gap between the decoded bytes and those that have not been read: what takes chunks
 * apart holds no more than their bytes then. Returns the bytes there are from `data`. */
size_t http_chunks_join(struct http_chunks *c, char *data, size_t len) must_check;

/* Percent-decoding into `space` (as large as `s`), which may be `s` itself. False: a % without two
 * digits, a NUL, or not UTF-8. */
bool http_percent_decode(struct span s, bool plus_is_blank, char *space,
                         struct span *ret) must_check;

/* The value of a parameter of a query, as sent; ptr NULL: not there. */
struct span http_query_find(struct span query, struct span name);

/* One member of a comma list, without blanks: false at the end. */
bool http_list_next(struct span *list, struct span *ret);

/* A Content-Length: 1 to 18 digits. */
bool http_length_read(struct span s, uint64_t *ret) must_check;

struct span http_trim(struct span s);              /* without blanks and tabs around it */
bool http_same_text(struct span a, struct span b); /* ASCII, in any case */

#endif

/*
 * Answers, as a client reads them. Pure: bytes in, what they mean out. Private to http/.
 */
#ifndef BANYAN_HTTP_REPLY_H
#define BANYAN_HTTP_REPLY_H

#include "base/buf.h"
#include "http/request.h"

/* The head of an answer. */
struct http_reply {
    int status;
    size_t head_len;
    bool chunked, has_length;
    bool close; /* no other answer comes on this connection */
    uint64_t length;
};
/* 1: there; 0: more is needed; -1: no HTTP/1.x (*ret_why says what is wrong). */
int http_reply_read(struct span bytes, struct http_reply *ret, const char **ret_why) must_check;

#define HTTP_READING_ROOM ((size_t)16384) /* bytes to read at once */

/* An answer that comes. Zeroed before it, but for the first two. */
struct http_reading {
    size_t max;   /* of the body */
    bool is_head; /* of a HEAD: there is no body */
    struct http_reply reply;
    bool has_head;
    bool to_end; /* of the connection: nothing else says where the body ends */
    struct http_chunks chunks;
    size_t body_len; /* decoded; it stands behind the head */
};

/* The maximum of the buffer that an answer is read into. */
static inline size_t http_reading_bytes(const struct http_reading *r) {
    return r->max + HTTP_HEAD_MAX + 2 * HTTP_READING_ROOM;
}

/* Looks at what has come; `end`: nothing more does. Takes 100 Continue and the like out of `in`,
 * and chunks apart. 1: the answer is whole; 0: more is needed, or has not come before the end;
 * ERR_LIMIT: the body is longer than `max`; ERR_WIRE: no HTTP (*ret_why says what is wrong). */
int http_reading_go_on(struct http_reading *r, struct buf *in, bool end,
                       const char **ret_why) must_check;

/* Of a whole answer: the connection can take another request. Only where the answer's end is known,
 * and nothing stands behind it. */
bool http_reading_keeps(const struct http_reading *r, const struct buf *in);

#endif

#include "http/reply.h"

#include "base/err.h"
#include "http/client.h"

static bool begins_with(struct span s, struct span start) {
    return s.len > start.len && http_same_text(span_make(s.ptr, start.len), start);
}

/* host, host:port, [::1]:port */
static bool read_authority(struct http_url *u) {
    const char *limit = u->authority.ptr + u->authority.len;
    const char *bracket = memchr(u->authority.ptr, ']', u->authority.len);
    const char *from = bracket ? bracket : u->authority.ptr;
    const char *colon = memchr(from, ':', (size_t)(limit - from));
    u->host = span_make(u->authority.ptr, (size_t)((colon ? colon : limit) - u->authority.ptr));
    if (colon)
        u->port = span_make(colon + 1, (size_t)(limit - colon - 1));
    else
        u->port = u->tls ? SPAN_LIT("443") : SPAN_LIT("80");
    if (u->host.len >= 2 && u->host.ptr[0] == '[' && u->host.ptr[u->host.len - 1] == ']')
        u->host = span_make(u->host.ptr + 1, u->host.len - 2);
    bool digits = u->port.len > 0 && u->port.len <= 5;
    for (size_t i = 0; i < u->port.len; i++)
        digits = digits && u->port.ptr[i] >= '0' && u->port.ptr[i] <= '9';
    return digits && u->host.len > 0;
}

int http_url_parse(const char *url, struct http_url *ret, struct err *err) {
    static const struct span plain = SPAN_LIT("http://"), tls = SPAN_LIT("https://");
    struct span rest = span_of(url);
    struct http_url u = {.tls = begins_with(rest, tls)};
    if ((!u.tls && !begins_with(rest, plain)) || rest.len > HTTP_CLIENT_URL_MAX)
        return err_set(err, ERR_CONF, "not a URL: it must begin with http:// or https://");
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char c = (unsigned char)rest.ptr[i];
        if (c <= ' ' || c >= 0x7f)
            return err_set(err, ERR_CONF, "a URL must be ASCII without blanks: percent-encode it");
    }
    const char *authority = rest.ptr + (u.tls ? tls.len : plain.len);
    u.authority = span_make(authority, strcspn(authority, "/?#"));
    const char *target = authority + u.authority.len;
    u.target = *target && *target != '#' ? span_make(target, strcspn(target, "#")) : SPAN_LIT("/");
    if (memchr(u.authority.ptr, '@', u.authority.len))
        return err_set(err, ERR_CONF, "a URL with a user or a password is not accepted");
    if (u.target.ptr[0] != '/')
        return err_set(err, ERR_CONF, "a URL needs a path before its query");
    if (!read_authority(&u))
        return err_set(err, ERR_CONF, "a URL without a host, or with a port that is no number");
    *ret = u;
    return 0;
}

static int wrong(const char **ret_why, const char *why) {
    *ret_why = why;
    return -1;
}

/* "HTTP/1.1 200 OK" */
static int read_status(struct span line, struct http_reply *r, const char **ret_why) {
    if (line.len < 12 || memcmp(line.ptr, "HTTP/1.", 7) != 0 || line.ptr[8] != ' ')
        return wrong(ret_why, "the answer is no HTTP/1.1");
    for (size_t i = 9; i < 12; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9')
            return wrong(ret_why, "the answer has no status");
        r->status = r->status * 10 + line.ptr[i] - '0';
    }
    r->close = line.ptr[7] == '0';
    if (r->status < 100 || r->status > 599 || (line.len > 12 && line.ptr[12] != ' '))
        return wrong(ret_why, "the answer has no status");
    return 1;
}

static int read_field(struct span name, struct span value, struct http_reply *r,
                      const char **ret_why) {
    if (http_same_text(name, SPAN_LIT("transfer-encoding"))) {
        r->chunked = http_same_text(value, SPAN_LIT("chunked"));
        return r->chunked ? 1 : wrong(ret_why, "the answer has an encoding that is not chunked");
    }
    if (http_same_text(name, SPAN_LIT("connection")))
        r->close = r->close || http_same_text(value, SPAN_LIT("close"));
    if (!http_same_text(name, SPAN_LIT("content-length")))
        return 1;
    uint64_t n = 0;
    if (!http_length_read(value, &n) || (r->has_length && r->length != n))
        return wrong(ret_why, "the answer has no valid Content-Length");
    r->has_length = true;
    r->length = n;
    return 1;
}

int http_reply_read(struct span bytes, struct http_reply *ret, const char **ret_why) {
    struct http_reply r = {0};
    const char *end = bytes.len ? memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return bytes.len > HTTP_HEAD_MAX ? wrong(ret_why, "the answer's headers are too long") : 0;
    const char *line = bytes.ptr;
    r.head_len = (size_t)(end - bytes.ptr) + 4;
    for (size_t n = 0; line < end + 2; n++) {
        const char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        const char *colon = memchr(line, ':', (size_t)(stop - line));
        int rc;
        if (n == 0)
            rc = read_status(span_make(line, (size_t)(stop - line)), &r, ret_why);
        else if (!colon || colon == line || *line == ' ' || *line == '\t')
            rc = wrong(ret_why, "the answer has a line that is no header");
        else
            rc = read_field(span_make(line, (size_t)(colon - line)),
                            http_trim(span_make(colon + 1, (size_t)(stop - colon - 1))), &r,
                            ret_why);
        if (rc < 0)
            return rc;
        line = stop + 2;
    }
    if (r.status < 200 || r.status == 204 || r.status == 304) {
        r.chunked = false;
        r.has_length = true;
        r.length = 0;
    }
    *ret = r;
    return 1;
}

/* ---- a whole answer ---- */

/* 1: the head is there; 0: more is needed. Passes over 100 Continue and the like. */
static int read_head(struct http_reading *r, struct buf *in, const char **ret_why) {
    for (;;) {
        int rc = http_reply_read(buf_span(in), &r->reply, ret_why);
        if (rc < 0)
            return ERR_WIRE;
        if (rc == 0)
            return 0;
        if (r->reply.status >= 200) {
            r->has_head = true;
            return 1;
        }
        in->len -= r->reply.head_len;
        memmove(in->data, in->data + r->reply.head_len, in->len);
    }
}

static int read_chunks(struct http_reading *r, struct buf *in, const char **ret_why) {
    char *data = in->data + r->reply.head_len;
    size_t there = in->len - r->reply.head_len;
    int rc = http_chunks_read(&r->chunks, data, there, ret_why);
    if (rc < 0)
        return rc == -413 ? ERR_LIMIT : ERR_WIRE;
    in->len = r->reply.head_len + http_chunks_join(&r->chunks, data, there);
    r->body_len = r->chunks.body;
    return rc;
}

static int read_body(struct http_reading *r, struct buf *in, bool end, const char **ret_why) {
    size_t there = in->len - r->reply.head_len;
    if (r->is_head)
        return 1;
    if (r->reply.chunked)
        return read_chunks(r, in, ret_why);
    r->to_end = !r->reply.has_length;
    r->body_len = r->to_end ? there : (size_t)r->reply.length;
    if (r->body_len > r->max)
        return ERR_LIMIT;
    return r->to_end ? end : there >= r->body_len;
}

int http_reading_go_on(struct http_reading *r, struct buf *in, bool end, const char **ret_why) {
    r->chunks.max = r->max;
    int rc = r->has_head ? 1 : read_head(r, in, ret_why);
    return rc > 0 ? read_body(r, in, end, ret_why) : rc;
}

bool http_reading_keeps(const struct http_reading *r, const struct buf *in) {
    return !r->to_end && !r->reply.close && in->len == r->reply.head_len + r->body_len;
}

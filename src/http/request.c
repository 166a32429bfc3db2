#include "http/request.h"

#include "base/text.h"
#include "base/utf8.h"

const char *http_method_name(enum http_method m) {
    static const char *const names[] = {"GET",   "HEAD",   "POST",    "PUT",
                                        "PATCH", "DELETE", "OPTIONS", ""};
    return names[m];
}

/* A character of a token (RFC 9110, 5.6.2). */
static bool is_token_char(unsigned char c) {
    static const uint32_t map[8] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff};
    return map[c >> 5] >> (c & 31) & 1;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool http_same_text(struct span a, struct span b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

struct span http_trim(struct span s) {
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = span_make(s.ptr + 1, s.len - 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct span http_query_find(struct span query, struct span name) {
    while (query.len) {
        const char *end = memchr(query.ptr, '&', query.len);
        struct span one = span_make(query.ptr, end ? (size_t)(end - query.ptr) : query.len);
        size_t used = one.len + (end != NULL);
        query = span_make(query.ptr + used, query.len - used);
        const char *equals = one.len ? memchr(one.ptr, '=', one.len) : NULL;
        struct span key = span_make(one.ptr, equals ? (size_t)(equals - one.ptr) : one.len);
        if (span_eq(key, name))
            return equals ? span_make(equals + 1, one.len - key.len - 1) : SPAN_LIT("");
    }
    return (struct span){0};
}

bool http_list_next(struct span *list, struct span *ret) {
    while (list->len) {
        const char *comma = memchr(list->ptr, ',', list->len);
        size_t n = comma ? (size_t)(comma - list->ptr) : list->len;
        struct span one = http_trim(span_make(list->ptr, n));
        n += comma != NULL;
        *list = span_make(list->ptr + n, list->len - n);
        if (one.len) {
            *ret = one;
            return true;
        }
    }
    return false;
}

static struct span part(struct span bytes, struct http_part p) {
    return span_make(bytes.ptr + p.at, p.len);
}

struct span http_head_field(const struct http_head *head, const char *name) {
    struct span wanted = span_of(name);
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *f = &head->fields[i];
        if (f->name.len == wanted.len &&
            http_same_text(span_make(head->base + f->name.at, f->name.len), wanted))
            return span_make(head->base + f->value.at, f->value.len);
    }
    return (struct span){0};
}

/* ---- request line ---- */

static enum http_method method_of(struct span s) {
    for (int m = 0; m < HTTP_OTHER; m++) {
        if (span_is(s, http_method_name((enum http_method)m)))
            return (enum http_method)m;
    }
    return HTTP_OTHER;
}

static int read_target(struct http_head *h, struct span bytes, uint32_t at, uint32_t end,
                       const char **ret_why) {
    uint32_t query = end;
    if (at == end || bytes.ptr[at] != '/') {
        *ret_why = "the request's target must begin with /";
        return -400;
    }
    for (uint32_t i = at; i < end; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#') {
            *ret_why = "the request's target has a character that must be percent-encoded";
            return -400;
        }
        if (c == '?' && query == end)
            query = i;
    }
    h->path = (struct http_part){at, query - at};
    if (query < end)
        h->query = (struct http_part){query + 1, end - query - 1};
    return 1;
}

static int read_version(struct http_head *h, struct span v, const char **ret_why) {
    if (span_is(v, "HTTP/1.1"))
        return 1;
    if (span_is(v, "HTTP/1.0")) {
        h->close = true;
        return 1;
    }
    bool other = v.len == 8 && memcmp(v.ptr, "HTTP/", 5) == 0;
    *ret_why = other ? "this server speaks HTTP/1.1" : "not a request line of HTTP/1.1";
    return other ? -505 : -400;
}

static int read_line(struct http_head *h, struct span bytes, const char **ret_why) {
    uint32_t at = 0, end = h->line_len;
    while (at < end && is_token_char((unsigned char)bytes.ptr[at]))
        at++;
    const char *blank = memchr(bytes.ptr + at, ' ', end - at);
    const char *second =
        blank ? memchr(blank + 1, ' ', (size_t)(bytes.ptr + end - blank - 1)) : NULL;
    if (at == 0 || blank != bytes.ptr + at || !second) {
        *ret_why = "not a request line of HTTP/1.1";
        return -400;
    }
    h->method = method_of(span_make(bytes.ptr, at));
    uint32_t target_end = (uint32_t)(second - bytes.ptr);
    int rc = read_version(h, span_make(second + 1, end - target_end - 1), ret_why);
    if (rc > 0)
        rc = read_target(h, bytes, at + 1, target_end, ret_why);
    if (rc > 0 && h->method == HTTP_OTHER) {
        *ret_why = "a method that this server does not have";
        return -501;
    }
    return rc;
}

/* ---- headers ---- */

static int read_field(struct http_head *h, struct span bytes, uint32_t at, uint32_t end,
                      const char **ret_why) {
    uint32_t i = at;
    while (i < end && is_token_char((unsigned char)bytes.ptr[i]))
        i++;
    if (i == at || i == end || bytes.ptr[i] != ':') {
        *ret_why = "not a header (folded lines and blanks before the colon are not accepted)";
        return -400;
    }
    for (uint32_t k = i + 1; k < end; k++) {
        unsigned char c = (unsigned char)bytes.ptr[k];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            *ret_why = "a control character in a header";
            return -400;
        }
    }
    if (h->field_count == HTTP_HEADERS_MAX) {
        *ret_why = "too many headers";
        return -431;
    }
    struct span value = http_trim(span_make(bytes.ptr + i + 1, end - i - 1));
    h->fields[h->field_count++] = (struct http_field){
        .name = {at, i - at}, .value = {(uint32_t)(value.ptr - bytes.ptr), (uint32_t)value.len}};
    return 1;
}

bool http_length_read(struct span s, uint64_t *ret) {
    return text_digits(s, 18, ret);
}

static int read_length(struct http_head *h, struct span v, const char **ret_why) {
    *ret_why = "Content-Length is not a number";
    return http_length_read(v, &h->length) ? 1 : -400;
}

static int read_connection(struct http_head *h, struct span v) {
    struct span one;
    while (http_list_next(&v, &one)) {
        if (http_same_text(one, SPAN_LIT("close")))
            h->close = true;
    }
    return 1;
}

static int read_expect(struct http_head *h, struct span v, const char **ret_why) {
    h->expects_continue = http_same_text(v, SPAN_LIT("100-continue"));
    *ret_why = "an expectation that this server does not have";
    return h->expects_continue ? 1 : -417;
}

/* Headers that say where the message ends, and which may be there once only. */
enum { SEEN_HOST = 1, SEEN_LENGTH = 2, SEEN_ENCODING = 4 };

static int once(unsigned *seen, unsigned which, const char **ret_why) {
    *ret_why = "Host, Content-Length or Transfer-Encoding is there twice";
    if (*seen & which)
        return -400;
    *seen |= which;
    return 1;
}

static int mean_field(struct http_head *h, struct span name, struct span value, unsigned *seen,
                      const char **ret_why) {
    int rc = 1;
    switch (name.len) {
    case 4:
        if (http_same_text(name, SPAN_LIT("host")))
            return once(seen, SEEN_HOST, ret_why);
        break;
    case 6:
        if (http_same_text(name, SPAN_LIT("expect")))
            return read_expect(h, value, ret_why);
        break;
    case 10:
        if (http_same_text(name, SPAN_LIT("connection")))
            return read_connection(h, value);
        break;
    case 14:
        if (!http_same_text(name, SPAN_LIT("content-length")))
            break;
        rc = once(seen, SEEN_LENGTH, ret_why);
        return rc > 0 ? read_length(h, value, ret_why) : rc;
    case 17:
        if (!http_same_text(name, SPAN_LIT("transfer-encoding")))
            break;
        rc = once(seen, SEEN_ENCODING, ret_why);
        h->chunked = http_same_text(value, SPAN_LIT("chunked"));
        *ret_why = rc > 0 ? "the only Transfer-Encoding is chunked" : *ret_why;
        return rc > 0 && !h->chunked ? -501 : rc;
    default:
        break;
    }
    return rc;
}

static int read_fields(struct http_head *h, struct span bytes, const char **ret_why) {
    unsigned seen = 0;
    bool old = h->close; /* HTTP/1.0 */
    uint32_t at = h->line_len + 2;
    while (at < h->len - 2) {
        const char *lf = memchr(bytes.ptr + at, '\n', h->len - at);
        uint32_t end = (uint32_t)(lf - bytes.ptr) - 1;
        int rc = read_field(h, bytes, at, end, ret_why);
        if (rc > 0) {
            const struct http_field *f = &h->fields[h->field_count - 1];
            rc = mean_field(h, part(bytes, f->name), part(bytes, f->value), &seen, ret_why);
        }
        if (rc < 0)
            return rc;
        at = end + 2;
    }
    if (!(seen & SEEN_HOST)) {
        *ret_why = "the header Host is missing";
        return -400;
    }
    if (h->chunked && ((seen & SEEN_LENGTH) || old)) {
        *ret_why = "Transfer-Encoding with Content-Length, or in HTTP/1.0";
        return -400;
    }
    return 1;
}

/* ---- the end of the head ---- */

/* Every line ends with CR LF; that neither is anywhere else, the readers of the lines check. Looks
 * at new bytes only. 1: the empty line was seen. */
static int find_end(struct http_head *h, struct span bytes, const char **ret_why) {
    size_t len = bytes.len < HTTP_HEAD_MAX + 1 ? bytes.len : HTTP_HEAD_MAX + 1;
    const char *lf;
    while (h->scanned < len &&
           (lf = memchr(bytes.ptr + h->scanned, '\n', len - h->scanned)) != NULL) {
        uint32_t i = (uint32_t)(lf - bytes.ptr);
        h->scanned = i + 1;
        if (i == 0 || lf[-1] != '\r') {
            *ret_why = "a line must end with CR LF";
            return -400;
        }
        if (h->line_len == 0)
            h->line_len = i - 1;
        if (i >= 3 && lf[-2] == '\n') {
            h->len = i + 1;
            return 1;
        }
    }
    h->scanned = (uint32_t)len;
    return 0;
}

int http_head_read(struct http_head *h, struct span bytes, const char **ret_why) {
    if (bytes.len && !is_token_char((unsigned char)bytes.ptr[0])) {
        *ret_why = "not a request of HTTP/1.1";
        return -400; /* at once: TLS on a port without, for one */
    }
    int rc = find_end(h, bytes, ret_why);
    if (rc < 0)
        return rc;
    /* Without its end: a CR may be among the bytes. */
    if (h->line_len ? h->line_len > HTTP_LINE_MAX : bytes.len > HTTP_LINE_MAX + 1) {
        *ret_why = "the request line is too long";
        return -414;
    }
    if (rc == 0 && bytes.len <= HTTP_HEAD_MAX)
        return 0;
    if (rc == 0 || h->len > HTTP_HEAD_MAX) {
        *ret_why = "the headers are too long";
        return -431;
    }
    rc = read_line(h, bytes, ret_why);
    return rc > 0 ? read_fields(h, bytes, ret_why) : rc;
}

/* ---- chunks ---- */

/* "1a2b\r\n". 0: more is needed. */
static int read_size(struct http_chunks *c, const char *data, size_t len, const char **ret_why) {
    size_t i = c->at, size = 0;
    while (i < len && text_hex_digit(data[i]) >= 0 && i - c->at < 8) {
        size = size << 4 | (size_t)text_hex_digit(data[i]);
        i++;
    }
    bool line_end = i + 1 < len && data[i] == '\r' && data[i + 1] == '\n';
    bool may_come = i == len || (i + 1 == len && data[i] == '\r');
    if ((!line_end && !may_come) || (i == c->at && i < len)) {
        *ret_why = "not the size of a chunk (extensions are not accepted)";
        return -400;
    }
    if (!line_end)
        return 0;
    if (size > c->max - c->body) {
        *ret_why = "the body is too long";
        return -413;
    }
    c->at = i + 2;
    c->left = size;
    c->state = size ? HTTP_CHUNK_DATA : HTTP_CHUNK_LAST;
    return 1;
}

static int read_data(struct http_chunks *c, char *data, size_t len) {
    size_t n = len - c->at < c->left ? len - c->at : c->left;
    memmove(data + c->body, data + c->at, n);
    c->body += n;
    c->at += n;
    c->left -= n;
    if (c->left)
        return 0;
    c->state = HTTP_CHUNK_DATA_END;
    return 1;
}

/* The CR LF behind a chunk, and the one that ends the body. */
static int read_crlf(struct http_chunks *c, const char *data, size_t len, const char **ret_why) {
    size_t there = len - c->at;
    if ((there > 0 && data[c->at] != '\r') || (there > 1 && data[c->at + 1] != '\n')) {
        *ret_why = c->state == HTTP_CHUNK_LAST ? "trailers are not accepted"
                                               : "a chunk is longer than it said";
        return -400;
    }
    if (there < 2)
        return 0;
    c->at += 2;
    c->state = c->state == HTTP_CHUNK_LAST ? HTTP_CHUNK_DONE : HTTP_CHUNK_SIZE;
    return 1;
}

int http_chunks_read(struct http_chunks *c, char *data, size_t len, const char **ret_why) {
    int rc = 1;
    while (rc > 0 && c->state != HTTP_CHUNK_DONE) {
        switch (c->state) {
        case HTTP_CHUNK_SIZE:
            rc = read_size(c, data, len, ret_why);
            break;
        case HTTP_CHUNK_DATA:
            rc = read_data(c, data, len);
            break;
        case HTTP_CHUNK_DATA_END:
        case HTTP_CHUNK_LAST:
            rc = read_crlf(c, data, len, ret_why);
            break;
        case HTTP_CHUNK_DONE:
            break;
        }
    }
    return rc;
}

size_t http_chunks_join(struct http_chunks *c, char *data, size_t len) {
    memmove(data + c->body, data + c->at, len - c->at);
    len -= c->at - c->body;
    c->at = c->body;
    return len;
}

/* ---- percent ---- */

bool http_percent_decode(struct span s, bool plus_is_blank, char *space, struct span *ret) {
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int high = i + 2 < s.len ? text_hex_digit(s.ptr[i + 1]) : -1;
            int low = i + 2 < s.len ? text_hex_digit(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        space[len++] = c;
    }
    *ret = span_make(space, len);
    return utf8_valid(*ret);
}

#include "http/client.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/reply.h"
#include "http/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEP_MS 100 /* how soon a stop is seen */

struct http_kept {
    int fd; /* -1: none */
    SSL_CTX *context;
    SSL *ssl;
    int64_t used_us;
    char authority[300]; /* that it leads to, with the scheme */
};

struct session {
    const struct http_call *call;
    struct http_url url;
    char host[256];
    int64_t until_us;
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    bool keep;    /* the connection can take another call */
    bool refused; /* by the address that was tried last */
    struct err *err;
};

static int unreachable(struct session *s, const char *what, const char *why) {
    return err_set_retriable(s->err, ERR_UNREACHABLE, "%s:%.*s: %s%s%s", s->host,
                             SPAN_ARG(s->url.port), what, why ? ": " : "", why ? why : "");
}

/* Waits until the socket is ready for `events`, the time is over, or somebody stops us. */
static int wait_for(struct session *s, short events) {
    for (;;) {
        struct pollfd p = {.fd = s->fd, .events = events};
        int64_t left = s->until_us - clock_mono_us();
        if (s->call->stop && atomic_load(s->call->stop))
            return err_set(s->err, ERR_STOPPED, "asked to stop");
        if (left <= 0)
            return unreachable(s, "no answer in time", NULL);
        int64_t ms = left / 1000 + 1;
        int n = poll(&p, 1, ms < STEP_MS ? (int)ms : STEP_MS);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return unreachable(s, "cannot wait", strerror(errno));
    }
}

static int cannot_connect(struct session *s, int failure) {
    s->refused = failure == ECONNREFUSED;
    return unreachable(s, "cannot connect", strerror(failure));
}

static int connect_to(struct session *s, const struct addrinfo *a) {
    int one = 1, failure = 0;
    socklen_t len = sizeof failure;
    s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return unreachable(s, "no socket", strerror(errno));
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int rc = connect(s->fd, a->ai_addr, a->ai_addrlen);
    if (rc < 0 && errno != EINPROGRESS)
        return cannot_connect(s, errno);
    rc = wait_for(s, POLLOUT);
    if (rc < 0)
        return rc;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0 || failure)
        return cannot_connect(s, failure ? failure : errno);
    return 0;
}

static int open_connection(struct session *s) {
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    bool nobody = true; /* listens at any of them */
    (void)snprintf(port, sizeof port, "%.*s", SPAN_ARG(s->url.port));
    int rc = getaddrinfo(s->host, port, &hints, &found);
    if (rc != 0)
        return unreachable(s, "the name is not known", gai_strerror(rc));
    for (const struct addrinfo *a = found; a; a = a->ai_next) {
        s->refused = false;
        rc = connect_to(s, a);
        if (rc != ERR_UNREACHABLE)
            break;
        nobody = nobody && s->refused;
        if (s->fd >= 0 && a->ai_next) {
            close(s->fd);
            s->fd = -1;
        }
    }
    freeaddrinfo(found);
    if (s->call->refused)
        *s->call->refused = rc == ERR_UNREACHABLE && nobody;
    return rc;
}

static bool is_address(const char *host) {
    unsigned char out[16];
    return inet_pton(AF_INET, host, out) == 1 || inet_pton(AF_INET6, host, out) == 1;
}

static int begin_tls(struct session *s) {
    const struct http_call *c = s->call;
    char why[256];
    int rc = http_tls_client(c->tls_ca, c->tls_cert, c->tls_key, &s->context, s->err);
    if (rc < 0)
        return rc;
    s->ssl = SSL_new(s->context);
    bool ok = s->ssl && SSL_set_fd(s->ssl, s->fd) == 1;
    if (ok && is_address(s->host))
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), s->host) == 1;
    else if (ok)
        ok = SSL_set1_host(s->ssl, s->host) == 1 && SSL_set_tlsext_host_name(s->ssl, s->host) == 1;
    if (!ok)
        return err_set(s->err, ERR_INTERNAL, "OpenSSL makes no session");
    for (;;) {
        ERR_clear_error();
        int n = SSL_connect(s->ssl);
        if (n == 1)
            return 0;
        int want = SSL_get_error(s->ssl, n);
        if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
            break;
        rc = wait_for(s, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
        if (rc < 0)
            return rc;
    }
    long verdict = SSL_get_verify_result(s->ssl);
    if (verdict != X509_V_OK)
        return unreachable(s, "its certificate is not accepted",
                           X509_verify_cert_error_string(verdict));
    return unreachable(s, "no TLS", http_tls_error(why, sizeof why));
}

/* ---- request ---- */

static bool is_one_line(const char *text) {
    return !text || !strpbrk(text, "\r\n");
}

static int write_request(struct session *s, struct buf *out) {
    const struct http_call *c = s->call;
    const char *method = c->method ? c->method : c->body.ptr ? "POST" : "GET";
    if (!is_one_line(method) || !is_one_line(c->token) || !is_one_line(c->content_type))
        return err_set(s->err, ERR_CONF, "a line end in a header");
    buf_printf(out, "%s %.*s HTTP/1.1\r\nHost: %.*s\r\nConnection: %s\r\n", method,
               SPAN_ARG(s->url.target), SPAN_ARG(s->url.authority),
               c->kept ? "keep-alive" : "close");
    buf_add_text(out, "User-Agent: banyan\r\nAccept: */*\r\n");
    if (c->token)
        buf_printf(out, "Authorization: Bearer %s\r\n", c->token);
    if (c->headers)
        buf_add_text(out, c->headers);
    if (c->body.ptr)
        buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                   c->content_type ? c->content_type : "application/json", c->body.len);
    buf_add_text(out, "\r\n");
    if (c->body.ptr)
        buf_add_span(out, c->body);
    return buf_ok(out) ? 0 : err_set(s->err, ERR_LIMIT, "the request is too long");
}

/* A server may answer and close before it has read everything: its answer counts. */
static int send_all(struct session *s, struct span bytes) {
    while (bytes.len) {
        ssize_t n = http_io_write(s->fd, s->ssl, bytes.ptr, bytes.len);
        if (n == HTTP_IO_FAILED || n == HTTP_IO_END)
            return 0;
        if (n > 0) {
            bytes = span_make(bytes.ptr + n, bytes.len - (size_t)n);
            continue;
        }
        int rc = wait_for(s, n == HTTP_IO_READ ? POLLIN : POLLOUT);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- answer ---- */

static int too_long(struct session *s) {
    return err_set(s->err, ERR_LIMIT, "%s: the answer is too long", s->host);
}

/* More bytes; *ret_end: there are none. */
static int receive(struct session *s, struct buf *in, bool *ret_end) {
    for (;;) {
        char *to = buf_reserve(in, HTTP_READING_ROOM);
        if (!to)
            return too_long(s);
        ssize_t n = http_io_read(s->fd, s->ssl, to, HTTP_READING_ROOM);
        *ret_end = n == HTTP_IO_END;
        if (n > 0)
            in->len += (size_t)n;
        if (n >= 0)
            return 0;
        if (n == HTTP_IO_FAILED)
            return unreachable(s, "the connection broke", errno ? strerror(errno) : NULL);
        int rc = wait_for(s, n == HTTP_IO_WRITE ? POLLOUT : POLLIN);
        if (rc < 0)
            return rc;
    }
}

static int wire(struct session *s, const char *why) {
    return err_set(s->err, ERR_WIRE, "%s:%.*s: %s", s->host, SPAN_ARG(s->url.port), why);
}

static int read_answer(struct session *s, int *ret_status, struct buf *ret_body) {
    struct http_reading r = {.max =
                                 s->call->answer_max ? s->call->answer_max : HTTP_CLIENT_ANSWER_MAX,
                             .is_head = s->call->method && strcmp(s->call->method, "HEAD") == 0};
    _cleanup_(buf_release) struct buf in = {.max = http_reading_bytes(&r)};
    const char *why = "";
    bool end = false;
    int rc;
    while ((rc = http_reading_go_on(&r, &in, end, &why)) == 0) {
        if (end)
            return wire(s, r.has_head ? "the answer ends too soon"
                                      : "the connection was closed without an answer");
        rc = receive(s, &in, &end);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc == ERR_LIMIT ? too_long(s) : wire(s, why);
    if (ret_body)
        buf_add(ret_body, in.data + r.reply.head_len, r.body_len);
    if (ret_body && !buf_ok(ret_body))
        return too_long(s);
    s->keep = s->call->kept && http_reading_keeps(&r, &in);
    *ret_status = r.reply.status;
    return 0;
}

static int exchange(struct session *s, int *ret_status, struct buf *ret_body) {
    _cleanup_(buf_release) struct buf out = {.max = HTTP_CLIENT_URL_MAX + HTTP_HEAD_MAX +
                                                    s->call->body.len};
    int rc = s->fd >= 0 ? 0 : open_connection(s);
    if (rc == 0 && s->url.tls && !s->ssl)
        rc = begin_tls(s);
    if (rc == 0)
        rc = write_request(s, &out);
    if (rc == 0)
        rc = send_all(s, buf_span(&out));
    return rc == 0 ? read_answer(s, ret_status, ret_body) : rc;
}

/* ---- kept connections ---- */

struct http_kept *http_kept_new(void) {
    struct http_kept *k = mem_zalloc(1, sizeof *k);
    k->fd = -1;
    return k;
}

static void let_go(struct http_kept *k) {
    SSL_free(k->ssl);
    SSL_CTX_free(k->context);
    if (k->fd >= 0)
        close(k->fd);
    *k = (struct http_kept){.fd = -1};
}

void http_kept_free(struct http_kept *k) {
    if (!k)
        return;
    let_go(k);
    free(k);
}

static void name_kept(const struct session *s, char name[300]) {
    (void)snprintf(name, 300, "%d %.*s", s->url.tls, SPAN_ARG(s->url.authority));
}

static void take_kept(struct session *s) {
    struct http_kept *k = s->call->kept;
    char name[300];
    name_kept(s, name);
    if (strcmp(k->authority, name) != 0 || !http_io_is_usable(k->fd, k->used_us, clock_mono_us())) {
        let_go(k);
        return;
    }
    s->fd = k->fd;
    s->ssl = k->ssl;
    s->context = k->context;
    *k = (struct http_kept){.fd = -1};
}

static void leave_kept(struct session *s) {
    struct http_kept *k = s->call->kept;
    *k = (struct http_kept){
        .fd = s->fd, .ssl = s->ssl, .context = s->context, .used_us = clock_mono_us()};
    name_kept(s, k->authority);
}

static void hang_up(struct session *s) {
    SSL_free(s->ssl);
    SSL_CTX_free(s->context);
    if (s->fd >= 0)
        close(s->fd);
}

int http_call(const struct http_call *call, int *ret_status, struct buf *ret_body,
              struct err *err) {
    struct session s = {
        .call = call, .fd = -1, .err = err, .until_us = clock_mono_us() + call->limit_us};
    int rc = http_url_parse(call->url, &s.url, err);
    if (rc < 0)
        return rc;
    if (s.url.host.len >= sizeof s.host)
        return err_set(err, ERR_CONF, "the host in the URL is too long");
    memcpy(s.host, s.url.host.ptr, s.url.host.len);
    if (call->kept)
        take_kept(&s);
    rc = exchange(&s, ret_status, ret_body);
    if (rc == 0 && s.keep)
        leave_kept(&s);
    else
        hang_up(&s);
    return rc;
}

int http_post_json(const char *url, struct span body, int64_t limit_us, const atomic_bool *stop,
                   int *ret_status, struct err *err) {
    const struct http_call call = {.url = url, .body = body, .limit_us = limit_us, .stop = stop};
    return http_call(&call, ret_status, NULL, err);
}

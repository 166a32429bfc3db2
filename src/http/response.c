#include "http/server.h"

#include "http/connection.h"

#include <assert.h>

static const char *reason_of(int status) {
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {201, "Created"},
                   {202, "Accepted"},
                   {204, "No Content"},
                   {304, "Not Modified"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {412, "Precondition Failed"},
                   {413, "Content Too Large"},
                   {414, "URI Too Long"},
                   {415, "Unsupported Media Type"},
                   {417, "Expectation Failed"},
                   {421, "Misdirected Request"},
                   {422, "Unprocessable Content"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {502, "Bad Gateway"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"},
                   {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

/* ---- what handlers call ---- */

static bool is_header_text(const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
            return false;
    }
    return true;
}

void http_add_header(struct http_response *a, const char *name, const char *value) {
    assert(is_header_text(name) && is_header_text(value) && *name);
    buf_add_text(&a->headers, name);
    buf_add(&a->headers, ": ", 2);
    buf_add_text(&a->headers, value);
    buf_add(&a->headers, "\r\n", 2);
}

void http_error(struct http_response *a, int status, const char *code, const char *message,
                const char *way_out) {
    struct json_out j;
    a->status = status;
    a->content_type = "application/json";
    a->fixed = (struct span){0};
    a->stream = 0;
    buf_clear(&a->body);
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "error", '{');
    json_out_text(&j, "code", code);
    json_out_text(&j, "message", message);
    if (way_out)
        json_out_text(&j, "way_out", way_out);
    json_out_close(&j, '}');
    json_out_close(&j, '}');
    json_out_end(&j);
}

void http_error_from(struct http_response *a, const struct err *err) {
    static const struct {
        int error, status;
        const char *code;
    } table[] = {{ERR_NO, 400, "refused"},           {ERR_USAGE, 400, "bad_request"},
                 {ERR_VALUE, 400, "bad_request"},    {ERR_CONF, 400, "configuration"},
                 {ERR_LIMIT, 400, "limit"},          {ERR_BUSY, 409, "busy"},
                 {ERR_UNREACHABLE, 502, "upstream"}, {ERR_ACCESS, 502, "upstream"},
                 {ERR_TARGET, 502, "upstream"},      {ERR_STOPPED, 503, "stopping"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].error == err->code) {
            http_error(a, table[i].status, table[i].code, err->text, NULL);
            return;
        }
    }
    http_error(a, 500, "internal", err->text, NULL);
}

struct span http_header(const struct http_request *r, const char *name) {
    return http_head_field(r->head, name);
}

struct span http_query(const struct http_request *r, const char *name) {
    struct span value = http_query_find(r->query, span_of(name));
    if (!value.ptr)
        return value;
    char *space = arena_alloc(r->arena, value.len + 1);
    if (!space || !http_percent_decode(value, true, space, &value))
        return (struct span){0};
    return value;
}

bool http_query_int(const struct http_request *r, const char *name, int64_t least, int64_t most,
                    int64_t *value) {
    struct span text = http_query(r, name);
    struct json_node node;
    struct json_doc doc;
    int64_t v;
    if (!text.ptr)
        return true;
    if (json_parse(&doc, text, &node, 1, NULL) < 0 || !json_int(&doc, &node, &v) || v < least ||
        v > most)
        return false;
    *value = v;
    return true;
}

bool http_not_modified(const struct http_request *r, struct http_response *a, const char *etag) {
    struct span list = http_header(r, "if-none-match"), one;
    struct span mine = span_of(etag);
    http_add_header(a, "ETag", etag);
    if (!list.ptr)
        return false;
    if (mine.len > 2 && memcmp(mine.ptr, "W/", 2) == 0)
        mine = span_make(mine.ptr + 2, mine.len - 2);
    while (http_list_next(&list, &one)) {
        if (one.len > 2 && memcmp(one.ptr, "W/", 2) == 0)
            one = span_make(one.ptr + 2, one.len - 2);
        /* Some clients lose the quotes. */
        bool bare = mine.len > 2 && span_eq(one, span_make(mine.ptr + 1, mine.len - 2));
        if (bare || span_eq(one, mine) || span_is(one, "*")) {
            a->status = 304;
            buf_clear(&a->body);
            a->fixed = (struct span){0};
            return true;
        }
    }
    return false;
}

static bool is_json_type(struct span type) {
    const char *end = type.len ? memchr(type.ptr, ';', type.len) : NULL;
    struct span plain = span_make(type.ptr, end ? (size_t)(end - type.ptr) : type.len);
    while (plain.len && plain.ptr[plain.len - 1] == ' ')
        plain.len--;
    return http_same_text(plain, SPAN_LIT("application/json"));
}

bool http_json_body(const struct http_request *r, struct http_response *a, struct json_doc *ret) {
    struct err err = {0};
    char text[ERR_TEXT_MAX + 64];
    struct span type = http_header(r, "content-type");
    if (!type.ptr || !is_json_type(type)) {
        http_error(a, 415, "unsupported_media_type", "the body must be JSON",
                   "send the header Content-Type: application/json");
        return false;
    }
    /* Every node but the first takes two bytes at least: no more room than the text can use. */
    size_t max = r->body.len / 2 + 1;
    max = max < HTTP_JSON_NODES ? max : HTTP_JSON_NODES;
    struct json_node *nodes = arena_alloc(r->arena, max * sizeof *nodes);
    if (nodes && json_parse(ret, r->body, nodes, max, &err) == 0)
        return true;
    (void)snprintf(text, sizeof text, "the body is no valid JSON: %s",
                   nodes ? err.text : "too long");
    http_error(a, 400, "bad_json", text, NULL);
    return false;
}

void http_stream(struct http_response *a, int channel, struct http_lost lost) {
    assert(channel >= 0 && channel < HTTP_CHANNELS);
    a->stream = channel + 1;
    a->lost = lost;
    a->content_type = "text/event-stream";
}

/* ---- login ---- */

static void set_cookie(const struct http_guard *g, struct http_response *a, const char *value,
                       int64_t seconds) {
    char cookie[256];
    (void)snprintf(cookie, sizeof cookie,
                   "%s=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Strict%s", g->cookie, value,
                   (long long)seconds, g->tls ? "; Secure" : "");
    http_add_header(a, "Set-Cookie", cookie);
}

void http_login(const struct http_request *r, struct http_response *a, void *context) {
    (void)context;
    struct http_guard *g = &r->connection->loop->service->guard;
    struct json_doc doc;
    struct span token;
    char session[HTTP_SESSION_TEXT + 1];
    if (!http_json_body(r, a, &doc))
        return;
    if (!json_string_in(&doc, json_member(&doc, json_root(&doc), "token"), r->arena, &token)) {
        http_error(a, 400, "bad_request", "the body has no token", "send {\"token\":\"...\"}");
        return;
    }
    enum http_role role = g->tokens ? http_guard_token(g, token) : HTTP_OPERATOR;
    if (role == HTTP_ANYONE || role == HTTP_EVALUATE || role == HTTP_EDGE) {
        http_error(a, 401, "unauthorized", "the token is not known",
                   "log in with the viewer's or the operator's token of the configuration");
        return;
    }
    if (!http_guard_login(g, role, r->now_us, session)) {
        http_error(a, 500, "internal", "there are no random numbers", NULL);
        return;
    }
    set_cookie(g, a, session, HTTP_SESSION_US / 1000000);
    struct json_out j;
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "role", http_role_name(role));
    json_out_close(&j, '}');
    json_out_end(&j);
}

bool http_ticket(const struct http_request *r, const char *path, char text[HTTP_TICKET_TEXT + 1]) {
    const struct http_guard *g = &r->connection->loop->service->guard;
    if (!g->tokens)
        return false;
    http_ticket_write(&g->ticket_key, path, r->now_us, text);
    return true;
}

void http_logout(const struct http_request *r, struct http_response *a, void *context) {
    (void)context;
    struct http_guard *g = &r->connection->loop->service->guard;
    http_guard_logout(g, http_header(r, "cookie"));
    set_cookie(g, a, "", 0);
    buf_add_text(&a->body, "{}\n");
}

/* ---- the head of an answer ---- */

/* No script but our own files, no frame around us, nothing kept by a cache unless a handler says
 * so, no type guessed, no address handed on. */
static const char security[] =
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'\r\n";

static bool has_header(struct span headers, struct span name) {
    while (headers.len) {
        const char *end = memchr(headers.ptr, '\n', headers.len);
        size_t line = end ? (size_t)(end - headers.ptr) + 1 : headers.len;
        if (line > name.len && headers.ptr[name.len] == ':' &&
            http_same_text(span_make(headers.ptr, name.len), name))
            return true;
        headers = span_make(headers.ptr + line, headers.len - line);
    }
    return false;
}

static void add_allow(struct buf *out, const char *name, unsigned allowed) {
    const char *between = ": ";
    buf_add_text(out, name);
    for (int m = 0; m < HTTP_OTHER; m++) {
        if (!(allowed & 1U << m))
            continue;
        buf_add_text(out, between);
        buf_add_text(out, http_method_name((enum http_method)m));
        between = ", ";
    }
    buf_add_text(out, "\r\n");
}

static void add_cors(const struct http_outgoing *a, struct buf *out) {
    buf_add_text(out, "Access-Control-Allow-Origin: ");
    buf_add_span(out, a->cors_origin);
    buf_add_text(out, "\r\nVary: Origin\r\n"
                      "Access-Control-Expose-Headers: ETag, Retry-After\r\n");
    if (!a->allowed || a->response->status != 204)
        return;
    add_allow(out, "Access-Control-Allow-Methods", a->allowed);
    buf_add_text(out, "Access-Control-Allow-Headers: Authorization, Content-Type, If-None-Match, "
                      "Last-Event-ID, X-API-Key\r\nAccess-Control-Max-Age: 600\r\n");
}

static void add_number(struct buf *out, size_t n) {
    char digits[24];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    buf_add(out, digits + at, sizeof digits - at);
}

static void add_status(struct buf *out, int status) {
    static const char ok[] = "HTTP/1.1 200 OK\r\n";
    if (status == 200)
        buf_add(out, ok, sizeof ok - 1);
    else
        buf_printf(out, "HTTP/1.1 %d %s\r\n", status, reason_of(status));
}

void http_answer_write(const struct http_outgoing *a, struct buf *out) {
    const struct http_response *r = a->response;
    struct span body = r->fixed.ptr ? r->fixed : buf_span(&r->body);
    struct span headers = buf_span(&r->headers);
    bool bodyless = r->status == 204 || r->status == 304;
    add_status(out, r->status);
    buf_add(out, a->date, a->date_len);
    buf_add(out, security, sizeof security - 1);
    if (!has_header(headers, SPAN_LIT("cache-control")))
        buf_add_text(out, "Cache-Control: no-store\r\n");
    buf_add_span(out, headers);
    if (a->allowed)
        add_allow(out, "Allow", a->allowed);
    if (a->cors_origin.ptr)
        add_cors(a, out);
    if (r->status == 401)
        buf_add_text(out, "WWW-Authenticate: Bearer\r\n");
    if (a->close)
        buf_add_text(out, "Connection: close\r\n");
    if (!bodyless) {
        buf_add_text(out, "Content-Type: ");
        buf_add_text(out, r->content_type);
        buf_add_text(out, "\r\n");
    }
    if (!bodyless && !r->stream) {
        buf_add_text(out, "Content-Length: ");
        add_number(out, body.len);
        buf_add_text(out, "\r\n");
    }
    buf_add_text(out, "\r\n");
    if (!bodyless && !a->head_only)
        buf_add_span(out, body);
}

#include "route/frame.h"

#include "base/cursor.h"

#define NAME_MAX_BYTES 4096 /* of modules, routes, ids, methods, addresses */
#define URI_MAX ((size_t)64 * 1024)
#define LATENCY_MAX ((size_t)64 * 1024)

const char *frame_drop_name(enum frame_drop drop) {
    static const char *const names[] = {
#define FRAME_DROP_NAME(id, text) [id] = (text),
        FRAME_DROPS(FRAME_DROP_NAME)
#undef FRAME_DROP_NAME
    };
    return names[drop];
}

/* ---- writing ---- */

static void add_bytes(struct buf *out, struct span s) {
    buf_add_uint(out, s.len, 4);
    buf_add_span(out, s);
}

static void add_headers(struct buf *out, const struct frame_headers *h) {
    buf_add_uint(out, h->count, 2);
    for (size_t i = 0; i < h->count; i++) {
        add_bytes(out, h->list[i].name);
        add_bytes(out, h->list[i].value);
    }
}

static bool headers_fit(const struct frame_headers *h) {
    size_t bytes = 0;
    if (h->count > FRAME_HEADER_COUNT)
        return false;
    for (size_t i = 0; i < h->count; i++)
        bytes += h->list[i].name.len + h->list[i].value.len;
    return bytes <= FRAME_HEADERS_MAX;
}

static bool names_fit(const struct span *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (names[i].len > NAME_MAX_BYTES)
            return false;
    return true;
}

static void begin(struct buf *out, enum frame_kind kind) {
    buf_add_uint(out, 0, FRAME_HEAD); /* known at the end */
    buf_add_uint(out, FRAME_VERSION, 1);
    buf_add_uint(out, kind, 1);
}

/* Whether it fits; if not, `out` is as before. */
static bool end(struct buf *out, size_t start) {
    size_t len = out->len - start;
    if (!buf_ok(out) || len > FRAME_MAX) {
        buf_cut(out, start);
        return false;
    }
    uint32_t rest = (uint32_t)(len - FRAME_HEAD);
    for (unsigned i = 0; i < FRAME_HEAD; i++)
        out->data[start + i] = (char)(rest >> (8 * (FRAME_HEAD - 1 - i)));
    return true;
}

bool frame_sample_write(struct buf *out, const struct frame_sample *s) {
    const struct span names[] = {s->module, s->route, s->request_id, s->method, s->remote};
    size_t start = out->len;
    if (!names_fit(names, sizeof names / sizeof *names) || s->uri.len > URI_MAX ||
        !headers_fit(&s->asked) || !headers_fit(&s->answered) ||
        s->asked_body.len > FRAME_ASK_MAX || s->body.len > FRAME_BODY_MAX)
        return false;
    begin(out, FRAME_SAMPLE);
    buf_add_uint(out, (uint64_t)s->at_us, 8);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_bytes(out, names[i]);
    add_bytes(out, s->uri);
    buf_add_uint(out, s->tls, 1);
    add_headers(out, &s->asked);
    add_bytes(out, s->asked_body);
    buf_add_uint(out, s->side, 1);
    buf_add_uint(out, s->reason, 1);
    buf_add_uint(out, s->failure, 1);
    buf_add_uint(out, s->status, 2);
    buf_add_uint(out, (uint64_t)s->upstream_us, 8);
    add_headers(out, &s->answered);
    add_bytes(out, s->body);
    buf_add_uint(out, s->truncated, 1);
    buf_add_uint(out, s->why, 1);
    buf_add_uint(out, s->weight, 8);
    return end(out, start);
}

bool frame_statistics_write(struct buf *out, const struct frame_statistics *s) {
    const struct span names[] = {s->module, s->route};
    const uint64_t counts[] = {s->count,      s->errors, s->rescued, s->pinned,
                               s->pins_ended, s->spared, s->sampled};
    size_t start = out->len;
    if (!names_fit(names, 2) || s->latency.len > LATENCY_MAX)
        return false;
    begin(out, FRAME_STATISTICS);
    add_bytes(out, s->module);
    add_bytes(out, s->route);
    buf_add_uint(out, s->side, 1);
    buf_add_uint(out, s->write, 1);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        buf_add_uint(out, counts[i], 8);
    buf_add_uint(out, FRAME_DROP_COUNT, 1);
    for (size_t i = 0; i < FRAME_DROP_COUNT; i++)
        buf_add_uint(out, s->dropped[i], 8);
    add_bytes(out, s->latency);
    return end(out, start);
}

/* ---- reading ---- */

/* Longer than `max` fails, as does what is not there. */
static struct span take_bytes(struct cursor *c, size_t max) {
    size_t len = cursor_u32(c);
    if (len > max)
        c->failed = true;
    return cursor_take(c, len);
}

/* A number below `count`. */
static unsigned take_enum(struct cursor *c, unsigned count) {
    unsigned v = cursor_u8(c);
    if (v >= count)
        c->failed = true;
    return c->failed ? 0 : v;
}

static bool take_bool(struct cursor *c) {
    return take_enum(c, 2) == 1;
}

/* In microseconds, not negative. */
static int64_t take_time(struct cursor *c) {
    uint64_t v = cursor_u64(c);
    if (v > INT64_MAX)
        c->failed = true;
    return c->failed ? 0 : (int64_t)v;
}

static void take_headers(struct cursor *c, struct frame_headers *ret) {
    size_t count = cursor_u16(c), bytes = 0;
    if (count > FRAME_HEADER_COUNT)
        c->failed = true;
    ret->count = 0;
    while (!c->failed && ret->count < count) {
        struct frame_header *h = &ret->list[ret->count++];
        h->name = take_bytes(c, FRAME_HEADERS_MAX);
        h->value = take_bytes(c, FRAME_HEADERS_MAX);
        bytes += h->name.len + h->value.len;
        if (bytes > FRAME_HEADERS_MAX)
            c->failed = true;
    }
}

int frame_peek(struct span bytes, size_t *ret_len, enum frame_kind *ret_kind, struct err *err) {
    struct cursor c = cursor_over(bytes);
    *ret_len = 0;
    if (bytes.len < FRAME_HEAD)
        return 0;
    size_t rest = cursor_u32(&c);
    if (rest < 2 || rest > FRAME_MAX - FRAME_HEAD)
        return err_set(err, ERR_WIRE, "a frame of the gateway claims %zu bytes", rest);
    if (cursor_left(&c) < 2)
        return 0;
    unsigned version = cursor_u8(&c), kind = cursor_u8(&c);
    if (version != FRAME_VERSION)
        return err_set(err, ERR_WIRE,
                       "the gateway's module speaks version %u of frames, this program %d; restart "
                       "nginx with the module that belongs to this program",
                       version, FRAME_VERSION);
    if (kind != FRAME_SAMPLE && kind != FRAME_STATISTICS)
        return err_set(err, ERR_WIRE, "a frame of the gateway has the unknown kind %u", kind);
    if (cursor_left(&c) < rest - 2)
        return 0;
    *ret_len = rest + FRAME_HEAD;
    *ret_kind = (enum frame_kind)kind;
    return 0;
}

/* A cursor over the payload. */
static int open_frame(struct span frame, enum frame_kind wanted, struct cursor *ret,
                      struct err *err) {
    size_t len = 0;
    enum frame_kind kind = FRAME_SAMPLE;
    int rc = frame_peek(frame, &len, &kind, err);
    if (rc < 0)
        return rc;
    if (len == 0 || len != frame.len || kind != wanted)
        return err_set(err, ERR_WIRE, "a frame of the gateway is not whole, or of another kind");
    *ret = cursor_over(span_make(frame.ptr + FRAME_HEAD + 2, frame.len - FRAME_HEAD - 2));
    return 0;
}

static int done(const struct cursor *c, struct err *err) {
    return cursor_done(c) ? 0 : err_set(err, ERR_WIRE, "a frame of the gateway is damaged");
}

static void take_request(struct cursor *c, struct frame_sample *s) {
    s->at_us = take_time(c);
    struct span *const names[] = {&s->module, &s->route, &s->request_id, &s->method, &s->remote};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        *names[i] = take_bytes(c, NAME_MAX_BYTES);
    s->uri = take_bytes(c, URI_MAX);
    s->tls = take_bool(c);
    take_headers(c, &s->asked);
    s->asked_body = take_bytes(c, FRAME_ASK_MAX);
}

static void take_answer(struct cursor *c, struct frame_sample *s) {
    s->side = (enum route_side)take_enum(c, ROUTE_MONGODB + 1);
    s->reason = (enum route_reason)take_enum(c, ROUTE_BY_NO_FLAGS + 1);
    s->failure = (enum frame_failure)take_enum(c, FRAME_FAILURES);
    s->status = cursor_u16(c);
    s->upstream_us = take_time(c);
    take_headers(c, &s->answered);
    s->body = take_bytes(c, FRAME_BODY_MAX);
    s->truncated = take_bool(c);
    s->why = (enum frame_why)take_enum(c, FRAME_MISSING + 1);
    s->weight = cursor_u64(c);
}

int frame_sample_read(struct span frame, struct frame_sample *ret, struct err *err) {
    struct cursor c;
    int rc = open_frame(frame, FRAME_SAMPLE, &c, err);
    if (rc < 0)
        return rc;
    take_request(&c, ret);
    take_answer(&c, ret);
    return done(&c, err);
}

int frame_statistics_read(struct span frame, struct frame_statistics *ret, struct err *err) {
    struct cursor c;
    int rc = open_frame(frame, FRAME_STATISTICS, &c, err);
    if (rc < 0)
        return rc;
    ret->module = take_bytes(&c, NAME_MAX_BYTES);
    ret->route = take_bytes(&c, NAME_MAX_BYTES);
    ret->side = (enum route_side)take_enum(&c, ROUTE_MONGODB + 1);
    ret->write = take_bool(&c);
    uint64_t *const counts[] = {&ret->count,      &ret->errors, &ret->rescued, &ret->pinned,
                                &ret->pins_ended, &ret->spared, &ret->sampled};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        *counts[i] = cursor_u64(&c);
    if (cursor_u8(&c) != FRAME_DROP_COUNT)
        c.failed = true;
    for (size_t i = 0; i < FRAME_DROP_COUNT; i++)
        ret->dropped[i] = cursor_u64(&c);
    ret->latency = take_bytes(&c, LATENCY_MAX);
    return done(&c, err);
}

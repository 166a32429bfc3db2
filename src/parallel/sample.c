#include "parallel/sample.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/request.h"
#include "jwt/jwt.h"
#include "parallel/parallel.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#define PARAMETERS_MEMORY (64 * (size_t)1024 * 1024)
#define HELD_KEPT 65536 /* bytes of memory for the next body */
#define REQUEST_MAX (FRAME_ASK_MAX + FRAME_HEADERS_MAX + 65536)

/* ---- life ---- */

static bool is_clean(struct span text, unsigned char least) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < least || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_token(struct span text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || (unsigned char)text.ptr[i] >= 0x7f ||
            text.ptr[i] == ':')
            return false;
    return text.len > 0;
}

/* nginx has read them from a request that was valid: what is not cannot be from there. */
static bool can_be_sent(const struct frame_sample *c) {
    bool ok = is_token(c->method) && c->uri.len > 0 && c->uri.ptr[0] == '/' &&
              is_clean(c->uri, '!') && is_clean(c->remote, '!') && is_clean(c->request_id, '!');
    for (size_t i = 0; i < c->asked.count && ok; i++) {
        struct span value = c->asked.list[i].value;
        ok = is_token(c->asked.list[i].name);
        for (size_t k = 0; k < value.len && ok; k++)
            ok = value.ptr[k] == '\t' || (unsigned char)value.ptr[k] >= ' ';
    }
    return ok;
}

static bool is_shadow(const struct frame_sample *c) {
    for (size_t i = 0; i < c->asked.count; i++)
        if (http_same_text(c->asked.list[i].name, SPAN_LIT("x-banyan-shadow")))
            return true;
    return false;
}

struct sample *sample_new(const struct subjects *subjects, struct span frame,
                          struct subject **ret_subject) {
    struct err ignored;
    struct sample *s = mem_alloc(sizeof *s + frame.len);
    memcpy(s->bytes, frame.ptr, frame.len);
    s->len = frame.len;
    s->operation = NULL;
    s->subject = NULL;
    if (frame_sample_read(span_make(s->bytes, s->len), &s->call, &ignored) == 0)
        s->subject = subjects_route(subjects, s->call.module, s->call.route);
    *ret_subject = s->subject;
    if (s->subject && can_be_sent(&s->call) && !is_shadow(&s->call)) {
        s->weight = s->call.weight;
        return s;
    }
    sample_free(s);
    return NULL;
}

struct sample *sample_of_operation(struct subject *subject, const struct operation_call *call,
                                   uint64_t weight) {
    struct sample *s = mem_zalloc(1, sizeof *s);
    s->subject = subject;
    s->weight = weight;
    s->operation = operation_call_ref(call);
    return s;
}

void sample_free(struct sample *s) {
    if (!s)
        return;
    if (s->operation)
        operation_call_unref(s->operation);
    free(s);
}

size_t sample_bytes(const struct sample *s) {
    size_t bytes = sizeof *s + s->len;
    for (int side = 0; s->operation && side < OPERATION_SIDES; side++)
        bytes += s->operation->answers[side].bson.cap;
    return bytes;
}

bool sample_can_repeat(const struct sample *s) {
    return s->operation || span_is(s->call.method, "GET");
}

uint64_t sample_hash(const struct sample *s, uint64_t seed) {
    return s->operation
               ? XXH3_64bits_withSeed(&s->operation->id, sizeof s->operation->id, seed)
               : XXH3_64bits_withSeed(s->call.request_id.ptr, s->call.request_id.len, seed);
}

void sample_request_id(const struct sample *s, struct buf *out) {
    if (s->operation)
        buf_printf(out, "%016" PRIx64, s->operation->id);
    else
        buf_add_span(out, s->call.request_id);
}

void held_init(struct held *h) {
    *h = (struct held){.head = {.max = HTTP_HEAD_MAX + FRAME_HEADERS_MAX},
                       .body = {.max = ANSWER_INFLATED_MAX}};
}

void held_release(struct held *h) {
    buf_release(&h->head);
    buf_release(&h->body);
}

void held_let_go(struct held *h) {
    h->answer = (struct answer){0};
    if (h->body.cap > HELD_KEPT)
        buf_release(&h->body);
}

static void add_header(struct buf *out, struct span name, struct span value) {
    buf_add_span(out, name);
    buf_add_text(out, ": ");
    buf_add_span(out, value);
    buf_add_text(out, "\r\n");
}

/* The head must be in `h` already; the body is anywhere else. */
static enum parallel_reason hold(struct held *h, struct answer *a, bool is_head) {
    a->head = buf_span(&h->head);
    buf_clear(&h->body);
    enum parallel_reason reason = answer_open(a, is_head, &h->body);
    if (reason == COMPARABLE && a->body.ptr != h->body.data) {
        buf_add_span(&h->body, a->body);
        if (!buf_ok(&h->body))
            reason = NOT_COMPARED_TOO_LARGE;
        a->body = buf_span(&h->body);
    }
    h->answer = *a;
    return reason;
}

enum parallel_reason held_operation(struct held *ret, const struct conf_operation *operation,
                                    const struct operation_answer *answer) {
    bool one = operation->returns == CONF_RETURNS_ONE;
    struct answer a = {.status = 200, .form = one ? ANSWER_ROW : ANSWER_ROWS};
    buf_clear(&ret->head);
    buf_clear(&ret->body);
    switch (answer->outcome) {
    case OPERATION_CONNECT:
    case OPERATION_NOT_ASKED:
        return NOT_COMPARED_UNREACHABLE;
    case OPERATION_TIMEOUT:
        return NOT_COMPARED_TIMEOUT;
    case OPERATION_NO_ROW:
        a.status = 404;
        break;
    case OPERATION_FAILED:
        a.status = 500;
        break;
    case OPERATION_OK:
        buf_add_span(&ret->body, buf_span(&answer->bson));
        break;
    case OPERATION_OUTCOME_COUNT:
        break;
    }
    if (!buf_ok(&ret->body))
        return NOT_COMPARED_TOO_LARGE;
    a.body = buf_span(&ret->body);
    ret->answer = a;
    return COMPARABLE;
}

static bool is_head(const struct sample *s) {
    return span_is(s->call.method, "HEAD");
}

enum parallel_reason sample_primary(const struct sample *s, struct held *ret) {
    const struct frame_sample *c = &s->call;
    struct answer a = {.status = c->status, .body = c->body, .cut = c->truncated};
    buf_clear(&ret->head);
    buf_add_text(&ret->head, "HTTP/1.1\r\n"); /* the status stands in the answer */
    for (size_t i = 0; i < c->answered.count; i++)
        add_header(&ret->head, c->answered.list[i].name, c->answered.list[i].value);
    buf_add_text(&ret->head, "\r\n");
    return buf_ok(&ret->head) ? hold(ret, &a, is_head(s)) : NOT_COMPARED_TOO_LARGE;
}

/* ---- asking ---- */

/* Of one connection, of the answer that is in a client's cache, or written anew. */
static bool is_left_out(struct span name) {
    static const struct span names[] = {SPAN_LIT("connection"),
                                        SPAN_LIT("keep-alive"),
                                        SPAN_LIT("proxy-connection"),
                                        SPAN_LIT("proxy-authorization"),
                                        SPAN_LIT("te"),
                                        SPAN_LIT("trailer"),
                                        SPAN_LIT("transfer-encoding"),
                                        SPAN_LIT("upgrade"),
                                        SPAN_LIT("expect"),
                                        SPAN_LIT("range"),
                                        SPAN_LIT("accept-encoding"),
                                        SPAN_LIT("content-length"),
                                        SPAN_LIT("host"),
                                        SPAN_LIT("x-forwarded-for"),
                                        SPAN_LIT("x-forwarded-proto"),
                                        SPAN_LIT("x-request-id"),
                                        SPAN_LIT("x-banyan-shadow")};
    if (name.len > 3 && strncasecmp(name.ptr, "if-", 3) == 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (http_same_text(name, names[i]))
            return true;
    return false;
}

static struct span asked(const struct frame_sample *c, const char *name) {
    struct span wanted = span_of(name);
    for (size_t i = 0; i < c->asked.count; i++)
        if (http_same_text(c->asked.list[i].name, wanted))
            return c->asked.list[i].value;
    return (struct span){0};
}

/* As nginx would send it (gateway/nginx_conf.c), but for what the comparison needs otherwise. */
static void write_request(const struct sample *s, const char *url, struct buf *out) {
    const struct frame_sample *c = &s->call;
    struct span host = asked(c, "host"), forwarded = asked(c, "x-forwarded-for");
    buf_add_span(out, c->method);
    buf_add_char(out, ' ');
    buf_add_span(out, c->uri);
    buf_add_text(out, " HTTP/1.1\r\n");
    add_header(out, SPAN_LIT("Host"), host.len ? host : span_of(url + strlen("http://")));
    for (size_t i = 0; i < c->asked.count; i++)
        if (!is_left_out(c->asked.list[i].name))
            add_header(out, c->asked.list[i].name, c->asked.list[i].value);
    buf_add_text(out, "X-Forwarded-For: ");
    if (forwarded.len) {
        buf_add_span(out, forwarded);
        buf_add_text(out, ", ");
    }
    buf_add_span(out, c->remote);
    buf_add_text(out,
                 c->tls ? "\r\nX-Forwarded-Proto: https\r\n" : "\r\nX-Forwarded-Proto: http\r\n");
    add_header(out, SPAN_LIT("X-Request-Id"), c->request_id);
    buf_add_text(out, "X-Banyan-Shadow: 1\r\n");
    if (c->asked_body.len)
        buf_printf(out, "Content-Length: %zu\r\n", c->asked_body.len);
    buf_add_text(out, "\r\n");
    buf_add_span(out, c->asked_body);
}

static enum parallel_reason reason_of(int rc, bool late) {
    if (rc == ERR_WIRE)
        return NOT_COMPARED_DAMAGED;
    if (rc == ERR_LIMIT)
        return NOT_COMPARED_TOO_LARGE;
    return late ? NOT_COMPARED_TIMEOUT : NOT_COMPARED_UNREACHABLE;
}

enum parallel_reason sample_begin(const struct sample *s, enum route_side side,
                                  const struct asker *asker, struct buf *request, void *owner) {
    struct subject *subject = s->subject;
    const struct conf_side *to =
        side == ROUTE_SQL ? &subject->route->sql : &subject->route->mongodb;
    struct err err;
    buf_clear(request);
    request->max = REQUEST_MAX;
    write_request(s, to->url.text, request);
    const struct http_ask ask = {.url = to->url.text,
                                 .request = buf_span(request),
                                 .is_head = is_head(s),
                                 .limit_us = PARALLEL_DEADLINE_US,
                                 .answer_max = ANSWER_INFLATED_MAX,
                                 .stop = asker->stop};
    int rc = buf_ok(request) ? http_keeper_begin(asker->keeper, &ask, owner, &err) : ERR_LIMIT;
    const struct http_done done = {.rc = rc, .began_us = clock_mono_us()};
    return rc < 0 ? sample_end(s, side, asker, &done, NULL) : COMPARABLE;
}

enum parallel_reason sample_end(const struct sample *s, enum route_side side,
                                const struct asker *asker, const struct http_done *done,
                                struct held *ret) {
    const struct http_answer *got = &done->answer;
    bool ours = done->rc == ERR_STOPPED || done->rc == ERR_LIMIT; /* not a failure of that side */
    bool failed = !ours && (done->rc < 0 || got->status >= 500);
    if (done->rc != ERR_STOPPED)
        tally_shadow(&s->subject->tally, side, failed, done->took_us);
    subject_end(s->subject, side, asker->what, failed, done->began_us + done->took_us);
    if (done->rc < 0)
        return reason_of(done->rc, done->late);
    struct answer a = {.status = got->status, .body = got->body};
    buf_clear(&ret->head);
    buf_add_span(&ret->head, got->head);
    enum parallel_reason reason = hold(ret, &a, is_head(s));
    return got->status == 401 || got->status == 403 ? NOT_COMPARED_FORBIDDEN : reason;
}

static enum parallel_reason ask_route(const struct sample *s, enum route_side side,
                                      const struct asker *asker, struct held *ret) {
    _cleanup_(buf_release) struct buf request = {0};
    struct http_done done;
    enum parallel_reason reason = sample_begin(s, side, asker, &request, NULL);
    if (reason != COMPARABLE)
        return reason;
    while (!http_keeper_next(asker->keeper, &done))
        (void)http_keeper_wait(asker->keeper, -1, PARALLEL_DEADLINE_US);
    return sample_end(s, side, asker, &done, ret);
}

static enum parallel_reason ask_operation(const struct sample *s, enum route_side side,
                                          const struct asker *asker, struct held *ret) {
    struct operation_answer answer = {0};
    /* Operations have their own budget. */
    subject_end(s->subject, side, asker->what, false, clock_mono_us());
    if (!*asker->operations || atomic_load(asker->stop))
        return NOT_COMPARED_UNREACHABLE;
    operations_ask(*asker->operations, s->operation, side, &answer);
    tally_shadow(&s->subject->tally, side, operation_is_failure(answer.outcome), answer.took_us);
    enum parallel_reason reason = held_operation(ret, s->subject->operation, &answer);
    operation_answer_release(&answer);
    return reason;
}

enum parallel_reason sample_ask(const struct sample *s, enum route_side side,
                                const struct asker *asker, struct held *ret) {
    return s->operation ? ask_operation(s, side, asker, ret) : ask_route(s, side, asker, ret);
}

/* ---- who asked ---- */

/* "$http_x_user_id" -> X-User-Id; only where the text is just that. */
static struct span header_of_variable(const struct frame_sample *c, const char *variable) {
    char name[128];
    const char *from = variable + (variable[0] == '$') + (variable[1] == '{');
    size_t n = 0;
    if (variable[0] != '$' || strncmp(from, "http_", 5) != 0)
        return (struct span){0};
    for (from += 5; *from && *from != '}' && n + 1 < sizeof name; from++)
        name[n++] = *from == '_' ? '-' : *from;
    name[n] = '\0';
    return asked(c, name);
}

static struct span claim_of(const struct sample *s, struct arena *memory) {
    struct span bearer = asked(&s->call, "authorization"), found = {0};
    struct jwt *token = bearer.len ? arena_alloc(memory, sizeof *token) : NULL;
    char *space = token ? arena_alloc(memory, JWT_MAX) : NULL;
    enum json_type type;
    if (space && s->subject->user_key &&
        jwt_verify(s->subject->user_key, bearer, clock_wall_us() / 1000000, token))
        found =
            jwt_claim(token, span_of(s->subject->route->user.claim.text), space, JWT_MAX, &type);
    return found;
}

struct span sample_user(const struct sample *s, struct arena *memory) {
    struct span found = {0};
    if (s->operation)
        return s->operation->user.len ? s->operation->user : found;
    const struct conf_asker *user = &s->subject->route->user;
    if (user->value.text)
        found = header_of_variable(&s->call, user->value.text);
    else if (user->claim.text)
        found = claim_of(s, memory);
    return found.len ? found : (struct span){0};
}

/* ---- asking the same by hand ---- */

static void add_quoted(struct buf *out, struct span text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\'')
            buf_add_text(out, "%27");
        else
            buf_add_char(out, text.ptr[i]);
}

/* Names of the query, without their values. */
static void add_query_names(struct buf *out, struct span query) {
    char before = '?';
    while (query.len) {
        const char *end = memchr(query.ptr, '&', query.len);
        struct span part = span_make(query.ptr, end ? (size_t)(end - query.ptr) : query.len);
        const char *equals = memchr(part.ptr, '=', part.len);
        buf_add_char(out, before);
        before = '&';
        add_quoted(out, equals ? span_make(part.ptr, (size_t)(equals - part.ptr)) : part);
        if (equals)
            buf_add_text(out, "=...");
        query = end ? span_make(end + 1, query.len - part.len - 1) : (struct span){0};
    }
}

static void add_command(const struct sample *s, const struct conf_side *side, struct buf *out) {
    const struct frame_sample *c = &s->call;
    const char *mark = memchr(c->uri.ptr, '?', c->uri.len);
    size_t path = mark ? (size_t)(mark - c->uri.ptr) : c->uri.len;
    buf_printf(out, "curl '%s", side->url.text); /* a GET: others are never asked again */
    add_quoted(out, span_make(c->uri.ptr, path));
    if (mark)
        add_query_names(out, span_make(mark + 1, c->uri.len - path - 1));
    buf_add_text(out, "'");
}

void sample_reproducer(const struct sample *s, struct buf *out) {
    add_command(s, &s->subject->route->sql, out);
    buf_add_char(out, '\n');
    add_command(s, &s->subject->route->mongodb, out);
}

/* ---- operations ---- */

struct span sample_parameters(const struct sample *s, struct span mask_key, struct arena *memory) {
    if (!s->operation)
        return (struct span){0};
    struct arena scratch;
    struct span params = s->operation->params.len ? s->operation->params : SPAN_LIT("{}");
    arena_init(&scratch, PARAMETERS_MEMORY);
    struct span shown = answer_show(s->subject->rules.rules, params, mask_key,
                                    OPERATION_REQUEST_MAX, memory, &scratch);
    arena_release(&scratch);
    return shown;
}

static void add_argument(struct buf *out, const struct compare_value *v) {
    _cleanup_(buf_release) struct buf text = {.max = PARAMETERS_MEMORY};
    if (v->type == COMPARE_STRING)
        buf_add_span(&text, v->text);
    else if (v->type == COMPARE_OBJECT)
        buf_add_text(&text, "..."); /* it is masked: no parameter is an object */
    else
        compare_show(v, OPERATION_REQUEST_MAX, &text);
    buf_add_text(out, " '");
    buf_add_span(out, v->name);
    buf_add_char(out, '=');
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_char(out, text.data[i]);
    buf_add_char(out, '\'');
}

void sample_query(const struct sample *s, struct span parameters, struct buf *out) {
    struct arena memory;
    struct compare_tree tree;
    struct err ignored;
    arena_init(&memory, PARAMETERS_MEMORY);
    buf_printf(out, "banyan query %s", s->subject->operation->name.text);
    if (compare_read_json(parameters, &memory, &tree, &ignored) == 0 &&
        tree.nodes[0].type == COMPARE_OBJECT) {
        const struct compare_value *v = &tree.nodes[1];
        for (uint32_t i = 0; i < tree.nodes[0].count; i++, v += v->size)
            add_argument(out, v);
    }
    arena_release(&memory);
}

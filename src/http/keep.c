#include "http/keep.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/call.h"
#include "http/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define STEP_US INT64_C(100000) /* how soon a stop is seen */

struct http_keeper {
    struct call calls[HTTP_KEPT_MAX];
    struct call *shown; /* what http_keeper_next gave last points into it; NULL: none */
    size_t count;       /* of them that were ever used */
    size_t ended;       /* of them that wait for http_keeper_next */
};

struct http_keeper *http_keeper_new(void) {
    return mem_zalloc(1, sizeof(struct http_keeper));
}

void http_keeper_free(struct http_keeper *k) {
    if (!k)
        return;
    for (size_t i = 0; i < k->count; i++) {
        call_end(&k->calls[i]);
        call_hang_up(&k->calls[i]);
        buf_release(&k->calls[i].in);
    }
    free(k);
}

/* ---- connections ---- */

/* A free one to that service; NULL: there is none. */
static struct call *kept_to(struct http_keeper *k, const char *url) {
    for (size_t i = 0; i < k->count; i++) {
        struct call *c = &k->calls[i];
        if (c->step == CALL_NONE && c->fd >= 0 && strcmp(c->url, url) == 0)
            return c;
    }
    return NULL;
}

/* For another one: a place that was never used or has none, else that of the one which was not used
 * for longest. NULL: all are in use. */
static struct call *place_for(struct http_keeper *k) {
    struct call *place = NULL;
    for (size_t i = 0; i < k->count; i++) {
        struct call *c = &k->calls[i];
        if (c->step == CALL_NONE &&
            (!place || (place->fd >= 0 && (c->fd < 0 || c->used_us < place->used_us))))
            place = c;
    }
    if ((!place || place->fd >= 0) && k->count < HTTP_KEPT_MAX) {
        place = &k->calls[k->count++];
        place->fd = -1;
    }
    return place;
}

static int make_place(struct http_keeper *k, const char *text, struct call **ret, struct err *err) {
    struct http_url url;
    int rc = http_url_parse(text, &url, err);
    if (rc < 0)
        return rc;
    if (url.tls || strlen(text) >= sizeof k->calls->url)
        return err_set(err, ERR_CONF, "not the URL of a service: http://host:port");
    struct call *c = place_for(k);
    if (!c)
        return err_set(err, ERR_LIMIT, "%d requests are under way", HTTP_KEPT_MAX);
    call_hang_up(c);
    (void)snprintf(c->url, sizeof c->url, "%s", text);
    (void)snprintf(c->host, sizeof c->host, "%.*s", SPAN_ARG(url.host));
    (void)snprintf(c->port, sizeof c->port, "%.*s", SPAN_ARG(url.port));
    *ret = c;
    return 0;
}

/* ---- exchanges ---- */

/* Nobody looks at the last answer any more: the memory of a large one is not kept. */
static void put_away(struct http_keeper *k) {
    if (k->shown && k->shown->in.cap > HTTP_KEPT_ANSWER_MAX)
        buf_release(&k->shown->in);
    k->shown = NULL;
}

int http_keeper_begin(struct http_keeper *k, const struct http_ask *ask, void *owner,
                      struct err *err) {
    put_away(k);
    struct call *c = kept_to(k, ask->url);
    int rc = c ? 0 : make_place(k, ask->url, &c, err);
    if (rc < 0)
        return rc;
    call_begin(c, ask, owner, clock_mono_us());
    k->ended += c->step == CALL_ENDED;
    return 0;
}

static struct http_answer answer_of(const struct call *c) {
    const struct http_reading *r = &c->reading;
    return (struct http_answer){.status = r->reply.status,
                                .head = span_make(c->in.data, r->reply.head_len),
                                .body = span_make(c->in.data + r->reply.head_len, r->body_len)};
}

bool http_keeper_next(struct http_keeper *k, struct http_done *ret) {
    struct call *c = k->calls;
    put_away(k);
    if (k->ended == 0)
        return false;
    while (c->step != CALL_ENDED)
        c++;
    k->ended--;
    *ret = (struct http_done){.owner = c->owner,
                              .rc = c->rc,
                              .err = &c->err,
                              .late = c->late,
                              .began_us = c->began_us,
                              .took_us = c->took_us};
    if (c->rc == 0)
        ret->answer = answer_of(c);
    call_end(c);
    k->shown = c;
    return true;
}

struct wait {
    struct pollfd polled[HTTP_KEPT_MAX + 1];
    struct call *calls[HTTP_KEPT_MAX];
    size_t count;
    int64_t until_us;
};

static void add_call(struct wait *w, struct call *c) {
    short wants = call_wants(c);
    if (!wants)
        return;
    if (c->until_us < w->until_us)
        w->until_us = c->until_us;
    w->polled[w->count] = (struct pollfd){.fd = c->fd, .events = wants};
    w->calls[w->count++] = c;
}

static void go_on(struct http_keeper *k, const struct wait *w) {
    int64_t now = clock_mono_us();
    for (size_t i = 0; i < w->count; i++) {
        struct call *c = w->calls[i];
        if (w->polled[i].revents)
            call_go_on(c);
        call_check(c, now);
        k->ended += c->step == CALL_ENDED;
    }
}

bool http_keeper_wait(struct http_keeper *k, int wake_fd, int64_t wait_us) {
    struct wait w = {.count = 0};
    int64_t now = clock_mono_us(), last = now + wait_us;
    put_away(k);
    for (; k->ended == 0 && now < last; now = clock_mono_us()) {
        w.until_us = now + STEP_US < last ? now + STEP_US : last;
        w.count = 0;
        for (size_t i = 0; i < k->count; i++)
            add_call(&w, &k->calls[i]);
        struct pollfd *wake = &w.polled[w.count];
        *wake = (struct pollfd){.fd = wake_fd, .events = POLLIN};
        int64_t ms = w.until_us > now ? (w.until_us - now + 999) / 1000 : 0;
        if (poll(w.polled, w.count + 1, (int)ms) < 0 && errno != EINTR)
            return false;
        bool woken = wake->revents != 0;
        go_on(k, &w);
        if (woken)
            return true;
    }
    return false;
}

/* `to`: where the line ends. */
static struct span value_of(const char *from, const char *to) {
    return http_trim(span_make(from, (size_t)(to - from) - (to > from && to[-1] == '\r')));
}

struct span http_head_value(struct span head, const char *name, const char *from) {
    if (!head.ptr)
        return (struct span){0};
    const char *end = head.ptr + head.len, *at = from ? from : head.ptr;
    struct span wanted = span_of(name);
    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        if (!next || next + 1 >= end)
            break;
        at = next + 1;
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        if ((size_t)(stop - at) > wanted.len && at[wanted.len] == ':' &&
            http_same_text(span_make(at, wanted.len), wanted))
            return value_of(at + wanted.len + 1, stop);
    }
    return (struct span){0};
}

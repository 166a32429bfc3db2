#include "http/keep.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/call.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define STEP_US INT64_C(100000) /* how soon a stop is seen */

struct http_keeper {
    struct call calls[HTTP_KEPT_MAX];
    size_t count; /* of them that were ever used */
    size_t ended; /* of them that wait for http_keeper_next */
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

static bool is_to(const struct call *c, const struct http_url *url) {
    return c->fd >= 0 && span_is(url->host, c->host) && span_is(url->port, c->port);
}

/* A free one to that service, or a place for one: a new one, else that of the connection which was
 * not used for longest. NULL: all are in use. */
static struct call *place_of(struct http_keeper *k, const struct http_url *url) {
    struct call *place = NULL;
    for (size_t i = 0; i < k->count; i++) {
        struct call *c = &k->calls[i];
        if (c->step != CALL_NONE)
            continue;
        if (is_to(c, url))
            return c;
        if (!place || (place->fd >= 0 && (c->fd < 0 || c->used_us < place->used_us)))
            place = c;
    }
    if ((!place || place->fd >= 0) && k->count < HTTP_KEPT_MAX) {
        place = &k->calls[k->count++];
        place->fd = -1;
    }
    if (!place)
        return NULL;
    call_hang_up(place);
    (void)snprintf(place->host, sizeof place->host, "%.*s", SPAN_ARG(url->host));
    (void)snprintf(place->port, sizeof place->port, "%.*s", SPAN_ARG(url->port));
    return place;
}

/* ---- exchanges ---- */

int http_keeper_begin(struct http_keeper *k, const struct http_ask *ask, void *owner,
                      struct err *err) {
    struct http_url url;
    int rc = http_url_parse(ask->url, &url, err);
    if (rc < 0)
        return rc;
    if (url.tls || url.host.len >= sizeof k->calls->host)
        return err_set(err, ERR_CONF, "not the URL of a service: http://host:port");
    struct call *c = place_of(k, &url);
    if (!c)
        return err_set(err, ERR_LIMIT, "%d requests are under way", HTTP_KEPT_MAX);
    call_begin(c, ask, owner, clock_mono_us());
    k->ended += c->step == CALL_ENDED;
    return 0;
}

bool http_keeper_next(struct http_keeper *k, struct http_done *ret) {
    struct call *c = k->calls;
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
        ret->answer =
            (struct http_answer){.status = c->reply.status,
                                 .head = span_make(c->in.data, c->reply.head_len),
                                 .body = span_make(c->in.data + c->reply.head_len, c->body_len)};
    call_end(c);
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

static struct span trimmed(const char *from, const char *to) {
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (from < to && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r'))
        to--;
    return span_make(from, (size_t)(to - from));
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
        const char *colon = memchr(at, ':', (size_t)(stop - at));
        if (colon && http_same_text(span_make(at, (size_t)(colon - at)), wanted))
            return trimmed(colon + 1, stop);
    }
    return (struct span){0};
}

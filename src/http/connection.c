#include "http/connection.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#define IN_MAX (HTTP_HEAD_MAX + HTTP_BODY_MAX + 2 * CONNECTION_BODY_ROOM)
#define OUT_MAX (HTTP_ANSWER_MAX + HTTP_STREAM_QUEUED_MAX + 2 * HTTP_PIPELINED_MAX)

static void set_events(struct http_connection *c) {
    bool reads = connection_takes_input(c) || c->state == STATE_STREAM || c->state == STATE_LINGER;
    bool writes =
        c->state != STATE_DEAD && (connection_unsent(c) > 0 || (reads && c->read_wants_write));
    reads = reads && !c->end;
    if (reads != c->reading)
        reads ? event_add(&c->read_event, NULL) : event_del(&c->read_event);
    if (writes != c->writing)
        writes ? event_add(&c->write_event, NULL) : event_del(&c->write_event);
    c->reading = reads;
    c->writing = writes;
}

/* Every call from the loop ends here: sends, goes on with what waited for that, and frees a
 * connection that is over. */
static void settle(struct http_connection *c) {
    connection_flush(c);
    while (c->state == STATE_STREAM && connection_unsent(c) == 0 && !c->caught_up) {
        connection_fill_stream(c);
        connection_flush(c);
    }
    for (int i = 0; i < CONNECTION_ROUNDS && c->held && connection_takes_input(c); i++) {
        connection_run(c);
        connection_pump(c);
        connection_flush(c);
    }
    if (connection_unsent(c) == 0 && c->state == STATE_HEAD && c->close)
        connection_linger(c);
    else if (connection_unsent(c) == 0 && c->end &&
             (c->state == STATE_HEAD || c->state == STATE_BODY))
        c->state = STATE_DEAD;
    if (c->state == STATE_DEAD && !c->exchange) {
        http_connection_free(c);
        return;
    }
    if (c->held && connection_takes_input(c))
        event_active(&c->read_event, EV_READ, 0);
    set_events(c);
}

/* ---- calls from the loop ---- */

static void on_read(evutil_socket_t fd, short what, void *argument) {
    (void)fd;
    (void)what;
    struct http_connection *c = argument;
    c->now_us = clock_mono_us();
    if (c->state == STATE_STREAM || c->state == STATE_LINGER)
        connection_throw_away(c);
    else
        connection_pump(c);
    settle(c);
}

static void on_write(evutil_socket_t fd, short what, void *argument) {
    struct http_connection *c = argument;
    if (c->read_wants_write) {
        on_read(fd, what, argument);
        return;
    }
    c->now_us = clock_mono_us();
    settle(c);
}

void http_connection_returned(struct http_exchange *x) {
    struct http_connection *c = x->connection;
    c->now_us = clock_mono_us();
    c->exchange = NULL;
    if (c->state != STATE_DEAD)
        connection_answer(c, x);
    http_exchange_release(x);
    free(x);
    c->held = true; /* in our buffer, or in OpenSSL's */
    settle(c);
}

void http_connection_events(struct http_connection *c) {
    if (c->state != STATE_STREAM)
        return;
    c->now_us = clock_mono_us();
    connection_fill_stream(c);
    settle(c);
}

static void too_slow(struct http_connection *c) {
    if (connection_input(c).len == 0) {
        c->state = STATE_DEAD;
        return;
    }
    connection_refuse_bytes(
        c, 408, c->state == STATE_HEAD ? "the headers took too long" : "the body took too long");
}

void http_connection_tick(struct http_connection *c, int64_t now_us) {
    c->now_us = now_us;
    if (connection_unsent(c) > 0 && now_us >= c->write_us)
        c->state = STATE_DEAD;
    switch (c->state) {
    case STATE_HEAD:
    case STATE_BODY:
        if (connection_unsent(c) > 0 || now_us < c->deadline_us)
            return;
        too_slow(c);
        break;
    case STATE_LINGER:
        if (now_us < c->deadline_us)
            return;
        c->state = STATE_DEAD;
        break;
    case STATE_STREAM:
        if (now_us < c->heartbeat_us)
            return;
        c->heartbeat_us = now_us + HTTP_STREAM_US;
        if (connection_unsent(c) == 0)
            buf_add_text(&c->out, ":\n\n");
        break;
    case STATE_WORKING:
        return;
    case STATE_DEAD:
        break;
    }
    settle(c);
}

void http_connection_stop(struct http_connection *c, int64_t stop_us) {
    c->now_us = clock_mono_us();
    c->close = true;
    if (c->deadline_us > stop_us)
        c->deadline_us = stop_us;
    if (c->state == STATE_STREAM) {
        c->state = STATE_HEAD;
    } else if (c->state == STATE_LINGER ||
               (c->state == STATE_HEAD && connection_input(c).len == 0 &&
                connection_unsent(c) == 0)) {
        c->state = STATE_DEAD;
    } else if (c->state == STATE_HEAD && connection_input(c).len > 0) {
        c->close = false; /* it has begun to ask: answered with Connection: close */
    }
    settle(c);
}

/* ---- life ---- */

static void name_peer(struct http_connection *c, const struct sockaddr *peer) {
    char text[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (peer->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, peer, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        port = ntohs(v4.sin_port);
    } else if (peer->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, peer, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        port = ntohs(v6.sin6_port);
    }
    bool v6 = peer->sa_family == AF_INET6;
    (void)snprintf(c->peer, sizeof c->peer, v6 ? "[%s]:%u" : "%s:%u", text, port);
}

static bool begin_tls(struct http_connection *c) {
    struct http_service *service = c->loop->service;
    pthread_mutex_lock(&service->tls_lock);
    c->ssl = service->tls ? SSL_new(service->tls) : NULL;
    bool wanted = service->tls != NULL;
    pthread_mutex_unlock(&service->tls_lock);
    if (!wanted)
        return true;
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
        return false;
    SSL_set_accept_state(c->ssl);
    return true;
}

void http_connection_new(struct http_loop *loop, int fd, const struct sockaddr *peer,
                         bool refused) {
    struct http_connection *c = mem_zalloc(1, sizeof *c);
    int one = 1;
    *c = (struct http_connection){.loop = loop, .fd = fd, .now_us = clock_mono_us()};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    buf_init(&c->in, IN_MAX);
    buf_init(&c->out, OUT_MAX);
    c->deadline_us = c->now_us + HTTP_HEAD_US;
    c->next = loop->connections;
    if (c->next)
        c->next->prev = c;
    loop->connections = c;
    name_peer(c, peer);
    event_assign(&c->read_event, loop->base, fd, EV_READ | EV_PERSIST, on_read, c);
    event_assign(&c->write_event, loop->base, fd, EV_WRITE | EV_PERSIST, on_write, c);
    if (!begin_tls(c) || (refused && c->ssl))
        c->state = STATE_DEAD;
    else if (refused)
        connection_refuse_bytes(c, 503, "there are as many connections as this server keeps");
    settle(c);
}

void http_connection_free(struct http_connection *c) {
    struct http_loop *loop = c->loop;
    event_del(&c->read_event);
    event_del(&c->write_event);
    if (c->begun_us && c->state == STATE_DEAD)
        atomic_fetch_add(&loop->server->counters.requests[0], 1);
    if (c->prev)
        c->prev->next = c->next;
    else
        loop->connections = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (c->has_slot) {
        atomic_fetch_sub(&loop->server->counters.streams, 1);
        atomic_fetch_sub(&loop->streams, 1);
    }
    if (c->exchange) {
        http_exchange_release(c->exchange);
        free(c->exchange);
    }
    SSL_free(c->ssl);
    close(c->fd);
    buf_release(&c->in);
    buf_release(&c->out);
    atomic_fetch_sub(&loop->server->counters.connections, 1);
    free(c);
}

/* Reading, writing, and the end of a connection that is still read. */
#include "http/connection.h"
#include "http/tls.h"

#include <sys/socket.h>

#define HEAD_ROOM 4096 /* bytes to read at once */

/* Bytes read; 0: none now (or the connection is DEAD, or at its end). *ret_filled: there may be
 * more. */
static size_t receive(struct http_connection *c, bool *ret_filled) {
    size_t room = c->state == STATE_BODY ? CONNECTION_BODY_ROOM : HEAD_ROOM;
    char *to = buf_reserve(&c->in, room);
    if (!to) {
        c->state = STATE_DEAD; /* cannot be: what is read is bounded by the limits */
        return 0;
    }
    ssize_t n = http_io_read(c->fd, c->ssl, to, room);
    c->read_wants_write = n == HTTP_IO_WRITE;
    *ret_filled = false;
    if (n > 0) {
        c->in.len += (size_t)n;
        *ret_filled = c->ssl ? SSL_pending(c->ssl) > 0 : (size_t)n == room;
        return (size_t)n;
    }
    if (n == HTTP_IO_FAILED)
        c->state = STATE_DEAD;
    c->end = c->end || n == HTTP_IO_END;
    return 0;
}

void connection_throw_away(struct http_connection *c) {
    char bytes[HEAD_ROOM];
    for (int i = 0; i < CONNECTION_ROUNDS; i++) {
        ssize_t n = http_io_read(c->fd, c->ssl, bytes, sizeof bytes);
        c->read_wants_write = n == HTTP_IO_WRITE;
        if (n == HTTP_IO_END || n == HTTP_IO_FAILED)
            c->state = STATE_DEAD;
        if (n <= 0)
            return;
    }
}

void connection_pump(struct http_connection *c) {
    for (int i = 0; i < CONNECTION_ROUNDS; i++) {
        bool filled;
        if (!connection_takes_input(c)) {
            c->held = true;
            return;
        }
        if (c->end)
            return;
        size_t n = receive(c, &filled);
        if (n)
            connection_run(c);
        if (!n || !filled)
            return;
    }
    event_active(&c->read_event, EV_READ, 0); /* go on after the others */
}

/* Its time for the next request, or for the rest of one, begins when it has taken all: until then
 * we may not even have been reading. */
static void all_is_sent(struct http_connection *c) {
    if (c->state == STATE_BODY)
        c->deadline_us = c->now_us + HTTP_BODY_US;
    else if (c->state == STATE_HEAD)
        c->deadline_us = c->now_us + (c->begun_us ? HTTP_HEAD_US : HTTP_IDLE_US);
}

void connection_flush(struct http_connection *c) {
    while (connection_unsent(c) > 0 && c->state != STATE_DEAD) {
        ssize_t n = http_io_write(c->fd, c->ssl, c->out.data + c->sent, connection_unsent(c));
        if (n == HTTP_IO_WRITE || n == HTTP_IO_READ)
            return;
        if (n <= 0) {
            c->state = STATE_DEAD;
            return;
        }
        c->sent += (size_t)n;
        c->write_us = c->now_us + HTTP_WRITE_US;
        if (connection_unsent(c) == 0)
            all_is_sent(c);
    }
    c->sent = 0;
    if (c->out.cap > CONNECTION_KEEP_BYTES)
        buf_release(&c->out);
    buf_clear(&c->out);
}

void connection_linger(struct http_connection *c) {
    if (c->ssl)
        SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
    c->state = c->end ? STATE_DEAD : STATE_LINGER;
    c->deadline_us = c->now_us + HTTP_LINGERING_US;
}

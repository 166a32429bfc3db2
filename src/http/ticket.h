/*
 * Tickets: what stands in an address for a token, where a client can send no header (a browser's
 * EventSource). Private to http/.
 *
 * A ticket is a MAC of a route's path and of a span of time, by a key that is made for each
 * listener and lives in its memory only. It opens that one route, for who may evaluate, in the
 * period (HTTP_TICKET_US) it was made in and in the next one: nothing is kept, so nothing can
 * overflow. All tickets of a period are equal, so that an answer which carries one stays equal
 * too. Any thread.
 */
#ifndef BANYAN_HTTP_TICKET_H
#define BANYAN_HTTP_TICKET_H

#include "base/span.h"
#include "http/http.h"

#define HTTP_TICKET_KEY 32

struct http_ticket_key {
    unsigned char bytes[HTTP_TICKET_KEY];
};

/* False: no random bytes. */
bool http_ticket_key_init(struct http_ticket_key *key) must_check;

void http_ticket_write(const struct http_ticket_key *key, const char *path, int64_t now_us,
                       char text[HTTP_TICKET_TEXT + 1]);

/* In constant time. now_us: of the clock that http_ticket_write had (monotonic). */
bool http_ticket_is_good(const struct http_ticket_key *key, const char *path, struct span text,
                         int64_t now_us) must_check;

#endif

/*
 * Events on their way to streams: a ring for each channel. Any thread. Private to http/.
 *
 * A stream holds no queue of its own: it has a place in the ring, and its loop copies what is newer
 * into the connection's output. Ids are "<run>-<number>", so that those of another run of the
 * server are told apart.
 */
#ifndef BANYAN_HTTP_HUB_H
#define BANYAN_HTTP_HUB_H

#include "base/buf.h"
#include "http/http.h"

#include <pthread.h>

struct http_event;

struct http_channel {
    struct http_event *ring[HTTP_RING];
    uint64_t first, next; /* numbers: those that are kept are first .. next - 1 */
    size_t bytes;
};

struct http_hub {
    pthread_mutex_t lock;
    uint64_t run;
    struct http_channel channels[HTTP_CHANNELS];
};

void http_hub_init(struct http_hub *h, uint64_t run);
void http_hub_release(struct http_hub *h);

/* False: over HTTP_EVENT_MAX, or a type that is no word. */
bool http_hub_add(struct http_hub *h, int channel, const char *type, struct span data) must_check;

/* Where a new stream begins, given its Last-Event-ID (ptr NULL: none). Where that is unknown or too
 * old, the event `lost` is written to `out`. */
uint64_t http_hub_join(struct http_hub *h, int channel, struct span last_id,
                       const struct http_lost *lost, struct buf *out);

enum http_hub_result { HTTP_HUB_ALL, HTTP_HUB_MORE, HTTP_HUB_GONE };

/* Appends what is new since *place, and moves it. MORE: there is more, but HTTP_STREAM_QUEUED_MAX
 * would be passed, with what is `queued` already; GONE: the ring has gone past the place. */
enum http_hub_result http_hub_read(struct http_hub *h, int channel, uint64_t *place, size_t queued,
                                   struct buf *out) must_check;

#endif

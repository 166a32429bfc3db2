#include "http/hub.h"

#include "base/mem.h"

#include <inttypes.h>

struct http_event {
    size_t len;
    char text[];
};

void http_hub_init(struct http_hub *h, uint64_t run) {
    *h = (struct http_hub){.run = run};
    pthread_mutex_init(&h->lock, NULL);
    for (int i = 0; i < HTTP_CHANNELS; i++)
        h->channels[i].first = h->channels[i].next = 1;
}

static void drop_first(struct http_channel *c) {
    struct http_event **slot = &c->ring[c->first++ % HTTP_RING];
    c->bytes -= (*slot)->len;
    free(*slot);
    *slot = NULL;
}

void http_hub_release(struct http_hub *h) {
    for (int i = 0; i < HTTP_CHANNELS; i++) {
        while (h->channels[i].first < h->channels[i].next)
            drop_first(&h->channels[i]);
    }
    pthread_mutex_destroy(&h->lock);
}

static bool is_word(const char *type) {
    for (const char *p = type; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return false;
    }
    return *type != '\0';
}

/* Every line of the data is a field of its own; CR, LF and CR LF end lines in an event stream. */
static void add_data(struct buf *b, struct span data) {
    size_t i = 0;
    do {
        size_t from = i;
        while (i < data.len && data.ptr[i] != '\n' && data.ptr[i] != '\r')
            i++;
        buf_add_text(b, "data: ");
        buf_add(b, data.ptr + from, i - from);
        buf_add_char(b, '\n');
        if (i + 1 < data.len && data.ptr[i] == '\r' && data.ptr[i + 1] == '\n')
            i++;
    } while (i++ < data.len);
    buf_add_char(b, '\n');
}

bool http_hub_add(struct http_hub *h, int channel, const char *type, struct span data) {
    _cleanup_(buf_release) struct buf b = {.max = HTTP_EVENT_MAX};
    struct http_channel *c = &h->channels[channel];
    if (!is_word(type))
        return false;
    buf_printf(&b, "event: %s\n", type);
    add_data(&b, data);
    if (!buf_ok(&b))
        return false;
    pthread_mutex_lock(&h->lock);
    char id[64];
    int n = snprintf(id, sizeof id, "id: %" PRIx64 "-%" PRIu64 "\n", h->run, c->next);
    struct http_event *e = mem_alloc(sizeof *e + (size_t)n + b.len);
    e->len = (size_t)n + b.len;
    memcpy(e->text, id, (size_t)n);
    memcpy(e->text + n, b.data, b.len);
    while (c->next - c->first == HTTP_RING ||
           (c->first < c->next && c->bytes + e->len > HTTP_RING_BYTES))
        drop_first(c);
    c->ring[c->next++ % HTTP_RING] = e;
    c->bytes += e->len;
    pthread_mutex_unlock(&h->lock);
    return true;
}

/* "<run>-<number>"; 0: not an id of this run. */
static uint64_t parse_id(const struct http_hub *h, struct span id) {
    char mine[32];
    int n = snprintf(mine, sizeof mine, "%" PRIx64 "-", h->run);
    uint64_t number = 0;
    if (id.len <= (size_t)n || id.len > (size_t)n + 18 || memcmp(id.ptr, mine, (size_t)n) != 0)
        return 0;
    for (size_t i = (size_t)n; i < id.len; i++) {
        if (id.ptr[i] < '0' || id.ptr[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(id.ptr[i] - '0');
    }
    return number + 1;
}

uint64_t http_hub_join(struct http_hub *h, int channel, struct span last_id,
                       const struct http_lost *lost, struct buf *out) {
    struct http_channel *c = &h->channels[channel];
    pthread_mutex_lock(&h->lock);
    uint64_t place = last_id.ptr ? parse_id(h, last_id) : c->next;
    if (place < c->first || place > c->next) {
        place = c->next;
        buf_printf(out, "id: %" PRIx64 "-%" PRIu64 "\nevent: %s\ndata: %s\n\n", h->run, place - 1,
                   lost->type, lost->data);
    }
    pthread_mutex_unlock(&h->lock);
    return place;
}

enum http_hub_result http_hub_read(struct http_hub *h, int channel, uint64_t *place, size_t queued,
                                   struct buf *out) {
    struct http_channel *c = &h->channels[channel];
    enum http_hub_result result = HTTP_HUB_ALL;
    pthread_mutex_lock(&h->lock);
    if (*place < c->first)
        result = HTTP_HUB_GONE;
    while (result == HTTP_HUB_ALL && *place < c->next) {
        const struct http_event *e = c->ring[*place % HTTP_RING];
        queued += e->len;
        if (queued > HTTP_STREAM_QUEUED_MAX) {
            result = HTTP_HUB_MORE;
            break;
        }
        buf_add(out, e->text, e->len);
        ++*place;
    }
    pthread_mutex_unlock(&h->lock);
    return result;
}

/*
 * Connections as clients see them: each can begin, keeps the deadline of the call under way, and
 * has no buffer of its own.
 *
 * libmongoc 1.23 locks itself out for ever when a client without a pool cannot begin a connection
 * in the middle of looking for servers: the callback that notes the failure takes a lock which its
 * caller holds (CDRIVER-4666, mended in 1.24.3). A name that cannot be resolved for a moment would
 * be enough. So a connection always begins; one that could not be made fails at its first use.
 *
 * What libmongoc makes for a client with an initiator has a buffer that grows to the longest reply,
 * 48 MB, and stays so (docs of mongoc_stream_buffered_new). Replies are read past it.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "db/mongo_session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Exported by libmongoc for the makers of other transports, but in none of its installed headers:
 * what it does by itself when a client has no initiator. `client` is a mongoc_client_t. */
mongoc_stream_t *mongoc_client_default_stream_initiator(const mongoc_uri_t *uri,
                                                        const mongoc_host_list_t *host,
                                                        void *client, bson_error_t *error);

struct stream {
    mongoc_stream_t stream; /* first: libmongoc sees this */
    mongoc_stream_t *whole; /* with its buffer, which stays empty; owned */
    mongoc_stream_t *bare;  /* a part of `whole` */
    struct mongo *mongo;    /* outlives the client, and so this */
};

#define STREAM_TYPE 1000 /* none of libmongoc's */

static struct stream *ours(mongoc_stream_t *stream) {
    return (struct stream *)stream;
}

/* ---- deadlines ---- */

static bool is_late(const struct mongo *m) {
    return m->until_us && clock_mono_us() >= m->until_us;
}

/* Shortens a wait to what is left; false with errno: nothing is. */
static bool may_wait(struct mongo *m, int32_t *ms) {
    if (!m->until_us)
        return true;
    int64_t left = (m->until_us - clock_mono_us() + 999) / 1000;
    if (left <= 0) {
        m->timed_out = true;
        errno = ETIMEDOUT;
        return false;
    }
    if (*ms <= 0 || *ms > left)
        *ms = (int32_t)left;
    return true;
}

static ssize_t stream_read(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t count,
                           size_t min_bytes, int32_t timeout_ms) {
    struct stream *s = ours(stream);
    if (!may_wait(s->mongo, &timeout_ms))
        return -1;
    ssize_t n = mongoc_stream_readv(s->bare, iov, count, min_bytes, timeout_ms);
    if (n < (ssize_t)min_bytes && is_late(s->mongo))
        s->mongo->timed_out = true;
    return n;
}

static ssize_t stream_write(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t count,
                            int32_t timeout_ms) {
    struct stream *s = ours(stream);
    return may_wait(s->mongo, &timeout_ms) ? mongoc_stream_writev(s->bare, iov, count, timeout_ms)
                                           : -1;
}

/* ---- the rest is the stream's own ---- */

static void stream_destroy(mongoc_stream_t *stream) {
    mongoc_stream_destroy(ours(stream)->whole);
    free(stream);
}

static void stream_failed(mongoc_stream_t *stream) {
    mongoc_stream_failed(ours(stream)->whole);
    free(stream);
}

static int stream_close(mongoc_stream_t *stream) {
    return mongoc_stream_close(ours(stream)->whole);
}

static int stream_flush(mongoc_stream_t *stream) {
    return mongoc_stream_flush(ours(stream)->bare);
}

static int stream_setsockopt(mongoc_stream_t *stream, int level, int name, void *value,
                             mongoc_socklen_t len) {
    return mongoc_stream_setsockopt(ours(stream)->bare, level, name, value, len);
}

static mongoc_stream_t *stream_base(mongoc_stream_t *stream) {
    return ours(stream)->bare;
}

static bool stream_check_closed(mongoc_stream_t *stream) {
    return mongoc_stream_check_closed(ours(stream)->bare);
}

static bool stream_timed_out(mongoc_stream_t *stream) {
    return mongoc_stream_timed_out(ours(stream)->bare);
}

static bool stream_should_retry(mongoc_stream_t *stream) {
    return mongoc_stream_should_retry(ours(stream)->bare);
}

/* ---- making one ---- */

/* Never connected: to wait for it ends at once, and what is written is refused. */
static mongoc_stream_t *dead(void) {
    mongoc_socket_t *socket = mongoc_socket_new(AF_INET, SOCK_STREAM, 0);
    return socket ? mongoc_stream_socket_new(socket) : NULL;
}

static mongoc_stream_t *wrap(mongoc_stream_t *whole, struct mongo *m) {
    mongoc_stream_t *bare = mongoc_stream_get_base_stream(whole);
    struct stream *s = mem_zalloc(1, sizeof *s);
    s->whole = whole;
    s->bare = bare ? bare : whole;
    s->mongo = m;
    s->stream = (mongoc_stream_t){.type = STREAM_TYPE,
                                  .destroy = stream_destroy,
                                  .close = stream_close,
                                  .flush = stream_flush,
                                  .writev = stream_write,
                                  .readv = stream_read,
                                  .setsockopt = stream_setsockopt,
                                  .get_base_stream = stream_base,
                                  .check_closed = stream_check_closed,
                                  .failed = stream_failed,
                                  .timed_out = stream_timed_out,
                                  .should_retry = stream_should_retry};
    return &s->stream;
}

mongoc_stream_t *mongo_stream_open(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
                                   void *mongo, bson_error_t *error) {
    struct mongo *m = mongo;
    m->timed_out = m->timed_out || is_late(m);
    mongoc_stream_t *whole =
        m->timed_out ? NULL : mongoc_client_default_stream_initiator(uri, host, m->client, error);
    if (!whole)
        whole = dead();
    return whole ? wrap(whole, m) : NULL;
}

/*
 * What nginx's workers tell the daemon: frames on a stream socket.
 *
 *   frame   u32 length of what follows, u8 FRAME_VERSION, u8 enum frame_kind, payload
 *   text    u32 length, bytes
 *
 * Numbers are big-endian. A *sample* is one request with its answer, so that the daemon can ask
 * the other side the same and compare. *Statistics* are what came to the counters of one route and
 * side since the frame before. Pure; what is read points into the frame.
 */
#ifndef BANYAN_ROUTE_FRAME_H
#define BANYAN_ROUTE_FRAME_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "route/decide.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_VERSION 2
#define FRAME_HEAD 4 /* bytes of the length */

#define FRAME_BODY_MAX ((size_t)256 * 1024)   /* of an answer: what is longer is cut */
#define FRAME_ASK_MAX ((size_t)256 * 1024)    /* of a request: what is longer is no sample */
#define FRAME_HEADERS_MAX ((size_t)64 * 1024) /* bytes of all of them, of one direction */
#define FRAME_HEADER_COUNT 128                /* of one direction */
#define FRAME_MAX ((size_t)1024 * 1024)       /* a whole frame, with its length */

enum frame_kind { FRAME_SAMPLE = 1, FRAME_STATISTICS = 2 };

/* Why a request was taken as a sample. */
enum frame_why {
    FRAME_EARLY,  /* among the first of its minute */
    FRAME_HASHED, /* its id fell into the share */
    FRAME_MISSING /* MongoDB said 404 and SQL was asked: always taken */
};

/* What MongoDB failed with where SQL answered in its place. */
enum frame_failure {
    FRAME_NO_FAILURE,
    FRAME_CONNECT,
    FRAME_TIMEOUT,
    FRAME_5XX,
    FRAME_404,
    FRAME_FAILURES
};

struct frame_header {
    struct span name, value;
};

struct frame_headers {
    size_t count;
    struct frame_header list[FRAME_HEADER_COUNT];
};

struct frame_sample {
    int64_t at_us; /* wall clock, when the request came */
    struct span module, route;
    struct span request_id;
    struct span method, uri; /* raw, with the query */
    struct span remote;      /* the client's address, for X-Forwarded-For */
    bool tls;                /* for X-Forwarded-Proto */
    struct span asked_body;

    enum route_side side; /* who answered */
    enum route_reason reason;
    enum frame_failure failure; /* not FRAME_NO_FAILURE: SQL stood in for MongoDB */
    uint16_t status;
    int64_t upstream_us;
    struct span body;
    bool truncated; /* `body` is only its beginning */

    enum frame_why why;
    uint64_t weight; /* how many requests it stands for, in millionths (sampling.h) */

    /* Large, and mostly empty: last, so that the rest can be cleared without them. */
    struct frame_headers asked;
    struct frame_headers answered; /* which are compared, and what is needed to read the body */
};

/* Why a sample was not handed over. */
#define FRAME_DROPS(X)                                                                             \
    X(FRAME_DROP_AWAY, "away")       /* nobody listens */                                          \
    X(FRAME_DROP_FULL, "full")       /* the daemon is slower than we are */                        \
    X(FRAME_DROP_LARGE, "large")     /* the request's body or headers are over the limit */        \
    X(FRAME_DROP_ABORTED, "aborted") /* the client left, or the answer broke off */

enum frame_drop {
#define FRAME_DROP_ENUM(id, text) id,
    FRAME_DROPS(FRAME_DROP_ENUM)
#undef FRAME_DROP_ENUM
        FRAME_DROP_COUNT
};
const char *frame_drop_name(enum frame_drop drop);

/* Since the frame before; one route and side. */
struct frame_statistics {
    struct span module, route;
    enum route_side side; /* who answered, or failed to */
    bool write;           /* of writes; else of reads */
    uint64_t count;       /* calls to the side; a rescued request is one on each */
    uint64_t errors;      /* those that failed: no answer, 5xx */
    uint64_t rescued;     /* of MongoDB's failures: SQL answered */
    uint64_t pinned;      /* reads that stayed on SQL after an own write */
    uint64_t pins_ended;  /* marks that ended by time, not because the write had arrived */
    uint64_t spared;      /* reads that stayed on SQL because the breaker is open */
    uint64_t sampled;     /* handed over */
    uint64_t dropped[FRAME_DROP_COUNT];
    struct span latency; /* obs_histogram_to_blob, µs, of `count` */
};

/* Append; false (and `out` as it was): over a limit. */
bool frame_sample_write(struct buf *out, const struct frame_sample *s) must_check;
bool frame_statistics_write(struct buf *out, const struct frame_statistics *s) must_check;

/* What stands at the beginning of `bytes`: *ret_len with its head, 0 as long as that is not there
 * whole. ERR_WIRE: it is none of ours, or of another version; the stream cannot be read on. */
int frame_peek(struct span bytes, size_t *ret_len, enum frame_kind *ret_kind,
               struct err *err) must_check;

/* `frame` as frame_peek measured it. ERR_WIRE. `ret` is 8 KiB: not for the stack of a deep call. */
int frame_sample_read(struct span frame, struct frame_sample *ret, struct err *err) must_check;
int frame_statistics_read(struct span frame, struct frame_statistics *ret,
                          struct err *err) must_check;

#endif

/*
 * Why a sampled call was not compared. Static names; part of metrics, rollups and the API.
 */
#ifndef BANYAN_PARALLEL_REASON_H
#define BANYAN_PARALLEL_REASON_H

#define PARALLEL_REASONS(X)                                                                        \
    X(NOT_COMPARED_HEAD, "head")               /* HEAD: no body */                                 \
    X(NOT_COMPARED_UNCHANGED, "not_modified")  /* 304 */                                           \
    X(NOT_COMPARED_PARTIAL, "partial")         /* 206 */                                           \
    X(NOT_COMPARED_EVENTS, "event_stream")     /* server-sent events */                            \
    X(NOT_COMPARED_ENCODING, "encoding")       /* br and others */                                 \
    X(NOT_COMPARED_TOO_LARGE, "too_large")     /* more than is copied, or than is read */          \
    X(NOT_COMPARED_DAMAGED, "damaged")         /* no gzip, no HTTP */                              \
    X(NOT_COMPARED_WRITE, "write")             /* no read */                                       \
    X(NOT_COMPARED_BUDGET, "budget")           /* more than the other side may be asked */         \
    X(NOT_COMPARED_BREAKER, "breaker")         /* the other side failed too often just now */      \
    X(NOT_COMPARED_UNREACHABLE, "unreachable") /* the other side did not answer */                 \
    X(NOT_COMPARED_TIMEOUT, "timeout")         /* ... in time */                                   \
    X(NOT_COMPARED_FORBIDDEN, "forbidden")     /* 401 or 403 of the other side only */             \
    X(NOT_COMPARED_FULL, "queue")              /* more than the daemon could take */               \
    X(NOT_COMPARED_NOT_READY, "not_ready")     /* the mapping is not known yet */

enum parallel_reason {
    COMPARABLE = 0,
#define PARALLEL_REASON_ENUM(id, text) id,
    PARALLEL_REASONS(PARALLEL_REASON_ENUM)
#undef PARALLEL_REASON_ENUM
        PARALLEL_REASON_COUNT
};

/* "" for COMPARABLE. */
const char *parallel_reason_name(enum parallel_reason reason);

#endif

/*
 * Operations: named reads with a SQL and a MongoDB form, answered by the side that the module's
 * setting or flag says, with the other side behind it.
 *
 *   call -> parameters -> decide -> primary (pooled session, deadline) -> answer
 *                            |           | failed: the other side, if it may
 *                            +-> sampled: the other side too, in a thread of its own -> observer
 *
 * What the other side does never delays the answer: it has threads, sessions and a budget of its
 * own, and where they are used up, the sample is dropped and counted.
 *
 * Any thread may call anything here, but for _new and _free. Times are microseconds, monotonic
 * unless they say otherwise.
 */
#ifndef BANYAN_OPERATION_OPERATION_H
#define BANYAN_OPERATION_OPERATION_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"
#include "flags/flags.h"
#include "obs/histogram.h"
#include "route/decide.h"

#include <stdint.h>

#define OPERATION_ROWS_MAX 100000                     /* of one answer */
#define OPERATION_RESULT_MAX (16 * 1024 * 1024)       /* bytes of one answer, as BSON */
#define OPERATION_REQUEST_MAX (1024 * 1024)           /* bytes of one request */
#define OPERATION_JSON_MAX (16 * (size_t)1024 * 1024) /* bytes of one answer, as JSON */
#define OPERATION_SESSIONS 16   /* of a side, for primaries; as many for samples */
#define OPERATION_WAITING_MAX 8 /* calls that wait for a session of a side */
#define OPERATION_SIDES 2       /* by enum route_side */

/* ---- one call, as it is observed ---- */

#define OPERATION_OUTCOMES(X)                                                                      \
    X(OPERATION_NOT_ASKED, "not_asked")                                                            \
    X(OPERATION_OK, "ok")                                                                          \
    X(OPERATION_NO_ROW, "404")      /* returns: one, and there is none */                          \
    X(OPERATION_CONNECT, "connect") /* no connection, or no session free in time */                \
    X(OPERATION_TIMEOUT, "timeout") /* cancelled at its deadline */                                \
    X(OPERATION_FAILED, "5xx")      /* the server refused it, or its answer breaks a rule */

enum operation_outcome {
#define OPERATION_OUTCOME_ENUM(id, text) id,
    OPERATION_OUTCOMES(OPERATION_OUTCOME_ENUM)
#undef OPERATION_OUTCOME_ENUM
        OPERATION_OUTCOME_COUNT
};
const char *operation_outcome_name(enum operation_outcome outcome);

/* Not what a side says of its rows: "no row" is an answer. */
static inline bool operation_is_failure(enum operation_outcome o) {
    return o == OPERATION_CONNECT || o == OPERATION_TIMEOUT || o == OPERATION_FAILED;
}

struct operation_answer {
    enum operation_outcome outcome;
    int64_t took_us;
    size_t rows;
    struct buf bson; /* an array of the rows, as BSON; of a failure: nothing */
    struct err err;  /* of a failure */
};
void operation_answer_release(struct operation_answer *a);

/* Does not change once it is given to an observer. */
struct operation_call {
    const struct conf_module *module;
    const struct conf_operation *operation;
    uint64_t id;        /* random */
    int64_t at_us;      /* wall clock */
    struct span params; /* as JSON, what the caller gave; of the command line or the API alike */
    struct span user, tenant;
    struct route_decision decision;
    enum route_side answered; /* the side whose answer the caller got, or would have */
    bool rescued;             /* not decision.side */
    bool fell_back;           /* both were asked for the caller's sake: both answers may be read */
    bool both; /* the other side was, or will be, asked too, for the sake of comparing */
    struct operation_answer answers[OPERATION_SIDES];
};

/* A call lives as long as somebody holds it. */
struct operation_call *operation_call_ref(const struct operation_call *view);
void operation_call_unref(struct operation_call *view);
DEFINE_CLEANUP(struct operation_call *, operation_call_unref)

/*
 * Who watches. Functions may be NULL.
 *
 * sample: in the caller's thread, before anything is asked; true: ask both sides. Only for calls
 * whose decision is `sampled`. answered: in the caller's thread, when its answer is ready; the
 * other side's may still be missing (then `both` is true, its outcome OPERATION_NOT_ASKED and it
 * must not be read). Both must return at once. compared: in a thread that serves samples, when both
 * sides have answered or failed; may take its time, which bounds how many samples are taken.
 * dropped: as answered; a sample that could not be taken, with the reason: "budget", "busy".
 */
struct operation_observer {
    void *context;
    bool (*sample)(void *context, const struct operation_call *call);
    void (*answered)(void *context, const struct operation_call *call);
    void (*compared)(void *context, struct operation_call *call);
    void (*dropped)(void *context, const struct operation_call *call, const char *reason);
};

/* ---- a set of operations ---- */

/* What decides, of a module, for the one who asks. */
struct operation_routing {
    enum route_reads reads;
    enum route_writes writes;
    bool known;     /* false: settings or, where they are needed, flags were never published */
    bool flag_on;   /* where reads is READS_FLAG */
    bool fallback;  /* `banyan fallback off` was not said */
    bool caught_up; /* MongoDB has what SQL has, so that it may answer for it */
};

/* Fills *ret; any thread, at once. */
typedef void (*operation_route_fn)(void *context, const struct conf_module *module,
                                   const struct flags_context *who, struct operation_routing *ret);

struct operations_config {
    const struct conf *conf; /* outlives the set */
    const char *app;         /* application name of the sessions */
    operation_route_fn route;
    void *route_context;
    struct operation_observer observer;
};

struct operations;

/* Checks every operation; connects to nothing. ERR_CONF with file, line and column. */
int operations_new(const struct operations_config *config, struct operations **ret_operations,
                   struct err *err) must_check;
/* No call may be under way; waits for samples that are (bounded by their deadlines), and for one
 * statement that is being cancelled: see pg_cancel_request. NULL is fine. */
void operations_free(struct operations *ops);

/* Only the checks, for a configuration that nobody serves. */
int operations_check(const struct conf *conf, struct err *err) must_check;

struct operation_request {
    struct span params;              /* a JSON object; empty: none */
    const struct flags_context *who; /* NULL: nobody */
    int side;                        /* an enum route_side: only that one is asked; -1: decide */
};

/*
 * Answers a call. 0: *ret_call holds the answer (of side `answered`), which may be OPERATION_NO_ROW
 * or, where the caller could not be helped, a failure: then both sides' errors are in the call, as
 * far as both were asked. ERR_NO: there is no such operation. ERR_USAGE: a parameter is wrong, and
 * named. Waits until the deadlines of the operation at most. operation_call_unref the call.
 */
int operations_call(struct operations *ops, const char *name,
                    const struct operation_request *request, struct operation_call **ret_call,
                    struct err *err) must_check;

/* Asks one side once more, with the parameters of a call, in sessions that samples use. The answer
 * may be a failure. operation_answer_release it. */
void operations_ask(struct operations *ops, const struct operation_call *view, enum route_side side,
                    struct operation_answer *ret);

enum operation_numbers { OPERATION_NUMBERS_PLAIN, OPERATION_NUMBERS_STRING };

/* Appends the answer as JSON: an object where the operation returns one, else an array. Equal
 * values have equal bytes, whichever side they came from, but that decimals keep their zeros (12.50
 * is not 12.5) and doubles from 2^63 on have an exponent. ERR_LIMIT: longer than `out` may be. */
int operation_json(const struct conf_operation *operation, const struct operation_answer *answer,
                   enum operation_numbers numbers, struct buf *out, struct err *err) must_check;

/* ---- what was measured ---- */

struct operation_side_counts {
    uint64_t calls, samples;                    /* as primary or fallback; for comparing */
    uint64_t outcomes[OPERATION_OUTCOME_COUNT]; /* of calls */
    uint64_t rescued;                           /* calls that the other side answered instead */
    bool breaker_open;
};

struct operation_counts {
    const struct conf_module *module;
    const struct conf_operation *operation;
    struct operation_side_counts sides[OPERATION_SIDES];
    uint64_t dropped_budget, dropped_busy;
};

size_t operations_count(const struct operations *ops);
/* Of number `i`, in the order of the configuration. */
void operations_counts(struct operations *ops, size_t i, struct operation_counts *ret);

/* How long calls of number `i` took on a side. Lives as long as the set. */
const struct obs_histogram *operations_took(const struct operations *ops, size_t i,
                                            enum route_side side);

/* Sessions open now, of a side. */
size_t operations_sessions(struct operations *ops, enum route_side side);

#endif

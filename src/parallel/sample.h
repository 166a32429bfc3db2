/*
 * One sampled call and how the sides are asked the same again. Private to parallel/.
 *
 * A sample owns the frame it came in; it travels from the listener to a worker and, where the
 * answers differ, to a settler, and is freed by whoever has it last. An answer that is *held* is a
 * copy with its body inflated.
 */
#ifndef BANYAN_PARALLEL_SAMPLE_H
#define BANYAN_PARALLEL_SAMPLE_H

#include "http/keep.h"
#include "operation/operation.h"
#include "parallel/subject.h"
#include "route/frame.h"

struct sample {
    struct subject *subject;
    uint64_t weight;                  /* in millionths */
    struct operation_call *operation; /* of an operation; NULL: of a route, with all that follows */
    struct frame_sample call;
    size_t len;
    char bytes[]; /* the frame */
};

/* Copies the frame. NULL: no frame of ours, of no route of ours, or one that cannot be sent on
 * (*ret_subject, where it is not NULL, says whose it would have been). */
struct sample *sample_new(const struct subjects *subjects, struct span frame,
                          struct subject **ret_subject);
/* Of a call of an operation, which it holds. */
struct sample *sample_of_operation(struct subject *subject, const struct operation_call *call,
                                   uint64_t weight);
void sample_free(struct sample *s);
/* Memory that it holds, of an operation with the answers of both sides. */
size_t sample_bytes(const struct sample *s);

/* Asking the same again is sure to change nothing. */
bool sample_can_repeat(const struct sample *s);
/* By which what is rare is chosen. */
uint64_t sample_hash(const struct sample *s, uint64_t seed);
void sample_request_id(const struct sample *s, struct buf *out);

struct held {
    struct answer answer;
    struct buf head, body; /* what it points to */
};
void held_init(struct held *h);
void held_release(struct held *h);
/* Lets the answer go, and the memory of a large one. */
void held_let_go(struct held *h);
/* A copy; `ret` is set up already. */
enum parallel_reason held_operation(struct held *ret, const struct conf_operation *operation,
                                    const struct operation_answer *answer);

/* What the client of a route was given. COMPARABLE, or why not. */
enum parallel_reason sample_primary(const struct sample *s, struct held *ret);

/* Who asks: of a thread. */
struct asker {
    struct http_keeper *keeper;
    struct operations *const *operations; /* NULL in it: none */
    const atomic_bool *stop;
    enum budget_for what; /* it asks for */
};

/* A route's side is asked, without waiting: the exchange is under way in the asker's keeper, and
 * sample_end is told its end. COMPARABLE, or why it has ended at once. `request` stays until then.
 */
enum parallel_reason sample_begin(const struct sample *s, enum route_side side,
                                  const struct asker *asker, struct buf *request, void *owner);
/* As sample_ask. */
enum parallel_reason sample_end(const struct sample *s, enum route_side side,
                                const struct asker *asker, const struct http_done *done,
                                struct held *ret);

/* What a side says now. Counts the call, its time and whether it
 * failed; the caller has asked subject_begin. COMPARABLE, or why not; NOT_COMPARED_FORBIDDEN where
 * it says 401 or 403: `ret` has the answer all the same. */
enum parallel_reason sample_ask(const struct sample *s, enum route_side side,
                                const struct asker *asker, struct held *ret);

/* The user of the call, as the route's `user` says: a header, or a claim of the token, which the
 * gateway has verified. ptr NULL: nobody. In `memory`. */
struct span sample_user(const struct sample *s, struct arena *memory);

/* A command that asks the same again, without what may be secret: headers, and values of the query.
 */
void sample_reproducer(const struct sample *s, struct buf *out);

/* The parameters of an operation, masked, as JSON; ptr NULL: of a route. In `memory`. */
struct span sample_parameters(const struct sample *s, struct span mask_key, struct arena *memory);
/* The command for an operation with these parameters. */
void sample_query(const struct sample *s, struct span parameters, struct buf *out);

#endif

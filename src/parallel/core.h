/*
 * What the threads of the parallel run share. Private to parallel/.
 */
#ifndef BANYAN_PARALLEL_CORE_H
#define BANYAN_PARALLEL_CORE_H

#include "base/queue.h"
#include "parallel/listener.h"
#include "parallel/parallel.h"
#include "parallel/recheck.h"
#include "parallel/sample.h"
#include "parallel/secret.h"
#include "state/divergence.h"

struct settling;
struct workers;
struct writer;

struct parallel {
    struct parallel_config config;
    struct secret secret;
    struct subjects subjects;
    struct mapping *mapping; /* in a thread of its own: mapping.h */
    struct queue *samples;
    struct listener *listener; /* NULL: no gateway */
    struct settling *settling;
    struct writer *writer;
    atomic_bool stop;
    struct operations *operations; /* NULL: none */
    struct weights *weights;       /* of calls of operations that are under way */
    struct workers *workers;
    /* What belongs to no route of ours: frames that cannot be read, and of an older configuration.
     */
    _Atomic uint64_t foreign, broken;
};

/* ---- frames.c: what nginx's workers hand over ---- */

struct listener_sink frames_sink(struct parallel *p);

/* ---- work.c: the other side is asked, answers are compared ---- */

bool workers_start(struct parallel *p, struct workers **ret) must_check;
/* There is something in p->samples. Any thread. */
void workers_wake(struct workers *all);
void workers_stop(struct workers *all); /* p->stop is set; what waits is let go; NULL is fine */
/* In the calling thread. Takes the sample over. */
void work_on_operation(struct parallel *p, struct sample *s);

/* ---- operations.c: what is told of calls ---- */

struct weights *weights_new(void);
void weights_free(struct weights *w);

/* ---- settle.c: mismatches are asked again ---- */

bool settling_start(struct parallel *p, struct settling **ret) must_check;
void settling_stop(struct settling *s); /* what waits is unsettled, and what still comes */
void settling_free(struct settling *s); /* NULL is fine */
/* Takes the sample over. Where it cannot be asked again, it is unsettled at once. */
void settling_add(struct settling *s, struct sample *sample);
size_t settling_length(struct settling *s);

/* ---- writer.c: what is found and counted goes into the state ---- */

int writer_start(struct parallel *p, struct writer **ret, struct err *err) must_check;
void writer_stop(struct writer *w); /* everything is stored first; NULL is fine */
/* A real divergence; copies what it needs. Full: dropped and counted. */
void writer_add(struct writer *w, const struct sample *sample, const struct answer_compared *found,
                const struct answer *sql);
uint64_t writer_dropped(const struct writer *w); /* not stored, or not copied into the target */

#endif

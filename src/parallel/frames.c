/* Frames from nginx's workers, on to those who compare: what they cannot take now is dropped and
 * counted. */
#include "parallel/core.h"

static void take_sample(void *context, struct span frame) {
    struct parallel *p = context;
    struct subject *subject = NULL;
    struct sample *s = sample_new(&p->subjects, frame, &subject);
    if (!s) {
        atomic_fetch_add(subject ? &p->broken : &p->foreign, 1);
        return;
    }
    if (queue_push(p->samples, s, frame.len + sizeof *s, 0) == QUEUE_OK)
        return;
    tally_add(&subject->tally, TALLY_NOT_COMPARED + NOT_COMPARED_FULL, 1);
    sample_free(s);
}

static void take_statistics(void *context, const struct frame_statistics *f) {
    struct parallel *p = context;
    struct subject *s = subjects_route(&p->subjects, f->module, f->route);
    if (!s)
        atomic_fetch_add(&p->foreign, 1);
    else if (!tally_gateway(&s->tally, f))
        atomic_fetch_add(&p->broken, 1);
}

static void take_broken(void *context) {
    struct parallel *p = context;
    atomic_fetch_add(&p->broken, 1);
}

static void end(void *context) {
    struct parallel *p = context;
    workers_wake(p->workers);
}

struct listener_sink frames_sink(struct parallel *p) {
    return (struct listener_sink){take_sample, take_statistics, take_broken, p, end};
}

/* Frames from nginx's workers, on to those who compare: what they cannot take now is dropped and
 * counted. */
#include "base/mem.h"
#include "parallel/core.h"

#include <stdlib.h>
#include <string.h>

/* One worker is woken for all samples that come together; where something is left the next time,
 * one more for each that is. To wake a thread and to put it to sleep again costs as much as all the
 * rest that is done for a sample. */
static bool begin(void *context) {
    struct parallel *p = context;
    size_t left = queue_length(p->samples);
    queue_wake(p->samples, left);
    p->woken = false;
    return left > 0;
}

static enum queue_result push(struct parallel *p, struct sample *s, size_t len) {
    if (p->woken)
        return queue_push_quietly(p->samples, s, len + sizeof *s);
    p->woken = true;
    return queue_push(p->samples, s, len + sizeof *s, 0);
}

static void take_sample(void *context, struct span frame) {
    struct parallel *p = context;
    struct subject *subject = NULL;
    char *copy = mem_alloc(frame.len);
    memcpy(copy, frame.ptr, frame.len);
    struct sample *s = sample_new(&p->subjects, copy, frame.len, &subject);
    if (!s) {
        atomic_fetch_add(subject ? &p->broken : &p->foreign, 1);
        return;
    }
    if (push(p, s, frame.len) == QUEUE_OK)
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

struct listener_sink frames_sink(struct parallel *p) {
    return (struct listener_sink){take_sample, take_statistics, take_broken, p, begin};
}

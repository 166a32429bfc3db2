/* Waiting until what the receiver handed out is written. */
#include "base/stop.h"
#include "pipeline/stream.h"

#include <poll.h>

static bool is_resolved(const struct stream *s) {
    return resolver_done(s->run->resolver) >= queue_pushed(s->run->resolver_queue);
}

bool drain_is_idle(const struct stream *s) {
    const struct run *run = s->run;
    if (!is_resolved(s))
        return false;
    for (size_t i = 0; i < run->lane_count; i++)
        if (lane_done(run->lanes[i]) < queue_pushed(run->lane_queues[i]))
            return false;
    return true;
}

/* What the receiver handed out is written. Fan-outs go on handing out keys meanwhile, so what
 * comes after the resolver's last is not waited for. */
struct drain_mark {
    bool taken;
    uint64_t tickets[LEDGER_LANES_MAX];
};

static bool is_drained(const struct stream *s, struct drain_mark *mark) {
    const struct run *run = s->run;
    if (!mark->taken && !is_resolved(s))
        return false;
    for (size_t i = 0; i < run->lane_count && !mark->taken; i++)
        mark->tickets[i] = queue_pushed(run->lane_queues[i]);
    mark->taken = true;
    return control_lanes_passed(s->run, mark->tickets);
}

static void wait_for_wake(const struct run *run) {
    struct pollfd p = {.fd = run->wake_fd, .events = POLLIN};
    if (poll(&p, 1, DRAIN_LOOK_US / 1000) > 0)
        control_clear_wake(run);
}

int drain_all(void *context, struct err *err) {
    struct stream *s = context;
    struct drain_mark mark = {0};
    int rc = router_flush(s->router, err);
    while (rc == 0 && !is_drained(s, &mark)) {
        if (stop_forced())
            return err_set(err, ERR_STOPPED, "stopped while waiting for the lanes");
        wait_for_wake(s->run);
        rc = side_tick(s, err);
    }
    return rc;
}

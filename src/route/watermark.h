/*
 * How far each module has been applied: one small file of fixed slots that the daemon and nginx's
 * workers map, and read and write without locks.
 *
 * `applied` is a monotonic time (clock_mono_us; one for all processes of a machine): whatever was
 * committed in the source before it is in the target. Wall clocks may step back, and a mark that
 * was stamped before the step would then look older than it is. The file knows its boot: one of an
 * earlier boot is made anew. `wanted` goes the other way: when somebody last waited for it.
 *
 *   32 bytes of head | boot id, 40 bytes | ROUTE_MODULES_MAX slots
 */
#ifndef BANYAN_ROUTE_WATERMARK_H
#define BANYAN_ROUTE_WATERMARK_H

#include "base/err.h"
#include "route/settings.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct watermark_slot {
    char name[ROUTE_NAME_MAX]; /* of the module */
    _Atomic int64_t applied_us;
    _Atomic int64_t beat_us;   /* monotonic: when applied_us was last confirmed to be the newest */
    _Atomic int64_t wanted_us; /* monotonic: when somebody last waited; 0: never */
    char reserved[40];
};

struct watermark;

/* The daemon's: takes the file as it is, or makes it anew. Mode 0600. ERR_STATE. */
int watermark_publish(const char *path, struct watermark **ret_watermark,
                      struct err *err) must_check;
/* A worker's. ERR_STATE: not there (yet), of another boot or layout. */
int watermark_open(const char *path, struct watermark **ret_watermark, struct err *err) must_check;
void watermark_close(struct watermark *w); /* NULL is fine; slots are gone with it */

/* NULL: nothing is published of that module. Any thread. */
struct watermark_slot *watermark_find(struct watermark *w, const char *module);
/* Adds it where it is missing; NULL: there are ROUTE_MODULES_MAX. @thread one at a time, in the
 * daemon only */
struct watermark_slot *watermark_add(struct watermark *w, const char *module);

/* Everything before applied_us is in the target, as was found at now_us; never goes back. */
void watermark_set(struct watermark_slot *slot, int64_t applied_us, int64_t now_us);
static inline int64_t watermark_applied(const struct watermark_slot *slot) {
    return atomic_load_explicit(&slot->applied_us, memory_order_acquire);
}
/* Nobody has confirmed it for longer than max_age_us: the daemon or the pipeline is away. */
static inline bool watermark_is_old(const struct watermark_slot *slot, int64_t now_us,
                                    int64_t max_age_us) {
    return now_us - atomic_load_explicit(&slot->beat_us, memory_order_relaxed) > max_age_us;
}

/* Somebody waits, as of now. */
static inline void watermark_want(struct watermark_slot *slot, int64_t now_us) {
    atomic_store_explicit(&slot->wanted_us, now_us, memory_order_relaxed);
}
/* Somebody has waited within the last for_us. */
static inline bool watermark_is_wanted(const struct watermark_slot *slot, int64_t now_us,
                                       int64_t for_us) {
    int64_t at = atomic_load_explicit(&slot->wanted_us, memory_order_relaxed);
    return at > 0 && now_us - at < for_us;
}

#endif

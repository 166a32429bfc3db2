/*
 * Who has written a moment ago: a table of fixed size for memory that processes share. Pure; the
 * lock of a bucket is the caller's.
 *
 * A mark is made when a write begins and gets its *stamp* when the write's answer ends; as long as
 * one write of the user is under way it has none. Reads stay on SQL until everything from before
 * the stamp has been applied. Times are monotonic microseconds.
 *
 * Bounds. Buckets of MARKS_WAYS; where one is full, the oldest mark goes, and its stamp becomes
 * the bucket's `floor`: it then holds for everybody whose mark would stand there. So a mark is
 * never lost, at worst some others read SQL for as long. Writes that are under way one over the
 * other count as such for MARKS_UNDER_WAY_US at most: a worker that is killed cannot tell that its
 * writes have ended. Then they count from anew; the stamp of what has ended holds all the same.
 */
#ifndef BANYAN_ROUTE_MARKS_H
#define BANYAN_ROUTE_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARKS_WAYS 8
#define MARKS_UNDER_WAY_US (600 * INT64_C(1000000))

struct mark {
    uint64_t key; /* 0: free */
    int64_t stamp_us;
    int64_t begun_us;   /* since when there is always one under way */
    uint32_t under_way; /* writes */
    uint32_t ended;     /* marks_note_end has seen it with this stamp */
};

struct marks_bucket {
    unsigned long lock; /* the caller's */
    int64_t floor_us;   /* 0: none */
    struct mark marks[MARKS_WAYS];
};

static inline struct marks_bucket *marks_bucket(struct marks_bucket *buckets, size_t count,
                                                uint64_t key) {
    return &buckets[key % count];
}

/* A write begins. `wait_us`: how long a mark holds without word of it having been applied. */
void marks_begin(struct marks_bucket *b, uint64_t key, int64_t now_us, int64_t wait_us);
/* Its answer has ended; reads must see what was committed before stamp_us. */
void marks_end(struct marks_bucket *b, uint64_t key, int64_t stamp_us);

enum marked { MARKED_NOT, MARKED_UNTIL_APPLIED, MARKED_UNDER_WAY };

/* *ret_stamp_us with MARKED_UNTIL_APPLIED. */
enum marked marks_find(const struct marks_bucket *b, uint64_t key, int64_t now_us,
                       int64_t *ret_stamp_us);
/* The mark's time is over for somebody, though not its stamp for all: who asks may wait longer, or
 * for another module. True once for each stamp; false: it was said, or the mark has another. */
bool marks_note_end(struct marks_bucket *b, uint64_t key, int64_t stamp_us);

#endif

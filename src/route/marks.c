#include "route/marks.h"

static struct mark *find(struct marks_bucket *b, uint64_t key) {
    for (size_t i = 0; i < MARKS_WAYS; i++)
        if (b->marks[i].key == key)
            return &b->marks[i];
    return NULL;
}

/* Free ones first, then the oldest stamp, and what is under way last. */
static bool goes_before(const struct mark *a, const struct mark *b) {
    if (!a->key != !b->key)
        return !a->key;
    if (!a->under_way != !b->under_way)
        return !a->under_way;
    return a->under_way ? a->begun_us < b->begun_us : a->stamp_us < b->stamp_us;
}

static struct mark *make_room(struct marks_bucket *b, int64_t now_us, int64_t wait_us) {
    struct mark *m = &b->marks[0];
    for (size_t i = 1; i < MARKS_WAYS; i++)
        if (goes_before(&b->marks[i], m))
            m = &b->marks[i];
    int64_t floor = m->under_way ? now_us + wait_us : m->stamp_us;
    if (m->key && floor > b->floor_us)
        b->floor_us = floor;
    *m = (struct mark){0};
    return m;
}

static struct mark *find_or_make(struct marks_bucket *b, uint64_t key, int64_t now_us,
                                 int64_t wait_us) {
    struct mark *m = find(b, key);
    if (!m)
        m = make_room(b, now_us, wait_us);
    m->key = key;
    return m;
}

/* Too long under way: some of it never heard of its end. */
static bool is_lost(const struct mark *m, int64_t now_us) {
    return m->under_way && now_us - m->begun_us >= MARKS_UNDER_WAY_US;
}

/* What is lost may have ended late. */
static int64_t last_stamp(const struct mark *m) {
    int64_t late = m->under_way ? m->begun_us + MARKS_UNDER_WAY_US : 0;
    return late > m->stamp_us ? late : m->stamp_us;
}

void marks_begin(struct marks_bucket *b, uint64_t key, int64_t now_us, int64_t wait_us) {
    struct mark *m = find_or_make(b, key, now_us, wait_us);
    if (is_lost(m, now_us)) {
        m->stamp_us = last_stamp(m);
        m->under_way = 0;
    }
    if (m->under_way == 0)
        m->begun_us = now_us;
    m->under_way++;
}

void marks_end(struct marks_bucket *b, uint64_t key, int64_t stamp_us) {
    struct mark *m = find_or_make(b, key, stamp_us, 0);
    if (m->under_way)
        m->under_way--;
    if (stamp_us <= m->stamp_us)
        return;
    m->stamp_us = stamp_us;
    m->ended = 0;
}

enum marked marks_find(const struct marks_bucket *b, uint64_t key, int64_t now_us,
                       int64_t *ret_stamp_us) {
    int64_t stamp = b->floor_us;
    for (size_t i = 0; i < MARKS_WAYS; i++) {
        const struct mark *m = &b->marks[i];
        if (m->key != key)
            continue;
        if (m->under_way && !is_lost(m, now_us))
            return MARKED_UNDER_WAY;
        int64_t own = last_stamp(m);
        stamp = own > stamp ? own : stamp;
    }
    if (stamp == 0)
        return MARKED_NOT;
    *ret_stamp_us = stamp;
    return MARKED_UNTIL_APPLIED;
}

bool marks_note_end(struct marks_bucket *b, uint64_t key, int64_t stamp_us) {
    struct mark *m = find(b, key);
    if (!m || m->ended || m->stamp_us > stamp_us)
        return false;
    m->ended = 1;
    return true;
}

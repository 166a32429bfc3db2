/* Writes and reads of a few users in any order: a mark is never lost. The bytes are the order. */
#include "route/marks.h"

#include <stdlib.h>

#define USERS 32
#define WAIT_US 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold, kept without bounds. */
struct user {
    int64_t stamp_us;
    unsigned under_way;
};

static void check(const struct marks_bucket *b, const struct user *u, uint64_t key, int64_t now) {
    int64_t stamp = 0;
    enum marked marked = marks_find(b, key, now, &stamp);
    if (marked == MARKED_UNDER_WAY)
        return;
    if (u->under_way && marked == MARKED_NOT)
        abort();
    if (u->stamp_us && (marked == MARKED_NOT || stamp < u->stamp_us))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct marks_bucket bucket = {0};
    struct user users[USERS] = {0};
    int64_t now = 1;
    for (size_t i = 0; i < size; i++, now++) {
        size_t who = data[i] % USERS;
        struct user *u = &users[who];
        if (data[i] < 128) {
            marks_begin(&bucket, who + 1, now, WAIT_US);
            u->under_way++;
        } else if (u->under_way) {
            marks_end(&bucket, who + 1, now);
            u->under_way--;
            u->stamp_us = now;
        }
        for (size_t k = 0; k < USERS; k++)
            check(&bucket, &users[k], k + 1, now);
    }
    return 0;
}

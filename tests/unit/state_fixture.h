/* A state file of its own for each test of it. */
#ifndef TEST_STATE_FIXTURE_H
#define TEST_STATE_FIXTURE_H

#include "base/mem.h"
#include "state/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char folder[64], path[96];
    struct state *s;
    struct err err;
};

static inline int setup(void **ret) {
    struct fixture *f = mem_zalloc(1, sizeof *f);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/banyan_state_XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/state.db", f->folder);
    assert_int_equal(state_open(f->path, &f->s, &f->err), 0);
    *ret = f;
    return 0;
}

static inline int teardown(void **given) {
    struct fixture *f = *given;
    static const char *const ends[] = {"", "-wal", "-shm"};
    state_free(f->s);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", f->path, ends[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->folder), 0);
    free(f);
    return 0;
}

#endif

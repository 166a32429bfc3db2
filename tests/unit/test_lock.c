/* The lock beside the state file: who excludes whom, and what the second one is told. */
#include "state/lock.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[64];
    char file[128];
    struct err err;
};

static int setup(void **state) {
    struct place *p = calloc(1, sizeof *p);
    *state = p;
    (void)snprintf(p->folder, sizeof p->folder, "/tmp/banyan-lock-XXXXXX");
    if (!mkdtemp(p->folder))
        return -1;
    (void)snprintf(p->file, sizeof p->file, "%s/a.db", p->folder);
    return 0;
}

static int teardown(void **state) {
    struct place *p = *state;
    DIR *dir = opendir(p->folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    (void)rmdir(p->folder);
    free(p);
    return 0;
}

static struct state_lock *lock(struct place *p, const char *pipeline) {
    struct state_lock *l = NULL;
    if (state_lock_acquire(p->file, pipeline, "run", &l, &p->err) != 0)
        fail_msg("%s: %s", pipeline, p->err.text);
    return l;
}

static void refused(struct place *p, const char *pipeline, const char *phrase) {
    struct state_lock *l = NULL;
    assert_int_equal(state_lock_acquire(p->file, pipeline, "run", &l, &p->err), ERR_BUSY);
    assert_null(l);
    if (!strstr(p->err.text, phrase))
        fail_msg("'%s' does not say '%s'", p->err.text, phrase);
}

static void one_run_for_a_module(void **state) {
    struct place *p = *state;
    struct state_lock *a = lock(p, "shop");
    char me[64], host[65] = "";
    (void)snprintf(me, sizeof me, "pid %ld on ", (long)getpid());
    (void)gethostname(host, sizeof host - 1);
    refused(p, "shop", me);
    refused(p, "shop", host);
    refused(p, "shop", "`banyan run`");
    refused(p, "shop", "since 2");
    struct state_lock *b = lock(p, "stock");
    state_lock_free(a);
    state_lock_free(lock(p, "shop"));
    state_lock_free(b);
}

static void all_and_modules_exclude_each_other(void **state) {
    struct place *p = *state;
    struct state_lock *a = lock(p, "shop");
    refused(p, "all", "pid ");
    refused(p, "all", "a run of one module excludes `all`");
    state_lock_free(a);
    struct state_lock *all = lock(p, "all");
    refused(p, "all", "pid ");
    refused(p, "shop", "pipeline all is held");
    state_lock_free(all);
    state_lock_free(lock(p, "shop"));
}

static pid_t hold(struct place *p, const char *pipeline) {
    int pipes[2];
    char c;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        struct state_lock *l = NULL;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        int rc = state_lock_acquire(p->file, pipeline, "run", &l, &p->err);
        if (rc == 0 && write(pipes[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &c, 1), 1);
    close(pipes[0]);
    return child;
}

static void end(pid_t child) {
    int status = 0;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
}

/* The module whose run still goes on is named, not the one that came last and has ended. */
static void all_names_a_module_that_is_running(void **state) {
    struct place *p = *state;
    char still[64];
    pid_t stays = hold(p, "shop"), ends = hold(p, "stock");
    (void)snprintf(still, sizeof still, "pid %ld on ", (long)stays);
    end(ends);
    refused(p, "all", still);
    end(stays);
    state_lock_free(lock(p, "all"));
}

static void a_killed_process_holds_nothing(void **state) {
    struct place *p = *state;
    bool held = true;
    char holder[STATE_HOLDER_MAX], pid[64];
    pid_t child = hold(p, "shop");
    (void)snprintf(pid, sizeof pid, "pid %ld on ", (long)child);
    assert_int_equal(state_lock_peek(p->file, "shop", &held, holder, &p->err), 0);
    assert_true(held);
    assert_non_null(strstr(holder, pid));
    refused(p, "shop", pid);
    end(child);
    assert_int_equal(state_lock_peek(p->file, "shop", &held, holder, &p->err), 0);
    assert_false(held);
    assert_string_equal(holder, "");
    state_lock_free(lock(p, "shop"));
}

static void a_look_takes_nothing(void **state) {
    struct place *p = *state;
    bool held = true;
    char holder[STATE_HOLDER_MAX];
    assert_int_equal(state_lock_peek(p->file, "shop", &held, holder, &p->err), 0);
    assert_false(held);
    struct state_lock *a = lock(p, "shop");
    assert_int_equal(state_lock_peek(p->file, "shop", &held, holder, &p->err), 0);
    assert_true(held);
    assert_int_equal(state_lock_peek(p->file, "stock", &held, holder, &p->err), 0);
    assert_false(held);
    assert_int_equal(state_lock_peek(p->file, "all", &held, holder, &p->err), 0);
    assert_false(held); /* shared by a module is not `run all` */
    state_lock_free(a);
    a = lock(p, "all");
    assert_int_equal(state_lock_peek(p->file, "all", &held, holder, &p->err), 0);
    assert_true(held);
    state_lock_free(a);
}

/* Two names of one state file are one lock. */
static void a_link_does_not_get_around_it(void **state) {
    struct place *p = *state;
    struct place other = *p;
    FILE *f = fopen(p->file, "w");
    assert_non_null(f);
    (void)fclose(f);
    (void)snprintf(other.file, sizeof other.file, "%s/link.db", p->folder);
    assert_int_equal(symlink(p->file, other.file), 0);
    struct state_lock *a = lock(p, "shop");
    refused(&other, "shop", "pid ");
    (void)snprintf(other.file, sizeof other.file, "%s/../%s/a.db", p->folder,
                   strrchr(p->folder, '/') + 1);
    refused(&other, "shop", "pid ");
    state_lock_free(a);
}

static void a_name_cannot_leave_the_folder(void **state) {
    struct place *p = *state;
    char path[256];
    struct stat st;
    state_lock_free(lock(p, "../x/\xc3\xa9"));
    (void)snprintf(path, sizeof path, "%s.%%2E%%2E%%2Fx%%2F%%C3%%A9.lock", p->file);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_folder_that_is_missing_is_named(void **state) {
    struct place *p = *state;
    struct state_lock *l = NULL;
    (void)snprintf(p->file, sizeof p->file, "%s/no/a.db", p->folder);
    assert_int_equal(state_lock_acquire(p->file, "shop", "run", &l, &p->err), ERR_STATE);
    assert_non_null(strstr(p->err.text, p->file));
    assert_non_null(strstr(p->err.text, "--state"));
}

static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    TEST(one_run_for_a_module),
    TEST(all_and_modules_exclude_each_other),
    TEST(all_names_a_module_that_is_running),
    TEST(a_killed_process_holds_nothing),
    TEST(a_look_takes_nothing),
    TEST(a_link_does_not_get_around_it),
    TEST(a_name_cannot_leave_the_folder),
    TEST(a_folder_that_is_missing_is_named),
};

int main(void) {
    return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}

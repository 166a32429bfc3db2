/* The state file: what is stored, what is refused, and what survives a kill. */
#include "base/clock.h"
#include "state/statement.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A folder of its own for each test; *state is its path. */
struct place {
    char folder[64];
    char file[96];
    struct state *state;
    struct err err;
};

static int setup(void **state) {
    struct place *p = calloc(1, sizeof *p);
    *state = p;
    (void)snprintf(p->folder, sizeof p->folder, "/tmp/banyan-state-XXXXXX");
    if (!mkdtemp(p->folder))
        return -1;
    (void)snprintf(p->file, sizeof p->file, "%s/a.db", p->folder);
    return state_open(p->file, &p->state, &p->err);
}

static int teardown(void **state) {
    struct place *p = *state;
    static const char *const endings[] = {"a.db", "a.db-wal", "a.db-shm", "b.db"};
    state_free(p->state);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", p->folder, endings[i]);
        (void)unlink(path);
    }
    (void)rmdir(p->folder);
    free(p);
    return 0;
}

#define ok(p, call)                                                                                \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, (p)->err.text);                                              \
    } while (0)

static void fails(struct place *p, int rc, int code, const char *phrase) {
    assert_int_equal(rc, code);
    assert_int_equal(p->err.code, code);
    if (!strstr(p->err.text, phrase))
        fail_msg("'%s' does not say '%s'", p->err.text, phrase);
    if (code == ERR_STATE && !strstr(p->err.text, p->folder))
        fail_msg("'%s' does not name the file", p->err.text);
}

static void reopen(struct place *p) {
    state_free(p->state);
    p->state = NULL;
    ok(p, state_open(p->file, &p->state, &p->err));
}

/* Changes the file behind the state's back. */
static void raw(const char *file, const char *sql) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void make_pipeline(struct place *p) {
    struct state_pipeline got;
    ok(p, state_pipeline_open(p->state, "shop", "banyan_shop", "banyan_pub", "7301", 1, &got,
                              &p->err));
}

static void make_collection(struct place *p, const char *name) {
    struct state_collection got;
    ok(p, state_collection_open(p->state, "shop", "shop", name, "f1", &got, &p->err));
}

static struct state_collection collection(struct place *p, const char *name) {
    struct state_collection *list = NULL, found = {0};
    size_t count = 0;
    ok(p, state_collection_list(p->state, NULL, &list, &count, &p->err));
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            found = list[i];
    free(list);
    return found;
}

/* ---- the file ---- */

static void only_the_owner_may_read_it(void **state) {
    struct place *p = *state;
    static const char *const endings[] = {"", "-wal", "-shm"};
    make_pipeline(p); /* so that all three are there */
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        struct stat st;
        (void)snprintf(path, sizeof path, "%s%s", p->file, endings[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void it_is_durable_by_its_settings(void **state) {
    struct place *p = *state;
    static const struct {
        const char *sql;
        const char *value;
    } settings[] = {{"PRAGMA journal_mode", "wal"},
                    {"PRAGMA synchronous", "2"},
                    {"PRAGMA foreign_keys", "1"},
                    {"PRAGMA busy_timeout", "10000"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct statement st;
        char value[16] = "";
        statement_begin(&st, p->state, settings[i].sql);
        assert_int_equal(statement_row(&st, &p->err), 1);
        statement_get_text(&st, 0, value, sizeof value);
        statement_end(&st);
        assert_string_equal(value, settings[i].value);
    }
}

static void a_file_that_is_not_there_is_not_made_to_look(void **state) {
    struct place *p = *state;
    struct state *s = p->state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/b.db", p->folder);
    ok(p, state_open_existing(path, &s, &p->err));
    assert_null(s);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_newer_file_is_refused_and_kept(void **state) {
    struct place *p = *state;
    state_free(p->state);
    p->state = NULL;
    raw(p->file, "PRAGMA user_version = 99");
    fails(p, state_open(p->file, &p->state, &p->err), ERR_STATE, "version 99");
    fails(p, state_open(p->file, &p->state, &p->err), ERR_STATE, "version 99");
}

static const char schema_1[] = {
#include "state/schema.sql.inc"
    , 0};

static void an_older_file_is_brought_up_to_date(void **state) {
    struct place *p = *state;
    struct state_control control;
    state_free(p->state);
    p->state = NULL;
    assert_int_equal(unlink(p->file), 0);
    raw(p->file, schema_1);
    raw(p->file, "INSERT INTO pipeline (name, slot, publication, system_id, timeline) "
                 "VALUES ('shop', 's', 'p', '1', 1)");
    raw(p->file, "PRAGMA application_id = 1113681529; PRAGMA user_version = 1");
    ok(p, state_open(p->file, &p->state, &p->err));
    ok(p, state_control_get(p->state, "shop", &control, &p->err));
    struct state_pipeline found;
    bool is_there = false;
    ok(p, state_pipeline_get(p->state, "shop", &found, &is_there, &p->err));
    assert_true(is_there);
    assert_string_equal(found.slot, "s");
}

static void a_file_of_another_program_is_not_touched(void **state) {
    struct place *p = *state;
    struct state *s = NULL;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/b.db", p->folder);
    raw(path, "CREATE TABLE notes (t TEXT)");
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    fails(p, state_open(path, &s, &p->err), ERR_STATE, "another program");
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(before.st_size, after.st_size);
}

static void spoil(const char *path, off_t at, size_t bytes) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(pwrite(fd, "\xa5", 1, at + (off_t)i), 1);
    close(fd);
}

static void a_file_that_is_no_database_is_refused(void **state) {
    struct place *p = *state;
    struct state *s = NULL;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/b.db", p->folder);
    spoil(path, 0, 5000);
    fails(p, state_open(path, &s, &p->err), ERR_STATE, "not a state file");
}

static void a_damaged_file_is_reported(void **state) {
    struct place *p = *state;
    struct state_pipeline got;
    bool found;
    make_pipeline(p);
    state_free(p->state); /* moves everything from the journal into the file */
    p->state = NULL;
    spoil(p->file, 4096, 60 * 1024);
    int rc = state_open(p->file, &p->state, &p->err);
    if (rc == 0)
        rc = state_pipeline_get(p->state, "shop", &got, &found, &p->err);
    fails(p, rc, ERR_STATE, "the file is damaged");
}

static void a_folder_that_is_missing_is_named(void **state) {
    struct place *p = *state;
    struct state *s = NULL;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/no/such/a.db", p->folder);
    fails(p, state_open(path, &s, &p->err), ERR_STATE, "make its folder");
    fails(p, state_open(p->folder, &s, &p->err), ERR_STATE, "it is a folder");
    (void)snprintf(path, sizeof path, "%s/pipe", p->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    fails(p, state_open(path, &s, &p->err), ERR_STATE, "it is a device or a pipe");
    assert_int_equal(unlink(path), 0);
}

/* The owner of a process may read and write anything as root, so the test is another user then. */
static void a_read_only_file_is_reported(void **state) {
    struct place *p = *state;
    make_pipeline(p);
    assert_int_equal(chmod(p->folder, 0555), 0);
    assert_int_equal(chmod(p->file, 0444), 0);
    pid_t child = fork();
    if (child == 0) {
        struct state *s = NULL;
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        int rc = state_open(p->file, &s, &p->err);
        _exit(rc == ERR_STATE && strstr(p->err.text, "let this user read and write it") ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(p->folder, 0700), 0);
    assert_int_equal(status, 0);
}

static void a_locked_file_is_reported(void **state) {
    struct place *p = *state;
    sqlite3 *other = NULL;
    make_pipeline(p);
    assert_int_equal(sqlite3_open(p->file, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_busy_timeout(p->state->db, 20);
    struct state_counters none = {0};
    fails(p, state_checkpoint(p->state, "shop", 5, &none, &p->err), ERR_STATE,
          "holds the file locked");
    fails(p, state_collection_reset(p->state, "shop", "shop", "orders", "f", &p->err), ERR_STATE,
          "holds the file locked");
    sqlite3_close(other);
    ok(p, state_checkpoint(p->state, "shop", 5, &none, &p->err));
}

static void a_full_disk_is_reported_and_loses_nothing(void **state) {
    struct place *p = *state;
    struct state_pipeline got;
    struct state_counters one = {.received = 1};
    bool found = false;
    make_pipeline(p);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 200 * 1024; /* of any one file; the journal reaches it */
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    lsn_t done = 0;
    int rc = 0;
    for (lsn_t i = 1; rc == 0 && i < 10000; i++) {
        rc = state_checkpoint(p->state, "shop", i, &one, &p->err);
        if (rc == 0)
            done = i;
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    fails(p, rc, ERR_STATE, "the disk");
    assert_true(done > 0);
    /* The same handle goes on once there is room, and the failed step left no trace. */
    ok(p, state_pipeline_get(p->state, "shop", &got, &found, &p->err));
    assert_true(found);
    assert_int_equal(got.checkpoint, done);
    ok(p, state_checkpoint(p->state, "shop", done + 1, &one, &p->err));
    reopen(p);
    ok(p, state_pipeline_get(p->state, "shop", &got, &found, &p->err));
    assert_int_equal(got.checkpoint, done + 1);
    assert_int_equal(got.counters.received, (int64_t)done + 1);
}

static void two_processes_may_make_it_at_once(void **state) {
    struct place *p = *state;
    pid_t children[6];
    state_free(p->state);
    p->state = NULL;
    assert_int_equal(unlink(p->file), 0);
    for (size_t i = 0; i < 6; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct state *s = NULL;
            int rc = state_open(p->file, &s, &p->err);
            if (rc < 0)
                (void)fprintf(stderr, "%s\n", p->err.text);
            state_free(s);
            _exit(rc == 0 ? 0 : 1);
        }
    }
    int failed = 0;
    for (size_t i = 0; i < 6; i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        failed += status != 0;
    }
    assert_int_equal(failed, 0);
    ok(p, state_open(p->file, &p->state, &p->err));
    make_pipeline(p);
}

/* ---- pipelines ---- */

static void a_pipeline_keeps_its_identity(void **state) {
    struct place *p = *state;
    struct state_pipeline got = {0};
    make_pipeline(p);
    reopen(p);
    ok(p, state_pipeline_open(p->state, "shop", "banyan_shop", "banyan_pub", "7301", 1, &got,
                              &p->err));
    assert_string_equal(got.publication, "banyan_pub");
    assert_int_equal(got.slot_state, STATE_SLOT_NONE);
    assert_int_equal(got.timeline, 1);
    fails(p, state_pipeline_open(p->state, "shop", "other", "banyan_pub", "7301", 1, &got, &p->err),
          ERR_STATE, "belongs to slot banyan_shop");
    fails(p,
          state_pipeline_open(p->state, "shop", "banyan_shop", "other", "7301", 1, &got, &p->err),
          ERR_STATE, "put source.publication back");
    fails(p,
          state_pipeline_open(p->state, "shop", "banyan_shop", "banyan_pub", "9999", 1, &got,
                              &p->err),
          ERR_STATE, "another PostgreSQL cluster");
    fails(p, state_check_system(p->state, "shop", "9999", &p->err), ERR_STATE, "9999");
    ok(p, state_check_system(p->state, "shop", "7301", &p->err));
    ok(p, state_check_system(p->state, "unknown", "9999", &p->err));
}

static void a_slot_is_intent_then_made(void **state) {
    struct place *p = *state;
    struct state_pipeline got;
    bool found;
    make_pipeline(p);
    ok(p, state_pipeline_set_slot(p->state, "shop", STATE_SLOT_INTENT, 0, &p->err));
    reopen(p);
    ok(p, state_pipeline_get(p->state, "shop", &got, &found, &p->err));
    assert_int_equal(got.slot_state, STATE_SLOT_INTENT);
    assert_int_equal(got.checkpoint, 0);
    ok(p, state_pipeline_set_slot(p->state, "shop", STATE_SLOT_CREATED, 0x16b374d848, &p->err));
    ok(p, state_pipeline_get(p->state, "shop", &got, &found, &p->err));
    assert_int_equal(got.slot_state, STATE_SLOT_CREATED);
    assert_true(got.checkpoint == 0x16b374d848);
    assert_true(clock_wall_us() - got.checkpoint_us < 60000000);
    /* A new slot after --recopy all: its intent keeps the old checkpoint. */
    ok(p, state_pipeline_set_slot(p->state, "shop", STATE_SLOT_INTENT, 0, &p->err));
    ok(p, state_pipeline_get(p->state, "shop", &got, &found, &p->err));
    assert_true(got.checkpoint == 0x16b374d848);
}

static void a_checkpoint_only_moves_forward(void **state) {
    struct place *p = *state;
    struct state_pipeline got;
    struct state_counters added = {10, 9, 8, 7, 6};
    bool found;
    make_pipeline(p);
    ok(p, state_checkpoint(p->state, "shop", 100, &added, &p->err));
    ok(p, state_checkpoint(p->state, "shop", 100, &added, &p->err));
    fails(p, state_checkpoint(p->state, "shop", 99, &added, &p->err), ERR_INTERNAL, "go back");
    fails(p, state_checkpoint(p->state, "none", 200, &added, &p->err), ERR_INTERNAL, "none");
    ok(p, state_pipeline_get(p->state, "shop", &got, &found, &p->err));
    assert_int_equal(got.checkpoint, 100);
    assert_int_equal(got.counters.received, 20);
    assert_int_equal(got.counters.applied, 18);
    assert_int_equal(got.counters.written, 16);
    assert_int_equal(got.counters.deleted, 14);
    assert_int_equal(got.counters.refreshed, 12);
    ok(p, state_pipeline_get(p->state, "none", &got, &found, &p->err));
    assert_false(found);
}

/* A child checkpoints as fast as it can and says what is done; it is killed in the middle. What it
 * said before must be there, and no other step than the one under way. */
static void a_killed_process_loses_nothing_it_said(void **state) {
    struct place *p = *state;
    struct state_counters one = {.received = 1};
    lsn_t before = 0;
    make_pipeline(p);
    for (int round = 0; round < 5; round++) {
        int pipes[2];
        state_free(p->state);
        p->state = NULL;
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0) {
            struct state *s = NULL;
            int rc = state_open(p->file, &s, &p->err);
            for (lsn_t i = before + 1; rc == 0; i++) {
                rc = state_checkpoint(s, "shop", i, &one, &p->err);
                if (rc == 0 && write(pipes[1], &i, sizeof i) != sizeof i)
                    break;
            }
            _exit(1);
        }
        close(pipes[1]);
        lsn_t said = 0, last = before;
        for (int n = 0; n < 20 + 7 * round && read(pipes[0], &said, sizeof said) == sizeof said;
             n++)
            last = said;
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(pipes[0], &said, sizeof said) == sizeof said)
            last = said;
        close(pipes[0]);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        ok(p, state_open(p->file, &p->state, &p->err));
        struct state_pipeline got;
        bool found;
        ok(p, state_pipeline_get(p->state, "shop", &got, &found, &p->err));
        assert_true(last > before);
        assert_true(got.checkpoint == last || got.checkpoint == last + 1);
        assert_int_equal(got.counters.received, (int64_t)got.checkpoint); /* one transaction */
        before = got.checkpoint;
    }
}

/* ---- collections ---- */

static void phases_follow_the_diagram(void **state) {
    struct place *p = *state;
    make_pipeline(p);
    make_collection(p, "orders");
    for (int to = STATE_NEW; to <= STATE_STOPPED; to++)
        if (to != STATE_COPYING)
            fails(p,
                  state_collection_set_phase(p->state, "shop", "orders", (enum state_phase)to, 0,
                                             &p->err),
                  ERR_INTERNAL, "cannot go from new");
    static const enum state_phase way[] = {STATE_COPYING, STATE_CATCHING_UP, STATE_STREAMING};
    for (size_t i = 0; i < 3; i++) {
        ok(p, state_collection_set_phase(p->state, "shop", "orders", way[i], 70 + i, &p->err));
        assert_int_equal(collection(p, "orders").phase, way[i]);
        assert_int_equal(collection(p, "orders").catch_up_lsn, 70 + i);
        fails(p, state_collection_set_phase(p->state, "shop", "orders", way[i], 0, &p->err),
              ERR_INTERNAL, state_phase_name(way[i]));
    }
    fails(p, state_collection_set_phase(p->state, "shop", "none", STATE_COPYING, 0, &p->err),
          ERR_INTERNAL, "from nothing");
}

static void the_first_reason_to_stop_stays(void **state) {
    struct place *p = *state;
    make_pipeline(p);
    make_collection(p, "orders");
    ok(p, state_collection_stop(p->state, "shop", "orders", 500, "too large", &p->err));
    ok(p, state_collection_stop(p->state, "shop", "orders", 600, "later", &p->err));
    struct state_collection c = collection(p, "orders");
    assert_int_equal(c.phase, STATE_STOPPED);
    assert_string_equal(c.error, "too large");
    assert_int_equal(c.error_lsn, 500);
    assert_int_equal(
        state_collection_set_phase(p->state, "shop", "orders", STATE_COPYING, 0, &p->err), 1);
    assert_int_equal(collection(p, "orders").phase, STATE_STOPPED);
    ok(p, state_collection_reset(p->state, "shop", "shop", "orders", "f2", &p->err));
    c = collection(p, "orders");
    assert_int_equal(c.phase, STATE_NEW);
    assert_true(c.wipe);
    assert_string_equal(c.error, "");
    assert_string_equal(c.fingerprint, "f2");
    ok(p, state_collection_set_phase(p->state, "shop", "orders", STATE_COPYING, 0, &p->err));
    assert_false(collection(p, "orders").wipe);
}

static void a_collection_has_one_pipeline(void **state) {
    struct place *p = *state;
    struct state_collection got;
    struct state_pipeline pipeline;
    make_pipeline(p);
    make_collection(p, "orders");
    ok(p, state_pipeline_open(p->state, "all", "banyan", "banyan", "7301", 1, &pipeline, &p->err));
    assert_int_equal(state_collection_open(p->state, "all", "shop", "orders", "f1", &got, &p->err),
                     ERR_STATE);
    assert_non_null(strstr(p->err.text, "kept by pipeline shop"));
    /* Opened again: as stored, whatever the fingerprint says now. */
    ok(p, state_collection_open(p->state, "shop", "shop", "orders", "f9", &got, &p->err));
    assert_string_equal(got.fingerprint, "f1");
}

static void a_reset_forgets_what_belongs_to_the_collection(void **state) {
    struct place *p = *state;
    struct state_chunk *chunks = NULL;
    size_t count = 9;
    int64_t requests = 9;
    struct state_verify v = {.collection = "orders", .options = "x"}, got;
    bool found = true;
    make_pipeline(p);
    make_collection(p, "orders");
    ok(p, state_chunk_add(p->state, "shop", "orders", 1, (struct span){0}, SPAN_LIT("a"), &p->err));
    ok(p, state_chunk_done(p->state, "shop", "orders", 1, 42, &p->err));
    assert_int_equal(collection(p, "orders").documents, 42);
    ok(p, state_request_add(p->state, "shop", "orders", SPAN_LIT("k"), &p->err));
    ok(p, state_verify_begin(p->state, "shop", &v, &p->err));
    ok(p, state_collection_reset(p->state, "shop", "shop", "orders", "f", &p->err));
    assert_int_equal(collection(p, "orders").documents, 0);
    ok(p, state_chunks_open(p->state, "shop", "orders", &chunks, &count, &p->err));
    assert_int_equal(count, 0);
    ok(p, state_request_count(p->state, "shop", &requests, &p->err));
    assert_int_equal(requests, 0);
    ok(p, state_verify_get(p->state, "shop", "orders", &got, &found, &p->err));
    assert_false(found);
}

static void a_failed_reset_changes_nothing(void **state) {
    struct place *p = *state;
    make_pipeline(p);
    make_collection(p, "orders");
    ok(p,
       state_chunk_add(p->state, "shop", "orders", 1, (struct span){0}, (struct span){0}, &p->err));
    ok(p, state_chunk_done(p->state, "shop", "orders", 1, 42, &p->err));
    raw(p->file, "CREATE TRIGGER no BEFORE INSERT ON collection BEGIN SELECT raise(ABORT, 'no'); "
                 "END");
    fails(p, state_collection_reset(p->state, "shop", "shop", "orders", "f", &p->err), ERR_STATE,
          "no");
    assert_int_equal(collection(p, "orders").documents, 42);
    raw(p->file, "DROP TRIGGER no");
    ok(p, state_collection_reset(p->state, "shop", "shop", "orders", "f", &p->err));
}

static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    TEST(only_the_owner_may_read_it),
    TEST(it_is_durable_by_its_settings),
    TEST(a_file_that_is_not_there_is_not_made_to_look),
    TEST(a_newer_file_is_refused_and_kept),
    TEST(an_older_file_is_brought_up_to_date),
    TEST(a_file_of_another_program_is_not_touched),
    TEST(a_file_that_is_no_database_is_refused),
    TEST(a_damaged_file_is_reported),
    TEST(a_folder_that_is_missing_is_named),
    TEST(a_read_only_file_is_reported),
    TEST(a_locked_file_is_reported),
    TEST(a_full_disk_is_reported_and_loses_nothing),
    TEST(two_processes_may_make_it_at_once),
    TEST(a_pipeline_keeps_its_identity),
    TEST(a_slot_is_intent_then_made),
    TEST(a_checkpoint_only_moves_forward),
    TEST(a_killed_process_loses_nothing_it_said),
    TEST(phases_follow_the_diagram),
    TEST(the_first_reason_to_stop_stays),
    TEST(a_collection_has_one_pipeline),
    TEST(a_reset_forgets_what_belongs_to_the_collection),
    TEST(a_failed_reset_changes_nothing),
};

int main(void) {
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}

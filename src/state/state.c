/* Opening the state file, its schema and versions. */
#include "state/state.h"

#include "base/mem.h"
#include "state/statement.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define APPLICATION_ID 0x42616e79 /* "Bany": tells `file` and us whose SQLite file this is */
#define SCHEMA_VERSION 1
#define BUSY_WAIT_MS 10000

static const char schema[] = {
#include "state/schema.sql.inc"
    , 0};

static int exec(struct state *s, const char *sql, struct err *err) {
    int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : state_error(s, code, err);
}

static int pragma(struct state *s, const char *sql, int64_t *ret, struct err *err) {
    struct statement st;
    statement_begin(&st, s, sql);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret = rc > 0 ? column_int(&st, 0) : 0;
    statement_end(&st);
    return 0;
}

static int make_schema(struct state *s, struct err *err) {
    _cleanup_(mem_freep) char *marks = mem_printf(
        "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID, SCHEMA_VERSION);
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    rc = exec(s, schema, err);
    if (rc == 0)
        rc = exec(s, marks, err);
    return state_commit(s, rc, err);
}

static int check_version(struct state *s, struct err *err) {
    int64_t id, version, tables;
    int rc = pragma(s, "PRAGMA application_id", &id, err);
    if (rc == 0)
        rc = pragma(s, "PRAGMA user_version", &version, err);
    if (rc == 0)
        rc = pragma(s, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (rc < 0)
        return rc;
    if (tables == 0)
        return make_schema(s, err);
    if (id != APPLICATION_ID)
        return err_set(err, ERR_STATE,
                       "state file %s is an SQLite file of another program; choose another with "
                       "--state or state:",
                       s->path);
    if (version != SCHEMA_VERSION)
        return err_set(
            err, ERR_STATE,
            "state file %s has version %lld, this program knows %d; use the program that "
            "wrote it or a newer one",
            s->path, (long long)version, SCHEMA_VERSION);
    return 0;
}

/* Made by us, so that nobody else may read keys and errors. */
static int make_file(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_STATE, "cannot make state file %s: %s", path, strerror(errno));
    close(fd);
    return 0;
}

static int open_database(struct state *s, struct err *err) {
    int code =
        sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (code != SQLITE_OK)
        return state_error(s, code, err);
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_WAIT_MS);
    int rc = exec(
        s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", err);
    return rc < 0 ? rc : check_version(s, err);
}

static struct state *new_state(const char *path) {
    struct state *s = mem_zalloc(1, sizeof *s);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    s->path = mem_strdup(path);
    return s;
}

int state_open(const char *path, struct state **ret_state, struct err *err) {
    int rc = make_file(path, err);
    if (rc < 0)
        return rc;
    _cleanup_(state_freep) struct state *s = new_state(path);
    rc = open_database(s, err);
    if (rc < 0)
        return rc;
    *ret_state = s;
    s = NULL;
    return 0;
}

int state_open_existing(const char *path, struct state **ret_state, struct err *err) {
    *ret_state = NULL;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    return state_open(path, ret_state, err);
}

void state_free(struct state *s) {
    if (!s)
        return;
    sqlite3_close_v2(s->db);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

const char *state_path(const struct state *s) {
    return s->path;
}

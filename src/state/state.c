/* Opening the state file, its schema and versions. */
#include "state/state.h"

#include "base/mem.h"
#include "base/stop.h"
#include "state/statement.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x42616e79 /* "Bany": tells `file` and us whose SQLite file this is */
#define SCHEMA_VERSION 6
#define OPEN_ATTEMPTS 5
#define OPEN_WAIT_US 50000
#define BUSY_WAIT_MS 10000

static const char schema_1[] = {
#include "state/schema.sql.inc"
    , 0};

static const char schema_2[] = {
#include "state/schema_2.sql.inc"
    , 0};

static const char schema_3[] = {
#include "state/schema_3.sql.inc"
    , 0};

static const char schema_4[] = {
#include "state/schema_4.sql.inc"
    , 0};

static const char schema_5[] = {
#include "state/schema_5.sql.inc"
    , 0};

static const char schema_6[] = {
#include "state/schema_6.sql.inc"
    , 0};

/* steps[v] leads from version v to v + 1. A step that was released is never changed. */
static const char *const steps[SCHEMA_VERSION] = {schema_1, schema_2, schema_3,
                                                  schema_4, schema_5, schema_6};

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
    *ret = rc > 0 ? statement_get_int(&st, 0) : 0;
    statement_end(&st);
    return 0;
}

/* Whose file it is, and of which version; an empty file has version 0. */
static int check_version(struct state *s, int64_t *ret_version, struct err *err) {
    int64_t id, tables;
    int rc = pragma(s, "PRAGMA application_id", &id, err);
    if (rc == 0)
        rc = pragma(s, "PRAGMA user_version", ret_version, err);
    if (rc == 0)
        rc = pragma(s, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (rc < 0)
        return rc;
    if (id != APPLICATION_ID && (tables > 0 || id != 0 || *ret_version != 0))
        return err_set(err, ERR_STATE,
                       "state file %s is an SQLite file of another program; choose another with "
                       "--state or state:",
                       s->path);
    if (*ret_version < 0 || *ret_version > SCHEMA_VERSION)
        return err_set(
            err, ERR_STATE,
            "state file %s has version %lld, this program knows %d; use the program that "
            "wrote it or a newer one",
            s->path, (long long)*ret_version, SCHEMA_VERSION);
    return 0;
}

/* One step for each version, from empty to newest; all or nothing. */
static int migrate(struct state *s, struct err *err) {
    _cleanup_(mem_freep) char *marks = mem_printf(
        "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID, SCHEMA_VERSION);
    int64_t version = 0;
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    /* Again, now that nobody else can write: another process may have made the tables. */
    rc = check_version(s, &version, err);
    for (int64_t v = version; rc == 0 && v < SCHEMA_VERSION; v++)
        rc = exec(s, steps[v], err);
    if (rc == 0)
        rc = exec(s, marks, err);
    return state_commit(s, rc, err);
}

const char *state_file_way_out(int number) {
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return "make its folder, or choose another with --state or state:";
    case ENOSPC:
    case EDQUOT:
        return "the disk is full: free space there and start again";
    case EROFS:
        return "its file system is read-only: choose another place with --state or state:";
    case EISDIR:
        return "it is a folder: name a file with --state or state:";
    case ENODEV:
        return "it is a device or a pipe: name a file with --state or state:";
    default:
        return "let this user read and write it and its folder, or choose another with --state or "
               "state:";
    }
}

/* The file's errno, or 0. An open file would have to be closed again, which gives up the locks that
 * a connection of this process has on it. */
static int look_at_file(const char *path) {
    struct stat st;
    if (stat(path, &st) < 0)
        return errno;
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    if (!S_ISREG(st.st_mode))
        return ENODEV;
    return euidaccess(path, R_OK | W_OK) < 0 ? errno : 0;
}

/* Made by us, so that nobody else may read keys and errors. 1: there is none, and none is made. */
static int make_file(const char *path, bool create, struct err *err) {
    int number = look_at_file(path);
    if (number == ENOENT && !create)
        return 1;
    if (number == ENOENT) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        number = fd >= 0 ? 0 : errno;
        if (fd >= 0)
            (void)close(fd);
    }
    if (number == 0)
        return 0;
    return err_set(err, ERR_STATE, "cannot open state file %s: %s; %s", path,
                   strerrordesc_np(number), state_file_way_out(number));
}

static int use_wal(struct state *s, struct err *err) {
    struct statement st;
    char mode[16] = "";
    statement_begin(&st, s, "PRAGMA journal_mode = WAL");
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    if (rc > 0)
        statement_get_text(&st, 0, mode, sizeof mode);
    statement_end(&st);
    if (strcmp(mode, "wal") == 0)
        return 0;
    return err_set(err, ERR_STATE,
                   "state file %s cannot have a write-ahead journal (it stays %s), which network "
                   "file systems do not support; put it on a local disk with --state or state:",
                   s->path, mode);
}

/* Looks whose file it is before anything in it is changed. */
static int open_database(struct state *s, struct err *err) {
    int64_t version = 0;
    int code =
        sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (code != SQLITE_OK)
        return state_error(s, code, err);
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_WAIT_MS);
    int rc = check_version(s, &version, err);
    if (rc == 0)
        rc = use_wal(s, err);
    if (rc == 0)
        rc = exec(s, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", err);
    return rc < 0 || version == SCHEMA_VERSION ? rc : migrate(s, err);
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

static int open_file(const char *path, bool create, struct state **ret_state, struct err *err) {
    int rc = make_file(path, create, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    /* Another process may be making the file right now: half made it looks like somebody else's, or
     * SQLite answers that it is locked without waiting. */
    for (int attempt = 1;; attempt++) {
        struct state *s = new_state(path);
        rc = open_database(s, err);
        if (rc == 0) {
            *ret_state = s;
            return 0;
        }
        state_free(s);
        if (attempt == OPEN_ATTEMPTS || stop_wait(OPEN_WAIT_US))
            return rc;
    }
}

int state_open(const char *path, struct state **ret_state, struct err *err) {
    return open_file(path, true, ret_state, err);
}

int state_open_existing(const char *path, struct state **ret_state, struct err *err) {
    *ret_state = NULL;
    return open_file(path, false, ret_state, err);
}

void state_free(struct state *s) {
    if (!s)
        return;
    statements_finalize(s);
    sqlite3_close_v2(s->db);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

const char *state_path(const struct state *s) {
    return s->path;
}

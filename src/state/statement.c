#include "state/statement.h"

#include "base/mem.h"

#include <stdio.h>

static const char *way_out(int code) {
    switch (code & 0xff) {
    case SQLITE_FULL:
        return "the disk is full: free space there and start again, nothing is lost";
    case SQLITE_IOERR:
        return "the disk cannot be read or written (full, or failing): mend that and start again";
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "let this user write the file and its folder, or choose another with --state or "
               "state:";
    case SQLITE_CANTOPEN:
        return "make its folder and let this user write there, or choose another with --state or "
               "state:";
    case SQLITE_NOTADB:
        return "it is not a state file of Banyan: choose another with --state or state:";
    case SQLITE_CORRUPT:
        return "the file is damaged: restore a copy; or move it away, drop the pipeline's slot and "
               "run "
               "again, which copies everything again";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another program holds the file locked: end it and start again";
    default:
        return "see the SQLite error";
    }
}

/* What the system said, where SQLite's own text does not tell. */
static const char *system_reason(const struct state *s, int code) {
    int primary = code & 0xff;
    int number = s->db ? sqlite3_system_errno(s->db) : 0;
    if (number == 0 || (primary != SQLITE_IOERR && primary != SQLITE_CANTOPEN))
        return NULL;
    return strerrordesc_np(number);
}

int state_error(const struct state *s, int code, struct err *err) {
    const char *reason = system_reason(s, code);
    return err_set(err, ERR_STATE, "state file %s: %s%s%s (SQLite %d); %s", s->path,
                   s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code), reason ? ": " : "",
                   reason ? reason : "", code, way_out(code));
}

/* The kept statement of that text, or a place for it; NULL: none is free. */
static struct kept_statement *keep(struct state *s, const char *sql) {
    for (size_t i = 0; i < s->kept_count; i++)
        if (s->kept[i].sql == sql)
            return s->kept[i].busy ? NULL : &s->kept[i];
    if (s->kept_count == STATEMENTS_KEPT)
        return NULL;
    struct kept_statement *k = &s->kept[s->kept_count++];
    *k = (struct kept_statement){.sql = sql};
    return k;
}

void statement_begin(struct statement *st, struct state *s, const char *sql) {
    pthread_mutex_lock(&s->lock);
    *st = (struct statement){.s = s, .kept = keep(s, sql)};
    struct kept_statement *k = st->kept;
    if (k && k->handle)
        st->handle = k->handle;
    else
        st->code = sqlite3_prepare_v3(s->db, sql, -1, k ? SQLITE_PREPARE_PERSISTENT : 0,
                                      &st->handle, NULL);
    if (k) {
        k->handle = st->handle; /* NULL after an error: prepared again next time */
        k->busy = true;
    }
}

void statements_finalize(struct state *s) {
    for (size_t i = 0; i < s->kept_count; i++)
        sqlite3_finalize(s->kept[i].handle);
    s->kept_count = 0;
}

static void bound(struct statement *st, int code) {
    if (st->code == SQLITE_OK)
        st->code = code;
}

void statement_text(struct statement *st, const char *text) {
    if (st->code == SQLITE_OK)
        bound(st, sqlite3_bind_text(st->handle, ++st->parameter, text, -1, SQLITE_TRANSIENT));
}

void statement_int(struct statement *st, int64_t v) {
    if (st->code == SQLITE_OK)
        bound(st, sqlite3_bind_int64(st->handle, ++st->parameter, v));
}

void statement_blob(struct statement *st, struct span blob) {
    if (st->code != SQLITE_OK)
        return;
    st->parameter++;
    bound(st, blob.ptr ? sqlite3_bind_blob64(st->handle, st->parameter, blob.ptr, blob.len,
                                             SQLITE_TRANSIENT)
                       : sqlite3_bind_null(st->handle, st->parameter));
}

int statement_row(struct statement *st, struct err *err) {
    int code = st->code == SQLITE_OK ? sqlite3_step(st->handle) : st->code;
    if (code == SQLITE_ROW)
        return 1;
    if (code == SQLITE_DONE)
        return 0;
    int rc = state_error(st->s, code, err);
    statement_end(st);
    return rc;
}

void statement_end(struct statement *st) {
    if (!st->s)
        return;
    if (st->kept) {
        sqlite3_reset(st->handle); /* repeats the error of the last step, which is reported */
        sqlite3_clear_bindings(st->handle);
        st->kept->busy = false;
    } else {
        sqlite3_finalize(st->handle);
    }
    pthread_mutex_unlock(&st->s->lock);
    *st = (struct statement){0};
}

int statement_run(struct statement *st, int64_t *ret_changed, struct err *err) {
    int rc;
    do
        rc = statement_row(st, err);
    while (rc > 0);
    if (rc < 0)
        return rc;
    if (ret_changed)
        *ret_changed = sqlite3_changes64(st->s->db);
    statement_end(st);
    return 0;
}

int64_t statement_get_int(const struct statement *st, int column) {
    return sqlite3_column_int64(st->handle, column);
}

void statement_get_text(const struct statement *st, int column, char *out, size_t size) {
    const char *text = (const char *)sqlite3_column_text(st->handle, column);
    (void)snprintf(out, size, "%s", text ? text : "");
}

char *statement_get_blob(const struct statement *st, int column, size_t *ret_len) {
    const char *data = sqlite3_column_blob(st->handle, column);
    *ret_len = (size_t)sqlite3_column_bytes(st->handle, column);
    if (sqlite3_column_type(st->handle, column) == SQLITE_NULL)
        return NULL;
    return mem_strndup(data, *ret_len);
}

int state_transaction(struct state *s, struct err *err) {
    pthread_mutex_lock(&s->lock);
    int code = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return 0;
    int rc = state_error(s, code, err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int state_commit(struct state *s, int rc, struct err *err) {
    int code = sqlite3_exec(s->db, rc < 0 ? "ROLLBACK" : "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK && rc >= 0) {
        rc = state_error(s, code, err);
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

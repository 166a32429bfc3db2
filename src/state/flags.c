/* What people changed about flags, since when a flag is on for everybody, and the audit log. */
#include "base/clock.h"
#include "base/mem.h"
#include "state/statement.h"

/* ---- texts that may be absent ---- */

static void optional_text(struct statement *st, const char *text) {
    if (text)
        statement_text(st, text);
    else
        statement_blob(st, (struct span){0});
}

static char *get_optional(const struct statement *st, int column) {
    size_t len;
    return statement_get_blob(st, column, &len);
}

int audit_check(const struct state_audit_line *line, struct err *err) {
    if (!line->why || !line->why[0])
        return err_set(err, ERR_USAGE, "a change needs a reason: say why");
    if (strlen(line->why) > STATE_WHY_MAX)
        return err_set(err, ERR_LIMIT, "the reason has more than %d bytes; shorten it",
                       STATE_WHY_MAX);
    if (strlen(line->who) >= STATE_NAME_MAX || strlen(line->subject) >= STATE_NAME_MAX)
        return err_set(err, ERR_LIMIT, "a name has more than %d bytes", STATE_NAME_MAX - 1);
    if ((line->before && strlen(line->before) > STATE_CHANGES_MAX) ||
        (line->after && strlen(line->after) > STATE_CHANGES_MAX))
        return err_set(err, ERR_LIMIT,
                       "the change has more than %d bytes; put long lists into the flags file",
                       STATE_CHANGES_MAX);
    return 0;
}

int audit_add(struct state *s, const struct state_audit_line *line, int64_t now_us,
              struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO audit (at_us, who, role, action, subject, before, after, why) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    statement_int(&st, now_us);
    statement_text(&st, line->who);
    statement_text(&st, line->role);
    statement_text(&st, line->action);
    statement_text(&st, line->subject);
    optional_text(&st, line->before);
    optional_text(&st, line->after);
    statement_text(&st, line->why);
    return statement_run(&st, NULL, err);
}

int audited_begin(struct state *s, const struct state_audit_line *line, struct err *err) {
    int rc = audit_check(line, err);
    return rc < 0 ? rc : state_transaction(s, err);
}

int audited_end(struct state *s, int rc, bool changed, const struct state_audit_line *line,
                struct err *err) {
    if (rc == 0 && changed)
        rc = audit_add(s, line, clock_wall_us(), err);
    return state_commit(s, rc, err);
}

/* ---- overrides ---- */

#define FLAG_COLUMNS "name, version, changes, killed, who, why, changed_us"

void state_flag_clear(struct state_flag *f) {
    free(f->changes);
    *f = (struct state_flag){0};
}

static void read_flag(const struct statement *st, struct state_flag *f) {
    *f = (struct state_flag){.version = statement_get_int(st, 1),
                             .changes = get_optional(st, 2),
                             .killed = statement_get_int(st, 3) != 0,
                             .changed_us = statement_get_int(st, 6)};
    statement_get_text(st, 0, f->name, sizeof f->name);
    statement_get_text(st, 4, f->who, sizeof f->who);
    statement_get_text(st, 5, f->why, sizeof f->why);
}

static int put_flag(struct state *s, const struct state_flag *f,
                    const struct state_audit_line *line, int64_t version, int64_t now_us,
                    struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT OR REPLACE INTO flag_override (" FLAG_COLUMNS
                    ") VALUES (?, ?, ?, ?, ?, ?, ?)");
    statement_text(&st, f->name);
    statement_int(&st, version);
    optional_text(&st, f->changes);
    statement_int(&st, f->killed);
    statement_text(&st, line->who);
    statement_text(&st, line->why);
    statement_int(&st, now_us);
    return statement_run(&st, NULL, err);
}

int state_flag_change(struct state *s, const struct state_flag *f,
                      const struct state_audit_line *line, int64_t *ret_version, bool *ret_conflict,
                      struct err *err) {
    struct state_flag stored = {0};
    int64_t now_us = clock_wall_us();
    int rc = audit_check(line, err);
    if (rc == 0 && f->changes && strlen(f->changes) > STATE_CHANGES_MAX)
        rc = err_set(err, ERR_LIMIT,
                     "the override of '%s' has more than %d bytes; put long lists into the flags "
                     "file",
                     f->name, STATE_CHANGES_MAX);
    if (rc == 0)
        rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    rc = state_flag_get(s, f->name, &stored, err);
    bool conflict = rc == 0 && stored.version != f->version;
    if (rc == 0 && !conflict)
        rc = put_flag(s, f, line, f->version + 1, now_us, err);
    if (rc == 0 && !conflict)
        rc = audit_add(s, line, now_us, err);
    rc = state_commit(s, rc, err);
    if (rc == 0) {
        *ret_conflict = conflict;
        *ret_version = conflict ? stored.version : f->version + 1;
    }
    state_flag_clear(&stored);
    return rc;
}

int state_flag_put(struct state *s, const struct state_flag *f, const struct state_audit_line *line,
                   struct err *err) {
    const struct state_audit_line made = {.who = f->who, .why = f->why};
    int rc = audited_begin(s, line, err);
    if (rc < 0)
        return rc;
    rc = put_flag(s, f, &made, f->version, f->changed_us, err);
    return audited_end(s, rc, true, line, err);
}

int state_flag_get(struct state *s, const char *name, struct state_flag *ret, struct err *err) {
    struct statement st;
    *ret = (struct state_flag){0};
    statement_begin(&st, s, "SELECT " FLAG_COLUMNS " FROM flag_override WHERE name = ?");
    statement_text(&st, name);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    if (rc > 0)
        read_flag(&st, ret);
    else
        (void)snprintf(ret->name, sizeof ret->name, "%s", name);
    statement_end(&st);
    return 0;
}

int state_flag_list(struct state *s, struct state_flag **ret, size_t *ret_count, struct err *err) {
    struct statement st;
    struct state_flag *list = NULL;
    size_t n = 0;
    int rc;
    statement_begin(&st, s, "SELECT " FLAG_COLUMNS " FROM flag_override ORDER BY name");
    while ((rc = statement_row(&st, err)) > 0) {
        list = mem_realloc(list, n + 1, sizeof *list);
        read_flag(&st, &list[n++]);
    }
    *ret = list;
    *ret_count = n;
    if (rc < 0)
        return rc;
    statement_end(&st);
    return 0;
}

/* ---- on for everybody ---- */

/* Those that are still named get their old time, as a row that is there stays as it is. */
static int mark_full(struct state *s, const char *name, int64_t now_us, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO flag_full (name, since_us) VALUES (?, ?) "
                    "ON CONFLICT (name) DO NOTHING");
    statement_text(&st, name);
    statement_int(&st, now_us);
    return statement_run(&st, NULL, err);
}

/* The names go into a table of this connection, as a list of parameters has a limit. */
static int forget_others(struct state *s, const char *const *names, size_t count, struct err *err) {
    struct statement st;
    int rc;
    statement_begin(&st, s, "CREATE TEMP TABLE IF NOT EXISTS full_now (name TEXT PRIMARY KEY)");
    rc = statement_run(&st, NULL, err);
    if (rc < 0)
        return rc;
    statement_begin(&st, s, "DELETE FROM full_now");
    rc = statement_run(&st, NULL, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        statement_begin(&st, s, "INSERT OR IGNORE INTO full_now (name) VALUES (?)");
        statement_text(&st, names[i]);
        rc = statement_run(&st, NULL, err);
    }
    if (rc < 0)
        return rc;
    statement_begin(&st, s, "DELETE FROM flag_full WHERE name NOT IN (SELECT name FROM full_now)");
    return statement_run(&st, NULL, err);
}

int state_flags_full(struct state *s, const char *const *names, size_t count, int64_t now_us,
                     struct err *err) {
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    rc = forget_others(s, names, count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = mark_full(s, names[i], now_us, err);
    return state_commit(s, rc, err);
}

int state_flag_full_since(struct state *s, const char *name, int64_t *ret_us, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "SELECT since_us FROM flag_full WHERE name = ?");
    statement_text(&st, name);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_us = rc > 0 ? statement_get_int(&st, 0) : 0;
    statement_end(&st);
    return 0;
}

int state_flags_full_count(struct state *s, int64_t until_us, int64_t *ret_count, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "SELECT count(*) FROM flag_full WHERE since_us <= ?");
    statement_int(&st, until_us);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_count = statement_get_int(&st, 0);
    statement_end(&st);
    return 0;
}

/* ---- audit ---- */

void state_audit_clear(struct state_audit *a) {
    free(a->before);
    free(a->after);
    *a = (struct state_audit){0};
}

int state_audit_add(struct state *s, const struct state_audit_line *line, struct err *err) {
    int rc = audit_check(line, err);
    return rc < 0 ? rc : audit_add(s, line, clock_wall_us(), err);
}

static void read_line(const struct statement *st, struct state_audit *a) {
    *a = (struct state_audit){.id = statement_get_int(st, 0),
                              .at_us = statement_get_int(st, 1),
                              .before = get_optional(st, 6),
                              .after = get_optional(st, 7)};
    statement_get_text(st, 2, a->who, sizeof a->who);
    statement_get_text(st, 3, a->role, sizeof a->role);
    statement_get_text(st, 4, a->action, sizeof a->action);
    statement_get_text(st, 5, a->subject, sizeof a->subject);
    statement_get_text(st, 8, a->why, sizeof a->why);
}

int state_audit_list(struct state *s, int64_t before, size_t max, struct state_audit **ret,
                     size_t *ret_count, struct err *err) {
    struct statement st;
    struct state_audit *list = NULL;
    size_t n = 0;
    int rc;
    statement_begin(&st, s,
                    "SELECT id, at_us, who, role, action, subject, before, after, why FROM audit "
                    "WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2");
    statement_int(&st, before);
    statement_int(&st, max > INT64_MAX ? INT64_MAX : (int64_t)max);
    while ((rc = statement_row(&st, err)) > 0) {
        list = mem_realloc(list, n + 1, sizeof *list);
        read_line(&st, &list[n++]);
    }
    *ret = list;
    *ret_count = n;
    if (rc < 0)
        return rc;
    statement_end(&st);
    return 0;
}

int state_audit_last(struct state *s, const char *action, const char *subject,
                     struct state_audit *ret, bool *ret_found, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "SELECT id, at_us, who, role, action, subject, before, after, why FROM audit "
                    "WHERE action = ? AND subject = ? ORDER BY id DESC LIMIT 1");
    statement_text(&st, action);
    statement_text(&st, subject);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_found = rc > 0;
    if (rc > 0)
        read_line(&st, ret);
    statement_end(&st);
    return 0;
}

/* Collections: their phases. */
#include "base/clock.h"
#include "base/mem.h"
#include "state/statement.h"

static const char *const names[] = {"new", "copying", "catching up", "streaming", "stopped"};

const char *state_phase_name(enum state_phase phase) {
    return names[phase];
}

/* The diagram in state.h; to STOPPED leads state_collection_stop, to NEW a reset. */
static bool may_follow(enum state_phase from, enum state_phase to) {
    switch (to) {
    case STATE_COPYING:
        return from == STATE_NEW;
    case STATE_CATCHING_UP:
        return from == STATE_COPYING;
    case STATE_STREAMING:
        return from == STATE_CATCHING_UP;
    case STATE_NEW:
    case STATE_STOPPED:
        return false;
    }
    return false;
}

#define COLUMNS                                                                                    \
    "c.pipeline, c.module, c.name, c.fingerprint, c.phase, c.wipe, c.catch_up_lsn, "               \
    "(SELECT coalesce(sum(k.documents), 0) FROM chunk k WHERE k.pipeline = c.pipeline AND "        \
    "k.collection = c.name), c.error, c.error_lsn, c.changed_us"

static void read_collection(const struct statement *st, struct state_collection *c) {
    *c = (struct state_collection){0};
    statement_get_text(st, 0, c->pipeline, sizeof c->pipeline);
    statement_get_text(st, 1, c->module, sizeof c->module);
    statement_get_text(st, 2, c->name, sizeof c->name);
    statement_get_text(st, 3, c->fingerprint, sizeof c->fingerprint);
    c->phase = (enum state_phase)statement_get_int(st, 4);
    c->wipe = statement_get_int(st, 5) != 0;
    c->catch_up_lsn = (lsn_t)statement_get_int(st, 6);
    c->documents = statement_get_int(st, 7);
    statement_get_text(st, 8, c->error, sizeof c->error);
    c->error_lsn = (lsn_t)statement_get_int(st, 9);
    c->changed_us = statement_get_int(st, 10);
}

static int get(struct state *s, const char *pipeline, const char *name,
               struct state_collection *ret, bool *ret_found, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "SELECT " COLUMNS " FROM collection c WHERE pipeline = ? AND name = ?");
    statement_text(&st, pipeline);
    statement_text(&st, name);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_found = rc > 0;
    if (rc > 0)
        read_collection(&st, ret);
    statement_end(&st);
    return 0;
}

/* Two pipelines that write one collection would undo each other's work. */
static int check_owner(struct state *s, const char *pipeline, const char *name, struct err *err) {
    struct statement st;
    char owner[STATE_NAME_MAX];
    statement_begin(&st, s, "SELECT pipeline FROM collection WHERE name = ? AND pipeline <> ?");
    statement_text(&st, name);
    statement_text(&st, pipeline);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    if (rc > 0) {
        statement_get_text(&st, 0, owner, sizeof owner);
        rc =
            err_set(err, ERR_STATE,
                    "collection %s is kept by pipeline %s of this state file; run that one, or use "
                    "another state file and another target.database",
                    name, owner);
    }
    statement_end(&st);
    return rc;
}

static int insert(struct state *s, const char *pipeline, const char *module, const char *name,
                  const char *fingerprint, bool wipe, struct err *err) {
    struct statement st;
    statement_begin(
        &st, s,
        "INSERT INTO collection (pipeline, module, name, fingerprint, wipe, changed_us) "
        "VALUES (?, ?, ?, ?, ?, ?)");
    statement_text(&st, pipeline);
    statement_text(&st, module);
    statement_text(&st, name);
    statement_text(&st, fingerprint);
    statement_int(&st, wipe);
    statement_int(&st, clock_wall_us());
    return statement_run(&st, NULL, err);
}

int state_collection_open(struct state *s, const char *pipeline, const char *module,
                          const char *name, const char *fingerprint, struct state_collection *ret,
                          struct err *err) {
    bool found = false;
    int rc = check_owner(s, pipeline, name, err);
    if (rc == 0)
        rc = get(s, pipeline, name, ret, &found, err);
    if (rc < 0 || found)
        return rc;
    rc = insert(s, pipeline, module, name, fingerprint, false, err);
    return rc < 0 ? rc : get(s, pipeline, name, ret, &found, err);
}

static const char delete_fanouts[] = "DELETE FROM fanout WHERE pipeline = ? AND collection = ?";

static int delete_rows(struct state *s, const char *sql, const char *pipeline, const char *name,
                       struct err *err) {
    struct statement st;
    statement_begin(&st, s, sql);
    statement_text(&st, pipeline);
    statement_text(&st, name);
    return statement_run(&st, NULL, err);
}

int state_collection_reset(struct state *s, const char *pipeline, const char *module,
                           const char *name, const char *fingerprint, struct err *err) {
    static const char *const deletes[] = {
        "DELETE FROM chunk WHERE pipeline = ? AND collection = ?",
        "DELETE FROM parked WHERE pipeline = ? AND collection = ?",
        delete_fanouts,
        "DELETE FROM request WHERE pipeline = ? AND collection = ?",
        "DELETE FROM verify WHERE pipeline = ? AND collection = ?",
        "DELETE FROM collection WHERE pipeline = ? AND name = ?"};
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < sizeof deletes / sizeof *deletes; i++)
        rc = delete_rows(s, deletes[i], pipeline, name, err);
    if (rc == 0)
        rc = insert(s, pipeline, module, name, fingerprint, true, err);
    return state_commit(s, rc, err);
}

static int update_phase(struct state *s, const char *pipeline, const char *name,
                        enum state_phase phase, lsn_t catch_up_lsn, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "UPDATE collection SET phase = ?, wipe = 0, catch_up_lsn = ?, changed_us = ? "
                    "WHERE pipeline = ? AND name = ?");
    statement_int(&st, phase);
    statement_int(&st, (int64_t)catch_up_lsn);
    statement_int(&st, clock_wall_us());
    statement_text(&st, pipeline);
    statement_text(&st, name);
    return statement_run(&st, NULL, err);
}

int state_collection_set_phase(struct state *s, const char *pipeline, const char *name,
                               enum state_phase phase, lsn_t catch_up_lsn, struct err *err) {
    struct state_collection now;
    bool found = false;
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    rc = get(s, pipeline, name, &now, &found, err);
    bool stopped = rc == 0 && found && now.phase == STATE_STOPPED;
    if (rc == 0 && !stopped && (!found || !may_follow(now.phase, phase)))
        rc = err_set(err, ERR_INTERNAL, "collection %s cannot go from %s to %s", name,
                     found ? names[now.phase] : "nothing", names[phase]);
    if (rc == 0 && !stopped)
        rc = update_phase(s, pipeline, name, phase, catch_up_lsn, err);
    rc = state_commit(s, rc, err);
    return rc < 0 ? rc : stopped;
}

static int mark_stopped(struct state *s, const char *pipeline, const char *name, lsn_t lsn,
                        const char *reason, struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "UPDATE collection SET phase = ?1, error = ?2, error_lsn = ?3, changed_us = ?4 "
                    "WHERE pipeline = ?5 AND name = ?6 AND phase <> ?1");
    statement_int(&st, STATE_STOPPED);
    statement_text(&st, reason);
    statement_int(&st, (int64_t)lsn);
    statement_int(&st, clock_wall_us());
    statement_text(&st, pipeline);
    statement_text(&st, name);
    return statement_run(&st, NULL, err);
}

int state_collection_stop(struct state *s, const char *pipeline, const char *name, lsn_t lsn,
                          const char *reason, struct err *err) {
    int rc = state_transaction(s, err);
    if (rc < 0)
        return rc;
    rc = mark_stopped(s, pipeline, name, lsn, reason, err);
    if (rc == 0) /* only a new copy leads out, so what waits is of no use */
        rc = delete_rows(s, delete_fanouts, pipeline, name, err);
    return state_commit(s, rc, err);
}

int state_collection_note(struct state *s, const char *pipeline, const char *name, const char *note,
                          struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "UPDATE collection SET error = ? WHERE pipeline = ? AND name = ? AND phase = ? "
                    "AND error <> ?");
    statement_text(&st, note);
    statement_text(&st, pipeline);
    statement_text(&st, name);
    statement_int(&st, STATE_STREAMING);
    statement_text(&st, note);
    return statement_run(&st, NULL, err);
}

int state_collection_list(struct state *s, const char *pipeline, struct state_collection **ret,
                          size_t *ret_count, struct err *err) {
    struct statement st;
    struct state_collection *list = NULL;
    size_t n = 0;
    int rc;
    statement_begin(&st, s,
                    "SELECT " COLUMNS " FROM collection c WHERE ?1 = '' OR pipeline = ?1 ORDER BY "
                    "c.pipeline, c.module, c.name");
    statement_text(&st, pipeline ? pipeline : "");
    while ((rc = statement_row(&st, err)) > 0) {
        list = mem_realloc(list, n + 1, sizeof *list);
        read_collection(&st, &list[n++]);
    }
    if (rc < 0) {
        free(list);
        return rc;
    }
    statement_end(&st);
    *ret = list;
    *ret_count = n;
    return 0;
}

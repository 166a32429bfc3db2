/* Pipelines: identity, slot, checkpoint. */
#include "base/clock.h"
#include "base/mem.h"
#include "state/statement.h"

#define COLUMNS                                                                                    \
    "name, slot, publication, system_id, timeline, slot_state, checkpoint, checkpoint_us, "        \
    "received, applied, written, deleted, refreshed"

static void read_pipeline(const struct statement *st, struct state_pipeline *p) {
    *p = (struct state_pipeline){0};
    statement_get_text(st, 0, p->name, sizeof p->name);
    statement_get_text(st, 1, p->slot, sizeof p->slot);
    statement_get_text(st, 2, p->publication, sizeof p->publication);
    statement_get_text(st, 3, p->system_id, sizeof p->system_id);
    p->timeline = (uint32_t)statement_get_int(st, 4);
    p->slot_state = (enum state_slot)statement_get_int(st, 5);
    p->checkpoint = (lsn_t)statement_get_int(st, 6);
    p->checkpoint_us = statement_get_int(st, 7);
    p->counters = (struct state_counters){statement_get_int(st, 8), statement_get_int(st, 9),
                                          statement_get_int(st, 10), statement_get_int(st, 11),
                                          statement_get_int(st, 12)};
}

int state_pipeline_get(struct state *s, const char *name, struct state_pipeline *ret,
                       bool *ret_found, struct err *err) {
    struct statement st;
    statement_begin(&st, s, "SELECT " COLUMNS " FROM pipeline WHERE name = ?");
    statement_text(&st, name);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_found = rc > 0;
    if (rc > 0)
        read_pipeline(&st, ret);
    statement_end(&st);
    return 0;
}

int state_pipeline_list(struct state *s, struct state_pipeline **ret, size_t *ret_count,
                        struct err *err) {
    struct statement st;
    struct state_pipeline *list = NULL;
    size_t n = 0;
    int rc;
    statement_begin(&st, s, "SELECT " COLUMNS " FROM pipeline ORDER BY name");
    while ((rc = statement_row(&st, err)) > 0) {
        list = mem_realloc(list, n + 1, sizeof *list);
        read_pipeline(&st, &list[n++]);
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

static int check_system(const struct state *s, const struct state_pipeline *p,
                        const char *system_id, struct err *err) {
    if (strcmp(p->system_id, system_id) == 0)
        return 0;
    return err_set(
        err, ERR_STATE,
        "the source is another PostgreSQL cluster (system identifier %s) than the one that "
        "state file %s belongs to (%s); correct source.uri, or use another state file and "
        "another target.database for this one",
        system_id, s->path, p->system_id);
}

int state_check_system(struct state *s, const char *name, const char *system_id, struct err *err) {
    struct state_pipeline p;
    bool found = false;
    int rc = state_pipeline_get(s, name, &p, &found, err);
    return rc < 0 || !found ? rc : check_system(s, &p, system_id, err);
}

static int insert_pipeline(struct state *s, const char *name, const char *slot,
                           const char *publication, const char *system_id, uint32_t timeline,
                           struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO pipeline (name, slot, publication, system_id, timeline) "
                    "VALUES (?, ?, ?, ?, ?)");
    statement_text(&st, name);
    statement_text(&st, slot);
    statement_text(&st, publication);
    statement_text(&st, system_id);
    statement_int(&st, timeline);
    return statement_run(&st, NULL, err);
}

/* Another slot has not what this one kept; another publication may not hold the same tables at the
 * positions that will be read again. */
static int check_names(const struct state *s, const struct state_pipeline *p, const char *slot,
                       const char *publication, struct err *err) {
    bool other_slot = strcmp(p->slot, slot) != 0;
    if (!other_slot && strcmp(p->publication, publication) == 0)
        return 0;
    return err_set(err, ERR_STATE,
                   "state file %s belongs to %s %s, the configuration says %s; put source.%s back, "
                   "or use another state file",
                   s->path, other_slot ? "slot" : "publication",
                   other_slot ? p->slot : p->publication, other_slot ? slot : publication,
                   other_slot ? "slot" : "publication");
}

int state_pipeline_open(struct state *s, const char *name, const char *slot,
                        const char *publication, const char *system_id, uint32_t timeline,
                        struct state_pipeline *ret, struct err *err) {
    struct state_pipeline p = {0};
    bool found = false;
    int rc = state_pipeline_get(s, name, &p, &found, err);
    if (rc == 0 && !found) {
        rc = insert_pipeline(s, name, slot, publication, system_id, timeline, err);
        if (rc == 0)
            rc = state_pipeline_get(s, name, &p, &found, err);
    }
    if (rc == 0)
        rc = check_system(s, &p, system_id, err);
    if (rc == 0)
        rc = check_names(s, &p, slot, publication, err);
    if (rc == 0)
        *ret = p;
    return rc;
}

int state_pipeline_set_slot(struct state *s, const char *name, enum state_slot slot_state,
                            lsn_t lsn, struct err *err) {
    struct statement st;
    statement_begin(
        &st, s,
        "UPDATE pipeline SET slot_state = ?1, checkpoint = CASE WHEN ?1 = 2 THEN ?2 ELSE "
        "checkpoint END, checkpoint_us = ?3 WHERE name = ?4");
    statement_int(&st, slot_state);
    statement_int(&st, (int64_t)lsn);
    statement_int(&st, clock_wall_us());
    statement_text(&st, name);
    return statement_run(&st, NULL, err);
}

int state_pipeline_set_timeline(struct state *s, const char *name, uint32_t timeline,
                                struct err *err) {
    struct statement st;
    statement_begin(&st, s, "UPDATE pipeline SET timeline = ? WHERE name = ?");
    statement_int(&st, timeline);
    statement_text(&st, name);
    return statement_run(&st, NULL, err);
}

int state_pipeline_rewind(struct state *s, const char *name, uint32_t timeline, lsn_t lsn,
                          struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "UPDATE pipeline SET timeline = ?1, checkpoint = ?2, checkpoint_us = ?3 "
                    "WHERE name = ?4");
    statement_int(&st, timeline);
    statement_int(&st, (int64_t)lsn);
    statement_int(&st, clock_wall_us());
    statement_text(&st, name);
    return statement_run(&st, NULL, err);
}

int state_checkpoint(struct state *s, const char *name, lsn_t lsn,
                     const struct state_counters *added, struct err *err) {
    struct statement st;
    int64_t changed;
    statement_begin(
        &st, s,
        "UPDATE pipeline SET checkpoint = ?1, checkpoint_us = ?2, received = received + ?3, "
        "applied = applied + ?4, written = written + ?5, deleted = deleted + ?6, "
        "refreshed = refreshed + ?7 WHERE name = ?8 AND checkpoint <= ?1");
    statement_int(&st, (int64_t)lsn);
    statement_int(&st, clock_wall_us());
    statement_int(&st, added->received);
    statement_int(&st, added->applied);
    statement_int(&st, added->written);
    statement_int(&st, added->deleted);
    statement_int(&st, added->refreshed);
    statement_text(&st, name);
    int rc = statement_run(&st, &changed, err);
    if (rc == 0 && changed != 1)
        return err_set(err, ERR_INTERNAL, "checkpoint %s of pipeline %s would go back",
                       lsn_format(lsn).text, name);
    return rc;
}

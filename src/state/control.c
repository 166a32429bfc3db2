/* What people set while a daemon runs, and what its verifications found. */
#include "base/mem.h"
#include "state/statement.h"

int state_control_get(struct state *s, const char *pipeline, struct state_control *ret,
                      struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "SELECT paused, coalesce(writes_per_second, -1) FROM control "
                    "WHERE pipeline = ?");
    statement_text(&st, pipeline);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret = (struct state_control){.writes_per_second = -1};
    if (rc > 0)
        *ret = (struct state_control){.paused = statement_get_int(&st, 0) != 0,
                                      .writes_per_second = statement_get_int(&st, 1)};
    statement_end(&st);
    return 0;
}

int state_control_set(struct state *s, const char *pipeline, const struct state_control *control,
                      struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT INTO control (pipeline, paused, writes_per_second) "
                    "VALUES (?1, ?2, nullif(?3, -1)) ON CONFLICT (pipeline) DO UPDATE SET "
                    "paused = excluded.paused, writes_per_second = excluded.writes_per_second");
    statement_text(&st, pipeline);
    statement_int(&st, control->paused);
    statement_int(&st, control->writes_per_second);
    return statement_run(&st, NULL, err);
}

/* ---- verifications ---- */

void state_verification_clear(struct state_verification *v) {
    free(v->differences);
    *v = (struct state_verification){0};
}

int state_verification_put(struct state *s, const char *module, const struct state_verification *v,
                           struct err *err) {
    struct statement st;
    statement_begin(&st, s,
                    "INSERT OR REPLACE INTO verification (module, outcome, error, compared, "
                    "different, unsettled, decoder, not_ready, started_us, finished_us, "
                    "differences) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    statement_text(&st, module);
    statement_text(&st, v->outcome);
    statement_text(&st, v->error);
    statement_int(&st, v->compared);
    statement_int(&st, v->different);
    statement_int(&st, v->unsettled);
    statement_int(&st, v->decoder);
    statement_int(&st, v->not_ready);
    statement_int(&st, v->started_us);
    statement_int(&st, v->finished_us);
    statement_text(&st, v->differences ? v->differences : "[]");
    return statement_run(&st, NULL, err);
}

int state_verification_get(struct state *s, const char *module, struct state_verification *ret,
                           bool *ret_found, struct err *err) {
    struct statement st;
    *ret = (struct state_verification){0};
    statement_begin(&st, s,
                    "SELECT outcome, error, compared, different, unsettled, decoder, not_ready, "
                    "started_us, finished_us, differences FROM verification WHERE module = ?");
    statement_text(&st, module);
    int rc = statement_row(&st, err);
    if (rc < 0)
        return rc;
    *ret_found = rc > 0;
    if (rc > 0) {
        size_t len;
        statement_get_text(&st, 0, ret->outcome, sizeof ret->outcome);
        statement_get_text(&st, 1, ret->error, sizeof ret->error);
        ret->compared = statement_get_int(&st, 2);
        ret->different = statement_get_int(&st, 3);
        ret->unsettled = statement_get_int(&st, 4);
        ret->decoder = statement_get_int(&st, 5);
        ret->not_ready = statement_get_int(&st, 6);
        ret->started_us = statement_get_int(&st, 7);
        ret->finished_us = statement_get_int(&st, 8);
        ret->differences = statement_get_blob(&st, 9, &len);
    }
    statement_end(&st);
    return 0;
}

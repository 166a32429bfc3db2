#include "pipeline/frozen.h"

#include "base/mem.h"
#include "source/readback.h"

static int export_snapshot(struct run *run, void *context, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    char **ret = context;
    int rc = pg_exec(run->pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, err);
    if (rc == 0)
        rc = pg_exec(run->pg, "SELECT pg_catalog.pg_export_snapshot()", &r, err);
    if (rc == 0)
        *ret = mem_strndup(pg_value(r, 0, 0).ptr, pg_value(r, 0, 0).len);
    return rc;
}

int frozen_begin(struct run *run, struct err *err) {
    if (!run->conf->source.snapshot_consistent || run->frozen)
        return 0;
    return control_on_source(run, export_snapshot, &run->frozen, err);
}

void frozen_end(struct run *run) {
    bool own = run->frozen && !run->slot_session;
    repl_free(run->slot_session);
    run->slot_session = NULL;
    free(run->frozen);
    run->frozen = NULL;
    if (!own || !run->pg)
        return;
    struct err ignored;
    if (pg_exec(run->pg, "ROLLBACK", NULL, &ignored) < 0) { /* lost meanwhile: opened when needed */
        pg_free(run->pg);
        run->pg = NULL;
    }
}

int frozen_begin_chunk(const struct run *run, struct pg *pg, bool *ret_lost, struct err *err) {
    if (!run->frozen)
        return readback_begin(pg, NULL, 0, err);
    struct err failure = {0};
    int rc = readback_begin_in(pg, run->frozen, &failure);
    if (rc == 0)
        return 0;
    *ret_lost = !failure.retriable && failure.code != ERR_STOPPED;
    *err = failure;
    return rc;
}

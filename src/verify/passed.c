/* Has everything been written that the log says up to a position? */
#include "base/clock.h"
#include "base/stop.h"
#include "state/lock.h"
#include "verify/session.h"

#define PEEK_MAX "1000"
#define PASS_WAIT_US 20000000
#define POLL_US 50000

/* Nobody reads the slot: is anything of ours in the log between the checkpoint and P? Rows of the
 * heartbeat's table are not. Where there is more than was looked at, or the server still believes
 * in a reader, nothing is known. (I, U, D, T and the table's oid, which follows the first three:
 * PostgreSQL 15 docs, 55.9.) */
static int nothing_waits(struct session *s, const struct state_pipeline *p, lsn_t position,
                         bool *ret_passed, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    _cleanup_(buf_release) struct buf name = {.max = 1024}, beat = {.max = 1024};
    const struct conf_table *heartbeat = &s->conf->source.heartbeat_table;
    struct lsn_text upto = lsn_format(position);
    pg_add_ident(&name, p->publication);
    if (heartbeat->at.line)
        pg_add_table(&beat, heartbeat->schema, heartbeat->name);
    struct span params[] = {span_of(p->slot), span_of(upto.text), buf_span(&name),
                            SPAN_LIT(PEEK_MAX),
                            heartbeat->at.line ? buf_span(&beat) : (struct span){0}};
    int rc = pg_query(s->pg,
                      "SELECT pg_catalog.count(*) < $4::int AND pg_catalog.count(*) FILTER "
                      "(WHERE pg_catalog.get_byte(data, 0) = 84 OR "
                      "pg_catalog.get_byte(data, 0) IN (73, 85, 68) AND "
                      "pg_catalog.substring(data, 2, 4) IS DISTINCT FROM "
                      "pg_catalog.oidsend(pg_catalog.to_regclass($5)::oid)) = 0 "
                      "FROM pg_catalog.pg_logical_slot_peek_binary_changes"
                      "($1, $2::pg_lsn, $4::int, 'proto_version', '1', 'publication_names', $3)",
                      5, params, &r, err);
    if (rc < 0)
        return strcmp(pg_sqlstate(s->pg), "55006") == 0 ? 0 : rc; /* object_in_use */
    *ret_passed = span_is(pg_value(r, 0, 0), "t");
    return 0;
}

int passed_wait(struct session *s, lsn_t position, bool *ret_passed, struct err *err) {
    int64_t give_up = clock_mono_us() + PASS_WAIT_US;
    struct state_fanout_mark fanouts = {0}; /* what the log up to the checkpoint left behind */
    *ret_passed = false;
    for (;;) {
        struct state_pipeline p;
        bool found = false, live = false;
        char holder[STATE_HOLDER_MAX];
        int rc = state_pipeline_get(s->state, s->stored.pipeline, &p, &found, err);
        if (rc == 0)
            rc = state_lock_peek(state_path(s->state), s->stored.pipeline, &live, holder, err);
        if (rc < 0 || !found)
            return rc;
        bool through = p.checkpoint >= position;
        if (!through && !live)
            rc = nothing_waits(s, &p, position, &through, err);
        if (rc == 0 && through)
            rc = state_fanouts_passed(s->state, s->stored.pipeline, s->c->name, &fanouts,
                                      ret_passed, err);
        if (rc < 0 || *ret_passed || !live)
            return rc;
        if (clock_mono_us() > give_up)
            return 0;
        if (stop_wait(POLL_US))
            return err_set(err, ERR_STOPPED, "asked to stop");
    }
}

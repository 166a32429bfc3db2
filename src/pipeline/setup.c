/* Before the first row: what must be there is checked, then made, in an order that a crash at any
 * point leaves repeatable. Nothing is created before the whole plan is known to fit. */
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/frozen.h"
#include "pipeline/holders.h"
#include "pipeline/indexes.h"
#include "pipeline/lineage.h"
#include "pipeline/run.h"
#include "pipeline/tables.h"
#include "source/heartbeat.h"
#include "source/plan_source.h"
#include "source/query.h"
#include "source/rights.h"

#define OLDEST_SERVER 120000
#define QUIESCE_WAIT_US 60000000

/* ---- the plan ---- */

/* The server plans each join: operators that do not exist show before anything is created. */
static int check_joins(struct run *run, const struct plan_collection *c, struct err *err) {
    for (size_t n = 1; n < c->node_count; n++) {
        const struct plan_node *node = c->nodes[n];
        _cleanup_(buf_release) struct buf sql = {.max = QUERY_MAX};
        query_join_check(&sql, node);
        struct err failure = {0};
        /* Without the right to read, the copy stops this collection, and says what is missing. */
        if (pg_exec(run->pg, buf_text(&sql), NULL, &failure) == 0 || rights_are_missing(run->pg))
            continue;
        if (failure.retriable || failure.code == ERR_STOPPED) {
            *err = failure;
            return failure.code;
        }
        return conf_error(run->conf, node->conf->join[0].child.at, err,
                          "the join of %s.%s with %s.%s is impossible: %s", node->table->schema,
                          node->table->name, node->parent->table->schema, node->parent->table->name,
                          failure.text);
    }
    return 0;
}

/* A refresh of a few documents must not read a whole table. */
static void warn_unindexed(const struct plan_collection *c) {
    for (size_t n = 1; n < c->node_count; n++) {
        const struct plan_node *node = c->nodes[n];
        int first = node->columns[node->join_child[0]].table_column;
        bool found = false;
        for (size_t i = 0; i < node->table->index_count && !found; i++)
            for (size_t k = 0; k < node->join_count && !found; k++)
                found = node->table->indexes[i].columns[0] ==
                        node->columns[node->join_child[k]].table_column;
        if (!found)
            log_event(LOG_WARN, "join_without_index", LOG_STR("collection", c->name),
                      LOG_STR("path", node->path), LOG_STR("table", node->table->name),
                      LOG_STR("column", node->table->columns[first].name),
                      LOG_STR("next", "every refresh reads the whole table; CREATE INDEX "
                                      "CONCURRENTLY on it"));
    }
}

/* Two values that SQL tells apart may be one in BSON: the second document will not be let in. */
static void warn_lossy_unique(const struct plan_collection *c, const char *path) {
    const struct plan_node *root = c->root;
    for (size_t i = 0; i < root->field_count; i++) {
        const struct plan_field *f = &root->fields[i];
        if (f->kind != PLAN_COLUMN || !span_is(f->name, path))
            continue;
        const struct pg_column *column = root->columns[f->column].source;
        if (f->retype == PG_RETYPE_NONE && !pg_type_is_one_to_one(column->type, c->types))
            log_event(LOG_WARN, "unique_index_is_lossy", LOG_STR("collection", c->name),
                      LOG_STR("column", column->name), LOG_STR("type", column->type->name),
                      LOG_STR("next", "values that differ may be equal in MongoDB, and their "
                                      "documents are then parked; choose another policy below "
                                      "types:, or make the index not unique"));
    }
}

static void warn_lossy_indexes(const struct plan_collection *c) {
    for (size_t i = 0; i < c->conf->index_count; i++)
        for (size_t k = 0; c->conf->indexes[i].unique && k < c->conf->indexes[i].key_count; k++)
            warn_lossy_unique(c, c->conf->indexes[i].keys[k].path.text);
}

static void warn_about(const struct plan_collection *c) {
    warn_unindexed(c);
    warn_lossy_indexes(c);
}

int setup_plan(struct run *run, struct err *err) {
    int rc = plan_from_source(run->conf, run->name, run->catalog, run->pg, &run->plan, err);
    for (size_t i = 0; rc == 0 && i < run->plan->collection_count; i++) {
        rc = check_joins(run, run->plan->collections[i], err);
        if (rc == 0)
            warn_about(run->plan->collections[i]);
    }
    if (rc == 0)
        run->collections = mem_zalloc(run->plan->collection_count, sizeof *run->collections);
    return rc;
}

/* ---- the source ---- */

static int check_server(struct run *run, struct err *err) {
    if (pg_server_version(run->pg) < OLDEST_SERVER)
        return err_set(err, ERR_CONF, "the source is PostgreSQL %d; 12 or newer is needed",
                       pg_server_version(run->pg) / 10000);
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc = pg_exec(run->pg, "SHOW wal_level", &r, err);
    if (rc < 0)
        return rc;
    if (!span_is(pg_value(r, 0, 0), "logical"))
        return err_set(
            err, ERR_CONF,
            "the source has wal_level = %.*s; run ALTER SYSTEM SET wal_level = 'logical' "
            "and restart PostgreSQL",
            SPAN_ARG(pg_value(r, 0, 0)));
    return 0;
}

static int prepare_heartbeat(struct run *run, struct err *err) {
    const struct conf_table *beat = &run->conf->source.heartbeat_table;
    for (size_t i = 0; i < run->plan->use_count; i++)
        if (strcmp(run->plan->uses[i].table->schema, beat->schema) == 0 &&
            strcmp(run->plan->uses[i].table->name, beat->name) == 0)
            return conf_error(run->conf, beat->at, err,
                              "source.heartbeat_table is a table that is migrated; name one of its "
                              "own, which Banyan makes");
    return heartbeat_prepare(run->pg, beat, err);
}

static int publish(struct run *run, struct err *err) {
    const struct conf_table *beat = &run->conf->source.heartbeat_table;
    size_t count = run->plan->use_count;
    struct repl_publication_table *tables = mem_zalloc(count + 1, sizeof *tables);
    for (size_t i = 0; i < count; i++)
        tables[i] = (struct repl_publication_table){run->plan->uses[i].table->schema,
                                                    run->plan->uses[i].table->name};
    int rc = beat->at.line ? prepare_heartbeat(run, err) : 0;
    if (beat->at.line)
        tables[count++] = (struct repl_publication_table){beat->schema, beat->name};
    if (rc == 0)
        rc = repl_ensure_publication(run->pg, run->publication, tables, count, err);
    free(tables);
    return rc;
}

static int make_slot(struct run *run, struct repl *repl, const struct repl_identity *identity,
                     struct state_pipeline *p, struct err *err) {
    lsn_t consistent = 0;
    log_event(LOG_INFO, "making_slot", LOG_STR("slot", run->slot),
              LOG_STR("note", "waits until transactions that run now have ended"));
    int rc = state_pipeline_set_slot(run->state, run->name, STATE_SLOT_INTENT, 0, err);
    if (rc == 0)
        rc = repl_create_slot(repl, run->slot, &consistent,
                              run->conf->source.snapshot_consistent ? &run->frozen : NULL, err);
    if (rc == 0)
        rc = state_pipeline_set_timeline(run->state, run->name, identity->timeline, err);
    if (rc == 0)
        rc = state_pipeline_set_slot(run->state, run->name, STATE_SLOT_CREATED, consistent, err);
    if (rc < 0)
        return rc;
    p->slot_state = STATE_SLOT_CREATED;
    p->checkpoint = consistent;
    log_event(LOG_INFO, "slot_created", LOG_STR("slot", run->slot),
              LOG_STR("lsn", lsn_format(consistent).text));
    return 0;
}

/* Our slot, as we left it. */
static int check_slot(struct run *run, const struct repl_slot_info *slot,
                      const struct state_pipeline *p, struct err *err) {
    if (!slot->exists)
        return err_set(err, ERR_STATE,
                       "replication slot %s is gone, so changes since %s are lost; run again with "
                       "--recopy all, which makes a new slot and copies every collection again",
                       run->slot, lsn_format(p->checkpoint).text);
    if (slot->invalidated)
        return err_set(err, ERR_STATE,
                       "replication slot %s was invalidated by the server (wal_status %s): it kept "
                       "more log than max_slot_wal_keep_size allows; raise that limit, then run "
                       "again with --recopy all",
                       run->slot, slot->wal_status);
    if (strcmp(slot->plugin, "pgoutput") != 0)
        return err_set(err, ERR_STATE,
                       "replication slot %s uses the plugin %s and not pgoutput; it "
                       "is not ours: set source.slot to another name",
                       run->slot, slot->plugin);
    if (slot->confirmed_flush_lsn > p->checkpoint)
        return err_set(
            err, ERR_STATE,
            "replication slot %s is at %s, ahead of our checkpoint %s: somebody else read "
            "from it, or the state file is an old copy; run again with --recopy all",
            run->slot, lsn_format(slot->confirmed_flush_lsn).text, lsn_format(p->checkpoint).text);
    return 0;
}

static bool wants_new_slot(const struct run *run) {
    return run->options->recopy && strcmp(run->options->recopy, "all") == 0;
}

/* A slot that is there goes on where we were, if this server's log is still the one we followed. */
static int continue_slot(struct run *run, struct repl *repl, const struct repl_identity *identity,
                         const struct repl_slot_info *slot, const struct state_pipeline *p,
                         struct err *err) {
    int rc = check_slot(run, slot, p, err);
    run->confirmed = p->checkpoint;
    if (rc < 0)
        return rc;
    return run->options->repair_only
               ? lineage_mend(run, repl, identity, slot->confirmed_flush_lsn, err)
               : lineage_check(run, repl, identity, err);
}

static bool is_any(const struct run *run, const char *name) {
    (void)run;
    (void)name;
    return true;
}

static bool has_left(const struct run *run, const char *name) {
    return plan_collection_index(run->plan, name) == run->plan->collection_count;
}

/* These copies are to be made anew if they are ever wanted again. */
static int forget_copies(struct run *run, bool (*which)(const struct run *run, const char *name),
                         const char *event, struct err *err) {
    struct state_collection *list = NULL;
    size_t count = 0;
    int rc = state_collection_list(run->state, run->name, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (list[i].phase == STATE_NEW || !which(run, list[i].name))
            continue;
        rc = state_collection_reset(run->state, run->name, list[i].module, list[i].name,
                                    list[i].fingerprint, err);
        log_event(LOG_WARN, event, LOG_STR("collection", list[i].name));
    }
    free(list);
    return rc;
}

static int prepare_slot(struct run *run, struct repl *repl, const struct repl_identity *identity,
                        struct state_pipeline *p, struct err *err) {
    struct repl_slot_info slot;
    int rc = repl_slot_info(run->pg, run->slot, &slot, err);
    if (rc < 0)
        return rc;
    if (run->options->repair_only && p->slot_state != STATE_SLOT_CREATED)
        return err_set(err, ERR_STATE, "nothing was copied yet; start banyan run %s", run->name);
    if (p->slot_state == STATE_SLOT_CREATED && !wants_new_slot(run))
        return continue_slot(run, repl, identity, &slot, p, err);
    if (slot.exists && p->slot_state == STATE_SLOT_NONE)
        return err_set(err, ERR_STATE,
                       "replication slot %s is there already, but %s knows nothing of it; use the "
                       "state file that belongs to it, or SELECT pg_drop_replication_slot('%s') if "
                       "nobody needs it",
                       run->slot, run->conf->state, run->slot);
    /* A new slot has nothing of what came before it, so no copy may go on with it: before the old
     * one goes, all are forgotten; also those of collections that are not in the plan now. */
    rc = forget_copies(run, is_any, "copy_ends_with_its_slot", err);
    if (rc == 0 && slot.exists)
        rc = repl_drop_slot(run->pg, run->slot, err);
    if (rc == 0)
        rc = make_slot(run, repl, identity, p, err);
    run->confirmed = p->checkpoint;
    return rc;
}

/* Reading may begin when everything that runs now in this database, with the slot and the
 * publication in place, has ended. A transaction keeps the lock on its own id until others see it
 * as ended; a prepared one has no backend. Ids of other databases do not matter. */
static int note_running(struct run *run, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    int rc =
        pg_exec(run->pg,
                "SELECT coalesce(pg_catalog.array_agg(r.xid), '{}')::text FROM ("
                "SELECT l.transactionid::text FROM pg_catalog.pg_locks l "
                "JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
                "WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted "
                "AND a.datname = pg_catalog.current_database() "
                "AND l.pid <> pg_catalog.pg_backend_pid() "
                "UNION SELECT p.transaction::text FROM pg_catalog.pg_prepared_xacts p "
                "WHERE p.database = pg_catalog.current_database()) r(xid)",
                &r, err);
    if (rc == 0)
        run->running = mem_strndup(pg_value(r, 0, 0).ptr, pg_value(r, 0, 0).len);
    return rc;
}

int setup_source(struct run *run, struct err *err) {
    _cleanup_(repl_freep) struct repl *repl = NULL;
    struct repl_identity identity;
    struct state_pipeline p = {0};
    int rc = check_server(run, err);
    if (rc == 0)
        rc = repl_open(run->conf->source.uri, run->app_prefix, &repl, err);
    if (rc == 0)
        rc = repl_identify(repl, &identity, err);
    if (rc == 0)
        rc = state_pipeline_open(run->state, run->name, run->slot, run->publication,
                                 identity.system_id, identity.timeline, &p, err);
    if (rc == 0 && !run->options->repair_only)
        rc = tables_check_published(run, err);
    if (rc == 0 && !run->options->repair_only)
        rc = publish(run, err);
    if (rc == 0)
        rc = prepare_slot(run, repl, &identity, &p, err);
    if (run->frozen) { /* lives as long as the session that made the slot */
        run->slot_session = repl;
        repl = NULL;
    }
    return rc < 0 ? rc : note_running(run, err);
}

/* ---- the target ---- */

/* Unique ones come when the collection has caught up (indexes.h). */
static int ensure_indexes(struct run *run, const struct plan_collection *c, struct err *err) {
    for (size_t i = 0; i < c->conf->index_count; i++) {
        const struct conf_index *index = &c->conf->indexes[i];
        if (index->unique)
            continue;
        bson_t keys;
        indexes_keys(index, &keys);
        int rc = mongo_ensure_index(run->mongo, run->conf->target.database, c->name, &keys,
                                    index->name, false, err);
        bson_destroy(&keys);
        if (rc < 0)
            return err_prefix(err, "%s:%d: index of %s", run->conf->file, index->at.line, c->name);
    }
    return 0;
}

static int make_collection(struct run *run, const struct plan_collection *c, struct err *err) {
    const char *database = run->conf->target.database;
    int rc = mongo_create_collection(run->mongo, database, c->name, err);
    if (rc == 0)
        rc = ensure_indexes(run, c, err);
    for (size_t n = 1; rc == 0 && n < c->node_count; n++)
        if (c->nodes[n]->old_parent == PLAN_OLD_FROM_TARGET)
            rc = holders_ensure_index(run->mongo, database, c->nodes[n], err);
    return rc;
}

/* While a copy is healed, two rows may hold a unique value that only one has in the end. */
static int drop_unique_indexes(struct run *run, const struct plan_collection *c, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->conf->index_count; i++) {
        bson_t keys;
        if (!c->conf->indexes[i].unique)
            continue;
        indexes_keys(&c->conf->indexes[i], &keys);
        rc = mongo_drop_index(run->mongo, run->conf->target.database, c->name, &keys, err);
        bson_destroy(&keys);
    }
    return rc;
}

static int wipe_collection(struct run *run, const struct plan_collection *c, struct err *err) {
    /* A build that was left to the target would bring them back. */
    int rc = mongo_quiesce(run->mongo, run->conf->target.database, c->name, run->index_app,
                           QUIESCE_WAIT_US, err);
    if (rc == 0)
        rc = drop_unique_indexes(run, c, err);
    return rc < 0 ? rc : mongo_delete_all(run->mongo, run->conf->target.database, c->name, err);
}

/* The first copy goes into an empty collection; a recopy empties it first. */
static int begin_copy(struct run *run, size_t i, bool wipe, struct err *err) {
    const struct plan_collection *c = run->plan->collections[i];
    bool empty = true;
    int rc = wipe ? wipe_collection(run, c, err)
                  : mongo_is_empty(run->mongo, run->conf->target.database, c->name, &empty, err);
    if (rc < 0)
        return rc;
    if (!empty)
        return err_set(
            err, ERR_CONF,
            "collection %s.%s already holds documents that this state file knows nothing "
            "of; drop it, choose another target.database, or run with --recopy %s to "
            "delete them and copy again",
            run->conf->target.database, c->name, c->name);
    rc = make_collection(run, c, err);
    return rc < 0 ? rc : control_set_phase(run, i, STATE_COPYING, 0, err);
}

/* State first: what it forgets, a crash from here on finds marked to be emptied. */
static int copy_anew(struct run *run, size_t i, const char *why, struct err *err) {
    const struct plan_collection *c = run->plan->collections[i];
    log_event(LOG_WARN, "copy_begins_anew", LOG_STR("collection", c->name), LOG_STR("reason", why));
    int rc = state_collection_reset(run->state, run->name, c->module, c->name, c->fingerprint, err);
    if (rc < 0)
        return rc;
    parked_forget(run->parked, i);
    run->collections[i].phase = STATE_NEW;
    run->collections[i].copied = 0;
    return begin_copy(run, i, true, err);
}

int setup_copy_anew(struct run *run, const char *why, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < run->plan->collection_count; i++)
        if (run->collections[i].phase == STATE_COPYING)
            rc = copy_anew(run, i, why, err);
    return rc;
}

static bool is_recopied(const struct run *run, const struct plan_collection *c) {
    const char *which = run->options->recopy;
    return which && (strcmp(which, "all") == 0 || strcmp(which, c->name) == 0);
}

static int find_phase(struct run *run, const char *name, enum state_phase *ret, struct err *err) {
    struct state_collection *list = NULL;
    size_t count = 0;
    int rc = state_collection_list(run->state, run->name, &list, &count, err);
    *ret = STATE_NEW;
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            *ret = list[i].phase;
    free(list);
    return rc;
}

/* 1: not to be touched while only repairing. A collection that was never copied is left alone, as
 * if it were stopped, and the state hears nothing of it. One that is half copied needs the log
 * from before its first chunk, so it must not be read past now. */
static int leave_out(struct run *run, size_t i, struct err *err) {
    enum state_phase phase;
    const char *name = run->plan->collections[i]->name;
    int rc = find_phase(run, name, &phase, err);
    if (rc < 0)
        return rc;
    if (phase == STATE_COPYING)
        return err_set(err, ERR_STATE,
                       "collection %s is half copied, and nothing can be repaired before it is "
                       "whole; start banyan run %s, then verify again",
                       name, run->name);
    if (phase != STATE_NEW)
        return 0;
    run->collections[i].phase = STATE_STOPPED;
    return 1;
}

static int setup_collection(struct run *run, size_t i, struct err *err) {
    const struct plan_collection *c = run->plan->collections[i];
    struct state_collection stored;
    int left = run->options->repair_only ? leave_out(run, i, err) : 0;
    if (left != 0)
        return left < 0 ? left : 0;
    int rc = is_recopied(run, c) ? state_collection_reset(run->state, run->name, c->module, c->name,
                                                          c->fingerprint, err)
                                 : 0;
    if (rc == 0)
        rc = state_collection_open(run->state, run->name, c->module, c->name, c->fingerprint,
                                   &stored, err);
    if (rc < 0)
        return rc;
    run->collections[i].phase = stored.phase;
    run->collections[i].catch_up_lsn = stored.catch_up_lsn;
    /* What was loaded of an earlier copy, or is not tried again (parked.h). */
    if (stored.phase == STATE_NEW || stored.phase == STATE_STOPPED)
        parked_forget(run->parked, i);
    if (strcmp(stored.fingerprint, c->fingerprint) != 0)
        return err_set(err, ERR_CONF,
                       "the mapping of %s is not the one its documents were made with; run with "
                       "--recopy %s to copy it again, or take the change back",
                       c->name, c->name);
    if (stored.phase == STATE_NEW)
        return begin_copy(run, i, stored.wipe, err);
    if (stored.phase == STATE_STOPPED)
        return 0;
    if (stored.phase == STATE_COPYING && run->conf->source.snapshot_consistent)
        return copy_anew(run, i,
                         "the one snapshot (source.snapshot.consistent) of the copy that was "
                         "interrupted is gone",
                         err);
    return make_collection(run, c, err);
}

int setup_target(struct run *run, struct err *err) {
    struct mongo_server server;
    int rc = mongo_server_info(run->mongo, &server, err);
    if (rc < 0)
        return rc;
    if (!server.set_name[0])
        log_event(
            LOG_WARN, "target_is_standalone",
            LOG_STR("next", "a replica set is needed for retryable writes and for later phases"));
    /* Writes of an earlier process may still be running there. */
    for (size_t i = 0; rc == 0 && i < run->plan->collection_count; i++)
        rc = mongo_quiesce(run->mongo, run->conf->target.database, run->plan->collections[i]->name,
                           run->app_prefix, QUIESCE_WAIT_US, err);
    for (size_t i = 0; rc == 0 && i < run->plan->collection_count; i++)
        rc = setup_collection(run, i, err);
    /* From now on the log is read without them. */
    return rc < 0 ? rc : forget_copies(run, has_left, "copy_left_the_mapping", err);
}

#include "verify/verify.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "source/plan_source.h"
#include "source/readback.h"
#include "source/rights.h"
#include "state/lock.h"
#include "verify/session.h"

#include <stdlib.h>
#include <sys/random.h>

#define READY_POLL_US 200000

void session_progress(const struct session *s, enum verify_stage stage, int64_t done,
                      int64_t expected) {
    struct verify_progress p = {.collection = s->c->name,
                                .stage = stage,
                                .done = done,
                                .expected = expected,
                                .candidates = (int64_t)s->candidates.count};
    if (s->options->progress)
        s->options->progress(s->options->context, &p);
}

struct span session_expected(const struct assembled *doc) {
    static const char empty[] = {5, 0, 0, 0, 0}; /* BSON */
    return doc->failure ? span_make(empty, sizeof empty) : doc->document;
}

int session_end_read(struct session *s, int rc, struct err *err) {
    struct err ignored;
    int end = readback_end(s->pg, rc < 0 ? &ignored : err);
    return rc < 0 ? rc : end;
}

/* ---- is the collection ready? ---- */

static int find_stored(struct session *s, bool *ret_found, struct err *err) {
    struct state_collection *list = NULL;
    size_t count = 0;
    int rc = state_collection_list(s->state, NULL, &list, &count, err);
    *ret_found = false;
    for (size_t i = 0; rc == 0 && i < count && !*ret_found; i++)
        if (strcmp(list[i].name, s->c->name) == 0) {
            s->stored = list[i];
            *ret_found = true;
        }
    free(list);
    return rc;
}

static int not_ready(struct session *s, const char *why, struct err *err) {
    s->totals->not_ready++;
    return difference_report(s, (struct span){"", 0}, "", why, NULL, NULL, err);
}

/* Documents that a fan-out has not reached yet would all be asked again and again. */
static int has_fanouts(struct session *s, bool *ret, struct err *err) {
    struct state_fanouts_left left;
    int rc = state_fanouts_left(s->state, s->stored.pipeline, s->c->name, &left, err);
    *ret = rc == 0 && left.count > 0;
    return rc;
}

/* Waits for the copy to be caught up with, while a run is live. 1: ready; 0: reported as not. */
static int wait_ready(struct session *s, struct err *err) {
    int64_t give_up = clock_mono_us() + s->options->wait_us;
    for (;;) {
        bool found, live = false;
        char holder[STATE_HOLDER_MAX];
        int rc = find_stored(s, &found, err);
        if (rc == 0 && found)
            rc = state_lock_peek(state_path(s->state), s->stored.pipeline, &live, holder, err);
        if (rc < 0)
            return rc;
        if (!found)
            return not_ready(s, "never copied", err);
        s->totals->run_is_live |= live;
        bool busy = false;
        if (s->stored.phase == STATE_STREAMING)
            rc = has_fanouts(s, &busy, err);
        if (rc < 0)
            return rc;
        if (s->stored.phase == STATE_STREAMING && (!busy || !live || clock_mono_us() > give_up))
            return 1;
        if (s->stored.phase == STATE_STOPPED)
            return not_ready(s, "stopped", err);
        if (!live || clock_mono_us() > give_up)
            return not_ready(s, "not caught up", err);
        session_progress(s, VERIFY_WAITING, 0, -1);
        if (stop_wait(READY_POLL_US))
            return err_set(err, ERR_STOPPED, "asked to stop");
    }
}

/* ---- one collection ---- */

/* Enough candidates to know that something is badly wrong: those are settled, the rest is not read.
 */
static bool is_cut_short(const struct session *s, int rc) {
    return rc == ERR_LIMIT && s->candidates.count == VERIFY_CANDIDATES_MAX;
}

static int find_candidates(struct session *s, struct err *err) {
    int rc = 0;
    if (s->resume.direction == STATE_VERIFY_ROWS) {
        rc = rows_compare(s, err);
        if (rc == 0)
            rc = resume_save(s, STATE_VERIFY_DOCUMENTS, (struct span){0}, err);
    }
    if (rc == 0 && s->resume.direction == STATE_VERIFY_DOCUMENTS) {
        rc = documents_compare(s, err);
        if (rc == 0)
            rc = resume_save(s, STATE_VERIFY_SETTLING, (struct span){0}, err);
    }
    if (!is_cut_short(s, rc))
        return rc;
    s->totals->not_ready++;
    return 0;
}

static int compare(struct session *s, struct err *err) {
    int rc = resume_load(s, err);
    if (rc == 0)
        rc = find_candidates(s, err);
    if (rc == 0)
        rc = settle_all(s, err);
    if (rc == 0 && s->options->repair)
        rc = repair_all(s, err);
    for (size_t i = 0; rc == 0 && i < s->candidates.count; i++)
        s->totals->different += s->candidates.items[i].verdict == VERDICT_REAL;
    return rc;
}

static int verify_collection(struct session *s, const struct plan_collection *c, struct err *err) {
    s->c = c;
    s->compared = s->scanned = s->decoder = 0;
    int rc = wait_ready(s, err);
    if (rc <= 0)
        return rc;
    s->totals->collections++;
    s->assembler = assembler_new(s->pg, c);
    rc = rights_to_tables(s->pg, c, &s->versions, err);
    if (rc == 0)
        rc = compare(s, err);
    s->totals->compared += s->compared;
    s->totals->decoder += s->decoder;
    assembler_free(s->assembler);
    s->assembler = NULL;
    candidates_release(&s->candidates);
    resume_release(&s->resume);
    return rc < 0 ? err_prefix(err, "verify %s", c->name) : 0;
}

/* ---- everything ---- */

static int open_session(struct session *s, struct err *err) {
    int rc = pg_connect(s->conf->source.uri, PG_SQL, "banyan verify", &s->pg, err);
    if (rc == 0) {
        pg_end_on_stop(s->pg, true);
        rc = plan_from_source(s->conf, s->options->module, s->catalog, s->pg, &s->plan, err);
    }
    if (rc == 0)
        rc = mongo_connect(s->conf->target.uri, "banyan verify", &s->mongo, err);
    struct mongo_server server;
    return rc < 0 ? rc : mongo_server_info(s->mongo, &server, err);
}

static int name_owner(struct session *s, struct err *err) {
    if (getrandom(&s->owner, sizeof s->owner, 0) != (ssize_t)sizeof s->owner)
        return err_set(err, ERR_INTERNAL, "the system gives no random number");
    return 0;
}

static int verdict(const struct verify_totals *t, struct err *err) {
    if (t->different == 0 && t->unsettled == 0 && t->decoder == 0 && t->not_ready == 0)
        return 0;
    return err_set(err, ERR_NO,
                   "not equal: %lld documents differ, %lld unsettled, %lld decoded wrongly, %lld "
                   "collections not compared to their end",
                   (long long)t->different, (long long)t->unsettled, (long long)t->decoder,
                   (long long)t->not_ready);
}

int verify_run(const struct conf *conf, struct state *state, const struct verify_options *options,
               struct verify_totals *ret_totals, struct err *err) {
    *ret_totals = (struct verify_totals){0};
    struct session s = {.conf = conf, .state = state, .options = options, .totals = ret_totals};
    s.catalog = pg_catalog_new();
    int rc = name_owner(&s, err);
    if (rc == 0)
        rc = open_session(&s, err);
    for (size_t i = 0; rc == 0 && i < s.plan->collection_count; i++)
        rc = verify_collection(&s, s.plan->collections[i], err);
    if (rc == 0)
        rc = resume_forget(&s, err);
    mongo_free(s.mongo);
    pg_free(s.pg);
    plan_free(s.plan);
    pg_catalog_free(s.catalog);
    return rc < 0 ? rc : verdict(ret_totals, err);
}

#include "parallel/check.h"

#include "db/pg.h"
#include "parallel/sample.h"
#include "source/plan_source.h"

#include <sys/random.h>

struct mapped {
    struct pg_catalog *catalog;
    struct plan *plan;
    struct subjects subjects;
};

static int read_mapping(const struct conf *conf, struct mapped *m, struct err *err) {
    _cleanup_(pg_freep) struct pg *pg = NULL;
    int rc = pg_connect(conf->source.uri, PG_SQL, "banyan query", &pg, err);
    if (rc == 0)
        rc = plan_from_source(conf, "all", m->catalog, pg, &m->plan, err);
    return rc < 0 ? rc : subjects_compile(&m->subjects, m->plan, err);
}

static int compare(const struct answer_rules *rules, const struct held *sql,
                   const struct held *mongodb, struct arena *memory, struct answer_compared *ret,
                   struct err *err) {
    struct arena scratch;
    uint64_t key[4]; /* of masked values: of this one comparison */
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        return err_set(err, ERR_INTERNAL, "the system gives no random number");
    arena_init(&scratch, ANSWER_ARENA_MAX);
    int rc = answer_compare(rules, &sql->answer, &mongodb->answer, true, span_make(key, sizeof key),
                            memory, &scratch, ret, err);
    arena_release(&scratch);
    return rc;
}

static int compare_mapped(const struct conf *conf, const struct conf_operation *operation,
                          const struct held *sql, const struct held *mongodb, struct arena *memory,
                          struct answer_compared *ret, struct err *err) {
    struct mapped m = {.catalog = pg_catalog_new()};
    subjects_init(&m.subjects, conf);
    int rc = read_mapping(conf, &m, err);
    if (rc == 0)
        rc = compare(&subjects_operation(&m.subjects, operation)->rules, sql, mongodb, memory, ret,
                     err);
    subjects_release(&m.subjects);
    plan_free(m.plan);
    pg_catalog_free(m.catalog);
    return rc;
}

int parallel_check(const struct conf *conf, const struct operation_call *sql,
                   const struct operation_call *mongodb, struct arena *memory,
                   enum parallel_reason *ret_reason, struct answer_compared *ret, struct err *err) {
    const struct conf_operation *operation = sql->operation;
    struct held s, m;
    int rc = 0;
    held_init(&s);
    held_init(&m);
    *ret_reason = held_operation(&s, operation, &sql->answers[ROUTE_SQL]);
    if (*ret_reason == COMPARABLE)
        *ret_reason = held_operation(&m, operation, &mongodb->answers[ROUTE_MONGODB]);
    if (*ret_reason == COMPARABLE)
        rc = compare_mapped(conf, operation, &s, &m, memory, ret, err);
    held_release(&s);
    held_release(&m);
    return rc;
}

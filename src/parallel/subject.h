/*
 * A route or an operation, as the parallel run knows it. Private to parallel/.
 *
 * Made at the start from the configuration, never moved; its rules come when the mapping is known.
 */
#ifndef BANYAN_PARALLEL_SUBJECT_H
#define BANYAN_PARALLEL_SUBJECT_H

#include "conf/conf.h"
#include "jwt/jwt.h"
#include "map/plan.h"
#include "parallel/answer.h"
#include "parallel/budget.h"
#include "parallel/tally.h"
#include "route/decide.h"
#include "route/sampling.h"

#include <pthread.h>

/* What the subjects of a module share. */
struct shared {
    const struct conf_module *conf;
    pthread_mutex_t lock; /* budget, and the breakers of its subjects */
    struct budget budget;
};

struct subject {
    const char *module;
    char name[STATE_NAME_MAX];      /* of the operation, or the prefix (cut where it is too long) */
    const char *kind;               /* "route", "operation" */
    const struct conf_route *route; /* NULL: an operation */
    const struct conf_operation *operation; /* NULL: a route */
    sampling_word sampled;                  /* of an operation */
    const struct conf_compare *compare;
    struct shared *shared;
    struct breaker breakers[2]; /* by side */
    struct answer_rules rules;
    const char **headers;
    struct jwt_key *user_key; /* NULL: the route names its users otherwise */
    _Atomic bool ready;       /* the rules are there */
    struct tally tally;
};

struct subjects {
    struct shared *shared; /* one a module */
    size_t shared_count;
    struct subject *list;
    size_t count;
};

void subjects_init(struct subjects *s, const struct conf *conf);
void subjects_release(struct subjects *s);

/* NULL: there is none. `name` is the prefix as configured. */
struct subject *subjects_route(const struct subjects *s, struct span module, struct span name);

struct subject *subjects_operation(const struct subjects *s,
                                   const struct conf_operation *operation);

/* Rules by the mapping, once. ERR_CONF names the route. */
int subjects_compile(struct subjects *s, const struct plan *plan, struct err *err) must_check;

static inline enum route_side other_side(enum route_side side) {
    return side == ROUTE_SQL ? ROUTE_MONGODB : ROUTE_SQL;
}

/* Whether a call may be made to that side now, and its end (budget.h). */
enum parallel_reason subject_begin(struct subject *s, enum route_side side, enum budget_for what,
                                   int64_t now_us);
/* Perhaps the next moment already not. */
bool subject_has_place(struct subject *s, enum budget_for what);
void subject_end(struct subject *s, enum route_side side, enum budget_for what, bool failed,
                 int64_t now_us);

/* GET, HEAD and OPTIONS, and what the route lists; a path that is not plain is none. */
bool subject_is_read(const struct subject *s, struct span method, struct span uri);

#endif

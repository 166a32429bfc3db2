/* A plan compiled against a live database: the catalogue behind plan_compile. @thread the session's
 */
#ifndef BANYAN_SOURCE_PLAN_SOURCE_H
#define BANYAN_SOURCE_PLAN_SOURCE_H

#include "db/pg.h"
#include "map/plan.h"

/* Compiles the module of that name ("all": every one). The catalogue must outlive the plan. */
int plan_from_source(const struct conf *conf, const char *module, struct pg_catalog *catalog,
                     struct pg *pg, struct plan **ret_plan, struct err *err) must_check;

#endif

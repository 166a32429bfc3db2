/*
 * Whether the tables are still those that were copied. One that was dropped and made again under
 * its name is another table (pg_class.oid): the publication does not have it, so nothing of it is
 * in the log, and reading it would mix its rows with documents of the other. What stops is each
 * collection that reads it. @thread main
 */
#ifndef BANYAN_PIPELINE_TABLES_H
#define BANYAN_PIPELINE_TABLES_H

#include "pipeline/run.h"

/* Before the publication is made what it should be: tables that are not in it, although their
 * collections were copied, had changes that were not sent. Those to be copied again do not matter.
 */
int tables_check_published(struct run *run, struct err *err) must_check;

/* While it runs: whether the names still lead to the tables of the plan. A control_step. */
int tables_check_names(struct run *run, void *context, struct err *err) must_check;

#endif

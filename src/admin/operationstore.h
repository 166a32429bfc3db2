/*
 * The daemon's operations: the set, and who answers each, by the routing and the flags in use. Any
 * thread.
 */
#ifndef BANYAN_ADMIN_OPERATIONSTORE_H
#define BANYAN_ADMIN_OPERATIONSTORE_H

#include "admin/service.h"
#include "obs/metrics.h"
#include "operation/operation.h"

/* @thread main; service->operations is set from then on. After routing and flags. */
int operationstore_start(struct service *s, struct err *err) must_check;
/* When nobody calls any more. */
void operationstore_stop(struct service *s);

/* Samples of the metrics of operations. */
void operationstore_sample(const struct service *s, struct obs_page *page);

#endif

/*
 * MongoDB connections for requests of applications: every wait on the network has a deadline, so a
 * server that is stalled or cut off holds nobody longer.
 *
 * libmongoc's own time-outs are fixed when a client is made; here its streams are wrapped, and each
 * read and write waits until the deadline of the call under way at most. A connection whose call
 * timed out is to be freed. One thread at a time. Times are monotonic microseconds.
 */
#ifndef BANYAN_DB_MONGO_REQUEST_H
#define BANYAN_DB_MONGO_REQUEST_H

#include "db/mongo.h"

#include <stdint.h>

/* As mongo_connect; connects with the first call. A server that does not take a connection within
 * `connect_us` is out of reach. */
int mongo_request_connect(const char *uri, const char *app, int64_t connect_us,
                          struct mongo **ret_mongo, struct err *err) must_check;

/* A find, or an aggregate where `pipeline` is not NULL. `opts` (find: projection, sort, limit,
 * skip) gets maxTimeMS from the deadline. Documents as mongo_find gives them. */
struct mongo_request {
    const char *database, *collection;
    const bson_t *filter, *pipeline, *opts;
    int64_t until_us;
};
int mongo_request_run(struct mongo *m, const struct mongo_request *request, mongo_document_fn fn,
                      void *context, struct mongo_failure *ret_failure, struct err *err) must_check;

/* Why the last mongo_request_run failed: no server took the connection; the deadline passed (here
 * or on the server). */
bool mongo_failed_to_connect(const struct mongo *m);
bool mongo_timed_out(const struct mongo *m);

#endif

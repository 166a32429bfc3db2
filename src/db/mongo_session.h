/*
 * What the files of a MongoDB connection share. Private to db/.
 */
#ifndef BANYAN_DB_MONGO_SESSION_H
#define BANYAN_DB_MONGO_SESSION_H

#include "db/mongo.h"

struct mongo {
    mongoc_client_t *client;
};

/* "ns" style message of a failed helper; retriable where the verdict says so. */
int mongo_fail(const struct mongo_failure *failure, const char *what, struct err *err);

#endif

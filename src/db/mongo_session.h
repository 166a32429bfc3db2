/*
 * What the files of a MongoDB connection share. Private to db/.
 */
#ifndef BANYAN_DB_MONGO_SESSION_H
#define BANYAN_DB_MONGO_SESSION_H

#include "db/mongo.h"

struct mongo {
    mongoc_client_t *client;
};

/* What an error of libmongoc means. */
enum mongo_verdict mongo_describe(const bson_error_t *e, struct mongo_failure *failure);

/* "ns" style message of a failed helper; retriable where the verdict says so. */
int mongo_fail(const struct mongo_failure *failure, const char *what, struct err *err);

#endif

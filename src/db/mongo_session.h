/*
 * What the files of a MongoDB connection share. Private to db/.
 */
#ifndef BANYAN_DB_MONGO_SESSION_H
#define BANYAN_DB_MONGO_SESSION_H

#include "db/mongo.h"

struct mongo {
    mongoc_client_t *client;
    int64_t until_us; /* of the call under way, where it has a deadline (mongo_request_run) */
    bool timed_out, unreachable;
};

/* As mongo_connect; connect_ms 0: the URI's time-outs, else this one for connecting. */
int mongo_open(const char *uri, const char *app, int32_t connect_ms, struct mongo **ret_mongo,
               struct err *err) must_check;

/* Begins a connection of a client; `mongo` is the struct mongo that owns it. NULL only where the
 * process has no descriptor left. */
mongoc_stream_t *mongo_stream_open(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
                                   void *mongo, bson_error_t *error);

/* As mongo_command, of a command whose only news is whether all of it was done and acknowledged:
 * what the reply names in writeErrors or writeConcernError is its failure. */
enum mongo_verdict mongo_simple_command(struct mongo *m, const char *database,
                                        const bson_t *command,
                                        struct mongo_failure *failure) must_check;

/* What an error of libmongoc means. */
enum mongo_verdict mongo_describe(const bson_error_t *e, struct mongo_failure *failure);

/* "ns" style message of a failed helper; retriable where the verdict says so. */
int mongo_fail(const struct mongo_failure *failure, const char *what, struct err *err);

#endif

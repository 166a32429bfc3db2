/*
 * A MongoDB connection: commands, indexes, look-ups.
 *
 * w: majority, j: true, primary reads, majority read concern and retryable writes are set here,
 * whatever the URI says. One struct mongo wraps one mongoc_client_t: one thread at a time.
 * `app` becomes the application name ("banyan <pipeline> lane 3"), by which operations that are
 * still running after a cut connection are found in $currentOp.
 */
#ifndef BANYAN_DB_MONGO_H
#define BANYAN_DB_MONGO_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#include <mongoc/mongoc.h>

void mongo_global_init(void); /* once, from main, before threads; silences libmongoc's own log */
void mongo_global_cleanup(void);

/* First of all in main: takes the name off the shared memory that libmongoc has made before main
 * for its counters. A process that is killed would leave it behind, and a later one with the same
 * pid would say so on standard error. */
void mongo_forget_counters(void);

struct mongo;

int mongo_connect(const char *uri, const char *app, struct mongo **ret_mongo,
                  struct err *err) must_check;
void mongo_free(struct mongo *m);
DEFINE_CLEANUP(struct mongo *, mongo_free)

/* What an error of a command means for whoever sent it (pure; table in mongo_errors.c). */
enum mongo_verdict {
    MONGO_OK,
    MONGO_RETRY,     /* did not happen, or happened in part and may be repeated: not primary, write
                        conflict, ... */
    MONGO_AMBIGUOUS, /* connection lost or timed out: may still be running on the server */
    MONGO_REFUSED    /* will fail again */
};

struct mongo_failure {
    enum mongo_verdict verdict;
    int code;
    struct err err; /* MONGO_REFUSED: ERR_TARGET; else ERR_UNREACHABLE, retriable */
};

/* The server stops a write of ours after this long, so that a blind wait for an old one has an end.
 */
#define MONGO_WRITE_MAX_MS 60000

/* Runs a command on `database`. `reply` is initialised in all cases; the caller destroys it.
 * MONGO_OK does not mean that writeErrors is empty, or that there is no writeConcernError. */
enum mongo_verdict mongo_command(struct mongo *m, const char *database, const bson_t *command,
                                 bson_t *reply, struct mongo_failure *failure) must_check;

/* The verdict for a server's error code (in a command error, writeErrors or writeConcernError). */
enum mongo_verdict mongo_code_verdict(int code);

/* Server facts for check, status and limits. */
struct mongo_server {
    char version[32];
    char set_name[64];    /* "": not a replica set */
    int32_t max_document; /* bytes */
};
int mongo_server_info(struct mongo *m, struct mongo_server *ret, struct err *err) must_check;

/* One index, by MongoDB's own name for its keys where `name` is NULL; created if absent, an equal
 * one is fine, another of the same name or keys is an error that names the one that is wanted. */
int mongo_ensure_index(struct mongo *m, const char *database, const char *collection,
                       const bson_t *keys, const char *name, bool unique,
                       struct err *err) must_check;

/* The index with these keys, if there is one. */
int mongo_drop_index(struct mongo *m, const char *database, const char *collection,
                     const bson_t *keys, struct err *err) must_check;

int mongo_create_collection(struct mongo *m, const char *database, const char *collection,
                            struct err *err) must_check; /* there already: fine */
int mongo_is_empty(struct mongo *m, const char *database, const char *collection, bool *ret_empty,
                   struct err *err) must_check;
/* Each part of it within MONGO_WRITE_MAX_MS; ERR_STOPPED: asked to stop before the last one. */
int mongo_delete_all(struct mongo *m, const char *database, const char *collection,
                     struct err *err) must_check;

/* Documents of a find, one by one: `fn` is called for each (borrowed, until it returns); a
 * non-zero answer of `fn` ends the find and becomes the result. `projection`, `sort` may be NULL;
 * limit 0 is none. Primary, majority read concern. */
typedef int (*mongo_document_fn)(void *context, const bson_t *document, struct err *err);
int mongo_find(struct mongo *m, const char *database, const char *collection, const bson_t *filter,
               const bson_t *projection, const bson_t *sort, int64_t limit, mongo_document_fn fn,
               void *context, struct err *err) must_check;

/* Those with these identities ({_id: ...} each), in any order. keys_only: nothing of them but
 * `_id`.
 */
int mongo_find_ids(struct mongo *m, const char *database, const char *collection,
                   const struct span *identities, size_t count, bool keys_only,
                   mongo_document_fn fn, void *context, struct err *err) must_check;

/* About `count` documents chosen at random ($sample), given as by mongo_find. */
int mongo_sample(struct mongo *m, const char *database, const char *collection, int64_t count,
                 const bson_t *projection, mongo_document_fn fn, void *context,
                 struct err *err) must_check;

/* Waits until no operation whose application name begins with `app_prefix` runs on the namespace;
 * kills what it finds. Bounded by `wait_us`, else ERR_TARGET. Without the right to look it
 * waits as long as a write may take. */
int mongo_quiesce(struct mongo *m, const char *database, const char *collection,
                  const char *app_prefix, int64_t wait_us, struct err *err) must_check;

#endif

/*
 * What the shop's two services share: a command line, a server, answers about ids.
 *
 * A service is routes with handlers that wait for a database, in a few worker threads.
 */
#ifndef SHOP_SERVICE_H
#define SHOP_SERVICE_H

#include "http/http.h"

/* Requests that are worked on at a time, each with a connection to the database. */
#define SHOP_WORKERS 8
/* How long a database may take before the answer is 503. */
#define SHOP_PATIENCE_MS 1500
#define SHOP_LIST_DEFAULT 20
#define SHOP_LIST_MAX 100

struct shop_options {
    const char *listen, *uri, *database; /* borrowed from argv */
    bool bug;
};

/* 0, or the exit code after it has said what is wrong; `documents` allows --database and --bug. */
int shop_options_read(int argc, char **argv, bool documents, struct shop_options *ret) must_check;

/* Serves until SIGTERM or SIGINT; the exit code. Says "NAME listens on ADDRESS". */
int shop_serve(const char *name, const char *listen, const struct http_route *routes,
               size_t count) must_check;

/* The {id} of the path. False: the answer has become 404, as for any id that is not there. */
bool shop_id(const struct http_request *r, struct http_response *a, const char *what,
             int64_t *ret) must_check;

/* category (0: any) and limit of a list. False: the answer has become 400. */
bool shop_list(const struct http_request *r, struct http_response *a, int64_t *ret_category,
               int64_t *ret_limit) must_check;

/* 404 for a product, an order, a customer; 503 when the database is out of reach. */
void shop_not_found(struct http_response *a, const char *what, struct span id);
void shop_away(struct http_response *a);

#endif

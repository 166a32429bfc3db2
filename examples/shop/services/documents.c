/*
 * shop-documents: the reading half of the shop's API on MongoDB, answer for answer as shop-legacy.
 *
 * --bug puts a mistake in, of the kind that a test with round prices does not find: an order's
 * total is added up in binary floating point and cut to cents, so that some orders cost one less.
 */
#include "documents_view.h"
#include "service.h"

#include <mongoc/mongoc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct documents {
    mongoc_client_pool_t *pool;
    const char *database;
    bool bug;
};

typedef void (*write_fn)(struct json_out *j, const bson_t *document, const struct documents *d);

/* The documents of a find through `write`; how many, or -1 after the answer has become 503. */
static int64_t find_all(struct documents *d, const char *collection, const bson_t *filter,
                        const bson_t *options, write_fn write, struct json_out *j,
                        struct http_response *a) {
    const bson_t *document;
    bson_error_t error;
    int64_t count = 0;
    mongoc_client_t *client = mongoc_client_pool_pop(d->pool);
    mongoc_collection_t *c = mongoc_client_get_collection(client, d->database, collection);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, filter, options, NULL);
    for (; mongoc_cursor_next(cursor, &document); count++)
        write(j, document, d);
    bool failed = mongoc_cursor_error(cursor, &error);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    mongoc_client_pool_push(d->pool, client);
    if (!failed)
        return count;
    buf_clear(&a->body);
    shop_away(a);
    return -1;
}

static void answer_one(const struct http_request *r, struct http_response *a, struct documents *d,
                       const char *what, const char *collection, write_fn write) {
    struct json_out j;
    int64_t id;
    if (!shop_id(r, a, what, &id))
        return;
    bson_t *filter = BCON_NEW("_id", BCON_INT64(id));
    bson_t *options = BCON_NEW("limit", BCON_INT64(1), "maxTimeMS", BCON_INT64(SHOP_PATIENCE_MS));
    json_out_begin(&j, &a->body);
    if (find_all(d, collection, filter, options, write, &j, a) == 0)
        shop_not_found(a, what, r->parameter[0]);
    bson_destroy(filter);
    bson_destroy(options);
}

static void write_view(struct json_out *j, const struct view *view, const bson_t *document) {
    json_out_open(j, NULL, '{');
    view_write(j, view, document);
    json_out_close(j, '}');
}

static void write_product(struct json_out *j, const bson_t *document, const struct documents *d) {
    (void)d;
    write_view(j, &view_product, document);
}

static void write_listed(struct json_out *j, const bson_t *document, const struct documents *d) {
    (void)d;
    write_view(j, &view_listed_product, document);
}

static void write_customer(struct json_out *j, const bson_t *document, const struct documents *d) {
    (void)d;
    write_view(j, &view_customer, document);
}

static void write_order(struct json_out *j, const bson_t *document, const struct documents *d) {
    json_out_open(j, NULL, '{');
    view_write(j, &view_order, document);
    view_total(j, document, d->bug);
    json_out_close(j, '}');
}

static void get_product(const struct http_request *r, struct http_response *a, void *d) {
    answer_one(r, a, d, "product", "products", write_product);
}

static void get_order(const struct http_request *r, struct http_response *a, void *d) {
    answer_one(r, a, d, "order", "orders", write_order);
}

static void get_customer(const struct http_request *r, struct http_response *a, void *d) {
    answer_one(r, a, d, "customer", "customers", write_customer);
}

static void list_products(const struct http_request *r, struct http_response *a, void *d) {
    struct json_out j;
    int64_t category, limit;
    if (!shop_list(r, a, &category, &limit))
        return;
    bson_t *filter = category ? BCON_NEW("category.id", BCON_INT64(category)) : bson_new();
    bson_t *options = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT64(limit),
                               "maxTimeMS", BCON_INT64(SHOP_PATIENCE_MS));
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_open(&j, "products", '[');
    if (find_all(d, "products", filter, options, write_listed, &j, a) >= 0) {
        json_out_close(&j, ']');
        json_out_close(&j, '}');
    }
    bson_destroy(filter);
    bson_destroy(options);
}

static void get_health(const struct http_request *r, struct http_response *a, void *context) {
    const struct documents *d = context;
    bson_error_t error;
    (void)r;
    mongoc_client_t *client = mongoc_client_pool_pop(d->pool);
    bson_t *ping = BCON_NEW("ping", BCON_INT32(1));
    bool ok = mongoc_client_command_simple(client, d->database, ping, NULL, NULL, &error);
    bson_destroy(ping);
    mongoc_client_pool_push(d->pool, client);
    if (ok)
        buf_add_text(&a->body, "{\"status\":\"ok\",\"service\":\"shop-documents\"}");
    else
        shop_away(a);
}

/* NULL after it has said what is wrong with the URI. */
static mongoc_client_pool_t *connect_pool(const char *text) {
    static const char *const patience[] = {MONGOC_URI_SERVERSELECTIONTIMEOUTMS,
                                           MONGOC_URI_CONNECTTIMEOUTMS, MONGOC_URI_SOCKETTIMEOUTMS};
    bson_error_t error;
    mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &error);
    if (!uri) {
        (void)fprintf(stderr, "shop-documents: %s\n", error.message);
        return NULL;
    }
    for (size_t i = 0; i < sizeof patience / sizeof *patience; i++)
        mongoc_uri_set_option_as_int32(uri, patience[i], SHOP_PATIENCE_MS);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, SHOP_WORKERS + 1);
    mongoc_uri_set_appname(uri, "shop-documents");
    mongoc_client_pool_t *pool = mongoc_client_pool_new(uri);
    mongoc_uri_destroy(uri);
    if (pool)
        mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2);
    return pool;
}

int main(int argc, char **argv) {
    struct shop_options o;
    char counters[40];
    int code = shop_options_read(argc, argv, true, &o);
    if (code)
        return code;
    /* libmongoc's counters in shared memory: a process that is killed would leave them behind. */
    (void)snprintf(counters, sizeof counters, "/mongoc-%ld", (long)getpid());
    (void)shm_unlink(counters);
    mongoc_init();
    struct documents d = {connect_pool(o.uri), o.database, o.bug};
    if (!d.pool)
        return 2;
    const struct http_route routes[] = {
        {"GET", "/api/products/{id}", HTTP_ANYONE, get_product, &d, HTTP_SLOW},
        {"GET", "/api/products", HTTP_ANYONE, list_products, &d, HTTP_SLOW},
        {"GET", "/api/orders/{id}", HTTP_ANYONE, get_order, &d, HTTP_SLOW},
        {"GET", "/api/customers/{id}", HTTP_ANYONE, get_customer, &d, HTTP_SLOW},
        {"GET", "/health", HTTP_ANYONE, get_health, &d, HTTP_SLOW},
    };
    code = shop_serve("shop-documents", o.listen, routes, sizeof routes / sizeof *routes);
    mongoc_client_pool_destroy(d.pool);
    mongoc_cleanup();
    return code;
}

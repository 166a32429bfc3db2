/*
 * shop-legacy: the shop's API on PostgreSQL, as it has been for years.
 *
 * PostgreSQL makes the JSON of each answer (the statements are in legacy/). Writes are here only:
 * they stay on SQL until phase 5 of the migration.
 */
#include "legacy_db.h"
#include "legacy_order.h"
#include "service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char product_sql[] = {
#include "product.sql.inc"
    , 0};
static const char products_sql[] = {
#include "products.sql.inc"
    , 0};
static const char order_sql[] = {
#include "order.sql.inc"
    , 0};
static const char customer_sql[] = {
#include "customer.sql.inc"
    , 0};
static const char place_order_sql[] = {
#include "place_order.sql.inc"
    , 0};

struct number_text {
    char text[24];
};

static const char *as_text(struct number_text *room, int64_t n) {
    (void)snprintf(room->text, sizeof room->text, "%" PRId64, n);
    return room->text;
}

/* The one value of the one row, which is JSON. False: the answer says why there is none; where
 * there is just no row, it is still untouched and *ret_none is set. */
static bool answer_json(struct legacy_db *db, const struct legacy_question *q,
                        struct http_response *a, bool *ret_none) {
    _cleanup_(legacy_clearp) PGresult *rows = legacy_db_ask(db, q);
    *ret_none = false;
    if (!rows || PQresultStatus(rows) != PGRES_TUPLES_OK) {
        shop_away(a);
        return false;
    }
    *ret_none = PQntuples(rows) == 0;
    if (*ret_none)
        return false;
    buf_add(&a->body, PQgetvalue(rows, 0, 0), (size_t)PQgetlength(rows, 0, 0));
    return true;
}

static void answer_one(const struct http_request *r, struct http_response *a, struct legacy_db *db,
                       const char *what, const char *sql) {
    struct number_text room;
    int64_t id;
    bool none;
    if (!shop_id(r, a, what, &id))
        return;
    const char *params[] = {as_text(&room, id)};
    if (!answer_json(db, &(struct legacy_question){sql, 1, params, true}, a, &none) && none)
        shop_not_found(a, what, r->parameter[0]);
}

static void get_product(const struct http_request *r, struct http_response *a, void *db) {
    answer_one(r, a, db, "product", product_sql);
}

static void get_order(const struct http_request *r, struct http_response *a, void *db) {
    answer_one(r, a, db, "order", order_sql);
}

static void get_customer(const struct http_request *r, struct http_response *a, void *db) {
    answer_one(r, a, db, "customer", customer_sql);
}

static void list_products(const struct http_request *r, struct http_response *a, void *db) {
    struct number_text category_room, limit_room;
    int64_t category, limit;
    bool none;
    if (!shop_list(r, a, &category, &limit))
        return;
    const char *params[] = {as_text(&category_room, category), as_text(&limit_room, limit)};
    (void)answer_json(db, &(struct legacy_question){products_sql, 2, params, true}, a, &none);
}

static void place_order(const struct http_request *r, struct http_response *a, void *db) {
    struct new_order order;
    char location[64];
    bool none;
    if (!new_order_read(r, a, &order))
        return;
    const char *params[] = {order.customer, order.items, order.note};
    _cleanup_(legacy_clearp) PGresult *placed =
        legacy_db_ask(db, &(struct legacy_question){place_order_sql, 3, params, false});
    if (!placed) {
        shop_away(a);
        return;
    }
    /* 23503: the customer or a product has gone in the same moment. */
    const char *state = PQresultErrorField(placed, PG_DIAG_SQLSTATE);
    if (PQresultStatus(placed) != PGRES_TUPLES_OK && (!state || strcmp(state, "23503") != 0)) {
        shop_away(a);
        return;
    }
    if (PQntuples(placed) == 0) {
        http_error(a, 422, "order", "there is no such customer or product", NULL);
        return;
    }
    const char *id[] = {PQgetvalue(placed, 0, 0)};
    (void)snprintf(location, sizeof location, "/api/orders/%s", id[0]);
    if (answer_json(db, &(struct legacy_question){order_sql, 1, id, true}, a, &none)) {
        a->status = 201;
        http_add_header(a, "Location", location);
    } else if (none) {
        shop_away(a);
    }
}

static void get_health(const struct http_request *r, struct http_response *a, void *db) {
    bool none;
    (void)r;
    const struct legacy_question q = {"SELECT '{\"status\":\"ok\",\"service\":\"shop-legacy\"}'", 0,
                                      NULL, true};
    (void)answer_json(db, &q, a, &none);
}

int main(int argc, char **argv) {
    struct shop_options o;
    int code = shop_options_read(argc, argv, false, &o);
    if (code)
        return code;
    struct legacy_db *db = legacy_db_new(o.uri);
    const struct http_route routes[] = {
        {"GET", "/api/products/{id}", HTTP_ANYONE, get_product, db, HTTP_SLOW},
        {"GET", "/api/products", HTTP_ANYONE, list_products, db, HTTP_SLOW},
        {"GET", "/api/orders/{id}", HTTP_ANYONE, get_order, db, HTTP_SLOW},
        {"POST", "/api/orders", HTTP_ANYONE, place_order, db, HTTP_SLOW},
        {"GET", "/api/customers/{id}", HTTP_ANYONE, get_customer, db, HTTP_SLOW},
        {"GET", "/health", HTTP_ANYONE, get_health, db, HTTP_SLOW},
    };
    code = shop_serve("shop-legacy", o.listen, routes, sizeof routes / sizeof *routes);
    legacy_db_free(db);
    return code;
}

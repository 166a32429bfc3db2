/* The body of POST /api/orders. Pure. */
#ifndef SHOP_LEGACY_ORDER_H
#define SHOP_LEGACY_ORDER_H

#include "http/http.h"

/* {"customerId": 7, "items": [{"productId": 3, "quantity": 1}], "note": "..."}, as parameters of
 * place_order.sql; texts are in the request's arena. */
struct new_order {
    const char *customer, *items, *note;
};

/* False: the response has become 400, and says what is wrong. */
bool new_order_read(const struct http_request *r, struct http_response *a,
                    struct new_order *ret) must_check;

#endif

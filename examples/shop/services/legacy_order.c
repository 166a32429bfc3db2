#include "legacy_order.h"

#include <stdio.h>

#define ITEMS_MAX 50
#define QUANTITY_MAX 1000
#define NOTE_MAX 500

static bool wrong(struct http_response *a, const char *what) {
    http_error(a, 400, "order", what, NULL);
    return false;
}

static const char *number(const struct http_request *r, int64_t n) {
    char *text = arena_alloc(r->arena, 24);
    if (text)
        (void)snprintf(text, 24, "%lld", (long long)n);
    return text;
}

/* The items again, with nothing in them but two numbers that were checked. */
static bool read_items(const struct json_doc *d, const struct json_node *items,
                       struct http_response *a, struct buf *out) {
    struct json_out j;
    if (!items || items->type != JSON_ARRAY || items->count == 0 || items->count > ITEMS_MAX)
        return wrong(a, "items must be a list of 1 to 50 items");
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '[');
    for (const struct json_node *n = json_first(d, items); n; n = json_next(d, items, n)) {
        int64_t product = 0, quantity = 0;
        if (!json_int(d, json_member(d, n, "productId"), &product) || product < 1)
            return wrong(a, "productId must be the id of a product");
        if (!json_int(d, json_member(d, n, "quantity"), &quantity) || quantity < 1 ||
            quantity > QUANTITY_MAX)
            return wrong(a, "quantity must be a number from 1 to 1000");
        json_out_open(&j, NULL, '{');
        json_out_int(&j, "productId", product);
        json_out_int(&j, "quantity", quantity);
        json_out_close(&j, '}');
    }
    json_out_close(&j, ']');
    return true;
}

bool new_order_read(const struct http_request *r, struct http_response *a, struct new_order *ret) {
    _cleanup_(buf_release) struct buf items = {.max = HTTP_BODY_MAX};
    struct json_doc d;
    struct span note = {0};
    int64_t customer = 0;
    if (!http_json_body(r, a, &d))
        return false;
    const struct json_node *root = json_root(&d), *given = json_member(&d, root, "note");
    if (!json_int(&d, json_member(&d, root, "customerId"), &customer) || customer < 1)
        return wrong(a, "customerId must be the id of a customer");
    if (given && given->type != JSON_NULL &&
        (!json_string_in(&d, given, r->arena, &note) || note.len > NOTE_MAX ||
         memchr(note.ptr, '\0', note.len)))
        return wrong(a, "note must be a text of at most 500 bytes");
    if (!read_items(&d, json_member(&d, root, "items"), a, &items))
        return false;
    ret->customer = number(r, customer);
    ret->items = arena_copy(r->arena, buf_span(&items)).ptr;
    ret->note = note.ptr ? arena_copy(r->arena, note).ptr : NULL;
    if (!ret->customer || !ret->items || (note.ptr && !ret->note))
        return wrong(a, "the order is too long");
    return true;
}

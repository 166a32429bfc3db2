#include "documents_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VIEW(view_name, members_of)                                                                \
    const struct view view_name = {members_of, sizeof(members_of) / sizeof *(members_of)}

static const struct view_member category_members[] = {
    {"id", "id"}, {"name", "name"}, {"slug", "slug"}};
static VIEW(view_category, category_members);

static const struct view_member image_members[] = {
    {"position", "position"}, {"url", "url"}, {"checksum", "checksum"}};
static VIEW(view_image, image_members);

static const struct view_member product_members[] = {{"id", "_id"},
                                                     {"sku", "sku"},
                                                     {"name", "name"},
                                                     {"price", "price"},
                                                     {"weightKg", "weight_kg"},
                                                     {"attributes", "attributes"},
                                                     {"tags", "tags"},
                                                     {"description", "description"},
                                                     {"inStock", "in_stock"},
                                                     {"category", "category", &view_category},
                                                     {"images", "images", &view_image},
                                                     {"updatedAt", "updated_at"}};
VIEW(view_product, product_members);

static const struct view_member listed_product_members[] = {
    {"id", "_id"},      {"sku", "sku"},          {"name", "name"},
    {"price", "price"}, {"inStock", "in_stock"}, {"category", "category", &view_category}};
VIEW(view_listed_product, listed_product_members);

static const struct view_member item_members[] = {
    {"lineNo", "lineNo"},     {"productId", "productId"}, {"sku", "product.sku"},
    {"name", "product.name"}, {"quantity", "quantity"},   {"unitPrice", "unitPrice"}};
static VIEW(view_item, item_members);

static const struct view_member payment_members[] = {
    {"id", "id"}, {"method", "method"}, {"amount", "amount"}, {"paidAt", "paidAt"}};
static VIEW(view_payment, payment_members);

static const struct view_member order_members[] = {{"id", "_id"},
                                                   {"customerId", "customerId"},
                                                   {"status", "status"},
                                                   {"placedAt", "placedAt"},
                                                   {"note", "note"},
                                                   {"items", "items", &view_item},
                                                   {"payments", "payments", &view_payment}};
VIEW(view_order, order_members);

static const struct view_member address_members[] = {
    {"id", "id"},     {"kind", "kind"},      {"street", "street"}, {"postalCode", "postalCode"},
    {"city", "city"}, {"country", "country"}};
static VIEW(view_address, address_members);

static const struct view_member customer_members[] = {{"id", "_id"},
                                                      {"email", "email"},
                                                      {"fullName", "fullName"},
                                                      {"born", "born", .day = true},
                                                      {"preferences", "preferences"},
                                                      {"createdAt", "createdAt"},
                                                      {"addresses", "addresses", &view_address}};
VIEW(view_customer, customer_members);

static bool find(const bson_t *document, const char *path, bson_iter_t *ret) {
    bson_iter_t it;
    return bson_iter_init(&it, document) && bson_iter_find_descendant(&it, path, ret);
}

static void write_embedded(struct json_out *j, const char *name, const struct view *view,
                           const bson_iter_t *value) {
    const uint8_t *bytes;
    uint32_t len;
    bson_t document;
    bson_iter_document(value, &len, &bytes);
    if (!bson_init_static(&document, bytes, len))
        return;
    json_out_open(j, name, '{');
    view_write(j, view, &document);
    json_out_close(j, '}');
}

static void write_array(struct json_out *j, const char *name, const struct view *view,
                        const bson_iter_t *value) {
    bson_iter_t it;
    json_out_open(j, name, '[');
    if (bson_iter_recurse(value, &it))
        while (bson_iter_next(&it))
            if (BSON_ITER_HOLDS_DOCUMENT(&it))
                write_embedded(j, NULL, view, &it);
    json_out_close(j, ']');
}

/* "1990-01-01" of the date at its midnight. */
static void write_day(struct json_out *j, const char *name, const bson_iter_t *value) {
    _cleanup_(buf_release) struct buf text = {.max = 128};
    struct json_out whole;
    json_out_begin(&whole, &text);
    view_value(&whole, NULL, value);
    json_out_span(j, name, span_make(text.data + 1, strcspn(buf_text(&text), "T") - 1));
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the tables above */
void view_write(struct json_out *j, const struct view *view, const bson_t *document) {
    for (size_t i = 0; i < view->count; i++) {
        const struct view_member *m = &view->members[i];
        bson_iter_t value;
        if (!find(document, m->path, &value))
            json_out_text(j, m->name, NULL);
        else if (m->inside && BSON_ITER_HOLDS_ARRAY(&value))
            write_array(j, m->name, m->inside, &value);
        else if (m->inside && BSON_ITER_HOLDS_DOCUMENT(&value))
            write_embedded(j, m->name, m->inside, &value);
        else if (m->day && BSON_ITER_HOLDS_DATE_TIME(&value))
            write_day(j, m->name, &value);
        else
            view_value(j, m->name, &value);
    }
}

/* ---- what an order costs ---- */

/* "519.33" or "519" as cents: a price of the shop has two digits behind the point. */
static int64_t cents_of(const char *price) {
    const char *point = strchr(price, '.');
    int64_t cents = (int64_t)strtoll(price, NULL, 10) * 100;
    if (point && point[1])
        cents += (point[1] - '0') * 10 + (point[2] ? point[2] - '0' : 0);
    return cents;
}

static int64_t total_cents(const bson_t *order, bool bug) {
    bson_iter_t items, item, quantity, price;
    int64_t cents = 0;
    double sum = 0;
    if (!find(order, "items", &items) || !bson_iter_recurse(&items, &item))
        return 0;
    while (bson_iter_next(&item)) {
        char text[BSON_DECIMAL128_STRING];
        bson_decimal128_t v;
        if (!bson_iter_recurse(&item, &quantity) || !bson_iter_find(&quantity, "quantity") ||
            !bson_iter_recurse(&item, &price) || !bson_iter_find(&price, "unitPrice") ||
            !bson_iter_decimal128(&price, &v))
            continue;
        bson_decimal128_to_string(&v, text);
        cents += bson_iter_as_int64(&quantity) * cents_of(text);
        sum += (double)bson_iter_as_int64(&quantity) * strtod(text, NULL);
    }
    return bug ? (int64_t)(sum * 100) : cents;
}

void view_total(struct json_out *j, const bson_t *order, bool bug) {
    char text[40];
    int64_t cents = total_cents(order, bug);
    (void)snprintf(text, sizeof text, "%" PRId64 ".%02d", cents / 100, (int)(cents % 100));
    json_out_raw(j, "total", span_of(text));
}

#include "gateway/exchange.h"

#include "base/json_read.h"
#include "base/json_write.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define NODES_MAX ((size_t)8 * ROUTE_MODULES_MAX + 256)
#define AGE_MAX (INT64_C(1) << 60)

/* ---- writing ---- */

void exchange_ask_write(struct buf *out, const struct exchange_ask *ask) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "name", ask->name);
    json_out_text(&j, "id", ask->id);
    json_out_text(&j, "version", ask->version);
    json_out_text(&j, "routes", ask->routes);
    json_out_text(&j, "flags", ask->flags);
    json_out_text(&j, "settings", ask->settings);
    json_out_bool(&j, "nginx", ask->nginx);
    json_out_text(&j, "problem", ask->problem);
    json_out_int(&j, "samples_dropped", ask->samples_dropped);
    json_out_open(&j, "waiting", '[');
    for (size_t i = 0; i < ask->waiting_count; i++)
        json_out_text(&j, NULL, ask->waiting[i]);
    json_out_close(&j, ']');
    json_out_close(&j, '}');
    json_out_end(&j);
}

void exchange_answer_write(struct buf *out, const struct exchange_answer *answer) {
    struct json_out j;
    json_out_begin(&j, out);
    json_out_open(&j, NULL, '{');
    json_out_text(&j, "version", answer->version);
    json_out_text(&j, "routes", answer->routes);
    json_out_text(&j, "flags", answer->flags);
    json_out_text(&j, "settings", answer->settings);
    json_out_open(&j, "applied", '[');
    for (size_t i = 0; i < answer->applied_count; i++) {
        json_out_open(&j, NULL, '{');
        json_out_text(&j, "module", answer->applied[i].module);
        json_out_int(&j, "age_us", answer->applied[i].age_us);
        json_out_int(&j, "beat_us", answer->applied[i].beat_us);
        json_out_close(&j, '}');
    }
    json_out_close(&j, ']');
    json_out_close(&j, '}');
    json_out_end(&j);
}

/* ---- reading ---- */

/* The members of one object; the first that is wrong is kept. */
struct reader {
    const struct json_doc *d;
    const struct json_node *object;
    const char *wrong;
};

static void read_text(struct reader *r, const char *name, char *to, size_t size) {
    const struct json_node *n = json_member(r->d, r->object, name);
    if (!r->wrong && !json_copy(r->d, n, to, size))
        r->wrong = name;
}

/* "" or 16 hexadecimal digits. */
static void read_etag(struct reader *r, const char *name, bool needed, char to[EXCHANGE_ETAG_MAX]) {
    read_text(r, name, to, EXCHANGE_ETAG_MAX);
    if (r->wrong)
        return;
    size_t len = strlen(to);
    if (strspn(to, "0123456789abcdef") != len || (len != 16 && (needed || len != 0)))
        r->wrong = name;
}

static void read_int(struct reader *r, const char *name, int64_t *to) {
    const struct json_node *n = json_member(r->d, r->object, name);
    if (!r->wrong && (!n || !json_int(r->d, n, to) || *to < 0 || *to > AGE_MAX))
        r->wrong = name;
}

static void read_bool(struct reader *r, const char *name, bool *to) {
    const struct json_node *n = json_member(r->d, r->object, name);
    if (!r->wrong && (!n || !json_bool(n, to)))
        r->wrong = name;
}

/* NULL (and *wrong): no list, or too long. */
static const struct json_node *read_list(struct reader *r, const char *name) {
    const struct json_node *n = json_member(r->d, r->object, name);
    if (!r->wrong && (!n || n->type != JSON_ARRAY || n->count > ROUTE_MODULES_MAX))
        r->wrong = name;
    return r->wrong ? NULL : n;
}

static int finish(const struct reader *r, struct err *err) {
    return r->wrong ? err_set(err, ERR_VALUE, "member '%s' is missing or wrong", r->wrong) : 0;
}

static int parse(struct json_doc *d, struct span json, struct json_node *nodes, struct reader *r,
                 struct err *err) {
    int rc = json_parse(d, json, nodes, NODES_MAX, err);
    if (rc < 0)
        return rc;
    *r = (struct reader){.d = d, .object = json_root(d)};
    return r->object->type == JSON_OBJECT ? 0 : err_set(err, ERR_VALUE, "not an object");
}

int exchange_ask_read(struct span json, struct exchange_ask *ret, struct err *err) {
    _cleanup_(mem_freep) struct json_node *nodes = mem_alloc(NODES_MAX * sizeof *nodes);
    struct json_doc d;
    struct reader r;
    int rc = parse(&d, json, nodes, &r, err);
    if (rc < 0)
        return rc;
    *ret = (struct exchange_ask){0};
    read_text(&r, "name", ret->name, sizeof ret->name);
    if (!r.wrong && !conf_is_edge_name(ret->name))
        r.wrong = "name";
    read_etag(&r, "id", true, ret->id);
    read_text(&r, "version", ret->version, sizeof ret->version);
    read_etag(&r, "routes", true, ret->routes);
    read_etag(&r, "flags", false, ret->flags);
    read_etag(&r, "settings", false, ret->settings);
    read_bool(&r, "nginx", &ret->nginx);
    read_text(&r, "problem", ret->problem, sizeof ret->problem);
    read_int(&r, "samples_dropped", &ret->samples_dropped);
    const struct json_node *list = read_list(&r, "waiting");
    for (const struct json_node *n = list ? json_first(&d, list) : NULL; n;
         n = json_next(&d, list, n))
        if (!json_copy(&d, n, ret->waiting[ret->waiting_count++], ROUTE_NAME_MAX))
            r.wrong = "waiting";
    return finish(&r, err);
}

int exchange_answer_read(struct span json, struct exchange_answer *ret, struct err *err) {
    _cleanup_(mem_freep) struct json_node *nodes = mem_alloc(NODES_MAX * sizeof *nodes);
    struct json_doc d;
    struct reader r;
    int rc = parse(&d, json, nodes, &r, err);
    if (rc < 0)
        return rc;
    *ret = (struct exchange_answer){0};
    read_text(&r, "version", ret->version, sizeof ret->version);
    read_etag(&r, "routes", true, ret->routes);
    read_etag(&r, "flags", true, ret->flags);
    read_etag(&r, "settings", true, ret->settings);
    const struct json_node *list = read_list(&r, "applied");
    for (const struct json_node *n = list ? json_first(&d, list) : NULL; n && !r.wrong;
         n = json_next(&d, list, n)) {
        struct exchange_applied *a = &ret->applied[ret->applied_count++];
        r.object = n;
        read_text(&r, "module", a->module, sizeof a->module);
        read_int(&r, "age_us", &a->age_us);
        read_int(&r, "beat_us", &a->beat_us);
    }
    return finish(&r, err);
}

/* ---- what must agree ---- */

void exchange_etag(struct span bytes, char ret[EXCHANGE_ETAG_MAX]) {
    (void)snprintf(ret, EXCHANGE_ETAG_MAX, "%016" PRIx64, XXH3_64bits(bytes.ptr, bytes.len));
}

/* With its end, so that two texts never read as one. */
static void add(struct buf *b, const char *text) {
    buf_add(b, text ? text : "", text ? strlen(text) + 1 : 1);
}

static void add_asker(struct buf *b, const struct conf_asker *a) {
    add(b, a->value.text);
    add(b, a->claim.text);
}

static void add_attributes(struct buf *b, const struct conf_attribute *list, size_t count) {
    buf_printf(b, "%zu", count);
    for (size_t i = 0; i < count; i++) {
        add(b, list[i].name.text);
        add_asker(b, &list[i].from);
    }
}

static void add_list(struct buf *b, const struct conf_list *list) {
    buf_printf(b, "%zu", list->count);
    for (size_t i = 0; i < list->count; i++)
        add(b, list->items[i].text);
}

static void add_route(struct buf *b, const struct conf_route *r) {
    add(b, r->prefix.text);
    add(b, r->sql.service.text);
    add(b, r->mongodb.service.text);
    add_asker(b, &r->user);
    add_asker(b, &r->tenant);
    add_attributes(b, r->user_attributes, r->user_attribute_count);
    add_attributes(b, r->tenant_attributes, r->tenant_attribute_count);
    add_list(b, &r->read);
    buf_printf(b, "%d", r->fallback.enabled);
    add_list(b, &r->fallback.on);
    buf_printf(b, "%.6f", r->compare.sample);
    add_list(b, &r->compare.headers);
}

void exchange_routes(const struct conf *conf, char ret[EXCHANGE_ETAG_MAX]) {
    _cleanup_(buf_release) struct buf b = {.max = CONF_MEMORY_MAX};
    for (size_t i = 0; i < conf->module_count; i++) {
        const struct conf_module *m = &conf->modules[i];
        add(&b, m->name.text);
        add(&b, m->flag.text);
        buf_printf(&b, "%zu", m->route_count);
        for (size_t k = 0; k < m->route_count; k++)
            add_route(&b, &m->routes[k]);
    }
    exchange_etag(buf_span(&b), ret);
}

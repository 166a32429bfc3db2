#include "operation/param.h"

#include "base/json_read.h"
#include "operation/scalar.h"

int param_find(const struct conf_operation *o, struct span name) {
    for (size_t i = 0; i < o->param_count; i++)
        if (span_is(name, o->params[i].name.text))
            return (int)i;
    return -1;
}

/* pg_type.dat: the type, and the array of it. */
uint32_t param_oid(const struct conf_param *p) {
    static const uint32_t oids[][2] = {
        [CONF_PARAM_BOOL] = {16, 1000},      [CONF_PARAM_INT32] = {23, 1007},
        [CONF_PARAM_INT64] = {20, 1016},     [CONF_PARAM_DOUBLE] = {701, 1022},
        [CONF_PARAM_DECIMAL] = {1700, 1231}, [CONF_PARAM_STRING] = {0, 0},
        [CONF_PARAM_DATE] = {1082, 1182},    [CONF_PARAM_TIMESTAMP] = {1184, 1185},
        [CONF_PARAM_UUID] = {2950, 2951},    [CONF_PARAM_OBJECTID] = {0, 0},
        [CONF_PARAM_BYTES] = {17, 1001},     [CONF_PARAM_JSON] = {3802, 3807},
    };
    return oids[p->type][p->array];
}

struct span param_like(struct span text, struct arena *arena) {
    char *out = arena_alloc(arena, 2 * text.len + 1);
    size_t n = 0;
    if (!out)
        return (struct span){0};
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '%' || text.ptr[i] == '_' || text.ptr[i] == '\\')
            out[n++] = '\\';
        out[n++] = text.ptr[i];
    }
    out[n] = '\0';
    return span_make(out, n);
}

/* ---- arrays ---- */

/* An element in PostgreSQL's array text: always in quotes (manual, 8.15.6). */
static void add_element(struct buf *out, bool first, struct span text) {
    buf_add_text(out, first ? "{\"" : ",\"");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, text.ptr[i]);
    }
    buf_add_char(out, '"');
}

static int read_array(const struct conf_param *p, const struct json_doc *d,
                      const struct json_node *n, struct scalar_out *out, struct err *err) {
    if (n->type != JSON_ARRAY)
        return err_set(err, ERR_VALUE, "must be an array");
    if (p->max && n->count > (size_t)p->max)
        return err_set(err, ERR_VALUE, "must have at most %lld elements", (long long)p->max);
    _cleanup_(buf_release) struct buf text = {.max = 8 * (d->text.len + 64)};
    struct scalar_out one = {.arena = out->arena, .policy = out->policy, .bson = out->bson};
    uint32_t index = 0;
    bsonw_array_open(out->bson, out->key);
    for (const struct json_node *c = json_first(d, n); c; c = json_next(d, n, c)) {
        struct bsonw_index room;
        one.key = bsonw_index_key(&room, index);
        int rc = c->type == JSON_NULL && p->type != CONF_PARAM_JSON
                     ? err_set(err, ERR_VALUE, "must not be null")
                     : scalar_read(p, d, c, &one, err);
        if (rc < 0)
            return err_prefix(err, "element %u", index + 1);
        add_element(&text, index == 0, one.text);
        index++;
    }
    bsonw_close(out->bson);
    buf_add_text(&text, index ? "}" : "{}");
    out->text = buf_ok(&text) ? arena_copy(out->arena, buf_span(&text)) : (struct span){0};
    return out->text.ptr ? 0 : err_set(err, ERR_LIMIT, "is too long");
}

/* ---- one ---- */

/* n NULL: the caller gave none. */
static int read_param(const struct conf_param *p, const struct json_doc *d,
                      const struct json_node *n, struct scalar_out *out, struct err *err) {
    out->key = span_of(p->name.text);
    out->text = (struct span){0};
    if (!n)
        return err_set(err, ERR_VALUE, "is missing");
    /* A json parameter that may not be null still takes the JSON value null. */
    if (n->type == JSON_NULL && (p->null || p->type != CONF_PARAM_JSON)) {
        if (!p->null)
            return err_set(err, ERR_VALUE, "must not be null");
        bsonw_null(out->bson, out->key);
        return 0;
    }
    return p->array ? read_array(p, d, n, out, err) : scalar_read(p, d, n, out, err);
}

static int read_default(const struct conf_param *p, struct scalar_out *out, struct err *err) {
    _cleanup_(buf_release) struct buf json = {.max = 4 * (size_t)CONF_VALUE_MAX};
    struct json_doc d;
    conf_value_json(p->value, &json);
    struct span text = arena_copy(out->arena, buf_span(&json));
    struct json_node *nodes = arena_alloc(out->arena, (text.len + 1) * sizeof *nodes);
    if (!text.ptr || !nodes)
        return err_set(err, ERR_LIMIT, "has a default that is too long");
    int rc = json_parse(&d, text, nodes, text.len + 1, err);
    return rc < 0 ? rc : read_param(p, &d, json_root(&d), out, err);
}

/* ---- all ---- */

static int wrong(const struct conf_param *p, struct err *err) {
    if (err)
        err->code = ERR_USAGE;
    return err_prefix(err, "parameter '%s'", p->name.text);
}

static int check_names(const struct conf_operation *o, const struct json_doc *d, struct err *err) {
    for (const struct json_node *n = json_first(d, json_root(d)); n;
         n = json_next(d, json_root(d), n)) {
        char space[4 * CONF_PARAM_NAME_MAX];
        struct span name;
        if (!json_string(d, n, space, sizeof space, &name) || param_find(o, name) < 0) {
            struct span raw = json_raw(d, n);
            return err_set(err, ERR_USAGE, "operation '%s' has no parameter %.*s", o->name.text,
                           (int)(raw.len < 80 ? raw.len : 80), raw.ptr);
        }
    }
    return 0;
}

static int parse(struct span json, struct arena *arena, struct json_doc *d, struct err *err) {
    size_t max = json.len < PARAM_NODES_MAX ? json.len + 1 : PARAM_NODES_MAX;
    struct json_node *nodes = arena_alloc(arena, max * sizeof *nodes);
    int rc = nodes ? json_parse(d, json, nodes, max, err)
                   : err_set(err, ERR_LIMIT, "the parameters are too many");
    if (rc == 0 && json_root(d)->type != JSON_OBJECT)
        rc = err_set(err, ERR_USAGE, "the parameters must be an object");
    if (rc < 0 && err) {
        err->code = ERR_USAGE;
        if (rc == ERR_VALUE)
            (void)err_prefix(err, "the parameters are no JSON");
    }
    return rc < 0 ? ERR_USAGE : 0;
}

int params_read(const struct conf_operation *o, const struct conf_types *policy, struct span json,
                struct arena *arena, struct params *ret, struct err *err) {
    struct json_doc d;
    struct bsonw w;
    _cleanup_(buf_release) struct buf bson = {.max = 4 * (json.len + (size_t)CONF_VALUE_MAX)};
    struct scalar_out out = {.arena = arena, .policy = policy, .bson = &w};
    int rc = parse(json.len ? json : SPAN_LIT("{}"), arena, &d, err);
    if (rc == 0)
        rc = check_names(o, &d, err);
    if (rc < 0)
        return rc;
    ret->operation = o;
    bsonw_begin(&w, &bson);
    for (size_t i = 0; i < o->param_count; i++) {
        const struct conf_param *p = &o->params[i];
        const struct json_node *n = json_member(&d, json_root(&d), p->name.text);
        rc = !n && p->value ? read_default(p, &out, err) : read_param(p, &d, n, &out, err);
        if (rc < 0)
            return wrong(p, err);
        ret->texts[i] = out.text;
    }
    bsonw_end(&w);
    struct span kept = bsonw_ok(&w) ? arena_copy(arena, buf_span(&bson)) : (struct span){0};
    if (!kept.ptr || !bson_init_static(&ret->bson, (const uint8_t *)kept.ptr, kept.len))
        return err_set(err, ERR_USAGE, "the parameters are too long");
    return 0;
}

int param_check_default(const struct conf_operation *o, size_t number,
                        const struct conf_types *policy, struct err *err) {
    const struct conf_param *p = &o->params[number];
    struct arena arena;
    struct bsonw w;
    _cleanup_(buf_release) struct buf bson = {.max = 4 * (size_t)CONF_VALUE_MAX};
    struct scalar_out out = {.arena = &arena, .policy = policy, .bson = &w};
    if (!p->value)
        return 0;
    arena_init(&arena, 64 * (size_t)CONF_VALUE_MAX);
    bsonw_begin(&w, &bson);
    int rc = read_default(p, &out, err);
    arena_release(&arena);
    return rc < 0 ? wrong(p, err) : 0;
}

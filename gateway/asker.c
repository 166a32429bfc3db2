/* Who asks: nginx's variables, and claims of a verified token in the header Authorization. */
#include "banyan.h"

/* A token is verified once a request and key, whatever number of claims is asked of it. */
typedef struct {
    const struct jwt_key *key;
    bool holds;
    struct jwt token;
} banyan_token_t;

/* ---- keys ---- */

/* A route names the file of its key with each claim: the same file is the same key, so that a token
 * is verified for all of them at once. */
typedef struct {
    ngx_str_t path;
    const struct jwt_key *key;
} loaded_t;

static const struct jwt_key *find_loaded(const ngx_array_t *keys, const ngx_str_t *path) {
    const loaded_t *loaded = keys->elts;
    for (ngx_uint_t i = 0; i < keys->nelts; i++)
        if (loaded[i].path.len == path->len &&
            ngx_memcmp(loaded[i].path.data, path->data, path->len) == 0)
            return loaded[i].key;
    return NULL;
}

static void drop_key(void *key) {
    jwt_key_free(key);
}

#define KEY_MAX ((size_t)64 * 1024)

static ssize_t read_file(ngx_conf_t *cf, ngx_str_t *path, u_char *to) {
    ngx_fd_t fd = ngx_open_file(path->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "cannot open \"%V\"", path);
        return -1;
    }
    ssize_t n = ngx_read_fd(fd, to, KEY_MAX);
    ngx_close_file(fd);
    return n;
}

static char *load(ngx_conf_t *cf, ngx_str_t *path, const struct jwt_key **ret) {
    struct err err = {0};
    struct jwt_key *key = NULL;
    u_char *text = ngx_pcalloc(cf->temp_pool, KEY_MAX);
    ssize_t len = text ? read_file(cf, path, text) : -1;
    ngx_pool_cleanup_t *c = ngx_pool_cleanup_add(cf->pool, 0);
    if (len < 0 || !c)
        return NGX_CONF_ERROR;
    if (jwt_key_new(span_make(text, (size_t)len), &key, &err) < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" %s", path, err.text);
        return NGX_CONF_ERROR;
    }
    ngx_explicit_memzero(text, KEY_MAX);
    c->handler = drop_key;
    c->data = key;
    *ret = key;
    return NGX_CONF_OK;
}

char *banyan_key_load(ngx_conf_t *cf, ngx_str_t *path, const struct jwt_key **ret) {
    banyan_main_conf_t *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_banyan_module);
    if (!main->keys)
        main->keys = ngx_array_create(cf->pool, 4, sizeof(loaded_t));
    if (!main->keys)
        return NGX_CONF_ERROR;
    *ret = find_loaded(main->keys, path);
    if (*ret)
        return NGX_CONF_OK;
    char *rc = load(cf, path, ret);
    loaded_t *loaded = rc == NGX_CONF_OK ? ngx_array_push(main->keys) : NULL;
    if (!loaded)
        return NGX_CONF_ERROR;
    *loaded = (loaded_t){*path, *ret};
    return NGX_CONF_OK;
}

/* ---- values ---- */

static struct span variable(ngx_http_request_t *r, ngx_int_t index) {
    const ngx_http_variable_value_t *v = ngx_http_get_flushed_variable(r, (ngx_uint_t)index);
    return v && !v->not_found ? span_make(v->data, v->len) : (struct span){0};
}

static struct span text_of(ngx_http_request_t *r, const banyan_asker_t *asker) {
    ngx_str_t text;
    if (asker->variable != NGX_ERROR)
        return variable(r, asker->variable);
    return ngx_http_complex_value(r, asker->value, &text) == NGX_OK ? banyan_span(text)
                                                                    : (struct span){0};
}

/* Two such headers never come so far: nginx answers 400. */
static banyan_token_t *verified(ngx_http_request_t *r, const struct jwt_key *key,
                                banyan_token_t **cache) {
    const ngx_table_elt_t *header = r->headers_in.authorization;
    banyan_token_t *t = *cache;
    if (!header)
        return NULL;
    if (!t)
        *cache = t = ngx_pcalloc(r->pool, sizeof *t);
    if (t && t->key != key) {
        t->key = key;
        t->holds = jwt_verify(key, banyan_span(header->value), ngx_time(), &t->token);
    }
    return t && t->holds ? t : NULL;
}

static struct span claim(ngx_http_request_t *r, const banyan_asker_t *asker, banyan_token_t **cache,
                         enum json_type *type) {
    const banyan_token_t *t = verified(r, asker->key, cache);
    char space[JWT_MAX];
    struct span text =
        t ? jwt_claim(&t->token, banyan_span(asker->claim), space, sizeof space, type)
          : (struct span){0};
    /* The next token takes this one's place. */
    u_char *copy = text.len ? ngx_pnalloc(r->pool, text.len) : NULL;
    if (!copy)
        return (struct span){0};
    ngx_memcpy(copy, text.ptr, text.len);
    return span_make(copy, text.len);
}

/* Text, but for what a claim says is a number or a boolean. */
static struct span value_of(ngx_http_request_t *r, const banyan_asker_t *asker,
                            banyan_token_t **cache, enum json_type *type) {
    *type = JSON_STRING;
    if (asker->value)
        return text_of(r, asker);
    return asker->key ? claim(r, asker, cache, type) : (struct span){0};
}

static struct flags_value typed(struct span text, enum json_type type) {
    struct flags_value v = {.type = FLAGS_STRING, .text = text};
    char number[JSON_NUMBER_MAX + 1];
    if (type == JSON_BOOL)
        return (struct flags_value){.type = FLAGS_BOOL, .boolean = span_is(text, "true")};
    if (type != JSON_NUMBER || text.len >= sizeof number)
        return v;
    ngx_memcpy(number, text.ptr, text.len);
    number[text.len] = '\0';
    v.type = FLAGS_NUMBER;
    v.number = strtod(number, NULL);
    return v;
}

/* An empty one is missing. */
static size_t attributes_of(ngx_http_request_t *r, const ngx_array_t *list,
                            struct flags_attribute *out, banyan_token_t **cache) {
    size_t n = 0;
    for (ngx_uint_t i = 0; list && i < list->nelts; i++) {
        const banyan_attribute_t *a = (banyan_attribute_t *)list->elts + i;
        enum json_type type;
        struct span text = value_of(r, &a->from, cache, &type);
        if (text.len)
            out[n++] =
                (struct flags_attribute){.name = banyan_span(a->name), .value = typed(text, type)};
    }
    return n;
}

struct span banyan_asker_user(ngx_http_request_t *r, const banyan_route_t *route) {
    banyan_token_t *cache = NULL;
    enum json_type ignored;
    return value_of(r, &route->user, &cache, &ignored);
}

void banyan_asker_fill(ngx_http_request_t *r, const banyan_route_t *route,
                       struct flags_attribute *of_user, struct flags_attribute *of_tenant,
                       struct flags_context *context) {
    banyan_token_t *cache = NULL;
    enum json_type ignored;
    context->user = value_of(r, &route->user, &cache, &ignored);
    context->tenant = value_of(r, &route->tenant, &cache, &ignored);
    context->user_attributes = of_user;
    context->tenant_attributes = of_tenant;
    context->user_attribute_count = attributes_of(r, route->attributes[0], of_user, &cache);
    context->tenant_attribute_count = attributes_of(r, route->attributes[1], of_tenant, &cache);
}

/* ---- for longer than a turn of the event loop ---- */

static ngx_int_t keep_text(ngx_pool_t *pool, struct span *text) {
    if (text->len == 0)
        return NGX_OK;
    u_char *copy = ngx_pnalloc(pool, text->len);
    if (!copy)
        return NGX_ERROR;
    ngx_memcpy(copy, text->ptr, text->len);
    *text = span_make(copy, text->len);
    return NGX_OK;
}

/* Names are the configuration's. */
static struct flags_attribute *keep_attributes(ngx_pool_t *pool, const struct flags_attribute *from,
                                               size_t count) {
    struct flags_attribute *to = ngx_palloc(pool, count * sizeof *to);
    for (size_t i = 0; to && i < count; i++) {
        to[i] = from[i];
        if (keep_text(pool, &to[i].value.text) != NGX_OK)
            return NULL;
    }
    return to;
}

ngx_int_t banyan_asker_keep(ngx_http_request_t *r, const banyan_route_t *route,
                            struct flags_context *ret) {
    struct flags_attribute of_user[BANYAN_ATTRIBUTES_MAX], of_tenant[BANYAN_ATTRIBUTES_MAX];
    *ret = (struct flags_context){0};
    banyan_asker_fill(r, route, of_user, of_tenant, ret);
    ret->user_attributes = keep_attributes(r->pool, of_user, ret->user_attribute_count);
    ret->tenant_attributes = keep_attributes(r->pool, of_tenant, ret->tenant_attribute_count);
    return ret->user_attributes && ret->tenant_attributes &&
                   keep_text(r->pool, &ret->user) == NGX_OK &&
                   keep_text(r->pool, &ret->tenant) == NGX_OK
               ? NGX_OK
               : NGX_ERROR;
}

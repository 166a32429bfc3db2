#include "http/route.h"

static bool next_part(struct span *path, struct span *ret) {
    if (path->len == 0 || path->ptr[0] != '/')
        return false;
    struct span rest = span_make(path->ptr + 1, path->len - 1);
    const char *slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
    ret->ptr = rest.ptr;
    ret->len = slash ? (size_t)(slash - rest.ptr) : rest.len;
    *path = span_make(rest.ptr + ret->len, rest.len - ret->len);
    return true;
}

static int compile_part(struct http_pattern *p, struct span part, size_t *parameters,
                        struct err *err) {
    bool parameter = part.len > 2 && part.ptr[0] == '{' && part.ptr[part.len - 1] == '}';
    if (p->count > 0 && p->parts[p->count - 1].kind == HTTP_PART_REST)
        return err_set(err, ERR_INTERNAL, "route %s: something follows {name*}", p->route->path);
    if (p->count == HTTP_PARTS_MAX || (parameter && *parameters == HTTP_PARAMETERS))
        return err_set(err, ERR_INTERNAL, "route %s has too many parts", p->route->path);
    p->parts[p->count].text = part;
    p->parts[p->count].kind = !parameter                      ? HTTP_PART_TEXT
                              : part.ptr[part.len - 2] == '*' ? HTTP_PART_REST
                                                              : HTTP_PART_ONE;
    *parameters += parameter;
    static const unsigned ranks[] = {2, 1, 0};
    p->rank |= ranks[p->parts[p->count].kind] << (2 * (HTTP_PARTS_MAX - 1 - p->count));
    p->count++;
    return 0;
}

static bool same_shape(const struct http_pattern *a, const struct http_pattern *b) {
    if (a->method != b->method || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->parts[i].kind != b->parts[i].kind ||
            (a->parts[i].kind == HTTP_PART_TEXT && !span_eq(a->parts[i].text, b->parts[i].text)))
            return false;
    }
    return true;
}

static int compile(struct http_router *r, const struct http_route *route, struct err *err) {
    struct http_pattern *p = &r->patterns[r->count];
    struct span path = span_of(route->path), part;
    size_t parameters = 0;
    *p = (struct http_pattern){.route = route, .method = HTTP_GET};
    while (p->method < HTTP_OTHER && strcmp(http_method_name(p->method), route->method) != 0)
        p->method++;
    if (p->method == HTTP_OTHER || p->method == HTTP_HEAD || p->method == HTTP_OPTIONS)
        return err_set(err, ERR_INTERNAL, "route %s: no method for routes: %s", route->path,
                       route->method);
    if (route->path[0] != '/')
        return err_set(err, ERR_INTERNAL, "route %s does not begin with /", route->path);
    while (next_part(&path, &part)) {
        int rc = compile_part(p, part, &parameters, err);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < r->count; i++) {
        if (same_shape(&r->patterns[i], p))
            return err_set(err, ERR_INTERNAL, "route %s %s is there twice", route->method,
                           route->path);
    }
    r->count++;
    return 0;
}

int http_router_init(struct http_router *r, const struct http_route *routes, size_t count,
                     struct err *err) {
    r->count = 0;
    if (count > HTTP_ROUTES_MAX)
        return err_set(err, ERR_INTERNAL, "more than %d routes", HTTP_ROUTES_MAX);
    for (size_t i = 0; i < count; i++) {
        int rc = compile(r, &routes[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool fits(const struct http_pattern *p, struct span path, struct span *parameters) {
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct span part, rest = path;
        if (!next_part(&path, &part))
            return false;
        if (p->parts[i].kind == HTTP_PART_REST) {
            parameters[n] = span_make(rest.ptr + 1, rest.len - 1);
            return rest.len > 1;
        }
        if (p->parts[i].kind == HTTP_PART_TEXT && !span_eq(part, p->parts[i].text))
            return false;
        if (p->parts[i].kind == HTTP_PART_ONE) {
            if (part.len == 0)
                return false;
            parameters[n++] = part;
        }
    }
    return path.len == 0;
}

void http_router_match(const struct http_router *r, enum http_method method, struct span path,
                       struct http_match *ret) {
    const struct http_pattern *best = NULL;
    *ret = (struct http_match){0};
    enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    for (size_t i = 0; i < r->count; i++) {
        const struct http_pattern *p = &r->patterns[i];
        struct span parameters[HTTP_PARAMETERS] = {{0}};
        if (!fits(p, path, parameters))
            continue;
        ret->allowed |= 1U << p->method;
        ret->cors |= (p->route->flags & HTTP_CORS) != 0;
        if (p->method != wanted || (best && best->rank >= p->rank))
            continue;
        best = p;
        memcpy(ret->parameter, parameters, sizeof parameters);
    }
    ret->route = best ? best->route : NULL;
    if (ret->allowed & 1U << HTTP_GET)
        ret->allowed |= 1U << HTTP_HEAD;
}

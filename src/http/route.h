/*
 * Which route a path belongs to. Pure; built once, read by any thread. Private to http/.
 *
 * Where several routes fit, a text wins over a {parameter}, from the left; {rest*} comes last.
 */
#ifndef BANYAN_HTTP_ROUTE_H
#define BANYAN_HTTP_ROUTE_H

#include "http/http.h"
#include "http/request.h"

#define HTTP_PARTS_MAX 12

struct http_pattern {
    const struct http_route *route;
    enum http_method method;
    struct {
        struct span text; /* a parameter's name is not kept: they are numbered */
        enum { HTTP_PART_TEXT, HTTP_PART_ONE, HTTP_PART_REST } kind;
    } parts[HTTP_PARTS_MAX];
    size_t count;
    unsigned rank; /* the more, the closer */
};

struct http_router {
    struct http_pattern patterns[HTTP_ROUTES_MAX];
    size_t count;
};

int http_router_init(struct http_router *r, const struct http_route *routes, size_t count,
                     struct err *err) must_check;

struct http_match {
    const struct http_route *route;         /* NULL: none */
    struct span parameter[HTTP_PARAMETERS]; /* as sent */
    unsigned allowed;                       /* methods of the path: 1 << enum http_method; 0: 404 */
    bool cors;                              /* one of them has HTTP_CORS */
};

void http_router_match(const struct http_router *r, enum http_method method, struct span path,
                       struct http_match *ret);

#endif

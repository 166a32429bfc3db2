/* The dashboard: files of web/, and Debian's libjs-chart.js, embedded at build time. */
#include "admin/api.h"
#include "admin/embedded.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static const char *type_of(const char *name) {
    const char *dot = strrchr(name, '.');
    if (dot && strcmp(dot, ".html") == 0)
        return "text/html; charset=utf-8";
    if (dot && strcmp(dot, ".css") == 0)
        return "text/css; charset=utf-8";
    return "text/javascript; charset=utf-8";
}

static void answer(const struct http_request *r, struct http_response *a, struct span name) {
    char etag[32];
    for (size_t i = 0; i < embedded_file_count; i++) {
        const struct embedded_file *f = &embedded_files[i];
        if (!span_is(name, f->name))
            continue;
        (void)snprintf(etag, sizeof etag, "\"%016llx\"",
                       (unsigned long long)XXH3_64bits(f->bytes, f->len));
        http_add_header(a, "Cache-Control", "no-cache"); /* asked for again, answered by 304 */
        a->content_type = type_of(f->name);
        if (!http_not_modified(r, a, etag))
            a->fixed = span_make((const char *)f->bytes, f->len);
        return;
    }
    http_error(a, 404, "not_found", "the page has no such file", NULL);
}

static void get_index(const struct http_request *r, struct http_response *a, void *context) {
    (void)context;
    answer(r, a, SPAN_LIT("index.html"));
}

static void get_file(const struct http_request *r, struct http_response *a, void *context) {
    (void)context;
    answer(r, a, r->parameter[0]);
}

static const struct http_route routes[] = {
    {"GET", "/", HTTP_ANYONE, get_index, NULL, 0},
    {"GET", "/page/{file}", HTTP_ANYONE, get_file, NULL, 0},
};
const struct api_routes page_routes = {routes, sizeof routes / sizeof *routes};

#include "service.h"

#include "base/stop.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

int shop_options_read(int argc, char **argv, bool documents, struct shop_options *ret) {
    static const struct option all[] = {{"listen", required_argument, NULL, 'l'},
                                        {"uri", required_argument, NULL, 'u'},
                                        {"database", required_argument, NULL, 'd'},
                                        {"bug", no_argument, NULL, 'b'},
                                        {0}};
    static const struct option fewer[] = {
        {"listen", required_argument, NULL, 'l'}, {"uri", required_argument, NULL, 'u'}, {0}};
    struct shop_options o = {.listen = "127.0.0.1:0", .database = "shop"};
    bool wrong = false;
    for (int c; (c = getopt_long(argc, argv, "", documents ? all : fewer, NULL)) != -1;) {
        if (c == 'l')
            o.listen = optarg;
        else if (c == 'u')
            o.uri = optarg;
        else if (c == 'd')
            o.database = optarg;
        else if (c == 'b')
            o.bug = true;
        else
            wrong = true;
    }
    if (wrong || !o.uri || optind < argc) {
        (void)fprintf(stderr, "usage: %s --uri URI [--listen ADDRESS]%s\n", argv[0],
                      documents ? " [--database NAME] [--bug]" : "");
        return 2;
    }
    *ret = o;
    return 0;
}

int shop_serve(const char *name, const char *listen, const struct http_route *routes,
               size_t count) {
    const struct http_listener listener = {
        .address = listen, .key = "--listen", .threads = 1, .routes = routes, .route_count = count};
    struct http_server *server = NULL;
    struct err err = {0};
    stop_install();
    if (http_server_start(&(struct http_config){.listeners = &listener,
                                                .listener_count = 1,
                                                .workers = SHOP_WORKERS},
                          &server, &err) < 0) {
        (void)fprintf(stderr, "%s: %s\n", name, err.text);
        return err_exit_code(err.code);
    }
    printf("%s listens on %s\n", name, http_server_address(server, 0));
    (void)fflush(stdout);
    while (!stop_wait(INT64_C(3600) * 1000000))
        ;
    http_server_stop(server);
    return 0;
}

bool shop_id(const struct http_request *r, struct http_response *a, const char *what,
             int64_t *ret) {
    struct span s = r->parameter[0];
    uint64_t n = 0;
    bool ok = s.len > 0 && s.len <= 18; /* so it fits */
    for (size_t i = 0; ok && i < s.len; i++) {
        ok = s.ptr[i] >= '0' && s.ptr[i] <= '9';
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    if (!ok)
        shop_not_found(a, what, s);
    else
        *ret = (int64_t)n;
    return ok;
}

bool shop_list(const struct http_request *r, struct http_response *a, int64_t *ret_category,
               int64_t *ret_limit) {
    *ret_category = 0;
    *ret_limit = SHOP_LIST_DEFAULT;
    if (!http_query_int(r, "category", 1, INT32_MAX, ret_category)) {
        http_error(a, 400, "category", "category must be the id of a category", NULL);
        return false;
    }
    if (!http_query_int(r, "limit", 1, SHOP_LIST_MAX, ret_limit)) {
        http_error(a, 400, "limit", "limit must be a number from 1 to 100", NULL);
        return false;
    }
    return true;
}

void shop_not_found(struct http_response *a, const char *what, struct span id) {
    char text[100];
    /* What came with the request is said only where it can be an id. */
    bool digits = id.len > 0 && id.len <= 18;
    for (size_t i = 0; digits && i < id.len; i++)
        digits = id.ptr[i] >= '0' && id.ptr[i] <= '9';
    (void)snprintf(text, sizeof text, "there is no such %s%s%.*s", what, digits ? ": " : "",
                   digits ? (int)id.len : 0, id.ptr);
    http_error(a, 404, "not_found", text, NULL);
}

void shop_away(struct http_response *a) {
    http_error(a, 503, "unavailable", "the database is out of reach", "ask again in a moment");
    http_add_header(a, "Retry-After", "1");
}

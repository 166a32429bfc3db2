#include "admin/listeners.h"

#include "admin/api.h"
#include "base/mem.h"
#include "operation/operation.h"

#include <stdlib.h>
#include <unistd.h>

/* Everything here must live as long as the server. */
struct listeners {
    const char **hosts, **origins;
    struct http_route *routes, *ofrep_routes;
    struct http_listener both[2]; /* admin, OFREP */
};

static const char **texts(const struct conf_list *list) {
    const char **all = mem_zalloc(list->count + 1, sizeof *all);
    for (size_t i = 0; i < list->count; i++)
        all[i] = list->items[i].text;
    return all;
}

/* What both listeners have from the configuration. */
static struct http_listener common(const struct conf_serve *c, const struct listeners *l) {
    return (struct http_listener){.threads = 1,
                                  .token_viewer = c->token_viewer,
                                  .token_operator = c->token_operator,
                                  .token_evaluate = c->token_evaluate,
                                  .token_edge = c->token_edge,
                                  .tls_cert = c->tls_cert,
                                  .tls_key = c->tls_key,
                                  .tls_client_ca = c->tls_client_ca,
                                  .insecure = c->insecure,
                                  .hosts = l->hosts,
                                  .host_count = c->hosts.count,
                                  .origins = l->origins,
                                  .origin_count = c->ofrep_origins.count};
}

/* Evaluation is quick work of many clients: a loop for each core. */
static unsigned evaluation_threads(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > 8 ? 8 : (unsigned)cores;
}

/* Enough that calls which wait for one side leave threads for those that ask the other; one says
 * that there are none. */
static unsigned operation_workers(const struct service *s) {
    return operations_count(s->operations) ? 2 * (OPERATION_SESSIONS + OPERATION_WAITING_MAX) : 1;
}

static int start_server(struct service *s, struct listeners *l, struct err *err) {
    const struct conf_serve *c = &s->conf->serve;
    struct http_listener *both = l->both;
    both[0] = both[1] = common(c, l);
    both[0].address = c->listen;
    both[0].key = "listen";
    both[0].routes = l->routes = api_routes_new(s, false, &both[0].route_count);
    both[1].address = c->ofrep_listen;
    both[1].key = "ofrep.listen";
    both[1].threads = evaluation_threads();
    both[1].routes = l->ofrep_routes = api_routes_new(s, true, &both[1].route_count);
    const struct http_config config = {
        .listeners = both,
        .listener_count = c->ofrep_listen ? 2 : 1,
        /* Without operations too: who asks for one is told that there is none. */
        .data_workers = operation_workers(s),
        .observe = traffic_observe,
        .observe_context = s->traffic};
    struct http_server *http = NULL;
    int rc = http_server_start(&config, &http, err);
    s->http = http;
    return rc;
}

int listeners_start(struct service *s, struct listeners **ret_listeners, struct err *err) {
    struct listeners *l = mem_zalloc(1, sizeof *l);
    l->hosts = texts(&s->conf->serve.hosts);
    l->origins = texts(&s->conf->serve.ofrep_origins);
    s->traffic = traffic_new();
    int rc = start_server(s, l, err);
    if (rc < 0) {
        listeners_stop(s, l);
        return rc;
    }
    *ret_listeners = l;
    return 0;
}

void listeners_stop(struct service *s, struct listeners *l) {
    if (!l)
        return;
    http_server_stop(s->http);
    s->http = NULL;
    traffic_free(s->traffic);
    s->traffic = NULL;
    free(l->hosts);
    free(l->origins);
    free(l->routes);
    free(l->ofrep_routes);
    free(l);
}

const char *listeners_ofrep_address(const struct service *s) {
    return s->conf->serve.ofrep_listen ? http_server_address(s->http, 1) : NULL;
}

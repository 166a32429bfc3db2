/* Who else uses our flags: daemons that share them through Redis, and edges. */
#include "admin/api.h"

#include "admin/edges.h"
#include "admin/redis.h"

static void get(const struct http_request *r, struct http_response *a, void *context) {
    const struct service *s = context;
    char why[ERR_TEXT_MAX];
    struct err err = {0};
    struct json_out j;
    int rc = 0;
    (void)r;
    json_out_begin(&j, &a->body);
    json_out_open(&j, NULL, '{');
    json_out_bool(&j, "shared", s->redis != NULL);
    if (s->redis) /* ours first: what was just changed here is what others must have */
        rc = redis_exchange(s->redis, &err);
    if (s->redis && rc == 0)
        rc = redis_show_instances(s->redis, &j, "instances", &err);
    edges_show(s->edges, &j, "edges");
    bool is_away = s->redis && redis_away_since(s->redis, why) > 0;
    json_out_text(&j, "problem", rc < 0 ? err.text : is_away ? why : NULL);
    json_out_close(&j, '}');
    json_out_end(&j);
}

static const struct http_route routes[] = {
    {"GET", "/v1/instances", HTTP_VIEWER, get, NULL, HTTP_SLOW},
};
const struct api_routes api_instance_routes = {routes, sizeof routes / sizeof *routes};

/* The rows of the gateway and of routes. */
#include "conf/conf_check.h"
#include "conf/conf_keys.h"

#define MS ((int64_t)1000)
#define SECOND ((int64_t)1000000)
#define AT(type, member) .offset = offsetof(struct type, member)
#define RANGE(low, high) .min = (low), .max = (high)
const struct conf_key conf_route_keys[] = {
    {SCOPE_GATEWAY, "nginx", KIND_CHOICE, 0, AT(conf_gateway, nginx), .choices = "managed|external",
     .fallback = "managed", .example = "nginx: external",
     .help = "managed: `banyan serve` writes nginx's configuration, starts nginx, watches over it "
             "and reloads it. external: it only writes two files to include, one for the main "
             "context and one for http, and runs `reload_command`."},
    {SCOPE_GATEWAY, "listen", KIND_TEXT, 0, AT(conf_gateway, listen), .check = conf_check_listen,
     .fallback = "127.0.0.1:8080", .example = "listen: 0.0.0.0:80",
     .help = "Where the gateway answers."},
    {SCOPE_GATEWAY, "trusted", KIND_WORDS, 0, AT(conf_gateway, trusted), .otherwise = "nobody",
     .example = "trusted: [10.0.0.0/8, \"::1\"]",
     .help = "Addresses and ranges of peers whose headers may say who asks. From others these "
             "headers are removed, before the flag is evaluated and before a service sees them."},
    {SCOPE_GATEWAY, "tls", KIND_SECTION, 0, .child = SCOPE_GATEWAY_TLS, .otherwise = "plain HTTP",
     .example = "tls: {cert: site.pem, key: site.key}", .help = "HTTPS, with HTTP/2."},
    {SCOPE_GATEWAY, "workers", KIND_TEXT, 0, AT(conf_gateway, workers), .check = conf_check_workers,
     .fallback = "auto", .example = "workers: \"4\"",
     .help = "Processes of nginx: auto (one a core), or a number."},
    {SCOPE_GATEWAY, "body_limit", KIND_SIZE, 0, AT(conf_gateway, body_limit),
     RANGE(1, INT64_C(1) << 40), .fallback = "1m", .example = "body_limit: 20m",
     .help = "The longest body of a request; over it the answer is 413."},
    {SCOPE_GATEWAY, "drain", KIND_DURATION, 0, AT(conf_gateway, drain_us), RANGE(0, 3600 * SECOND),
     .fallback = "30s", .example = "drain: 5s",
     .help = "How long WebSockets that are with MongoDB may go on once SQL is the side again; then "
             "they are closed."},
    {SCOPE_GATEWAY, "watermark_max_age", KIND_DURATION, 0, AT(conf_gateway, watermark_max_age_us),
     RANGE(SECOND, 3600 * SECOND), .fallback = "10s", .example = "watermark_max_age: 30s",
     .help = "When nobody has said for so long how far MongoDB is (the daemon or the pipeline is "
             "away), who has just written stays on SQL until somebody does, however long "
             "`own_writes.wait` is."},
    {SCOPE_GATEWAY, "reload_command", KIND_TEXT, 0, AT(conf_gateway, reload_command),
     .fallback = "nginx -s reload", .example = "reload_command: systemctl reload nginx",
     .help = "external only: what makes nginx read its configuration again; run by /bin/sh."},
    {SCOPE_GATEWAY, "program", KIND_TEXT, 0, AT(conf_gateway, program), .fallback = "nginx",
     .example = "program: /usr/sbin/nginx",
     .help = "nginx itself; a plain name is looked up in PATH and in sbin folders."},
    {SCOPE_GATEWAY, "module", KIND_TEXT, 0, AT(conf_gateway, module),
     .otherwise = "ngx_http_banyan_module.so, where Banyan was installed",
     .example = "module: /usr/lib/nginx/modules/ngx_http_banyan_module.so",
     .help = "The module, built for this nginx (`gateway/build.sh`)."},

    {SCOPE_GATEWAY_TLS, "cert", KIND_TEXT, 0, AT(conf_gateway, tls_cert),
     .example = "cert: site.pem", .help = "The certificate and what leads to its root, in PEM."},
    {SCOPE_GATEWAY_TLS, "key", KIND_TEXT, 0, AT(conf_gateway, tls_key), .example = "key: site.key",
     .help = "Its key, in PEM."},

    {SCOPE_EDGE, "control", KIND_TEXT_AT, 0, AT(conf_edge, control), .check = conf_check_control,
     .otherwise = "`banyan serve --edge --control URL` says it",
     .example = "control: \"https://control.example:8420\"",
     .help =
         "The control daemon's `listen`, as this machine reaches it. A file with this key is an "
         "edge's, for every command. Anything but loopback must be https, or `insecure: "
         "true`."},
    {SCOPE_EDGE, "token", KIND_TEXT, KEY_SECRET, AT(conf_edge, token), .check = conf_check_token,
     .example = "token: \"${file:/run/secrets/banyan-edge}\"",
     .otherwise = "none: for a control daemon without tokens",
     .help = "The control daemon's `tokens.edge`."},
    {SCOPE_EDGE, "ca", KIND_TEXT, 0, AT(conf_edge, ca), .otherwise = "the system's authorities",
     .example = "ca: ca.pem", .help = "Certificates, in PEM, that vouch for the control daemon's."},
    {SCOPE_EDGE, "cert", KIND_TEXT, 0, AT(conf_edge, cert), .example = "cert: edge.pem",
     .help = "Our certificate, where the control daemon asks for one (`tls.client_ca`)."},
    {SCOPE_EDGE, "key", KIND_TEXT, 0, AT(conf_edge, key), .example = "key: edge.key",
     .help = "Its key, in PEM."},
    {SCOPE_EDGE, "name", KIND_TEXT_AT, 0, AT(conf_edge, name), .check = conf_check_edge_name,
     .otherwise = "the machine's name", .example = "name: edge-1",
     .help = "Under which this edge is known. Two edges must have two names."},

    {SCOPE_ROUTE, "prefix", KIND_TEXT_AT, KEY_NEEDED, AT(conf_route, prefix),
     .check = conf_check_prefix, .example = "prefix: /api/products",
     .help = "The path and everything below it, on borders of segments: /api/products is not "
             "/api/productsX. The longest prefix wins."},
    {SCOPE_ROUTE, "sql", KIND_SECTION, KEY_NEEDED, AT(conf_route, sql), .child = SCOPE_SIDE,
     .example = "sql: {url: \"http://127.0.0.1:9001\", service: product-service-sql}",
     .help = "The service that works on SQL."},
    {SCOPE_ROUTE, "mongodb", KIND_SECTION, KEY_NEEDED, AT(conf_route, mongodb), .child = SCOPE_SIDE,
     .example = "mongodb: {url: \"http://127.0.0.1:9002\", service: product-service-mongo}",
     .help = "The service that works on MongoDB."},
    {SCOPE_ROUTE, "user", KIND_ASKER, 0, AT(conf_route, user), .child = SCOPE_ASKER,
     .otherwise = "nobody", .example = "user: \"$http_x_user_id\"",
     .help = "Who asks: a text with nginx variables, or {jwt, key}."},
    {SCOPE_ROUTE, "tenant", KIND_ASKER, 0, AT(conf_route, tenant), .child = SCOPE_ASKER,
     .otherwise = "nobody", .example = "tenant: {jwt: org, key: \"${file:jwt.pem}\"}",
     .help = "For which tenant."},
    {SCOPE_ROUTE, "attributes", KIND_SECTION, 0, .child = SCOPE_ATTRIBUTES, .otherwise = "none",
     .example = "attributes: {user: {plan: \"$http_x_plan\"}}",
     .help = "What else the flag may ask about. Loading fails where the flag uses an attribute "
             "that is not here."},
    {SCOPE_ROUTE, "read", KIND_WORDS, 0, AT(conf_route, read), .otherwise = "nothing else",
     .example = "read: [POST /api/products/search]",
     .help = "What is a read besides GET, HEAD and OPTIONS: a method and a path, and what is below "
             "it."},
    {SCOPE_ROUTE, "fallback", KIND_FALLBACK, 0, AT(conf_route, fallback), .child = SCOPE_FALLBACK,
     .fallback = "true", .example = "fallback: {timeout: 1s, budget: 20%}",
     .help = "SQL answers a read when the MongoDB service fails, before the first byte of the "
             "answer. true: with the defaults of its keys. Writes are never sent twice."},
    {SCOPE_ROUTE, "planned", KIND_TEXT_AT, 0, AT(conf_route, planned), .check = conf_check_date,
     .otherwise = "none", .example = "planned: \"2027-02-01\"",
     .help = "The date for which its migration is planned; for the report."},
    {SCOPE_ROUTE, "compare", KIND_SECTION, 0, AT(conf_route, compare), .child = SCOPE_COMPARE,
     .example = "compare: {sample: 5%, ignore: [updated_at], key: {items: id}}",
     .help = "How its answers are compared with those of the other side."},
    {SCOPE_ROUTE, "own_writes", KIND_SECTION, 0, .child = SCOPE_OWN_WRITES,
     .example = "own_writes: {wait: 10s}",
     .help = "Who has just written reads from SQL until MongoDB has what was written. Known by "
             "`user`, else by the cookie `banyan_rw`."},

    {SCOPE_SIDE, "url", KIND_TEXT_AT, KEY_NEEDED, AT(conf_side, url), .check = conf_check_upstream,
     .example = "url: \"http://127.0.0.1:9001\"",
     .help = "http://host:port. Paths are forwarded as they came."},
    {SCOPE_SIDE, "service", KIND_TEXT_AT, KEY_NEEDED, AT(conf_side, service),
     .check = conf_check_service, .example = "service: product-service-sql",
     .help = "What `X-Service` calls it."},

    {SCOPE_ASKER, "jwt", KIND_TEXT_AT, KEY_NEEDED, AT(conf_asker, claim),
     .check = conf_check_quotable, .example = "jwt: sub",
     .help = "A claim of the JWT in the header Authorization (HS256, RS256, ES256)."},
    {SCOPE_ASKER, "key", KIND_TEXT, KEY_NEEDED | KEY_SECRET, AT(conf_asker, key),
     .example = "key: \"${file:jwt.pem}\"",
     .help = "What the token is verified with: a public key in PEM, or a secret of at least 32 "
             "characters (HS256). A token that is not valid says nothing about who asks."},

    {SCOPE_ATTRIBUTES, "user", KIND_ATTRIBUTES, 0, AT(conf_route, user_attributes),
     .at_offset = offsetof(struct conf_route, user_attribute_count), .child = SCOPE_ASKER,
     .otherwise = "none", .example = "user: {plan: \"$http_x_plan\"}",
     .help = "Attributes of the user, each as `user` above."},
    {SCOPE_ATTRIBUTES, "tenant", KIND_ATTRIBUTES, 0, AT(conf_route, tenant_attributes),
     .at_offset = offsetof(struct conf_route, tenant_attribute_count), .child = SCOPE_ASKER,
     .otherwise = "none", .example = "tenant: {tier: \"$http_x_tenant_tier\"}",
     .help = "Attributes of the tenant."},

    {SCOPE_OWN_WRITES, "wait", KIND_DURATION, 0, AT(conf_route, own_writes_us),
     RANGE(0, 3600 * SECOND), .fallback = "30s", .example = "wait: 10s",
     .help = "The longest that reads stay on SQL for it while MongoDB is behind. 0: not at all."},

    {SCOPE_FALLBACK, "on", KIND_WORDS, KEY_FILLED, AT(conf_fallback, on), .otherwise = "all four",
     .example = "on: [connect, timeout, 5xx]",
     .help = "What counts as a failure: connect (no connection), timeout, 5xx, 404 (asked of SQL, "
             "which may have it)."},
    {SCOPE_FALLBACK, "connect", KIND_DURATION, 0, AT(conf_fallback, connect_us),
     RANGE(MS, 60 * SECOND), .fallback = "200ms", .example = "connect: 100ms",
     .help = "How long a connection to the MongoDB service may take."},
    {SCOPE_FALLBACK, "timeout", KIND_DURATION, 0, AT(conf_fallback, timeout_us),
     RANGE(MS, 3600 * SECOND), .fallback = "2s", .example = "timeout: 1s",
     .help = "How long it may be silent."},
    {SCOPE_FALLBACK, "budget", KIND_PERCENT, 0, AT(conf_fallback, budget), RANGE(0, 100),
     .fallback = "10%", .example = "budget: 20%",
     .help = "The share of MongoDB's calls that SQL may take over, with 100 calls at once before "
             "it counts: a failing service must not become an overloaded database."},
    {SCOPE_FALLBACK, "breaker", KIND_SECTION, 0, .child = SCOPE_BREAKER,
     .example = "breaker: {errors: 50%, of: 20, open: 5s}",
     .help = "Leaves a failing MongoDB service alone for a while: SQL answers at once."},

    {SCOPE_BREAKER, "errors", KIND_PERCENT, 0, AT(conf_fallback, breaker.errors), RANGE(1, 100),
     .fallback = "50%", .example = "errors: 30%", .help = "So many failures ..."},
    {SCOPE_BREAKER, "of", KIND_INT, 0, AT(conf_fallback, breaker.of), RANGE(1, 64),
     .fallback = "20", .example = "of: 50", .help = "... of the last so many calls open it ..."},
    {SCOPE_BREAKER, "open", KIND_DURATION, 0, AT(conf_fallback, breaker.open_us),
     RANGE(100 * MS, 3600 * SECOND), .fallback = "5s", .example = "open: 10s",
     .help = "... for so long; then one call tries whether it is back."},
};
const size_t conf_route_key_count = sizeof conf_route_keys / sizeof conf_route_keys[0];

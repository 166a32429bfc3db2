/* The gateway and its routes: what has more than one form, and what only the whole file shows. */
#include "conf/conf_bind.h"

#include "conf/conf_check.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* --- askers ------------------------------------------------------------------------------ */

#define SECRET_MIN 32

static int check_key(struct binder *b, struct conf_at at, const char *key) {
    bool pem = strstr(key, "-----BEGIN ") != NULL;
    if (pem && strstr(key, "PRIVATE KEY"))
        return bind_error(b, at, "'key' is a private key; to verify, the public one is enough");
    if (!pem && strlen(key) < SECRET_MIN)
        return bind_error(b, at,
                          "'key' is neither PEM nor a secret of at least %d characters (a shorter "
                          "one can be guessed from a token)",
                          SECRET_MIN);
    return 0;
}

int bind_asker(struct binder *b, const struct conf_key *key, struct conf_at key_at,
               const struct tree_node *node, struct conf_asker *asker) {
    bool expanded;
    if (node->kind == TREE_MAP) {
        int rc = bind_scope(b, key->child, 0, key->name, key_at, node, asker);
        return rc < 0 ? rc : check_key(b, key_at, asker->key);
    }
    int rc = bind_text(b, key->name, node, &asker->value, &expanded);
    if (rc < 0)
        return rc;
    const char *wrong = conf_check_quotable(asker->value.text);
    if (wrong)
        return bind_error(b, node->at, "'%s' %s", key->name, wrong);
    if (!strchr(asker->value.text, '$'))
        return bind_error(b, node->at,
                          "'%s' is the same for every request; name an nginx variable, such as "
                          "\"$http_x_user_id\"",
                          key->name);
    return 0;
}

int bind_attribute(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
                   struct conf_attribute *attribute) {
    struct conf_key named = *key;
    const char *wrong = conf_check_quotable(e->key.ptr);
    named.name = e->key.ptr;
    attribute->name = (struct conf_text){e->key.ptr, e->key_at};
    if (wrong || e->key.len == 0)
        return bind_error(b, e->key_at, "the name of an attribute %s", wrong ? wrong : "is empty");
    return bind_asker(b, &named, e->key_at, e->value, &attribute->from);
}

/* --- fallback ---------------------------------------------------------------------------- */

int bind_fallback(struct binder *b, const struct conf_key *key, struct conf_at key_at,
                  const struct tree_node *node, struct conf_fallback *fallback) {
    static const struct tree_node defaults = {.kind = TREE_MAP};
    static const char *const words[] = {"connect", "timeout", "5xx", "404"};
    bool truth = true;
    if (node->kind != TREE_MAP && !tree_is_bool(node, &truth))
        return bind_error(b, node->at, "'%s' must be true, false or a mapping, not %s", key->name,
                          tree_kind_name(node));
    fallback->enabled = truth;
    int rc = bind_scope(b, key->child, 0, key->name, key_at,
                        node->kind == TREE_MAP ? node : &defaults, fallback);
    for (size_t i = 0; rc == 0 && i < fallback->on.count; i++) {
        size_t w = 0;
        while (w < 4 && strcmp(words[w], fallback->on.items[i].text) != 0)
            w++;
        if (w == 4)
            rc = bind_error(b, fallback->on.items[i].at,
                            "'on' must name connect, timeout, 5xx or 404, not '%.60s'",
                            fallback->on.items[i].text);
    }
    return rc;
}

/* --- routes ------------------------------------------------------------------------------ */

/* "POST /api/products/search" */
static const char *check_read(const char *text) {
    size_t method = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (method == 0 || text[method] != ' ')
        return "must be a method and a path, as POST /api/products/search";
    return conf_check_prefix(text + method + 1);
}

int bind_route(struct binder *b, const struct conf_key *key, const struct tree_entry *e,
               struct conf_route *route) {
    route->at = e->value->at;
    int rc = bind_scope(b, key->child, 0, key->name, e->value->at, e->value, route);
    for (size_t i = 0; rc == 0 && i < route->read.count; i++) {
        const char *wrong = check_read(route->read.items[i].text);
        if (wrong)
            rc = bind_error(b, route->read.items[i].at, "'read' %s", wrong);
    }
    if (rc == 0 && (route->user_attribute_count > CONF_ATTRIBUTES_MAX ||
                    route->tenant_attribute_count > CONF_ATTRIBUTES_MAX))
        rc = bind_error(b, route->at, "a route has more than %d attributes of a user or tenant",
                        CONF_ATTRIBUTES_MAX);
    return rc;
}

/* --- the whole file ---------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum conf_reads reads;
    enum conf_writes writes;
} stages[] = {
    {"off", CONF_READS_SQL, CONF_WRITES_SQL},
    {"dualwrite", CONF_READS_SQL, CONF_WRITES_BOTH},
    {"shadow", CONF_READS_SHADOW, CONF_WRITES_BOTH},
    {"live", CONF_READS_FLAG, CONF_WRITES_BOTH},
    {"rampdown", CONF_READS_MONGODB, CONF_WRITES_BOTH},
    {"complete", CONF_READS_MONGODB, CONF_WRITES_MONGODB},
};

static int work_stage_in(struct binder *b, struct conf_module *m) {
    if (!m->stage.text)
        return 0;
    if (m->reads != CONF_READS_AUTO || m->writes != CONF_WRITES_AUTO)
        return bind_error(b, m->stage.at,
                          "'stage' sets reads and writes; remove it, or both of them");
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
        if (strcmp(stages[i].name, m->stage.text) == 0) {
            m->reads = stages[i].reads;
            m->writes = stages[i].writes;
            return 0;
        }
    return bind_error(b, m->stage.at,
                      "'stage' must be one of off, dualwrite, shadow, live, rampdown, complete, "
                      "not '%.60s'",
                      m->stage.text);
}

static int check_module(struct binder *b, struct conf_module *m) {
    int rc = work_stage_in(b, m);
    if (rc == 0 && m->reads == CONF_READS_FLAG && !m->flag.text)
        rc = bind_error(b, m->stage.text ? m->stage.at : m->name.at,
                        "module '%s' reads by a flag but names none; add 'flag'", m->name.text);
    return rc;
}

static int check_prefixes(struct binder *b, const struct conf *conf) {
    struct spanmap seen = {0};
    const struct conf_text *first[CONF_ROUTES_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++)
        for (size_t j = 0; rc == 0 && j < conf->modules[i].route_count; j++) {
            const struct conf_text *prefix = &conf->modules[i].routes[j].prefix;
            if (seen.count == CONF_ROUTES_MAX) {
                rc = bind_error(b, prefix->at, "there are more than %d routes", CONF_ROUTES_MAX);
                break;
            }
            const struct conf_text *before = bind_namesake(&seen, first, prefix);
            if (before)
                rc = bind_error(b, prefix->at, "two routes have the prefix %s, the first at %d:%d",
                                prefix->text, before->at.line, before->at.column);
        }
    spanmap_release(&seen);
    return rc;
}

/* An address, or one with the length of a prefix. */
static bool is_range(const char *text) {
    unsigned char bytes[16];
    char address[64];
    size_t len = strcspn(text, "/");
    if (len >= sizeof address)
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    bool v4 = inet_pton(AF_INET, address, bytes) == 1;
    if (!v4 && inet_pton(AF_INET6, address, bytes) != 1)
        return false;
    const char *bits = text[len] ? text + len + 1 : "0";
    size_t digits = strspn(bits, "0123456789");
    return digits > 0 && digits <= 3 && !bits[digits] && strtol(bits, NULL, 10) <= (v4 ? 32 : 128);
}

static int check_gateway(struct binder *b, const struct conf_gateway *g) {
    if (!g->tls_cert != !g->tls_key)
        return bind_error(b, g->at, "'gateway.tls' needs both cert and key");
    for (size_t i = 0; i < g->trusted.count; i++)
        if (!is_range(g->trusted.items[i].text))
            return bind_error(b, g->trusted.items[i].at,
                              "'trusted' must name addresses or ranges, as 10.0.0.0/8, not '%.60s'",
                              g->trusted.items[i].text);
    return 0;
}

int bind_check_routes(struct binder *b, struct conf *conf) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < conf->module_count; i++)
        rc = check_module(b, &conf->modules[i]);
    if (rc == 0)
        rc = check_prefixes(b, conf);
    return rc < 0 || conf->gateway.at.line == 0 ? rc : check_gateway(b, &conf->gateway);
}

#include "http/guard.h"

#include "base/mem.h"
#include "http/openssl.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

const char *http_role_name(enum http_role role) {
    static const char *const names[] = {"anyone", "evaluate", "edge", "viewer", "operator"};
    return names[role];
}

bool http_role_covers(enum http_role has, enum http_role wanted) {
    return wanted == HTTP_ANYONE || has == wanted || has == HTTP_OPERATOR;
}

bool http_is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return v6.sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

static void digest_of(const struct http_guard *g, struct span text,
                      unsigned char out[HTTP_DIGEST]) {
    unsigned int len = 0;
    /* Fails only where OpenSSL has no SHA-256, and then no token may fit. */
    if (!g->sha256 || !EVP_Digest(text.ptr, text.len, out, &len, g->sha256, NULL) ||
        len != HTTP_DIGEST)
        abort();
}

/* ---- configuration ---- */

static int check_reach(const struct http_guard *g, bool loopback, struct err *err) {
    const struct http_listener *c = g->config;
    if ((c->tls_cert == NULL) != (c->tls_key == NULL))
        return err_set(err, ERR_CONF,
                       "tls has a certificate without a key, or the reverse: set "
                       "tls.cert and tls.key");
    if (c->tls_client_ca && !c->tls_cert)
        return err_set(err, ERR_CONF,
                       "tls.client_ca without a certificate: set tls.cert and tls.key");
    if (loopback || c->insecure)
        return 0;
    if (!g->tokens || !g->tls)
        return err_set(err, ERR_CONF,
                       "%s: %s can be reached from other machines: set %s%s%s, or listen on "
                       "127.0.0.1, or set insecure: true",
                       c->key, c->address, g->tokens ? "" : "tokens",
                       g->tokens || g->tls ? "" : " and ", g->tls ? "" : "tls.cert and tls.key");
    const char *const all[] = {c->token_viewer, c->token_operator, c->token_evaluate,
                               c->token_edge};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] && strlen(all[i]) < HTTP_TOKEN_MIN)
            return err_set(err, ERR_CONF, "tokens: a token is shorter than %d characters",
                           HTTP_TOKEN_MIN);
    }
    return 0;
}

static int add_token(struct http_guard *g, enum http_role role, const char *token,
                     struct err *err) {
    if (!token)
        return 0;
    if (!*token)
        return err_set(err, ERR_CONF, "tokens.%s is empty: give it a value or leave it out",
                       http_role_name(role));
    digest_of(g, span_of(token), g->digest[role]);
    for (int other = HTTP_EVALUATE; other <= HTTP_OPERATOR; other++) {
        if (g->has[other] && memcmp(g->digest[other], g->digest[role], HTTP_DIGEST) == 0)
            return err_set(err, ERR_CONF, "tokens.%s and tokens.%s are the same: a token is a role",
                           http_role_name((enum http_role)other), http_role_name(role));
    }
    g->has[role] = g->tokens = true;
    return 0;
}

int http_guard_init(struct http_guard *g, const struct http_listener *config,
                    const struct sockaddr *address, struct err *err) {
    *g = (struct http_guard){.config = config, .tls = config->tls_cert && config->tls_key};
    pthread_mutex_init(&g->lock, NULL);
    g->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL); /* once: EVP_sha256() is looked up each time */
    const char *colon = strrchr(config->address, ':');
    (void)snprintf(g->listen_host, sizeof g->listen_host, "%.*s",
                   (int)(colon ? colon - config->address : 0), config->address);
    int rc = add_token(g, HTTP_VIEWER, config->token_viewer, err);
    if (rc == 0)
        rc = add_token(g, HTTP_OPERATOR, config->token_operator, err);
    if (rc == 0)
        rc = add_token(g, HTTP_EVALUATE, config->token_evaluate, err);
    if (rc == 0)
        rc = add_token(g, HTTP_EDGE, config->token_edge, err);
    if (rc == 0 && g->tokens && !http_ticket_key_init(&g->ticket_key))
        rc = err_set(err, ERR_INTERNAL, "the system gives no random number");
    return rc == 0 ? check_reach(g, http_is_loopback(address), err) : rc;
}

void http_guard_set_port(struct http_guard *g, unsigned port) {
    (void)snprintf(g->cookie, sizeof g->cookie, "banyan_%u", port);
}

void http_guard_release(struct http_guard *g) {
    if (!g->config)
        return;
    free(g->sessions);
    EVP_MD_free(g->sha256);
    g->sessions = NULL;
    g->sha256 = NULL;
    pthread_mutex_destroy(&g->lock);
    g->config = NULL;
}

/* ---- where a request comes from ---- */

/* Without its port; an IPv6 address keeps its brackets. */
static struct span host_name(struct span host) {
    const char *bracket = host.len ? memchr(host.ptr, ']', host.len) : NULL;
    const char *from = bracket ? bracket : host.ptr;
    const char *colon = memchr(from, ':', host.len - (size_t)(from - host.ptr));
    return colon ? span_make(host.ptr, (size_t)(colon - host.ptr)) : host;
}

static bool is_local_address(struct span name, int fd) {
    struct sockaddr_storage local;
    socklen_t len = sizeof local;
    char text[INET6_ADDRSTRLEN + 2] = "";
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&local, &len) < 0)
        return false;
    if (local.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &local, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    } else if (local.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &local, sizeof v6);
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        char plain[INET6_ADDRSTRLEN] = "";
        if (mapped)
            inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, plain, sizeof plain);
        else
            inet_ntop(AF_INET6, &v6.sin6_addr, plain, sizeof plain);
        (void)snprintf(text, sizeof text, mapped ? "%s" : "[%s]", plain);
    }
    return *text && http_same_text(name, span_of(text));
}

static bool is_known_host(const struct http_guard *g, struct span host, int fd) {
    static const char *const own[] = {"localhost", "127.0.0.1", "[::1]"};
    struct span name = host_name(host);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (http_same_text(name, span_of(own[i])))
            return true;
    }
    for (size_t i = 0; i < g->config->host_count; i++) {
        struct span known = span_of(g->config->hosts[i]);
        if (http_same_text(name, known) || http_same_text(host, known))
            return true;
    }
    if (name.len && http_same_text(name, span_of(g->listen_host)))
        return true;
    return is_local_address(name, fd);
}

/* The page's own origin: the name in Host, and https where we speak it. */
static bool is_own_origin(const struct http_guard *g, struct span origin, struct span host) {
    static const struct span schemes[] = {SPAN_LIT("https://"), SPAN_LIT("http://")};
    for (size_t i = 0; i < (g->tls ? 1 : 2); i++) {
        struct span s = schemes[i];
        if (origin.len > s.len && memcmp(origin.ptr, s.ptr, s.len) == 0 &&
            http_same_text(span_make(origin.ptr + s.len, origin.len - s.len), host))
            return true;
    }
    return false;
}

static bool is_listed_origin(const struct http_guard *g, struct span origin) {
    for (size_t i = 0; i < g->config->origin_count; i++) {
        if (span_is(origin, g->config->origins[i]) || strcmp(g->config->origins[i], "*") == 0)
            return true;
    }
    return false;
}

static bool is_reading(const struct http_head *head) {
    return head->method == HTTP_GET || head->method == HTTP_HEAD;
}

static bool is_allowed_site(const struct http_guard *g, const struct http_head *head,
                            const struct http_match *match, struct span host,
                            struct http_asker *asker) {
    struct span origin = http_head_field(head, "origin");
    struct span site = http_head_field(head, "sec-fetch-site");
    bool foreign = origin.ptr && !is_own_origin(g, origin, host);
    if (origin.ptr && match->cors && is_listed_origin(g, origin)) {
        asker->cors_origin = origin;
        return true;
    }
    if (!origin.ptr && site.ptr && !span_is(site, "same-origin") && !span_is(site, "none"))
        /* A link from elsewhere may open the page, which anybody may read. */
        return is_reading(head) && (!match->route || match->route->role == HTTP_ANYONE);
    return !foreign;
}

/* ---- who ---- */

enum http_role http_guard_token(const struct http_guard *g, struct span token) {
    unsigned char digest[HTTP_DIGEST];
    enum http_role found = HTTP_ANYONE;
    digest_of(g, token, digest);
    for (int role = HTTP_EVALUATE; role <= HTTP_OPERATOR; role++) {
        if (g->has[role] && CRYPTO_memcmp(g->digest[role], digest, HTTP_DIGEST) == 0)
            found = (enum http_role)role;
    }
    return found;
}

static struct span cookie_value(const struct http_guard *g, struct span cookies) {
    struct span name = span_of(g->cookie);
    while (cookies.len) {
        const char *end = memchr(cookies.ptr, ';', cookies.len);
        struct span one = span_make(cookies.ptr, end ? (size_t)(end - cookies.ptr) : cookies.len);
        cookies = span_make(one.ptr + one.len, cookies.len - one.len);
        while (cookies.len && (*cookies.ptr == ';' || *cookies.ptr == ' '))
            cookies = span_make(cookies.ptr + 1, cookies.len - 1);
        if (one.len > name.len && one.ptr[name.len] == '=' &&
            memcmp(one.ptr, name.ptr, name.len) == 0)
            return span_make(one.ptr + name.len + 1, one.len - name.len - 1);
    }
    return (struct span){0};
}

/* With the lock. Digests are found by plain comparison: nobody can choose one. */
static struct http_session *find_session(struct http_guard *g, struct span cookies) {
    struct span value = cookie_value(g, cookies);
    unsigned char digest[HTTP_DIGEST];
    if (!g->sessions || value.len != HTTP_SESSION_TEXT)
        return NULL;
    digest_of(g, value, digest);
    for (size_t i = 0; i < HTTP_SESSIONS_MAX; i++) {
        struct http_session *s = &g->sessions[i];
        if (s->until_us && memcmp(s->digest, digest, HTTP_DIGEST) == 0)
            return s;
    }
    return NULL;
}

static enum http_role session_role(struct http_guard *g, struct span cookies, int64_t now_us) {
    enum http_role role = HTTP_ANYONE;
    pthread_mutex_lock(&g->lock);
    struct http_session *s = find_session(g, cookies);
    if (s && s->until_us > now_us)
        role = s->role;
    pthread_mutex_unlock(&g->lock);
    return role;
}

bool http_guard_login(struct http_guard *g, enum http_role role, int64_t now_us,
                      char text[HTTP_SESSION_TEXT + 1]) {
    unsigned char random[HTTP_SESSION_TEXT / 2];
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", random[i]);
    pthread_mutex_lock(&g->lock);
    if (!g->sessions)
        g->sessions = mem_zalloc(HTTP_SESSIONS_MAX, sizeof *g->sessions);
    struct http_session *oldest = g->sessions;
    for (size_t i = 1; i < HTTP_SESSIONS_MAX; i++) {
        if (g->sessions[i].until_us < oldest->until_us)
            oldest = &g->sessions[i];
    }
    *oldest = (struct http_session){.role = role, .until_us = now_us + HTTP_SESSION_US};
    digest_of(g, span_make(text, HTTP_SESSION_TEXT), oldest->digest);
    pthread_mutex_unlock(&g->lock);
    return true;
}

void http_guard_logout(struct http_guard *g, struct span cookies) {
    pthread_mutex_lock(&g->lock);
    struct http_session *s = find_session(g, cookies);
    if (s)
        *s = (struct http_session){0};
    pthread_mutex_unlock(&g->lock);
}

/* The token of a request; ptr NULL: it has none. */
static struct span token_of(const struct http_head *head) {
    struct span key = http_head_field(head, "x-api-key");
    struct span bearer = http_head_field(head, "authorization");
    if (!bearer.ptr)
        return key;
    if (bearer.len <= 7 || !http_same_text(span_make(bearer.ptr, 7), SPAN_LIT("bearer ")))
        return SPAN_LIT("");
    return span_make(bearer.ptr + 7, bearer.len - 7);
}

/* The ticket of a request; ptr NULL: it has none, or this is no route for one. */
static struct span ticket_of(const struct http_head *head, const struct http_route *route) {
    struct span query = span_make(head->base + head->query.at, head->query.len);
    if (!(route->flags & HTTP_TICKET))
        return (struct span){0};
    return http_query_find(query, SPAN_LIT("ticket"));
}

static int refuse(struct http_refusal *r, int status, const char *code, const char *message,
                  const char *way_out) {
    *r = (struct http_refusal){status, code, message, way_out};
    return status;
}

static int check_ticket(const struct http_guard *g, struct span ticket,
                        const struct http_route *route, int64_t now_us, struct http_asker *asker,
                        struct http_refusal *why) {
    if (!http_ticket_is_good(&g->ticket_key, route->path, ticket, now_us))
        return refuse(why, 401, "unauthorized", "the ticket is not known, or has run out",
                      "take the address from the answer that gave it, anew");
    asker->role = HTTP_EVALUATE;
    asker->who = http_role_name(HTTP_EVALUATE);
    return 0;
}

/* *ret_cookie: known by a cookie, which browsers send by themselves. */
static int find_asker(struct http_guard *g, const struct http_head *head,
                      const struct http_route *route, int64_t now_us, struct http_asker *asker,
                      bool *ret_cookie, struct http_refusal *why) {
    *ret_cookie = false;
    if (!g->tokens) {
        asker->role = HTTP_OPERATOR;
        asker->who = "local";
        return 0;
    }
    struct span token = token_of(head);
    if (token.ptr) {
        asker->role = http_guard_token(g, token);
        asker->who = http_role_name(asker->role);
        return asker->role != HTTP_ANYONE
                   ? 0
                   : refuse(why, 401, "unauthorized", "the token is not known",
                            "send a token of the configuration in Authorization: Bearer");
    }
    struct span ticket = ticket_of(head, route);
    if (ticket.ptr)
        return check_ticket(g, ticket, route, now_us, asker, why);
    struct span cookies = http_head_field(head, "cookie");
    asker->role = cookies.ptr ? session_role(g, cookies, now_us) : HTTP_ANYONE;
    asker->who = http_role_name(asker->role);
    *ret_cookie = asker->role != HTTP_ANYONE;
    return 0;
}

int http_guard_check(struct http_guard *g, const struct http_head *head,
                     const struct http_match *match, int fd, int64_t now_us,
                     struct http_asker *asker, struct http_refusal *why) {
    struct span host = http_head_field(head, "host");
    bool by_cookie;
    *asker = (struct http_asker){.who = "anyone"};
    if (!host.ptr || !is_known_host(g, host, fd))
        return refuse(why, 421, "unknown_host", "this server has no such name",
                      "add the name to hosts in the configuration");
    if (!is_allowed_site(g, head, match, host, asker))
        return refuse(why, 403, "cross_site", "requests from other sites are refused",
                      "open the page of this server itself");
    if (!match->route)
        return 0; /* 404 and 405 tell nothing that the documentation does not */
    int rc = find_asker(g, head, match->route, now_us, asker, &by_cookie, why);
    if (rc)
        return rc;
    bool own_page = http_head_field(head, "x-banyan-csrf").ptr &&
                    is_own_origin(g, http_head_field(head, "origin"), host);
    if (by_cookie && !is_reading(head) && !own_page)
        return refuse(why, 403, "csrf", "a change by cookie needs X-Banyan-CSRF and an own Origin",
                      "change from the page, or send a token");
    if (http_role_covers(asker->role, match->route->role))
        return 0;
    if (asker->role == HTTP_ANYONE)
        return refuse(why, 401, "unauthorized", "this needs a token",
                      "send a token in Authorization: Bearer, or log in");
    return refuse(why, 403, "forbidden", "the role of this token is not enough",
                  match->route->role == HTTP_OPERATOR ? "use the operator's token"
                                                      : "use a token of the role that this needs");
}

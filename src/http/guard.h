/*
 * Who may ask what. Private to http/.
 *
 * In this order, for every request:
 *  1. Host is a loopback name, the listen address, the address the client connected to, or one of
 *     `hosts`: else 421, on loopback too (a foreign name that resolves to us is DNS rebinding).
 *  2. A foreign Origin, or Sec-Fetch-Site other than same-origin and none, is a cross-site request:
 *     403, but for a route with HTTP_CORS and an origin of the listener's list, and for a plain
 *     navigation to what anybody may read.
 *  3. Without tokens (loopback, or insecure) everybody is an operator. With tokens:
 *     Authorization: Bearer or X-API-Key, else the ticket (http/ticket.h) of a route that takes
 *     one, else the cookie of a login. Wrong: 401. A change by cookie also needs X-Banyan-CSRF and
 *     an Origin that is ours: else 403.
 *  4. The role must be enough for the route: 401 for nobody, 403 for somebody.
 *
 * Tokens are compared by their SHA-256 in constant time. Sessions are random, kept by their SHA-256
 * in memory only, and end after HTTP_SESSION_US. Any thread.
 */
#ifndef BANYAN_HTTP_GUARD_H
#define BANYAN_HTTP_GUARD_H

#include "http/http.h"
#include "http/openssl.h"
#include "http/request.h"
#include "http/route.h"
#include "http/ticket.h"

#include <pthread.h>
#include <sys/socket.h>

#define HTTP_DIGEST 32
#define HTTP_SESSION_TEXT 64 /* hexadecimal characters of a session's cookie */

struct http_session {
    unsigned char digest[HTTP_DIGEST];
    enum http_role role;
    int64_t until_us; /* 0: free */
};

struct http_guard {
    const struct http_listener *config;
    char listen_host[256]; /* as in the configuration, without port */
    char cookie[32];       /* its name: cookies know no ports, so the port is in it */
    bool tokens;
    bool tls;
    EVP_MD *sha256;
    struct http_ticket_key ticket_key; /* if there are tokens */
    bool has[HTTP_OPERATOR + 1];       /* by role */
    unsigned char digest[HTTP_OPERATOR + 1][HTTP_DIGEST];
    pthread_mutex_t lock; /* of what follows */
    struct http_session *sessions;
};

/* Checks that the listener may be reached from where it listens: ERR_CONF naming the keys. */
int http_guard_init(struct http_guard *g, const struct http_listener *config,
                    const struct sockaddr *address, struct err *err) must_check;
void http_guard_set_port(struct http_guard *g, unsigned port);
void http_guard_release(struct http_guard *g);

struct http_asker {
    enum http_role role;
    const char *who;
    struct span cors_origin; /* to be allowed in the answer; ptr NULL: none */
};

struct http_refusal {
    int status;
    const char *code, *message, *way_out;
};

/* 0, or the status (also in *why). The address that the client reached by `fd` (-1: none)
 * is asked for only where Host is none of the known names. */
int http_guard_check(struct http_guard *g, const struct http_head *head,
                     const struct http_match *match, int fd, int64_t now_us,
                     struct http_asker *asker, struct http_refusal *why) must_check;

/* The role of a token; HTTP_ANYONE: none has it. */
enum http_role http_guard_token(const struct http_guard *g, struct span token);

/* A new session; its text goes into the cookie. False: no random bytes. */
bool http_guard_login(struct http_guard *g, enum http_role role, int64_t now_us,
                      char text[HTTP_SESSION_TEXT + 1]) must_check;
void http_guard_logout(struct http_guard *g, struct span cookies);

bool http_role_covers(enum http_role has, enum http_role wanted);
bool http_is_loopback(const struct sockaddr *address);

#endif

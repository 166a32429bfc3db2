/*
 * Connection strings without their secrets.
 *
 * What is known to be harmless is shown, everything else is "***": a misspelt "pasword=", a
 * password with an unescaped "/" or "@", a quote that does not end, must not show. So this file
 * lists parameters that may be shown and shapes that are understood; it lists no secrets.
 */
#include "conf/conf.h"

#include "base/mem.h"
#include "base/span.h"

#include <strings.h>

#define HIDDEN "***"

/* libpq: PostgreSQL 15 docs, 34.1.2, without password, sslpassword, passfile and options. */
static const char *const libpq_shown[] = {"host",
                                          "hostaddr",
                                          "port",
                                          "dbname",
                                          "user",
                                          "require_auth",
                                          "channel_binding",
                                          "connect_timeout",
                                          "client_encoding",
                                          "application_name",
                                          "fallback_application_name",
                                          "keepalives",
                                          "keepalives_idle",
                                          "keepalives_interval",
                                          "keepalives_count",
                                          "tcp_user_timeout",
                                          "replication",
                                          "gssencmode",
                                          "sslmode",
                                          "requiressl",
                                          "sslcompression",
                                          "sslcert",
                                          "sslkey",
                                          "sslrootcert",
                                          "sslcrl",
                                          "sslcrldir",
                                          "sslsni",
                                          "requirepeer",
                                          "ssl_min_protocol_version",
                                          "ssl_max_protocol_version",
                                          "krbsrvname",
                                          "gsslib",
                                          "service",
                                          "target_session_attrs",
                                          "load_balance_hosts",
                                          NULL};

/* MongoDB: "Connection String Options" of the manual, without passwords and
 * authMechanismProperties (it may hold AWS_SESSION_TOKEN). */
static const char *const mongodb_shown[] = {"replicaSet",
                                            "tls",
                                            "ssl",
                                            "tlsCertificateKeyFile",
                                            "tlsCAFile",
                                            "tlsAllowInvalidCertificates",
                                            "tlsAllowInvalidHostnames",
                                            "tlsInsecure",
                                            "tlsDisableOCSPEndpointCheck",
                                            "tlsDisableCertificateRevocationCheck",
                                            "sslClientCertificateKeyFile",
                                            "sslCertificateAuthorityFile",
                                            "sslAllowInvalidCertificates",
                                            "sslAllowInvalidHostnames",
                                            "connectTimeoutMS",
                                            "socketTimeoutMS",
                                            "socketCheckIntervalMS",
                                            "compressors",
                                            "zlibCompressionLevel",
                                            "maxPoolSize",
                                            "minPoolSize",
                                            "maxIdleTimeMS",
                                            "maxConnecting",
                                            "waitQueueMultiple",
                                            "waitQueueTimeoutMS",
                                            "w",
                                            "wtimeoutMS",
                                            "journal",
                                            "readConcernLevel",
                                            "readPreference",
                                            "maxStalenessSeconds",
                                            "readPreferenceTags",
                                            "authSource",
                                            "authMechanism",
                                            "gssapiServiceName",
                                            "localThresholdMS",
                                            "serverSelectionTimeoutMS",
                                            "serverSelectionTryOnce",
                                            "heartbeatFrequencyMS",
                                            "appName",
                                            "retryReads",
                                            "retryWrites",
                                            "directConnection",
                                            "loadBalanced",
                                            "srvServiceName",
                                            "srvMaxHosts",
                                            "uuidRepresentation",
                                            NULL};

static bool is_listed(const char *const *list, struct span name) {
    for (; *list; list++)
        if (strlen(*list) == name.len && strncasecmp(*list, name.ptr, name.len) == 0)
            return true;
    return false;
}

static bool is_shown(struct span name) {
    return is_listed(libpq_shown, name) || is_listed(mongodb_shown, name);
}

/* Parameters whose name alone is shown. */
static bool is_secret(struct span name) {
    static const char *const secrets[] = {"password", "sslpassword",
                                          "tlsCertificateKeyFilePassword",
                                          "authMechanismProperties", NULL};
    return is_listed(secrets, name);
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_-./:,+[]%*", c)) || (unsigned char)c >= 0x80;
}

/* Whether the percent-encoded character stands at `i`. */
static bool has_code(struct span s, size_t i, const char *code) {
    return s.len - i >= 3 && strncasecmp(s.ptr + i, code, 3) == 0;
}

/* A value that cannot hide another parameter: a "=", "@" or space in it, percent-encoded or not,
 * means that two were run together. */
static bool is_plain_value(struct span s) {
    for (size_t i = 0; i < s.len; i++)
        if (!is_plain(s.ptr[i]) || has_code(s, i, "%3d") || has_code(s, i, "%20") ||
            has_code(s, i, "%40") || has_code(s, i, "%26"))
            return false;
    return true;
}

/* The same for a host or a database, where a colon means that a password is near. */
static bool has_colon(struct span s, const char *colon) {
    for (size_t i = 0; i < s.len; i++)
        if (has_code(s, i, "%3a") || (colon && s.ptr[i] == *colon))
            return true;
    return false;
}

static size_t index_of(struct span s, char c) {
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

static struct span skip(struct span s, size_t n) {
    return span_make(s.ptr + n, s.len - n);
}

/* --- URIs -------------------------------------------------------------------------------- */

static void redact_parameter(struct span p, struct buf *out) {
    size_t eq = index_of(p, '=');
    struct span name = span_make(p.ptr, eq);
    if (eq == p.len || !is_shown(name)) {
        /* The name of an unknown parameter may be half a password. */
        if (eq < p.len && is_secret(name)) {
            buf_add_span(out, name);
            buf_add_char(out, '=');
        }
        buf_add_text(out, HIDDEN);
        return;
    }
    buf_add_span(out, name);
    buf_add_char(out, '=');
    struct span value = skip(p, eq + 1);
    if (is_plain_value(value))
        buf_add_span(out, value);
    else
        buf_add_text(out, HIDDEN);
}

static void redact_query(struct span query, struct buf *out) {
    for (;;) {
        size_t end = index_of(query, '&');
        redact_parameter(span_make(query.ptr, end), out);
        if (end == query.len)
            return;
        buf_add_char(out, '&');
        query = skip(query, end + 1);
    }
}

/* Length of "host", "[v6]" or "host:port" at the front of `s`; 0 if it is none of them. */
static size_t host_len(struct span s) {
    size_t i = 0;
    if (s.len && s.ptr[0] == '[') {
        i = index_of(s, ']');
        if (i == s.len || strspn(s.ptr + 1, "0123456789abcdefABCDEF:.") != i - 1)
            return 0;
        i++;
    } else {
        while (i < s.len && is_plain(s.ptr[i]) && !strchr(":/,[]*+", s.ptr[i]))
            i++;
    }
    if (i == s.len || s.ptr[i] != ':')
        return i;
    size_t digits = 0;
    while (i + 1 + digits < s.len && s.ptr[i + 1 + digits] >= '0' && s.ptr[i + 1 + digits] <= '9')
        digits++;
    return digits > 5 ? 0 : i + 1 + digits;
}

/* host[:port],... ; false: not that, and what was added must go. "user:secret" without a host looks
 * like a host with a strange port, so anything strange is a secret. */
static bool add_hosts(struct span hosts, struct buf *out) {
    buf_add_span(out, hosts);
    if (!is_plain_value(hosts) || has_colon(hosts, NULL))
        return false;
    while (hosts.len) {
        hosts = skip(hosts, host_len(hosts));
        if (hosts.len == 0)
            return true;
        if (hosts.ptr[0] != ',')
            return false;
        hosts = skip(hosts, 1);
    }
    return true;
}

/* "user" or "user:***". A percent-encoded colon would be part of the name, or a mistake. */
static void redact_userinfo(struct span info, struct buf *out) {
    size_t end = index_of(info, ':');
    for (size_t i = 0; i < end; i++)
        if (!is_plain(info.ptr[i]) || strchr("/,[]", info.ptr[i]) || has_code(info, i, "%3a"))
            end = i;
    buf_add(out, info.ptr, end);
    if (end < info.len)
        buf_add_text(out, ":" HIDDEN);
    buf_add_char(out, '@');
}

static void redact_after_scheme(struct span rest, struct buf *out) {
    /* The last @ of all: an unescaped one, or an unescaped / or ?, may be part of the password. */
    const char *at = rest.len ? memrchr(rest.ptr, '@', rest.len) : NULL;
    if (at) {
        size_t len = (size_t)(at - rest.ptr);
        if (memchr(rest.ptr, '?', len)) {
            /* A "?" in the password, or a "@" in a parameter: what stands on either side may be
             * secret. */
            buf_add_text(out, HIDDEN);
            return;
        }
        redact_userinfo(span_make(rest.ptr, len), out);
        rest = skip(rest, len + 1);
    }
    size_t query = index_of(rest, '?');
    struct span path = span_make(rest.ptr, query);
    size_t slash = index_of(path, '/');
    size_t start = out->len;
    bool understood = add_hosts(span_make(path.ptr, slash), out);
    struct span database = skip(path, slash);
    if (!understood || !is_plain_value(database) || has_colon(database, ":")) {
        if (buf_ok(out))
            out->len = start;
        buf_add_text(out, HIDDEN);
        return;
    }
    buf_add_span(out, database);
    if (query < rest.len) {
        buf_add_char(out, '?');
        redact_query(skip(rest, query + 1), out);
    }
}

/* --- key=value --------------------------------------------------------------------------- */

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Length of a value, quoted or not, as libpq reads it; 0: a quote that does not end. */
static size_t value_len(struct span s) {
    size_t i = 0;
    bool quoted = s.len && s.ptr[0] == '\'';
    if (quoted)
        i++;
    for (; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (quoted && s.ptr[i] == '\'')
            return i + 1;
        else if (!quoted && is_space(s.ptr[i]))
            return i;
    }
    return quoted ? 0 : s.len;
}

/* Adds one "name=value" and gives what is left; an empty span where the rest is hidden. */
static struct span redact_pair(struct span s, struct buf *out) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    size_t n = 0;
    while (n < s.len && strchr(letters, s.ptr[n]) && s.ptr[n])
        n++;
    struct span name = span_make(s.ptr, n);
    size_t i = n;
    while (i < s.len && is_space(s.ptr[i]))
        i++;
    bool shown = is_shown(name);
    if (i == s.len || s.ptr[i] != '=' || !(shown || is_secret(name))) {
        buf_add_text(out, HIDDEN);
        return (struct span){"", 0};
    }
    i++;
    while (i < s.len && is_space(s.ptr[i]))
        i++;
    struct span rest = skip(s, i);
    size_t len = value_len(rest);
    struct span value = span_make(rest.ptr, len);
    bool quoted = len >= 2 && value.ptr[0] == '\'';
    buf_add_span(out, name);
    buf_add_char(out, '=');
    if (shown && is_plain_value(quoted ? span_make(value.ptr + 1, len - 2) : value))
        buf_add_span(out, value);
    else
        buf_add_text(out, HIDDEN);
    /* Behind the value there must be a space, else its quotes are not what they seem. */
    bool clear = (len > 0 || rest.len == 0) && (len == rest.len || is_space(rest.ptr[len]));
    return clear ? skip(rest, len) : (struct span){"", 0};
}

static void redact_conninfo(struct span s, struct buf *out) {
    bool first = true;
    for (;;) {
        while (s.len && is_space(s.ptr[0]))
            s = skip(s, 1);
        if (s.len == 0)
            return;
        if (!first)
            buf_add_char(out, ' ');
        first = false;
        s = redact_pair(s, out);
    }
}

/* Of a hook's address only the host is known to be harmless. */
static void redact_http(const char *uri, size_t scheme, struct buf *out) {
    struct span host = span_make(uri + scheme, strcspn(uri + scheme, "/?#"));
    const char *at = memrchr(host.ptr, '@', host.len);
    bool more = uri[scheme + host.len] != '\0';
    buf_add(out, uri, scheme);
    if (at) {
        buf_add_text(out, HIDDEN "@");
        host = span_make(at + 1, host.len - (size_t)(at + 1 - host.ptr));
    }
    buf_add_span(out, host);
    if (more)
        buf_add_text(out, "/" HIDDEN);
}

void conf_redact_uri(const char *uri, struct buf *out) {
    static const char *const schemes[] = {"postgresql://",  "postgres://", "mongodb://",
                                          "mongodb+srv://", "mariadb://",  "mysql://",
                                          "redis://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(uri, schemes[i], len) == 0) {
            buf_add_text(out, schemes[i]);
            redact_after_scheme(span_of(uri + len), out);
            return;
        }
    }
    if (strncasecmp(uri, "http://", 7) == 0 || strncasecmp(uri, "https://", 8) == 0)
        redact_http(uri, uri[4] == ':' ? 7 : 8, out);
    else
        redact_conninfo(span_of(uri), out);
}

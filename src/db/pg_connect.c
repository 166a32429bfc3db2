/* Connecting: what a session must be like before anybody uses it. */
#include "db/pg_session.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define CONNECT_TIMEOUT_US 10000000
#define WAIT_MS 200
/* How long a server's machine may leave unanswered what was sent (tcp_user_timeout). It also bounds
 * how long a cancel request tries to connect, for which whoever ends a request's session waits. */
#define UNHEARD_MS "60000"
#define UNHEARD_REQUEST_MS "10000"

/* What changes the text form of a value, and what would end a session that works long. */
static const struct {
    const char *name;
    const char *value;
    int since; /* server version */
} pinned[] = {
    {"DateStyle", "ISO, YMD", 0},
    {"IntervalStyle", "postgres", 0},
    {"TimeZone", "UTC", 0},
    {"extra_float_digits", "3", 0},
    {"bytea_output", "hex", 0},
    {"lc_monetary", "C", 0},
    {"standard_conforming_strings", "on", 0},
    {"client_encoding", "UTF8", 0},
    {"row_security", "off", 0},
    {"search_path", "", 0},
    {"quote_all_identifiers", "off", 0},
    {"statement_timeout", "0", 0},
    {"lock_timeout", "0", 0},
    {"idle_in_transaction_session_timeout", "0", 0},
    {"idle_session_timeout", "0", 140000},
    {"transaction_timeout", "0", 170000},
};

/* A standby may not have yet what the log announced, and what is read there is used to write. */
static int check_primary(struct span in_recovery, struct err *err) {
    if (span_is(in_recovery, "f"))
        return 0;
    return err_set_retriable(err, ERR_UNREACHABLE,
                             "the source is a standby (it is in recovery), and Banyan reads the "
                             "primary only: correct source.uri, or add "
                             "target_session_attrs=read-write to one with several hosts");
}

/* One statement and not several: that is all that a replication session is sure to take. */
static int pin(struct pg *pg, struct err *err) {
    _cleanup_(buf_release) struct buf sql = {.max = 4096};
    _cleanup_(pg_result_freep) struct pg_result *r = NULL;
    size_t columns = 0;
    for (size_t i = 0; i < sizeof pinned / sizeof *pinned; i++)
        if (pg_server_version(pg) >= pinned[i].since)
            buf_printf(&sql, "%s pg_catalog.set_config('%s', '%s', false)",
                       columns++ ? "," : "SELECT", pinned[i].name, pinned[i].value);
    buf_add_text(&sql, ", pg_catalog.pg_is_in_recovery()");
    int rc = pg_exec(pg, buf_text(&sql), &r, err);
    return rc < 0 ? rc : check_primary(pg_value(r, 0, columns), err);
}

static void ignore_notice(void *context, const PGresult *r) {
    (void)context;
    (void)r;
}

/* ---- the URI ---- */

static bool is_port(const char *text) {
    return text[strspn(text, "0123456789,")] == '\0';
}

/* A password with unescaped characters tears a URI apart at the wrong places: what is taken for
 * the host or the port is then a piece of the password, and would show in libpq's messages. */
static bool is_torn(const PQconninfoOption *o) {
    if (!o->val)
        return false;
    if (strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0)
        return strchr(o->val, '@') && o->val[0] != '@'; /* "@name": an abstract socket */
    return strcmp(o->keyword, "port") == 0 && !is_port(o->val);
}

/* libpq's own error for a broken URI repeats it, password and all: so it is not shown. */
static int check_uri(const char *uri, struct err *err) {
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(uri, &message);
    PQfreemem(message);
    bool good = options != NULL;
    for (const PQconninfoOption *o = options; o && o->keyword; o++)
        good = good && !is_torn(o);
    PQconninfoFree(options);
    if (good)
        return 0;
    return err_set(err, ERR_CONF,
                   "source.uri is not a connection URI of libpq; it looks like "
                   "postgresql://user:password@host:port/database, where characters such as @ : / "
                   "%% in the password are written as %%40 %%3A %%2F %%25");
}

/* ---- why it failed ---- */

/* What libpq itself says of the network. The program never calls setlocale, so libpq's own texts
 * are English; those of the server may be in any language. */
static bool is_network(const char *text) {
    static const char *const texts[] = {"Connection refused",
                                        "Connection reset",
                                        "Connection timed out",
                                        "No route to host",
                                        "No such file or directory",
                                        "Network is unreachable",
                                        "could not receive data",
                                        "could not send",
                                        "could not translate host name",
                                        "server closed the connection unexpectedly",
                                        "timeout expired",
                                        "SSL SYSCALL error",
                                        "unexpected eof"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strstr(text, texts[i]))
            return true;
    return false;
}

/* "...FATAL:  28P01: text" -> "28P01", and the text without it. */
static bool take_sqlstate(char *text, char state[6]) {
    for (char *p = strstr(text, ":  "); p; p = strstr(p + 1, ":  ")) {
        size_t n = strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (n != 5 || strncmp(p + 8, ": ", 2) != 0)
            continue;
        memcpy(state, p + 3, 5);
        state[5] = '\0';
        memmove(p + 2, p + 9, strlen(p + 9) + 1);
        return true;
    }
    return false;
}

static bool keeps_us_out(const char *state) {
    return strncmp(state, "28", 2) == 0 || strcmp(state, "3D000") == 0 ||
           strcmp(state, "42501") == 0;
}

static int connect_error(const PGconn *conn, struct err *err) {
    char text[ERR_TEXT_MAX / 2], state[6];
    if (conn && PQstatus(conn) != CONNECTION_BAD) /* it is still at it */
        return err_set_retriable(err, ERR_UNREACHABLE,
                                 "cannot connect to the source: no connection in time");
    pg_one_line(PQerrorMessage(conn), text, sizeof text);
    char *location = strstr(text, " LOCATION:");
    if (location)
        *location = '\0';
    if (take_sqlstate(text, state)) {
        if (pg_state_passes(state))
            return err_set_retriable(err, ERR_UNREACHABLE,
                                     "cannot connect to the source: %s (SQLSTATE %s)", text, state);
        return err_set(err, keeps_us_out(state) ? ERR_ACCESS : ERR_UNREACHABLE,
                       "cannot connect to the source: %s (SQLSTATE %s)", text, state);
    }
    if (is_network(text))
        return err_set_retriable(err, ERR_UNREACHABLE, "cannot connect to the source: %s", text);
    /* libpq gave up by itself: no password, certificates that do not fit, unknown settings */
    return err_set(err, ERR_ACCESS, "cannot connect to the source: %s", text);
}

/* ---- connecting ---- */

struct settings {
    const char *keys[12];
    const char *values[12];
};
enum { SETTING_HOST = 8, SETTING_PORT }; /* NULL: the URI's */

/* Behind `dbname`, which the URI expands, later keywords win; those before it are defaults. */
static void choose(struct settings *s, const char *uri, enum pg_mode mode, const char *app,
                   const char *unheard_ms) {
    *s = (struct settings){{"connect_timeout", "keepalives_idle", "keepalives_interval",
                            "keepalives_count", "tcp_user_timeout", "dbname", "application_name",
                            "replication", "host", "port", NULL},
                           {"10", "30", "10", "3", unheard_ms, uri, app,
                            mode == PG_REPLICATION ? "database" : NULL, NULL, NULL, NULL}};
}

/* Like PQconnectdbParams for one attempt, but the server's errors come with their SQLSTATE, which
 * tells in any language what they are. */
static PGconn *connect_once(const struct settings *s, int64_t until) {
    PGconn *conn = PQconnectStartParams(s->keys, s->values, 1);
    if (!conn || PQstatus(conn) == CONNECTION_BAD)
        return conn;
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
        struct pollfd p = {.fd = PQsocket(conn),
                           .events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int64_t left = (until - clock_mono_us() + 999) / 1000;
        int n = poll(&p, 1, left < 0 ? 0 : left < WAIT_MS ? (int)left : WAIT_MS);
        if (stop_forced() || clock_mono_us() > until || (n < 0 && errno != EINTR))
            break;
        if (n > 0)
            next = PQconnectPoll(conn);
    }
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    return conn;
}

static bool is_connected(const PGconn *conn) {
    return conn && PQstatus(conn) == CONNECTION_OK;
}

/* Whether other hosts need not be asked: as libpq, which asks none where one has refused us. */
static bool is_settled(const PGconn *conn) {
    char text[ERR_TEXT_MAX / 2], state[6];
    if (!conn || is_connected(conn))
        return conn != NULL;
    pg_one_line(PQerrorMessage(conn), text, sizeof text);
    return take_sqlstate(text, state) && keeps_us_out(state);
}

/* Lists with commas, as libpq has them. */
struct hosts {
    char *names, *ports;
    size_t count, port_count;
};

static void hosts_release(struct hosts *h) {
    free(h->names);
    free(h->ports);
}

static size_t count_of(const char *list) {
    size_t n = list ? 1 : 0;
    for (const char *p = list; p && *p; p++)
        n += *p == ',';
    return n;
}

/* Several that all have names; else 0: addresses (hostaddr), defaults and mistakes are libpq's. */
static struct hosts hosts_of(const char *uri) {
    struct hosts h = {0};
    PQconninfoOption *options = PQconninfoParse(uri, NULL);
    bool plain = true;
    for (const PQconninfoOption *o = options; o && o->keyword; o++) {
        if (o->val && strcmp(o->keyword, "host") == 0)
            h.names = mem_strdup(o->val);
        else if (o->val && strcmp(o->keyword, "port") == 0)
            h.ports = mem_strdup(o->val);
        else if (o->val && strcmp(o->keyword, "hostaddr") == 0)
            plain = false;
    }
    PQconninfoFree(options);
    h.count = count_of(h.names);
    h.port_count = count_of(h.ports);
    _cleanup_(mem_freep) char *closed = mem_printf(",%s,", h.names ? h.names : "");
    if (!plain || h.count < 2 || strstr(closed, ",,") ||
        (h.port_count > 1 && h.port_count != h.count))
        h.count = 0;
    return h;
}

/* Each host gets its share of the time: PQconnectPoll goes on with the next host where one refuses,
 * but waits for one that is silent for ever. */
static PGconn *connect_verbosely(const char *uri, struct settings *s, int64_t until) {
    _cleanup_(hosts_release) struct hosts h = hosts_of(uri);
    char *names = h.names, *ports = h.ports;
    if (h.count == 0)
        return connect_once(s, until);
    PGconn *conn = NULL;
    for (size_t left = h.count; left > 0 && !is_settled(conn); left--) {
        int64_t now = clock_mono_us();
        PQfinish(conn);
        s->values[SETTING_HOST] = strsep(&names, ",");
        if (h.port_count > 1) {
            const char *port = strsep(&ports, ",");
            s->values[SETTING_PORT] = port[0] ? port : "5432";
        }
        conn = connect_once(s, now + (until - now) / (int64_t)left);
    }
    return conn;
}

/* Takes the connection; until_us as in struct pg. */
static int begin_session(PGconn *conn, int64_t until_us, struct pg **ret_pg, struct err *err) {
    _cleanup_(pg_freep) struct pg *pg = mem_zalloc(1, sizeof *pg);
    pg->conn = conn;
    pg->until_us = until_us;
    if (!is_connected(conn))
        return connect_error(conn, err);
    PQsetNoticeReceiver(conn, ignore_notice, NULL);
    int rc = pin(pg, err);
    if (rc < 0)
        return rc;
    *ret_pg = pg;
    pg = NULL;
    return 0;
}

int pg_connect(const char *uri, enum pg_mode mode, const char *app, struct pg **ret_pg,
               struct err *err) {
    struct settings settings;
    int rc = check_uri(uri, err);
    if (rc < 0)
        return rc;
    choose(&settings, uri, mode, app, UNHEARD_MS);
    PGconn *conn = PQconnectdbParams(settings.keys, settings.values, 1);
    if (!is_connected(conn) && !is_network(PQerrorMessage(conn))) {
        PQfinish(conn);
        conn = connect_verbosely(uri, &settings, clock_mono_us() + CONNECT_TIMEOUT_US);
    }
    return begin_session(conn, 0, ret_pg, err);
}

int pg_open(const char *uri, const char *app, int64_t until_us, struct pg **ret_pg,
            struct err *err) {
    struct settings settings;
    int rc = check_uri(uri, err);
    if (rc < 0)
        return rc;
    choose(&settings, uri, PG_SQL, app, UNHEARD_REQUEST_MS);
    return begin_session(connect_verbosely(uri, &settings, until_us), until_us, ret_pg, err);
}

#include "source/repl.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "db/pg_session.h"

#include <errno.h>
#include <poll.h>

/* How long the server may take to end a stream that we ended. */
#define STOP_WAIT_US 5000000

/* A TLS record may have been read from the socket but for a part that the TLS library still
 * holds; poll cannot see that part, so it must not be trusted for long. */
#define WAIT_STEP_ENCRYPTED_MS 20

struct repl {
    struct pg *pg;
    char *buffer; /* what repl_receive handed out last; libpq's memory */
    bool streaming;
    bool encrypted;
};

int repl_open(const char *uri, const char *app, struct repl **ret_repl, struct err *err) {
    struct pg *pg = NULL;
    int rc = pg_connect(uri, PG_REPLICATION, app, &pg, err);
    if (rc < 0)
        return rc;
    struct repl *r = mem_zalloc(1, sizeof *r);
    r->pg = pg;
    r->encrypted = PQsslInUse(pg_conn(pg)) || PQgssEncInUse(pg_conn(pg));
    *ret_repl = r;
    return 0;
}

void repl_free(struct repl *r) {
    if (!r)
        return;
    PQfreemem(r->buffer);
    pg_free(r->pg);
    free(r);
}

struct pg *repl_session(struct repl *r) {
    return r->pg;
}

static int bad_answer(const char *command, struct err *err) {
    return err_set(err, ERR_WIRE, "the source answered %s with something else", command);
}

static bool read_number(struct span s, uint64_t max, uint64_t *ret) {
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        unsigned digit = (unsigned)(s.ptr[i] - '0');
        if (n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *ret = n;
    return s.len > 0;
}

int repl_identify(struct repl *r, struct repl_identity *ret, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *result = NULL;
    int rc = pg_exec(r->pg, "IDENTIFY_SYSTEM", &result, err);
    if (rc < 0)
        return rc;
    if (pg_rows(result) != 1)
        return bad_answer("IDENTIFY_SYSTEM", err);
    struct repl_identity id = {0};
    struct span system = pg_value(result, 0, 0);
    uint64_t ignored, timeline;
    if (system.len >= sizeof id.system_id || !read_number(system, UINT64_MAX, &ignored) ||
        !read_number(pg_value(result, 0, 1), UINT32_MAX, &timeline) ||
        !lsn_parse(pg_value(result, 0, 2), &id.flush_lsn))
        return bad_answer("IDENTIFY_SYSTEM", err);
    memcpy(id.system_id, system.ptr, system.len);
    id.timeline = (uint32_t)timeline;
    *ret = id;
    return 0;
}

int repl_timeline_history(struct repl *r, uint32_t timeline, struct buf *out, struct err *err) {
    _cleanup_(pg_result_freep) struct pg_result *result = NULL;
    char command[64];
    (void)snprintf(command, sizeof command, "TIMELINE_HISTORY %lu", (unsigned long)timeline);
    int rc = pg_exec(r->pg, command, &result, err);
    if (rc < 0)
        return rc;
    if (pg_rows(result) != 1)
        return bad_answer("TIMELINE_HISTORY", err);
    buf_add_span(out, pg_value(result, 0, 1));
    return buf_ok(out) ? 0 : bad_answer("TIMELINE_HISTORY", err);
}

/* ---- stream ---- */

/* Replication commands know no E'' strings; a backslash is itself in them, always. */
static void add_option(struct buf *sql, const char *name, struct span value) {
    buf_printf(sql, "%s '", name);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\'')
            buf_add_char(sql, '\'');
        buf_add_char(sql, value.ptr[i]);
    }
    buf_add_char(sql, '\'');
}

/* A slot that is still held by a connection that is gone is let go within wal_sender_timeout; one
 * that is lost stays lost. */
static int start_failed(const struct repl *r, const char *slot, struct err *err) {
    const char *state = pg_sqlstate(r->pg);
    if (!err)
        return ERR_UNREACHABLE;
    if (strcmp(state, "55006") == 0)
        err->retriable = true;
    if (strcmp(state, "42704") == 0 || strcmp(state, "55000") == 0) {
        struct err answer = *err;
        return err_set(
            err, ERR_STATE,
            "replication slot %s is gone or was invalidated, so changes are lost: %.512s; "
            "run again with --recopy all, which makes a new slot and copies every "
            "collection again",
            slot, answer.text);
    }
    return err_prefix(err, "start replication from slot %s", slot);
}

int repl_start(struct repl *r, const char *slot, const char *publication, lsn_t from,
               struct err *err) {
    _cleanup_(buf_release) struct buf names = {.max = 256};
    pg_add_ident(&names, publication);
    _cleanup_(buf_release) struct buf sql = {.max = 1024};
    buf_add_text(&sql, "START_REPLICATION SLOT ");
    pg_add_ident(&sql, slot);
    buf_printf(&sql, " LOGICAL %s (", lsn_format(from).text);
    add_option(&sql, "proto_version", SPAN_LIT("1"));
    buf_add_text(&sql, ", ");
    add_option(&sql, "publication_names", buf_span(&names));
    if (pg_server_version(r->pg) >= 140000) {
        buf_add_text(&sql, ", ");
        add_option(&sql, "messages", SPAN_LIT("true"));
    }
    buf_add_char(&sql, ')');
    if (!buf_ok(&names) || !buf_ok(&sql))
        return err_set(err, ERR_CONF, "publication name \"%.80s\" is too long", publication);
    int rc = pg_exec(r->pg, buf_text(&sql), NULL, err);
    if (rc == ERR_UNREACHABLE || rc == ERR_ACCESS)
        return start_failed(r, slot, err);
    r->streaming = rc == 0;
    return rc;
}

static int parse_message(struct span bytes, struct repl_message *ret, struct err *err) {
    struct cursor in = cursor_over(bytes);
    struct repl_message m = {0};
    uint8_t kind = cursor_u8(&in);
    switch (kind) {
    case 'w':
        m.event = REPL_DATA;
        m.wal_start = cursor_u64(&in);
        m.wal_end = cursor_u64(&in);
        (void)cursor_u64(&in); /* when it was sent */
        m.payload = cursor_take(&in, cursor_left(&in));
        break;
    case 'k':
        m.event = REPL_KEEPALIVE;
        m.wal_end = cursor_u64(&in);
        (void)cursor_u64(&in);
        m.reply_requested = cursor_u8(&in) != 0;
        break;
    default:
        return err_set(err, ERR_WIRE, "unknown replication message 0x%02x from the source", kind);
    }
    if (!cursor_done(&in))
        return err_set(err, ERR_WIRE, "bad replication message '%c' of %zu bytes from the source",
                       kind, bytes.len);
    *ret = m;
    return 0;
}

/* The server cannot go on from here, now or later: a lost slot, or a log that it cannot decode. */
static int stream_failed(int rc, struct err *err) {
    if (!err || err->retriable)
        return rc;
    struct err answer = *err;
    return err_set(
        err, ERR_STATE,
        "the log cannot be read on from here: %.512s; run again with --recopy all, which "
        "makes a new slot and copies every collection again",
        answer.text);
}

/* The stream is over: in good order, or with the server's reason. */
static int end_of_stream(struct repl *r, struct repl_message *ret, struct err *err) {
    PGresult *result;
    int rc = 0;
    r->streaming = false;
    PGconn *conn = pg_conn(r->pg);
    while ((result = PQgetResult(conn))) {
        ExecStatusType status = PQresultStatus(result);
        if (rc == 0 && status == PGRES_FATAL_ERROR)
            rc = pg_result_error(r->pg, result, err);
        PQclear(result);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_BOTH) /* our half is still open */
            break;
    }
    if (rc < 0)
        return stream_failed(rc, err);
    if (PQstatus(conn) == CONNECTION_BAD)
        return pg_lost(r->pg, err);
    *ret = (struct repl_message){.event = REPL_END};
    return 0;
}

enum waited { WAITED_FAILED = -1, WAITED_NOTHING, WAITED_SOCKET, WAITED_WAKE };

static enum waited wait_for_bytes(const struct repl *r, int64_t left_us, int wake_fd) {
    struct pollfd fds[] = {{.fd = PQsocket(pg_conn(r->pg)), .events = POLLIN},
                           {.fd = wake_fd, .events = POLLIN}};
    int64_t ms = (left_us + 999) / 1000;
    if (r->encrypted && ms > WAIT_STEP_ENCRYPTED_MS)
        ms = WAIT_STEP_ENCRYPTED_MS;
    int n = poll(fds, wake_fd >= 0 ? 2 : 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
    if (n < 0)
        return errno == EINTR ? WAITED_NOTHING : WAITED_FAILED;
    if (fds[0].revents)
        return WAITED_SOCKET;
    return n > 0 ? WAITED_WAKE : WAITED_NOTHING;
}

int repl_receive(struct repl *r, int64_t timeout_us, int wake_fd, struct repl_message *ret,
                 struct err *err) {
    PGconn *conn = pg_conn(r->pg);
    int64_t until = 0; /* the clock is read only when there is something to wait for */
    PQfreemem(r->buffer);
    r->buffer = NULL;
    for (bool woken = false;;) {
        int len = PQgetCopyData(conn, &r->buffer, 1);
        if (len > 0)
            return parse_message(span_make(r->buffer, (size_t)len), ret, err);
        if (len == -1)
            return end_of_stream(r, ret, err);
        if (len < -1)
            return pg_lost(r->pg, err);
        int64_t now = clock_mono_us();
        if (until == 0)
            until = now + (timeout_us > 0 ? timeout_us : 0);
        else if (woken || now >= until) {
            *ret = (struct repl_message){.event = REPL_TIMEOUT};
            return 0;
        }
        enum waited waited = wait_for_bytes(r, until > now ? until - now : 0, wake_fd);
        if (waited == WAITED_FAILED || !PQconsumeInput(conn))
            return pg_lost(r->pg, err);
        woken = waited == WAITED_WAKE;
    }
}

static void put_u64(char *to, uint64_t v) {
    for (int i = 0; i < 8; i++)
        to[i] = (char)(unsigned char)(v >> (56 - 8 * i));
}

int repl_confirm(struct repl *r, lsn_t received, lsn_t confirmed, struct err *err) {
    char message[34] = {'r'};
    put_u64(message + 1, received);
    put_u64(message + 9, confirmed);  /* flushed: the slot moves here */
    put_u64(message + 17, confirmed); /* applied */
    put_u64(message + 25, (uint64_t)(clock_wall_us() - PG_EPOCH_US));
    message[33] = 0; /* no answer needed */
    PGconn *conn = pg_conn(r->pg);
    if (PQputCopyData(conn, message, sizeof message) != 1 || PQflush(conn) != 0)
        return pg_lost(r->pg, err);
    return 0;
}

int repl_stop(struct repl *r, struct err *err) {
    if (!r->streaming)
        return 0;
    PGconn *conn = pg_conn(r->pg);
    if (PQputCopyEnd(conn, NULL) != 1 || PQflush(conn) != 0)
        return pg_lost(r->pg, err);
    int64_t until = clock_mono_us() + STOP_WAIT_US;
    struct repl_message m = {.event = REPL_TIMEOUT};
    /* What still comes is not used; it will come again from the confirmed position. A server that
     * takes too long is left: it has our last status, and closing the connection ends the rest. */
    for (int64_t now = clock_mono_us(); now < until && m.event != REPL_END; now = clock_mono_us()) {
        int rc = repl_receive(r, until - now, -1, &m, err);
        if (rc < 0)
            return rc;
    }
    r->streaming = false;
    return 0;
}

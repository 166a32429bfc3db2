/*
 * A MongoDB that throws everything away: the target of the bench, and of tests with a broken
 * server.
 *
 * Speaks the few messages that libmongoc needs (OP_MSG, and OP_QUERY for the first hello), plays a
 * replica set of one, counts operations. With --latency-field F it also looks for the int64 field F
 * (microseconds since 1970) in each document and keeps a histogram of how old it is on arrival.
 * {banyanStub: 1, reset: bool} asks for the counts. --fault spoils every reply after --fault-after
 * messages. A find takes --find-us microseconds, or what {banyanStub: 1, find_us: n} says later,
 * and finds the document --found. MongoDB manual, "MongoDB Wire Protocol".
 */
#include "base/mem.h"

#include <bson/bson.h>

#include <arpa/inet.h>
#include <endian.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OP_QUERY 2004
#define OP_REPLY 1
#define OP_MSG 2013
#define MESSAGE_MAX (48 * 1024 * 1024)
#define BUCKETS 4096
#define BUCKETS_PER_E 200.0 /* half a per cent */

enum fault {
    FAULT_NONE,
    FAULT_TRUNCATE,
    FAULT_OVERSIZE,
    FAULT_GARBAGE,
    FAULT_CLOSE,
    FAULT_BADREPLY
};

static struct {
    int port;
    const char *latency_field;
    enum fault fault;
    long fault_after;
    long latency_us;
    bson_t *found;      /* NULL: nothing */
    const char *member; /* of the replica set, besides this one; NULL: none */
} options;

static atomic_uint_fast64_t inserts, updates, deletes, messages, received_bytes;
static atomic_uint_fast64_t histogram[BUCKETS];
static atomic_long find_us;

/* ---- latency ---- */

static int64_t wall_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void note_latency(const uint8_t *document, uint32_t len, int64_t now) {
    bson_iter_t it;
    if (!bson_iter_init_from_data(&it, document, len) ||
        !bson_iter_find(&it, options.latency_field) || !BSON_ITER_HOLDS_INT64(&it))
        return;
    double age = (double)(now - bson_iter_int64(&it));
    int bucket = age < 1 ? 0 : (int)(log(age) * BUCKETS_PER_E);
    atomic_fetch_add(&histogram[bucket < BUCKETS ? bucket : BUCKETS - 1], 1);
}

static double percentile(double wanted) {
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        total += atomic_load(&histogram[i]);
    for (int i = 0; i < BUCKETS; i++) {
        seen += atomic_load(&histogram[i]);
        if (total && (double)seen >= wanted * (double)total)
            return exp((i + 0.5) / BUCKETS_PER_E);
    }
    return 0;
}

/* ---- what was sent ---- */

static uint32_t le32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

/* Elements of an array of documents; the documents themselves are not looked at, unless their
 * latency is wanted. */
static int32_t count_array(const uint8_t *p, uint32_t len, bool are_updates) {
    bson_iter_t it;
    int32_t n = 0;
    int64_t now = options.latency_field ? wall_us() : 0;
    if (!bson_iter_init_from_data(&it, p, len))
        return 0;
    for (; bson_iter_next(&it); n++) {
        const uint8_t *document;
        uint32_t document_len;
        if (!options.latency_field || !BSON_ITER_HOLDS_DOCUMENT(&it))
            continue;
        bson_iter_document(&it, &document_len, &document);
        bson_iter_t u;
        if (are_updates && bson_iter_recurse(&it, &u) && bson_iter_find(&u, "u") &&
            BSON_ITER_HOLDS_DOCUMENT(&u))
            bson_iter_document(&u, &document_len, &document);
        note_latency(document, document_len, now);
    }
    return n;
}

static int32_t count_list(const bson_t *command, const char *name) {
    bson_iter_t it;
    const uint8_t *data;
    uint32_t len;
    if (!bson_iter_init_find(&it, command, name) || !BSON_ITER_HOLDS_ARRAY(&it))
        return 0;
    bson_iter_array(&it, &len, &data);
    return count_array(data, len, strcmp(name, "updates") == 0);
}

/* ---- replies ---- */

static void reply_hello(bson_t *reply) {
    char address[64];
    bson_t hosts;
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", options.port);
    BSON_APPEND_BOOL(reply, "isWritablePrimary", true);
    BSON_APPEND_BOOL(reply, "ismaster", true);
    BSON_APPEND_UTF8(reply, "setName", "stub");
    BSON_APPEND_INT32(reply, "setVersion", 1);
    BSON_APPEND_UTF8(reply, "me", address);
    BSON_APPEND_UTF8(reply, "primary", address);
    BSON_APPEND_ARRAY_BEGIN(reply, "hosts", &hosts);
    BSON_APPEND_UTF8(&hosts, "0", address);
    if (options.member)
        BSON_APPEND_UTF8(&hosts, "1", options.member);
    bson_append_array_end(reply, &hosts);
    BSON_APPEND_INT32(reply, "maxBsonObjectSize", 16777216);
    BSON_APPEND_INT32(reply, "maxMessageSizeBytes", 48000000);
    BSON_APPEND_INT32(reply, "maxWriteBatchSize", 100000);
    BSON_APPEND_INT32(reply, "minWireVersion", 0);
    BSON_APPEND_INT32(reply, "maxWireVersion", 17);
    BSON_APPEND_INT32(reply, "logicalSessionTimeoutMinutes", 30);
}

static void wait_us(long us) {
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    if (us > 0)
        (void)nanosleep(&t, NULL);
}

static void reply_cursor(bson_t *reply, bool is_find) {
    bson_t cursor, batch;
    if (is_find)
        wait_us(atomic_load(&find_us));
    BSON_APPEND_DOCUMENT_BEGIN(reply, "cursor", &cursor);
    BSON_APPEND_INT64(&cursor, "id", 0);
    BSON_APPEND_UTF8(&cursor, "ns", "stub.none");
    BSON_APPEND_ARRAY_BEGIN(&cursor, "firstBatch", &batch);
    if (is_find && options.found)
        BSON_APPEND_DOCUMENT(&batch, "0", options.found);
    bson_append_array_end(&cursor, &batch);
    bson_append_document_end(reply, &cursor);
}

static void reply_counts(bson_t *reply, const bson_t *command) {
    bson_iter_t it;
    BSON_APPEND_INT64(reply, "insert", (int64_t)atomic_load(&inserts));
    BSON_APPEND_INT64(reply, "update", (int64_t)atomic_load(&updates));
    BSON_APPEND_INT64(reply, "delete", (int64_t)atomic_load(&deletes));
    BSON_APPEND_INT64(reply, "bytes", (int64_t)atomic_load(&received_bytes));
    BSON_APPEND_DOUBLE(reply, "latency_p50_us", percentile(0.50));
    BSON_APPEND_DOUBLE(reply, "latency_p99_us", percentile(0.99));
    if (bson_iter_init_find(&it, command, "find_us"))
        atomic_store(&find_us, (long)bson_iter_as_int64(&it));
    if (!bson_iter_init_find(&it, command, "reset") || !bson_iter_as_bool(&it))
        return;
    atomic_store(&inserts, 0);
    atomic_store(&updates, 0);
    atomic_store(&deletes, 0);
    atomic_store(&received_bytes, 0);
    for (int i = 0; i < BUCKETS; i++)
        atomic_store(&histogram[i], 0);
}

static int32_t reply_write(bson_t *reply, const char *name, const bson_t *command, int32_t extra) {
    int32_t n = extra;
    if (strcmp(name, "insert") == 0)
        atomic_fetch_add(&inserts, (uint64_t)(n += count_list(command, "documents")));
    else if (strcmp(name, "update") == 0)
        atomic_fetch_add(&updates, (uint64_t)(n += count_list(command, "updates")));
    else
        atomic_fetch_add(&deletes, (uint64_t)(n += count_list(command, "deletes")));
    wait_us(options.latency_us);
    BSON_APPEND_INT32(reply, "n", n);
    if (strcmp(name, "update") == 0)
        BSON_APPEND_INT32(reply, "nModified", n);
    return n;
}

static bool is_any(const char *name, const char *const *names) {
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static void build_reply(bson_t *reply, const bson_t *command, int32_t extra) {
    static const char *const hellos[] = {"hello", "isMaster", "ismaster", NULL};
    static const char *const writes[] = {"insert", "update", "delete", NULL};
    static const char *const cursors[] = {"find", "aggregate", "listIndexes", "listCollections",
                                          NULL};
    bson_iter_t it;
    const char *name =
        bson_iter_init(&it, command) && bson_iter_next(&it) ? bson_iter_key(&it) : "";
    if (is_any(name, hellos))
        reply_hello(reply);
    else if (is_any(name, writes))
        (void)reply_write(reply, name, command, extra);
    else if (is_any(name, cursors))
        reply_cursor(reply, strcmp(name, "find") == 0);
    else if (strcmp(name, "buildInfo") == 0)
        BSON_APPEND_UTF8(reply, "version", "7.0.0");
    else if (strcmp(name, "banyanStub") == 0)
        reply_counts(reply, command);
    BSON_APPEND_DOUBLE(reply, "ok", 1);
}

/* A reply that is BSON, but none to a write. */
static void build_bad_reply(bson_t *reply) {
    bson_t errors, error;
    BSON_APPEND_UTF8(reply, "n", "many");
    BSON_APPEND_ARRAY_BEGIN(reply, "writeErrors", &errors);
    BSON_APPEND_DOCUMENT_BEGIN(&errors, "0", &error);
    BSON_APPEND_INT32(&error, "index", 1 << 30);
    BSON_APPEND_INT32(&error, "code", -5);
    bson_append_document_end(&errors, &error);
    bson_append_array_end(reply, &errors);
    BSON_APPEND_DOUBLE(reply, "ok", 1);
}

/* ---- messages ---- */

static bool read_all(int fd, void *to, size_t len) {
    char *p = to;
    while (len) {
        ssize_t n = read(fd, p, len);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t len) {
    const char *p = from;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static void put32(uint8_t *at, uint32_t v) {
    v = htole32(v);
    memcpy(at, &v, sizeof v);
}

/* Header and reply body; the 20 bytes of OP_REPLY's fields, or the 5 of OP_MSG's. */
static bool send_reply(int fd, uint32_t to, bool legacy, const bson_t *reply) {
    size_t fields = legacy ? 20 : 5, len = 16 + fields + reply->len;
    uint8_t *m = mem_zalloc(1, len);
    put32(m, (uint32_t)len);
    put32(m + 8, to);
    put32(m + 12, legacy ? OP_REPLY : OP_MSG);
    if (legacy)
        put32(m + 32, 1); /* documents returned */
    memcpy(m + 16 + fields, bson_get_data(reply), reply->len);
    bool spoil = options.fault && (long)atomic_load(&messages) > options.fault_after;
    bool ok = true;
    if (spoil && options.fault == FAULT_OVERSIZE)
        put32(m, 0x7fffffff);
    if (spoil && options.fault == FAULT_GARBAGE)
        memset(m, 0xa5, len);
    if (spoil && options.fault == FAULT_TRUNCATE) {
        (void)write_all(fd, m, len / 2);
        ok = false;
    } else if (spoil && options.fault == FAULT_CLOSE) {
        ok = false;
    } else {
        ok = write_all(fd, m, len);
    }
    free(m);
    return ok;
}

/* Documents of kind-1 sections; the body, kind 0, into *ret_body. */
static int32_t read_sections(const uint8_t *p, const uint8_t *end, bson_t *ret_body, bool *ret_ok) {
    int32_t extra = 0;
    *ret_ok = false;
    while (p + 5 <= end) {
        uint8_t kind = *p++;
        uint32_t len = le32(p);
        if (len < 5 || len > (size_t)(end - p))
            return 0;
        if (kind == 0)
            *ret_ok = bson_init_static(ret_body, p, len);
        const uint8_t *at = p + 4, *stop = p + len;
        if (kind == 1) {
            at += strnlen((const char *)at, (size_t)(stop - at)) + 1;
            for (; at + 4 < stop && le32(at) >= 5; at += le32(at))
                extra++;
        }
        p += len;
    }
    return extra;
}

static bool answer(int fd, const uint8_t *m, size_t len) {
    uint32_t opcode = le32(m + 12);
    bson_t command, reply = BSON_INITIALIZER;
    int32_t extra = 0;
    bool ok = false;
    if (opcode == OP_MSG) {
        extra = read_sections(m + 20, m + len, &command, &ok);
    } else if (opcode == OP_QUERY && len > 28) {
        const uint8_t *p = m + 20;
        p += strnlen((const char *)p, len - 20) + 1 + 8;
        ok = p + 5 < m + len && bson_init_static(&command, p, le32(p));
    }
    if (!ok)
        return false;
    atomic_fetch_add(&messages, 1);
    atomic_fetch_add(&received_bytes, len);
    if (options.fault == FAULT_BADREPLY && (long)atomic_load(&messages) > options.fault_after)
        build_bad_reply(&reply);
    else
        build_reply(&reply, &command, extra);
    ok = send_reply(fd, le32(m + 4), opcode == OP_QUERY, &reply);
    bson_destroy(&reply);
    return ok;
}

static void *serve(void *argument) {
    int fd = *(int *)argument;
    free(argument);
    uint8_t *m = NULL;
    size_t cap = 0;
    uint8_t header[16];
    while (read_all(fd, header, sizeof header)) {
        size_t len = le32(header);
        if (len < 21 || len > MESSAGE_MAX)
            break;
        if (cap < len) {
            cap = len;
            m = mem_realloc(m, cap, 1);
        }
        memcpy(m, header, sizeof header);
        if (!read_all(fd, m + 16, len - 16) || !answer(fd, m, len))
            break;
    }
    free(m);
    close(fd);
    return NULL;
}

/* ---- main ---- */

static enum fault parse_fault(const char *name) {
    static const char *const names[] = {"none",    "truncate", "oversize",
                                        "garbage", "close",    "badreply"};
    for (int i = 0; i < 6; i++)
        if (strcmp(names[i], name) == 0)
            return (enum fault)i;
    (void)fprintf(stderr, "banyan-stub: unknown fault %s\n", name);
    exit(2);
}

static void parse_options(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--port") == 0)
            options.port = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--latency-field") == 0)
            options.latency_field = value;
        else if (strcmp(argv[i], "--latency-us") == 0)
            options.latency_us = strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--find-us") == 0)
            atomic_store(&find_us, strtol(value, NULL, 10));
        else if (strcmp(argv[i], "--found") == 0)
            options.found = bson_new_from_json((const uint8_t *)value, -1, NULL);
        else if (strcmp(argv[i], "--member") == 0)
            options.member = value;
        else if (strcmp(argv[i], "--fault") == 0)
            options.fault = parse_fault(value);
        else if (strcmp(argv[i], "--fault-after") == 0)
            options.fault_after = strtol(value, NULL, 10);
    }
    if (options.port <= 0 || options.port > 65535) {
        (void)fprintf(stderr,
                      "usage: banyan-stub --port PORT [--latency-field NAME] [--latency-us N] "
                      "[--find-us N] [--found JSON] [--member HOST:PORT] "
                      "[--fault KIND --fault-after N]\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    parse_options(argc, argv);
    (void)signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 64) < 0) {
        perror("banyan-stub");
        return 1;
    }
    for (;;) {
        int *fd = mem_alloc(sizeof *fd); /* the thread's to free */
        pthread_t thread;
        *fd = accept(listener, NULL, NULL);
        if (*fd < 0) {
            free(fd);
            continue;
        }
        setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, NULL, serve, fd) == 0) {
            pthread_detach(thread);
            continue;
        }
        close(*fd);
        free(fd);
    }
}

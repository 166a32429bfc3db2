#include "http/server.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "http/connection.h"
#include "http/tls.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define DESCRIPTORS (HTTP_CONNECTIONS_MAX + HTTP_LINGERING_MAX + 512) /* with those of others */

/* ---- listening ---- */

struct address {
    struct sockaddr_storage at;
    socklen_t len;
};

static int resolve(const struct http_listener *config, struct address *ret, struct err *err) {
    const char *colon = strrchr(config->address, ':');
    char host[256];
    size_t len = colon ? (size_t)(colon - config->address) : sizeof host;
    if (!colon || len == 0 || len >= sizeof host || !colon[1])
        return err_set(err, ERR_CONF, "%s: %s is not address:port", config->key, config->address);
    bool brackets = config->address[0] == '[' && config->address[len - 1] == ']';
    (void)snprintf(host, sizeof host, "%.*s", (int)(len - 2 * brackets),
                   config->address + brackets);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_CONF, "%s: %s: %s", config->key, config->address, gai_strerror(rc));
    memcpy(&ret->at, found->ai_addr, found->ai_addrlen);
    ret->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int bind_one(const struct http_service *s, const struct address *a, bool shared, int *ret_fd,
                    struct err *err) {
    int one = 1;
    int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) &&
        bind(fd, (const struct sockaddr *)&a->at, a->len) == 0) {
        *ret_fd = fd;
        return 0;
    }
    int rc = err_set(err, ERR_UNREACHABLE, "%s: %s: %s%s", s->config->key, s->config->address,
                     strerror(errno),
                     errno == EADDRINUSE ? ": another program has the port: give another one" : "");
    if (fd >= 0)
        close(fd);
    return rc;
}

/* A socket that shares its port would bind beside another program of the same user that shares it
 * too (a second daemon): one that does not share has to fit first. */
static int port_is_free(const struct http_service *s, const struct address *a, struct err *err) {
    int fd;
    int rc = bind_one(s, a, false, &fd, err);
    if (rc < 0)
        return rc;
    /* Bound, it may still be listened on by one with SO_REUSEADDR: listen tells. */
    if (listen(fd, 1) < 0)
        rc = err_set(err, ERR_UNREACHABLE, "%s: %s: another program has the port: give another one",
                     s->config->key, s->config->address);
    close(fd);
    return rc;
}

static void name_address(struct http_service *s, struct address *a, int fd) {
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "0";
    a->len = sizeof a->at;
    if (getsockname(fd, (struct sockaddr *)&a->at, &a->len) == 0)
        (void)getnameinfo((struct sockaddr *)&a->at, a->len, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV);
    unsigned number = 0;
    for (const char *p = port; *p; p++)
        number = number * 10 + (unsigned)(*p - '0');
    http_guard_set_port(&s->guard, number);
    bool v6 = a->at.ss_family == AF_INET6;
    (void)snprintf(s->address, sizeof s->address, v6 ? "[%.64s]:%u" : "%.64s:%u", host, number);
}

static int open_loops(struct http_server *server, struct http_service *s, struct address *a,
                      struct err *err) {
    unsigned threads = s->config->threads ? s->config->threads : 1;
    if (threads > HTTP_THREADS_MAX)
        return err_set(err, ERR_CONF, "%s: more than %d threads", s->config->key, HTTP_THREADS_MAX);
    int rc = port_is_free(s, a, err);
    s->loops = mem_zalloc(threads, sizeof *s->loops);
    for (unsigned i = 0; i < threads && rc == 0; i++) {
        int fd;
        rc = bind_one(s, a, threads > 1, &fd, err);
        if (rc < 0)
            break;
        if (i == 0)
            name_address(s, a, fd); /* with port 0: the others take the one that this one got */
        rc = http_loop_init(&s->loops[s->loop_count++], s, server, fd, err);
        if (rc == 0 && listen(fd, BACKLOG) < 0)
            rc = err_set(err, ERR_UNREACHABLE, "%s: %s: %s", s->config->key, s->config->address,
                         strerror(errno));
    }
    return rc;
}

static int open_service(struct http_server *server, const struct http_listener *config,
                        struct err *err) {
    struct http_service *s = &server->services[server->service_count++];
    struct address a = {0};
    s->config = config;
    pthread_mutex_init(&s->tls_lock, NULL);
    int rc = resolve(config, &a, err);
    if (rc == 0)
        rc = http_router_init(&s->router, config->routes, config->route_count, err);
    if (rc == 0)
        rc = http_guard_init(&s->guard, config, (const struct sockaddr *)&a.at, err);
    if (rc == 0 && s->guard.tls)
        rc = http_tls_server(config, &s->tls, err);
    return rc == 0 ? open_loops(server, s, &a, err) : rc;
}

/* ---- workers ---- */

static void *worker_main(void *argument) {
    struct http_crew *crew = argument;
    struct http_server *server = crew->server;
    sigset_t all;
    void *item;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        enum queue_result got = queue_pop(crew->work, &item, INT64_C(60000000));
        if (got == QUEUE_CLOSED)
            return NULL;
        if (got == QUEUE_TIMEOUT)
            continue;
        struct http_exchange *x = item;
        if (!atomic_load(&server->cutting))
            x->route->handler(&x->request, &x->response, x->route->context);
        http_loop_return(x->connection->loop, x);
    }
}

static bool start_crew(struct http_crew *crew, unsigned workers) {
    bool ok = true;
    for (unsigned i = 0; i < workers && ok; i++) {
        ok = thread_start(&crew->threads[i], worker_main, crew);
        crew->count += ok;
    }
    return ok;
}

static void crew_init(struct http_crew *crew, struct http_server *server) {
    crew->server = server;
    crew->work = queue_new(HTTP_CONNECTIONS_MAX + HTTP_LINGERING_MAX, SIZE_MAX);
}

static void crew_end(struct http_crew *crew) {
    queue_close(crew->work);
    for (size_t i = 0; i < crew->count; i++)
        pthread_join(crew->threads[i], NULL);
    queue_free(crew->work);
}

static bool wants_data(const struct http_config *config) {
    for (size_t i = 0; i < config->listener_count; i++)
        for (size_t k = 0; k < config->listeners[i].route_count; k++)
            if (config->listeners[i].routes[k].flags & HTTP_DATA)
                return true;
    return false;
}

static int start_threads(struct http_server *server, unsigned workers, unsigned data_workers,
                         struct err *err) {
    bool ok = start_crew(&server->slow, workers) && start_crew(&server->data, data_workers);
    for (size_t i = 0; i < server->service_count; i++) {
        struct http_service *s = &server->services[i];
        for (size_t k = 0; k < s->loop_count && ok; k++)
            ok = s->loops[k].started =
                thread_start(&s->loops[k].thread, http_loop_main, &s->loops[k]);
    }
    return ok ? 0 : err_set(err, ERR_UNREACHABLE, "the system has no room for another thread");
}

/* ---- life ---- */

/* The usual limit, 1024 descriptors, is less than the connections alone may take. */
static void allow_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* fails: fewer connections are accepted */
}

int http_server_start(const struct http_config *config, struct http_server **ret_server,
                      struct err *err) {
    unsigned workers = config->workers ? config->workers : 2;
    unsigned data_workers = wants_data(config) ? config->data_workers : 0;
    assert(data_workers || !wants_data(config)); /* such a request would wait for ever */
    if (config->listener_count > HTTP_LISTENERS_MAX || workers > HTTP_WORKERS_MAX ||
        data_workers > HTTP_WORKERS_MAX)
        return err_set(err, ERR_INTERNAL, "too many listeners or workers");
    allow_descriptors();
    struct http_server *server = mem_zalloc(1, sizeof *server);
    server->observe = config->observe;
    server->observe_context = config->observe_context;
    http_hub_init(&server->hub, (uint64_t)clock_wall_us());
    crew_init(&server->slow, server);
    crew_init(&server->data, server);
    int rc = 0;
    for (size_t i = 0; i < config->listener_count && rc == 0; i++)
        rc = open_service(server, &config->listeners[i], err);
    if (rc == 0)
        rc = start_threads(server, workers, data_workers, err);
    if (rc < 0) {
        http_server_stop(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

static void for_each_loop(struct http_server *server, void (*call)(struct http_loop *)) {
    for (size_t i = 0; i < server->service_count; i++) {
        for (size_t k = 0; k < server->services[i].loop_count; k++)
            call(&server->services[i].loops[k]);
    }
}

static void join_loop(struct http_loop *loop) {
    if (loop->started)
        pthread_join(loop->thread, NULL);
}

static void close_service(struct http_service *s) {
    for (size_t k = 0; k < s->loop_count; k++)
        http_loop_release(&s->loops[k]);
    free(s->loops);
    SSL_CTX_free(s->tls);
    http_guard_release(&s->guard);
    pthread_mutex_destroy(&s->tls_lock);
}

void http_server_stop(struct http_server *server) {
    if (!server)
        return;
    atomic_store(&server->stopping, true);
    for_each_loop(server, http_loop_wake);
    for_each_loop(server, join_loop);
    /* A worker may still have an exchange of a connection: those are freed after it has ended. */
    atomic_store(&server->cutting, true);
    crew_end(&server->slow);
    crew_end(&server->data);
    for (size_t i = 0; i < server->service_count; i++)
        close_service(&server->services[i]);
    http_hub_release(&server->hub);
    free(server);
}

int http_server_reload_tls(struct http_server *server, struct err *err) {
    SSL_CTX *fresh[HTTP_LISTENERS_MAX] = {NULL};
    int rc = 0;
    for (size_t i = 0; i < server->service_count && rc == 0; i++) {
        if (server->services[i].guard.tls)
            rc = http_tls_server(server->services[i].config, &fresh[i], err);
    }
    for (size_t i = 0; i < server->service_count; i++) {
        struct http_service *s = &server->services[i];
        pthread_mutex_lock(&s->tls_lock);
        SSL_CTX *old = rc == 0 && fresh[i] ? s->tls : fresh[i];
        if (rc == 0 && fresh[i])
            s->tls = fresh[i];
        pthread_mutex_unlock(&s->tls_lock);
        SSL_CTX_free(old); /* connections that have it keep it */
    }
    return rc;
}

const char *http_server_address(const struct http_server *server, size_t listener) {
    return server->services[listener].address;
}

void http_server_counts(const struct http_server *server, struct http_counts *ret) {
    const struct http_counters *n = &server->counters;
    *ret = (struct http_counts){.connections = atomic_load(&n->connections),
                                .streams = atomic_load(&n->streams),
                                .accepted = atomic_load(&n->accepted),
                                .refused = atomic_load(&n->refused),
                                .unknown_host = atomic_load(&n->unknown_host),
                                .not_allowed = atomic_load(&n->not_allowed),
                                .malformed = atomic_load(&n->malformed),
                                .slow = atomic_load(&n->slow),
                                .events = atomic_load(&n->events),
                                .streams_cut = atomic_load(&n->streams_cut)};
    for (size_t i = 0; i < 6; i++)
        ret->requests[i] = atomic_load(&n->requests[i]);
}

static void wake_for_events(struct http_loop *loop) {
    if (atomic_load(&loop->streams))
        http_loop_wake(loop);
}

void http_publish(struct http_server *server, int channel, const char *type, struct span data) {
    if (channel < 0 || channel >= HTTP_CHANNELS || !http_hub_add(&server->hub, channel, type, data))
        return;
    atomic_fetch_add(&server->counters.events, 1);
    for_each_loop(server, wake_for_events);
}

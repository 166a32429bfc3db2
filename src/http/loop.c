#include "http/server.h"

#include "base/clock.h"
#include "http/connection.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_MS 200
#define ACCEPTS 16 /* at a time: connections that are there have their turn */

/* Room for the nodes of a JSON body with space to spare. */
#define ARENA_MAX ((size_t)4 << 20)
#define HEADERS_MAX 16384

void http_exchange_init(struct http_exchange *x) {
    *x = (struct http_exchange){0};
    arena_init(&x->arena, ARENA_MAX);
    buf_init(&x->response.headers, HEADERS_MAX);
    buf_init(&x->response.body, HTTP_ANSWER_MAX);
    http_exchange_clear(x);
}

void http_exchange_clear(struct http_exchange *x) {
    arena_reset(&x->arena);
    struct http_response *a = &x->response;
    if (a->body.cap > 1 << 20)
        buf_release(&a->body);
    buf_clear(&a->headers);
    buf_clear(&a->body);
    a->status = 200;
    a->content_type = "application/json";
    a->fixed = (struct span){0};
    a->stream = 0;
}

void http_exchange_release(struct http_exchange *x) {
    arena_release(&x->arena);
    buf_release(&x->response.headers);
    buf_release(&x->response.body);
}

/* ---- events ---- */

/* False: there is nothing more to accept, or no descriptor for it. */
static bool accept_one(struct http_loop *loop) {
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    struct http_counters *n = &loop->server->counters;
    int fd = accept4(loop->listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            event_del(&loop->accept); /* until the next tick: it would be called at once again */
        return false;
    }
    uint64_t open = atomic_fetch_add(&n->connections, 1);
    bool refused = open >= HTTP_CONNECTIONS_MAX;
    atomic_fetch_add(refused ? &n->refused : &n->accepted, 1);
    if (open >= HTTP_CONNECTIONS_MAX + HTTP_LINGERING_MAX) {
        atomic_fetch_sub(&n->connections, 1);
        close(fd);
        return true;
    }
    http_connection_new(loop, fd, (const struct sockaddr *)&peer, refused);
    return true;
}

static void on_accept(evutil_socket_t fd, short what, void *argument) {
    (void)fd;
    (void)what;
    for (int i = 0; i < ACCEPTS && accept_one(argument); i++)
        ;
}

static void take_returned(struct http_loop *loop) {
    for (;;) {
        pthread_mutex_lock(&loop->lock);
        struct http_exchange *x =
            loop->returned_count ? loop->returned[--loop->returned_count] : NULL;
        pthread_mutex_unlock(&loop->lock);
        if (!x)
            return;
        http_connection_returned(x);
    }
}

static void begin_stop(struct http_loop *loop) {
    loop->stopping = true;
    loop->stop_us = clock_mono_us() + HTTP_STOP_US;
    event_del(&loop->accept);
    struct http_connection *next;
    for (struct http_connection *c = loop->connections; c; c = next) {
        next = c->next;
        http_connection_stop(c, loop->stop_us);
    }
}

static void end_if_stopped(struct http_loop *loop, int64_t now_us) {
    if (loop->stopping && (!loop->connections || now_us >= loop->stop_us))
        event_base_loopbreak(loop->base);
}

static void on_wake(evutil_socket_t fd, short what, void *argument) {
    (void)what;
    struct http_loop *loop = argument;
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
    atomic_store(&loop->waking, false); /* before looking: what comes from now on wakes again */
    take_returned(loop);
    struct http_connection *next;
    if (atomic_load(&loop->streams)) {
        for (struct http_connection *c = loop->connections; c; c = next) {
            next = c->next;
            http_connection_events(c);
        }
    }
    if (atomic_load(&loop->server->stopping) && !loop->stopping)
        begin_stop(loop);
    end_if_stopped(loop, clock_mono_us());
}

static void on_tick(evutil_socket_t fd, short what, void *argument) {
    (void)fd;
    (void)what;
    struct http_loop *loop = argument;
    int64_t now = clock_mono_us();
    struct http_connection *next;
    for (struct http_connection *c = loop->connections; c; c = next) {
        next = c->next;
        http_connection_tick(c, now);
    }
    if (!loop->stopping && !event_pending(&loop->accept, EV_READ, NULL))
        event_add(&loop->accept, NULL);
    end_if_stopped(loop, now);
}

/* ---- other threads ---- */

void http_loop_wake(struct http_loop *loop) {
    uint64_t one = 1;
    if (atomic_exchange(&loop->waking, true))
        return;
    ssize_t ignored = write(loop->wake_fd, &one, sizeof one);
    (void)ignored;
}

void http_loop_return(struct http_loop *loop, struct http_exchange *x) {
    pthread_mutex_lock(&loop->lock);
    loop->returned[loop->returned_count++] = x; /* one for each connection at most */
    pthread_mutex_unlock(&loop->lock);
    http_loop_wake(loop);
}

/* ---- life ---- */

void *http_loop_main(void *argument) {
    struct http_loop *loop = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* signals are for others; SIGPIPE for nobody */
    event_base_dispatch(loop->base);
    return NULL;
}

int http_loop_init(struct http_loop *loop, struct http_service *service, struct http_server *server,
                   int listen_fd, struct err *err) {
    *loop = (struct http_loop){.server = server, .service = service, .listen_fd = listen_fd};
    pthread_mutex_init(&loop->lock, NULL);
    http_exchange_init(&loop->exchange);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct event_config *config = event_config_new();
    if (config) {
        /* One thread has the base; others write to wake_fd. */
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME |
                                          EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
        loop->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (!loop->base || loop->wake_fd < 0)
        return err_set(err, ERR_UNREACHABLE, "no event loop: %s", strerror(errno));
    struct timeval tick = {.tv_usec = TICK_MS * 1000};
    event_assign(&loop->accept, loop->base, listen_fd, EV_READ | EV_PERSIST, on_accept, loop);
    event_assign(&loop->wake, loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    event_assign(&loop->tick, loop->base, -1, EV_PERSIST, on_tick, loop);
    if (event_add(&loop->accept, NULL) < 0 || event_add(&loop->wake, NULL) < 0 ||
        event_add(&loop->tick, &tick) < 0)
        return err_set(err, ERR_UNREACHABLE, "no event loop: %s", strerror(errno));
    return 0;
}

void http_loop_release(struct http_loop *loop) {
    if (!loop->server)
        return;
    while (loop->connections)
        http_connection_free(loop->connections); /* and what workers gave back */
    if (loop->base)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    close(loop->listen_fd);
    http_exchange_release(&loop->exchange);
    pthread_mutex_destroy(&loop->lock);
}

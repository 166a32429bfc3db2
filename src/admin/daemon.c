#include "admin/daemon.h"

#include "admin/edges.h"
#include "admin/flagstore.h"
#include "admin/listeners.h"
#include "admin/notify.h"
#include "admin/operationstore.h"
#include "admin/redis.h"
#include "admin/reload.h"
#include "admin/routestore.h"
#include "admin/shadow.h"
#include "admin/watch.h"
#include "base/clock.h"
#include "base/json_write.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_US 200000
#define STATUS_EVERY_US 1000000
#define WATCHDOG_EVERY_US 5000000
#define EVENT_NAMES 256 /* bytes of an event besides its data */

struct service_loop {
    struct service *service;
    int reload_fd; /* SIGHUP */
    struct reload reload;
    int64_t next_watchdog, next_status;
    int64_t parked; /* as the page was last told */
};

/* ---- modules ---- */

static void on_changed(void *context, const char *module) {
    service_publish_module(context, "module", module);
}

static int start_module(struct service *s, const char *name, struct err *err) {
    struct module_config config = {.conf = s->conf,
                                   .state = s->state,
                                   .state_path = s->options->state_path,
                                   .name = name,
                                   .watermark = routestore_watermark(s->routestore),
                                   .changed = on_changed,
                                   .context = s};
    int rc = module_start(&config, &s->modules[s->module_count], err);
    if (rc == 0)
        s->module_count++;
    return rc;
}

/* As the state has it: what `run all` began goes on as one pipeline. */
static int start_modules(struct service *s, struct err *err) {
    struct state_pipeline all;
    bool found = false;
    int rc = state_pipeline_get(s->state, "all", &all, &found, err);
    if (rc < 0 || found)
        return rc < 0 ? rc : start_module(s, "all", err);
    if (s->conf->module_count > SERVICE_MODULES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d modules; run them in several daemons",
                       SERVICE_MODULES_MAX);
    for (size_t i = 0; rc == 0 && i < s->conf->module_count; i++)
        rc = start_module(s, s->conf->modules[i].name.text, err);
    return rc;
}

/* All at once, so that they drain side by side. */
static void end_modules(struct service *s) {
    for (size_t i = 0; i < s->module_count; i++)
        module_stop(s->modules[i]);
    for (size_t i = 0; i < s->module_count; i++)
        module_join(s->modules[i]);
}

/* ---- the loop ---- */

/* Before any thread: they all inherit the mask, so only the descriptor gets the signal. */
static int open_reload(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static bool take_reload(const struct service_loop *loop) {
    struct signalfd_siginfo info;
    bool asked = false;
    while (read(loop->reload_fd, &info, sizeof info) == (ssize_t)sizeof info)
        asked = true;
    return asked;
}

/* Only where a page looks: making the status reads the state. One of many modules is longer than an
 * event may be: then the page is told to ask for it. */
static void publish_status(struct service_loop *loop) {
    struct service *s = loop->service;
    _cleanup_(buf_release) struct buf out = {.max = HTTP_EVENT_MAX - EVENT_NAMES};
    struct http_counts counts;
    struct err ignored;
    int64_t parked = 0;
    http_server_counts(s->http, &counts);
    if (counts.streams == 0 || service_show_status(s, &out, &ignored) < 0)
        return;
    service_publish(s, "status", buf_ok(&out) ? buf_span(&out) : SPAN_LIT("{}"));
    if (state_parked_count(s->state, NULL, &parked, &ignored) == 0 && parked != loop->parked) {
        loop->parked = parked;
        service_publish(s, "parked", SPAN_LIT("{}"));
    }
}

static void loop_until_stopped(struct service_loop *loop) {
    while (!stop_requested()) {
        struct pollfd p[] = {{.fd = loop->reload_fd, .events = POLLIN},
                             {.fd = stop_fd(), .events = POLLIN}};
        poll(p, 2, TICK_US / 1000);
        int64_t now = clock_mono_us();
        bool asked = take_reload(loop);
        if (reload_is_due(&loop->reload, loop->service) || asked)
            reload_now(loop->service);
        flagstore_poll(loop->service->flagstore);
        routestore_poll(loop->service->routestore, now);
        edges_poll(loop->service->edges, now);
        watch_tick(loop->service->watch, now);
        if (now >= loop->next_watchdog) {
            loop->next_watchdog = now + WATCHDOG_EVERY_US;
            notify_systemd("WATCHDOG=1");
        }
        if (now >= loop->next_status) {
            loop->next_status = now + STATUS_EVERY_US;
            publish_status(loop);
        }
    }
}

/* ---- all of it ---- */

static void on_log(void *context, const char *event, struct span json) {
    (void)event;
    service_publish(context, "log", json);
}

struct parts {
    struct listeners *listeners;
    struct service_loop loop;
};

/* Flags before who asks for them; the server before the pipelines, so that a port in use is told
 * before anything is copied. */
static int start_parts(struct service *s, struct parts *p, struct err *err) {
    int rc = slots_start(s->conf, s->state, &s->slots, err);
    if (rc == 0)
        rc = flagstore_start(s, &s->flagstore, err);
    if (rc == 0 && s->conf->redis)
        rc = redis_start(s, &s->redis, err);
    if (rc == 0)
        rc = watch_start(s, &s->watch, err);
    if (rc == 0)
        rc = shadow_start(s, err);
    if (rc == 0)
        rc = routestore_start(s, &s->routestore, err);
    if (rc == 0)
        rc = operationstore_start(s, err);
    if (rc == 0)
        rc = edges_start(s, &s->edges, err);
    if (rc == 0)
        rc = listeners_start(s, &p->listeners, err);
    if (rc < 0)
        return rc;
    log_listen(on_log, s);
    return start_modules(s, err);
}

/* The server ends after the pipelines: a page may watch their end. And after every thread that
 * tells it something. */
static void end_parts(struct service *s, struct parts *p) {
    end_modules(s);
    log_listen(NULL, NULL);
    shadow_end(s);
    redis_end(s->redis);
    watch_flush(s->watch);
    listeners_stop(s, p->listeners);
    operationstore_stop(s);
    shadow_stop(s);
    slots_stop(s->slots);
    watch_stop(s->watch);
    redis_stop(s->redis);
    edges_stop(s->edges);
    routestore_stop(s->routestore);
    flagstore_stop(s->flagstore);
    for (size_t i = 0; i < s->module_count; i++)
        module_free(s->modules[i]);
}

static void say_address(const struct service *s) {
    const char *ofrep = listeners_ofrep_address(s);
    const char *address = http_server_address(s->http, 0);
    if (ofrep)
        log_event(LOG_INFO, "serving", LOG_STR("address", address), LOG_STR("ofrep", ofrep));
    else
        log_event(LOG_INFO, "serving", LOG_STR("address", address));
}

static int serve(struct service *s, struct err *err) {
    struct parts parts = {.loop = {.service = s, .reload_fd = open_reload()}};
    reload_init(&parts.loop.reload, s);
    int rc = start_parts(s, &parts, err);
    if (rc == 0) {
        notify_systemd("READY=1");
        say_address(s);
        loop_until_stopped(&parts.loop);
        notify_systemd("STOPPING=1");
        log_event(LOG_INFO, "stopping");
    }
    end_parts(s, &parts);
    if (parts.loop.reload_fd >= 0)
        close(parts.loop.reload_fd);
    return rc;
}

int daemon_run(const struct conf *conf, const struct daemon_options *options, struct err *err) {
    struct service s = {.conf = conf, .options = options, .started_us = clock_wall_us()};
    flagset_holder_init(&s.flags);
    pthread_mutex_init(&s.shadow_lock, NULL);
    pthread_mutex_init(&s.problem_lock, NULL);
    int rc = state_open(options->state_path, &s.state, err);
    if (rc == 0)
        rc = serve(&s, err);
    state_free(s.state);
    flagset_holder_release(&s.flags);
    pthread_mutex_destroy(&s.shadow_lock);
    pthread_mutex_destroy(&s.problem_lock);
    return rc;
}

#include "admin/daemon.h"

#include "admin/notify.h"
#include "admin/service.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stop.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_US 500000
#define WATCHDOG_EVERY_US 5000000

struct service_loop {
    struct service *service;
    int reload_fd; /* SIGHUP */
    int64_t next_watchdog;
};

struct module *service_module(const struct service *s, const char *name) {
    for (size_t i = 0; i < s->module_count; i++)
        if (strcmp(module_name(s->modules[i]), name) == 0)
            return s->modules[i];
    return s->module_count && strcmp(module_name(s->modules[0]), "all") == 0 &&
                   conf_module(s->conf, name)
               ? s->modules[0]
               : NULL;
}

/* ---- modules ---- */

static void on_changed(void *context, const char *module) {
    (void)context;
    (void)module;
}

static int start_module(struct service *s, const char *name, struct err *err) {
    struct module_config config = {.conf = s->conf,
                                   .state = s->state,
                                   .state_path = s->options->state_path,
                                   .name = name,
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
    for (size_t i = 0; i < s->module_count; i++) {
        module_join(s->modules[i]);
        module_free(s->modules[i]);
    }
    s->module_count = 0;
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

static void loop_until_stopped(struct service_loop *loop) {
    while (!stop_requested()) {
        struct pollfd p[] = {{.fd = loop->reload_fd, .events = POLLIN},
                             {.fd = stop_fd(), .events = POLLIN}};
        poll(p, 2, TICK_US / 1000);
        int64_t now = clock_mono_us();
        if (take_reload(loop))
            log_event(LOG_INFO, "reload");
        if (now >= loop->next_watchdog) {
            loop->next_watchdog = now + WATCHDOG_EVERY_US;
            notify_systemd("WATCHDOG=1");
        }
    }
}

static int serve(struct service *s, struct err *err) {
    struct service_loop loop = {.service = s, .reload_fd = open_reload()};
    int rc = slots_start(s->conf, s->state, &s->slots, err);
    if (rc == 0)
        rc = start_modules(s, err);
    if (rc == 0) {
        notify_systemd("READY=1");
        log_event(LOG_INFO, "serving", LOG_STR("listen", s->conf->serve.listen));
        loop_until_stopped(&loop);
        notify_systemd("STOPPING=1");
        log_event(LOG_INFO, "stopping");
    }
    end_modules(s);
    slots_stop(s->slots);
    if (loop.reload_fd >= 0)
        close(loop.reload_fd);
    return rc;
}

int daemon_run(const struct conf *conf, const struct daemon_options *options, struct err *err) {
    struct service s = {.conf = conf, .options = options, .started_us = clock_wall_us()};
    int rc = state_open(options->state_path, &s.state, err);
    if (rc == 0)
        rc = serve(&s, err);
    state_free(s.state);
    return rc;
}

#include "gateway/gateway.h"

#include "base/backoff.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/fits.h"
#include "gateway/keys.h"
#include "gateway/nginx.h"
#include "gateway/nginx_conf.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONF_MAX ((size_t)16 * 1024 * 1024)
#define LOOK_EVERY_US 1000000
#define START_MIN_US 500000
#define START_MAX_US (30 * (int64_t)1000000)
#define DRAIN_US (30 * (int64_t)1000000)
#define MODULE_NAME "ngx_http_banyan_module.so"

struct gateway {
    const struct conf *conf;
    char *folder, *module, *flags, *settings, *applied, *samples, *certificate, *key, *program;
    struct nginx nginx;
    int64_t next_look, next_try;
    struct backoff backoff;
    bool failed;                   /* the last attempt; the owner's thread only */
    struct route_settings written; /* what nginx's configuration says; the owner's thread only */
    pthread_mutex_t lock;          /* all below */
    struct route_settings routing; /* as published last */
    bool outdated;                 /* nginx's configuration is of another `routing` */
    struct gateway_view view;
};

char *gateway_folder(const char *state_path) {
    return mem_printf("%s.gateway", state_path);
}

static bool is_managed(const struct gateway *g) {
    return g->conf->gateway.nginx == CONF_NGINX_MANAGED;
}

/* ---- where everything is ---- */

/* Absolute, because nginx has another working folder; it need not exist yet. */
static char *absolute(const char *path) {
    char folder[PATH_MAX];
    if (path[0] == '/' || !getcwd(folder, sizeof folder))
        return mem_strdup(path);
    return mem_printf("%s/%s", folder, path);
}

/* Beside the program as it was built, or where it was installed. */
static char *find_module(const char *given) {
    char self[PATH_MAX];
    if (given)
        return absolute(given);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        *slash = '\0';
        char *built = mem_printf("%s/../../gateway/" MODULE_NAME, self);
        if (access(built, R_OK) == 0)
            return built;
        free(built);
    }
    return mem_strdup(BANYAN_NGINX_MODULES "/" MODULE_NAME);
}

static int check_quotable(const char *path, struct err *err) {
    if (path && strpbrk(path, "\"\\\n\r$;{}"))
        return err_set(err, ERR_CONF,
                       "the path %s has a character that cannot stand in nginx's configuration; "
                       "use another folder",
                       path);
    return 0;
}

static int check_paths(const struct gateway *g, struct err *err) {
    const char *paths[] = {g->folder,  g->module,  g->flags,       g->settings,
                           g->applied, g->samples, g->certificate, g->key};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof paths / sizeof *paths; i++)
        rc = check_quotable(paths[i], err);
    if (rc == 0 && strlen(g->samples) >= sizeof((struct sockaddr_un *)0)->sun_path)
        rc = err_set(err, ERR_CONF,
                     "the path of the gateway's socket %s is longer than the %zu bytes that a "
                     "socket's may have; use a shorter folder for the state",
                     g->samples, sizeof((struct sockaddr_un *)0)->sun_path - 1);
    if (rc == 0 && access(g->module, R_OK) < 0)
        rc = err_set(err, ERR_CONF,
                     "cannot read nginx's module %s: %s; build it (gateway/build.sh) and name it "
                     "in gateway.module",
                     g->module, strerrordesc_np(errno));
    return rc;
}

int gateway_new(const struct conf *conf, const char *state_path, const char *flags_blob,
                struct gateway **ret_gateway, struct err *err) {
    struct gateway *g = mem_zalloc(1, sizeof *g);
    const struct conf_gateway *c = &conf->gateway;
    _cleanup_(mem_freep) char *folder = gateway_folder(state_path);
    pthread_mutex_init(&g->lock, NULL);
    backoff_init(&g->backoff, START_MIN_US, START_MAX_US, (uint64_t)getpid());
    g->conf = conf;
    g->folder = absolute(folder);
    g->settings = mem_printf("%s/settings", g->folder);
    g->applied = mem_printf("%s/applied", g->folder);
    g->samples = mem_printf("%s/samples.sock", g->folder);
    g->flags = absolute(flags_blob);
    g->module = find_module(c->module);
    g->certificate = c->tls_cert ? absolute(c->tls_cert) : NULL;
    g->key = c->tls_key ? absolute(c->tls_key) : NULL;
    g->view.managed = is_managed(g);
    int rc = check_paths(g, err);
    if (rc == 0 && is_managed(g))
        rc = nginx_find(c->program, &g->program, err);
    g->nginx = (struct nginx){.program = g->program, .folder = g->folder};
    if (rc == 0 && mkdir(g->folder, 0700) < 0 && errno != EEXIST)
        rc = err_set(err, ERR_STATE, "cannot make the folder %s: %s", g->folder,
                     strerrordesc_np(errno));
    if (rc == 0)
        rc = keys_write(conf, g->folder, err);
    if (rc < 0) {
        gateway_free(g);
        return rc;
    }
    *ret_gateway = g;
    return 0;
}

void gateway_free(struct gateway *g) {
    if (!g)
        return;
    char *texts[] = {g->folder,  g->module,      g->flags, g->settings, g->applied,
                     g->samples, g->certificate, g->key,   g->program};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* ---- what nginx is told ---- */

/* Whether what nginx does without settings has changed with them. */
static bool writes_differ(const struct route_settings *a, const struct route_settings *b) {
    if (a->count != b->count)
        return true;
    for (size_t i = 0; i < a->count; i++)
        if ((a->modules[i].writes == WRITES_MONGODB) != (b->modules[i].writes == WRITES_MONGODB))
            return true;
    return false;
}

static void note_routing(struct gateway *g, const struct route_settings *settings) {
    pthread_mutex_lock(&g->lock);
    if (writes_differ(&g->routing, settings))
        g->outdated = true;
    g->routing = *settings;
    pthread_mutex_unlock(&g->lock);
}

int gateway_lock(const struct gateway *g, struct err *err) {
    _cleanup_(mem_freep) char *path = mem_printf("%s.lock", g->settings);
    return file_lock(path, err);
}

int gateway_publish(struct gateway *g, const struct route_settings *settings, struct err *err) {
    note_routing(g, settings);
    _cleanup_(buf_release) struct buf bytes = {.max = CONF_MAX};
    route_settings_write(&bytes, settings);
    return file_replace(g->settings, buf_span(&bytes), err);
}

/* Workers read files that only their owner may: so they are our user's. */
static struct nginx_paths paths_of(const struct gateway *g) {
    return (struct nginx_paths){.folder = g->folder,
                                .module = g->module,
                                .flags = g->flags,
                                .settings = g->settings,
                                .applied = g->applied,
                                .samples = g->samples,
                                .certificate = g->certificate,
                                .key = g->key,
                                .routing = &g->written,
                                .user = geteuid() == 0 ? "root" : NULL};
}

const char *gateway_applied(const struct gateway *g) {
    return g->applied;
}

const char *gateway_samples(const struct gateway *g) {
    return g->samples;
}

/* Takes up what was published, for the configuration that is written next. */
static void take_routing(struct gateway *g) {
    pthread_mutex_lock(&g->lock);
    g->written = g->routing;
    g->outdated = false;
    pthread_mutex_unlock(&g->lock);
}

static bool is_outdated(struct gateway *g) {
    pthread_mutex_lock(&g->lock);
    bool outdated = g->outdated;
    pthread_mutex_unlock(&g->lock);
    return outdated;
}

static int run_external(const struct gateway *g, struct err *err) {
    _cleanup_(buf_release) struct buf main = {.max = CONF_MAX}, http = {.max = CONF_MAX};
    const struct nginx_paths paths = paths_of(g);
    nginx_conf_main(&main, &paths);
    nginx_conf_http(&http, g->conf, &paths);
    int rc = nginx_put(&g->nginx, "main.conf", buf_span(&main), err);
    if (rc == 0)
        rc = nginx_put(&g->nginx, "http.conf", buf_span(&http), err);
    if (rc < 0 || !nginx_is_due(&g->nginx))
        return rc;
    rc = nginx_command(g->conf->gateway.reload_command, err);
    if (rc == 0)
        nginx_was_told(&g->nginx);
    return rc;
}

void gateway_conf(const struct gateway *g, struct buf *out) {
    const struct nginx_paths paths = paths_of(g);
    if (is_managed(g))
        nginx_conf_whole(out, g->conf, &paths);
    else
        nginx_conf_http(out, g->conf, &paths);
}

static int check_module(const struct gateway *g, struct err *err) {
    char version[64];
    int rc = nginx_version(&g->nginx, version, sizeof version, err);
    return rc < 0 ? rc : fits_check(g->module, g->program, version, err);
}

/* An external nginx's main file is not ours: what would be a managed one's stands for it. */
int gateway_check(struct gateway *g, struct err *err) {
    _cleanup_(buf_release) struct buf text = {.max = CONF_MAX};
    const struct nginx_paths paths = paths_of(g);
    int rc = g->program ? 0 : nginx_find(g->conf->gateway.program, &g->program, err);
    g->nginx.program = g->program;
    nginx_conf_whole(&text, g->conf, &paths);
    if (rc == 0)
        rc = check_module(g, err);
    return rc < 0 ? rc : nginx_test(&g->nginx, buf_span(&text), err);
}

static int run_managed(const struct gateway *g, struct err *err) {
    _cleanup_(buf_release) struct buf text = {.max = CONF_MAX};
    gateway_conf(g, &text);
    if (text.full)
        return err_set(err, ERR_LIMIT, "nginx's configuration has more than %zu bytes", CONF_MAX);
    int rc = check_module(g, err);
    if (rc == 0)
        rc = nginx_configure(&g->nginx, buf_span(&text), err);
    if (rc < 0)
        return rc;
    pid_t pid = nginx_pid(&g->nginx);
    if (pid == 0)
        return nginx_start(&g->nginx, err);
    log_event(LOG_INFO, "gateway_adopted", LOG_INT("pid", pid));
    return nginx_is_due(&g->nginx) ? nginx_reload(&g->nginx, err) : 0;
}

static void note_pid(struct gateway *g) {
    pid_t pid = is_managed(g) ? nginx_pid(&g->nginx) : 0;
    pthread_mutex_lock(&g->lock);
    g->view.pid = pid;
    pthread_mutex_unlock(&g->lock);
}

static void note(struct gateway *g, int rc, const struct err *err) {
    pthread_mutex_lock(&g->lock);
    (void)snprintf(g->view.error, sizeof g->view.error, "%s", rc < 0 ? err->text : "");
    pthread_mutex_unlock(&g->lock);
    note_pid(g);
}

int gateway_run(struct gateway *g, struct err *err) {
    take_routing(g);
    int rc = is_managed(g) ? run_managed(g, err) : run_external(g, err);
    if (rc < 0)
        err_prefix(err, "gateway");
    note(g, rc, err);
    g->failed = rc < 0;
    return rc;
}

/* ---- its life ---- */

static void run_again(struct gateway *g, int64_t now_us, bool ended) {
    struct err err = {0};
    int rc = gateway_run(g, &err);
    if (ended || rc < 0)
        g->next_try = now_us + backoff_next_us(&g->backoff);
    if (rc < 0)
        log_event(LOG_ERROR, "gateway_refused", LOG_STR("reason", err.text));
    else if (ended)
        log_event(LOG_WARN, "gateway_started_again");
}

void gateway_poll(struct gateway *g, int64_t now_us) {
    if (now_us < g->next_look)
        return;
    g->next_look = now_us + LOOK_EVERY_US;
    note_pid(g);
    bool ended = is_managed(g) && nginx_pid(&g->nginx) == 0;
    /* Writes have moved; or nginx has ended, or what was tried has failed: a port may have become
     * free, a configuration good, a command possible. */
    if (is_outdated(g) || ((ended || g->failed) && now_us >= g->next_try))
        run_again(g, now_us, ended);
    else if (now_us > g->next_try + START_MAX_US)
        backoff_reset(&g->backoff);
}

void gateway_view(struct gateway *g, struct gateway_view *ret) {
    pthread_mutex_lock(&g->lock);
    *ret = g->view;
    pthread_mutex_unlock(&g->lock);
}

int gateway_stop(struct gateway *g, struct err *err) {
    int rc = is_managed(g) ? nginx_stop(&g->nginx, DRAIN_US, err) : 0;
    note(g, rc, err);
    return rc;
}

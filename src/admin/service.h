/*
 * What the parts of the daemon share. Private to admin/.
 */
#ifndef BANYAN_ADMIN_SERVICE_H
#define BANYAN_ADMIN_SERVICE_H

#include "admin/daemon.h"
#include "admin/flagset.h"
#include "admin/module.h"
#include "admin/slots.h"
#include "admin/traffic.h"
#include "http/http.h"
#include "obs/metrics.h"

#include <pthread.h>

#define SERVICE_MODULES_MAX 256
#define SERVICE_EVENTS 0      /* channel of the page's events */
#define SERVICE_FLAG_EVENTS 1 /* channel of OFREP's */
#define SERVICE_REASONS (FLAGS_ERROR + 1)

struct service {
    const struct conf *conf;
    const struct daemon_options *options;
    struct state *state;
    int64_t started_us; /* wall clock */

    /* Made at the start, never changed: any thread may read. Modules: one for each of the
     * configuration, or the one pipeline "all" where `run all` made it. */
    _Atomic(struct http_server *) http; /* NULL before: who publishes may be there earlier */
    struct traffic *traffic;
    struct slots *slots;
    struct module *modules[SERVICE_MODULES_MAX];
    _Atomic size_t module_count; /* grows while the server answers already */

    /* Any thread. */
    struct flagstore *flagstore;
    struct routestore *routestore;
    struct operations *operations;
    struct edges *edges; /* NULL before it is made */
    struct redis *redis; /* NULL: none */
    struct parallel *parallel;
    pthread_mutex_t shadow_lock; /* guards shadow_ended */
    bool shadow_ended;           /* nobody looks at `parallel`, and it tells nobody any more */
    struct watch *watch;
    struct flagset_holder flags;
    pthread_mutex_t problem_lock;
    char problem[ERR_TEXT_MAX]; /* of the configuration, as it was read last; "": it is in force */
    struct {
        _Atomic uint64_t count[2][SERVICE_REASONS]; /* off, on */
    } evaluations;
};

/* The pipeline that has the module: its own, or "all"; NULL: there is no such module. */
struct module *service_module(const struct service *s, const char *name);

/* What keeps the configuration file from being in force; "": nothing. Any thread. */
void service_set_problem(struct service *s, const char *text);
void service_problem(struct service *s, char text[ERR_TEXT_MAX]);

/* Any thread; does nothing before the server listens. */
void service_publish(const struct service *s, const char *type, struct span json);
/* {"module":"..."} */
void service_publish_module(const struct service *s, const char *type, const char *module);

void service_count_evaluation(struct service *s, const struct flags_result *result);

/* What /v1/status answers. */
int service_show_status(struct service *s, struct buf *out, struct err *err) must_check;

/* Samples of the parts that the picture does not have. */
void service_sample(struct service *s, struct obs_page *page);

#endif

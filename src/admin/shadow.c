#include "admin/shadow.h"

#include "base/clock.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "parallel/parallel.h"
#include "pipeline/applied.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define LOOKED_AT_AGAIN_US INT64_C(500000) /* the receiver takes samples meanwhile */

/* A position is a time: what was committed until now was committed before it. */
static int64_t position(void *context, const char *module) {
    (void)context;
    (void)module;
    return clock_mono_us();
}

static int64_t applied(void *context, const char *module) {
    const struct service *s = context;
    const struct module *m = service_module(s, module);
    if (!m)
        return 0;
    applied_want(module_applied(m), clock_mono_us() + LOOKED_AT_AGAIN_US);
    return applied_through_us(module_applied(m));
}

static void on_divergence(void *context, const char *module) {
    struct service *s = context;
    pthread_mutex_lock(&s->shadow_lock);
    if (!s->shadow_ended)
        service_publish_module(s, "divergence", module);
    pthread_mutex_unlock(&s->shadow_lock);
}

static bool has_routes(const struct conf *conf) {
    for (size_t i = 0; i < conf->module_count; i++)
        if (conf->modules[i].route_count)
            return true;
    return false;
}

static int make_folder(const char *folder, struct err *err) {
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        return 0;
    return err_set(err, ERR_STATE, "cannot make %s: %s", folder, strerror(errno));
}

int shadow_start(struct service *s, struct err *err) {
    _cleanup_(mem_freep) char *folder = gateway_folder(s->options->state_path);
    _cleanup_(mem_freep) char *socket = mem_printf("%s/samples.sock", folder);
    bool gateway = s->conf->gateway.at.line != 0 || has_routes(s->conf); /* edges have one */
    const struct parallel_config config = {.conf = s->conf,
                                           .state = s->state,
                                           .socket_path = gateway ? socket : NULL,
                                           .log = {position, applied},
                                           .changed = on_divergence,
                                           .context = s};
    int rc = gateway ? make_folder(folder, err) : 0;
    if (rc < 0)
        return rc;
    return parallel_start(&config, &s->parallel, err);
}

void shadow_end(struct service *s) {
    pthread_mutex_lock(&s->shadow_lock);
    s->shadow_ended = true;
    pthread_mutex_unlock(&s->shadow_lock);
    parallel_stop(s->parallel);
}

void shadow_stop(struct service *s) {
    parallel_free(s->parallel);
    s->parallel = NULL;
}

void shadow_sample(struct service *s, struct obs_page *page) {
    pthread_mutex_lock(&s->shadow_lock);
    if (s->parallel && !s->shadow_ended)
        parallel_sample_metrics(s->parallel, page);
    pthread_mutex_unlock(&s->shadow_lock);
}

/* Memory that all workers share: it outlives reloads, and workers. */
#include "banyan.h"

#define ROOM ((size_t)4 * 1024 * 1024)
#define SPINS 1000

static ngx_int_t zone_init(ngx_shm_zone_t *zone, void *data) {
    ngx_slab_pool_t *pool = (ngx_slab_pool_t *)zone->shm.addr;
    if (data) { /* a reload: everything stays as it is */
        zone->data = data;
        return NGX_OK;
    }
    banyan_shared_t *shared = ngx_slab_calloc(pool, sizeof *shared);
    if (!shared)
        return NGX_ERROR;
    shared->breakers = banyan_breakers_new(pool);
    shared->sampling = ngx_slab_calloc(pool, BANYAN_ROUTES_MAX * sizeof *shared->sampling);
    shared->marks = ngx_slab_calloc(pool, BANYAN_MARK_BUCKETS * sizeof *shared->marks);
    zone->data = shared;
    return shared->breakers && shared->sampling && shared->marks ? NGX_OK : NGX_ERROR;
}

char *banyan_shared_init(ngx_conf_t *cf, banyan_main_conf_t *conf) {
    ngx_str_t name = ngx_string("banyan");
    conf->zone = ngx_shared_memory_add(cf, &name, ROOM, &ngx_http_banyan_module);
    if (!conf->zone)
        return NGX_CONF_ERROR;
    conf->zone->init = zone_init;
    return NGX_CONF_OK;
}

/* Nobody else may free the lock of a worker that was killed while it held it. */
static ngx_uint_t is_abandoned(ngx_atomic_uint_t holder) {
    return holder && kill((pid_t)holder, 0) < 0 && ngx_errno == NGX_ESRCH;
}

void banyan_lock(ngx_atomic_t *lock) {
    ngx_atomic_uint_t me = (ngx_atomic_uint_t)ngx_pid;
    for (;;) {
        for (ngx_uint_t i = 0; i < SPINS; i++) {
            if (*lock == 0 && ngx_atomic_cmp_set(lock, 0, me))
                return;
            ngx_cpu_pause();
        }
        ngx_atomic_uint_t holder = *lock;
        if (is_abandoned(holder) && ngx_atomic_cmp_set(lock, holder, me))
            return;
        ngx_sched_yield();
    }
}

void banyan_unlock(ngx_atomic_t *lock) {
    ngx_unlock(lock);
}

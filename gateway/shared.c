/* Memory that all workers share: it outlives reloads, and workers. */
#include "banyan.h"

#include <xxhash.h>

#define ROOM ((size_t)4 * 1024 * 1024)
#define SPINS 1000

static banyan_shared_t *make(ngx_slab_pool_t *pool) {
    banyan_shared_t *shared = ngx_slab_calloc(pool, sizeof *shared);
    if (!shared)
        return NULL;
    shared->owners = ngx_slab_calloc(pool, BANYAN_ROUTES_MAX * sizeof *shared->owners);
    shared->breakers = banyan_breakers_new(pool);
    shared->sampling = ngx_slab_calloc(pool, BANYAN_ROUTES_MAX * sizeof *shared->sampling);
    shared->marks = ngx_slab_calloc(pool, BANYAN_MARK_BUCKETS * sizeof *shared->marks);
    return shared->owners && shared->breakers && shared->sampling && shared->marks ? shared : NULL;
}

/* Routes have places by their number. Where another stands after a reload, its place begins anew;
 * workers of the configuration before use it on until they have ended, which does little harm. */
static void give_places(const banyan_main_conf_t *conf, banyan_shared_t *shared) {
    for (ngx_uint_t i = 0; i < conf->routes.nelts; i++) {
        uint64_t owner = XXH3_64bits(conf->prefixes[i].ptr, conf->prefixes[i].len);
        if (shared->owners[i] == owner)
            continue;
        shared->owners[i] = owner;
        banyan_breaker_begin_anew(shared, i);
        shared->sampling[i] = 0;
    }
}

/* `data`: of the configuration before; everything else stays as it is. */
static ngx_int_t zone_init(ngx_shm_zone_t *zone, void *data) {
    const banyan_main_conf_t *conf = zone->data;
    banyan_shared_t *shared = data ? data : make((ngx_slab_pool_t *)zone->shm.addr);
    if (!shared)
        return NGX_ERROR;
    zone->data = shared;
    give_places(conf, shared);
    return NGX_OK;
}

char *banyan_shared_init(ngx_conf_t *cf, banyan_main_conf_t *conf) {
    ngx_str_t name = ngx_string("banyan");
    conf->zone = ngx_shared_memory_add(cf, &name, ROOM, &ngx_http_banyan_module);
    if (!conf->zone)
        return NGX_CONF_ERROR;
    conf->zone->init = zone_init;
    conf->zone->data = conf; /* until then */
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

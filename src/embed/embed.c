#include "embed/embed.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"
#include "flagfile/snapshot.h"
#include "gateway/routing.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define LOOK_EVERY_US 200000
#define BLOB_MAX (64 * (size_t)1024 * 1024)

/* Flags in use; the bytes go with the last one who uses them. */
struct flags_in_use {
    atomic_size_t references;
    struct buf bytes;
    struct flags_set set;
};

struct embed {
    const struct conf *conf;
    const char *state_path;
    char *blob_path;
    struct operations *operations;
    struct state *state; /* NULL: there is none yet. The looking thread's, after _new */
    struct stat blob;    /* likewise: of the flags that were read */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t ended;
    bool ending;
    struct route_settings settings;
    struct flags_in_use *flags; /* NULL: none */

    pthread_t looker;
    bool started;
};

/* ---- flags ---- */

static void flags_unref(struct flags_in_use *f) {
    if (!f || atomic_fetch_sub(&f->references, 1) > 1)
        return;
    buf_release(&f->bytes);
    free(f);
}

static struct flags_in_use *flags_get(struct embed *e) {
    pthread_mutex_lock(&e->lock);
    struct flags_in_use *f = e->flags;
    if (f)
        atomic_fetch_add(&f->references, 1);
    pthread_mutex_unlock(&e->lock);
    return f;
}

static void flags_set(struct embed *e, struct flags_in_use *f) {
    pthread_mutex_lock(&e->lock);
    struct flags_in_use *before = e->flags;
    e->flags = f;
    pthread_mutex_unlock(&e->lock);
    flags_unref(before);
}

static int take_flags(struct embed *e, struct span bytes, struct err *err) {
    struct flags_in_use *f = mem_zalloc(1, sizeof *f);
    atomic_init(&f->references, 1);
    buf_init(&f->bytes, BLOB_MAX);
    buf_add_span(&f->bytes, bytes);
    int rc = flags_open(f->bytes.data, f->bytes.len, &f->set, err);
    if (rc < 0)
        flags_unref(f);
    else
        flags_set(e, f);
    return rc;
}

static bool is_other(const struct stat *a, const struct stat *b) {
    return a->st_ino != b->st_ino || a->st_size != b->st_size ||
           a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
}

/* The published flags; where nobody has published any, those of the file. A bad blob leaves the
 * last good flags in use. */
static int look_at_flags(struct embed *e, struct err *err) {
    _cleanup_(buf_release) struct buf bytes = {.max = BLOB_MAX};
    _cleanup_(snapshot_freep) struct snapshot *own = NULL;
    struct stat now;
    if (stat(e->blob_path, &now) < 0) {
        if (e->flags || !snapshot_file(e->conf))
            return 0;
        int rc = snapshot_build(e->conf, e->state_path, e->state, &own, err);
        return rc == 0 && own->file ? take_flags(e, buf_span(&own->blob), err) : rc;
    }
    if (!is_other(&now, &e->blob))
        return 0;
    int rc = file_read(e->blob_path, &bytes, err);
    if (rc == 0)
        rc = take_flags(e, buf_span(&bytes), err);
    if (rc == 0)
        e->blob = now;
    return rc;
}

/* ---- routing ---- */

static void by_configuration(const struct conf *conf, struct route_settings *ret) {
    static const struct routing nothing;
    for (size_t i = 0; i < conf->module_count && i < ROUTE_MODULES_MAX; i++) {
        struct routing r = nothing;
        routing_configured(&conf->modules[i], &r);
        ret->modules[ret->count++] = r.module;
    }
}

static int look_at_routing(struct embed *e, struct err *err) {
    _cleanup_(mem_freep) struct route_settings *settings = mem_zalloc(1, sizeof *settings);
    int rc = e->state ? 0 : state_open_existing(e->state_path, &e->state, err);
    if (rc == 0 && e->state)
        rc = routing_settings(e->conf, e->state, settings, err);
    else if (rc == 0)
        by_configuration(e->conf, settings);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&e->lock);
    e->settings = *settings;
    pthread_mutex_unlock(&e->lock);
    return 0;
}

static int look(struct embed *e, struct err *err) {
    int rc = look_at_routing(e, err);
    return rc < 0 ? rc : look_at_flags(e, err);
}

/* What cannot be read now leaves what was read before in use. */
static void *look_main(void *argument) {
    struct embed *e = argument;
    struct err ignored;
    pthread_mutex_lock(&e->lock);
    while (!e->ending) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_EVERY_US * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&e->ended, &e->lock, &until);
        if (e->ending)
            break;
        pthread_mutex_unlock(&e->lock);
        if (look(e, &ignored) < 0)
            ignored.code = 0;
        pthread_mutex_lock(&e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* ---- who answers ---- */

static void route(void *context, const struct conf_module *module, const struct flags_context *who,
                  struct operation_routing *ret) {
    struct embed *e = context;
    pthread_mutex_lock(&e->lock);
    const struct route_module *m = route_settings_find(&e->settings, module->name.text);
    if (m)
        *ret = (struct operation_routing){
            .known = true, .reads = m->reads, .writes = m->writes, .fallback = m->fallback};
    pthread_mutex_unlock(&e->lock);
    if (!ret->known || ret->reads != READS_FLAG)
        return;
    struct flags_in_use *f = flags_get(e);
    ret->known = f != NULL;
    if (f && module->flag.text) {
        struct flags_result result;
        flags_evaluate(&f->set, flags_find(&f->set, span_of(module->flag.text)), who, &result);
        ret->flag_on = result.on;
    }
    flags_unref(f);
}

/* ---- life ---- */

int embed_new(const struct conf *conf, const char *state_path, const char *app,
              struct embed **ret_embed, struct err *err) {
    struct embed *e = mem_zalloc(1, sizeof *e);
    pthread_condattr_t monotonic;
    const struct operations_config config = {
        .conf = conf, .app = app, .route = route, .route_context = e};
    e->conf = conf;
    e->state_path = state_path;
    e->blob_path = snapshot_blob_path(state_path);
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = look(e, err);
    if (rc == 0)
        rc = operations_new(&config, &e->operations, err);
    if (rc == 0) {
        e->started = thread_start(&e->looker, look_main, e);
        rc = e->started ? 0 : err_set(err, ERR_LIMIT, "the system has no room for another thread");
    }
    if (rc < 0)
        embed_free(e);
    else
        *ret_embed = e;
    return rc;
}

void embed_free(struct embed *e) {
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->ending = true;
    pthread_cond_signal(&e->ended);
    pthread_mutex_unlock(&e->lock);
    if (e->started)
        pthread_join(e->looker, NULL);
    operations_free(e->operations);
    flags_unref(e->flags);
    state_free(e->state);
    pthread_cond_destroy(&e->ended);
    pthread_mutex_destroy(&e->lock);
    free(e->blob_path);
    free(e);
}

struct operations *embed_operations(struct embed *e) {
    return e->operations;
}

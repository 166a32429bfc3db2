/* The two published files. A new one is checked whole before the pointer moves; what cannot be used
 * leaves the last good one in use. The worker is one thread, so nothing is locked. */
#include "banyan.h"

#define LOOK_EVERY_MS 200
#define FILE_MAX ((off_t)256 * 1024 * 1024)

struct published {
    const ngx_str_t *path;
    ino_t inode;
    struct timespec changed;
    off_t size;
};

struct look {
    ngx_event_t timer;
    struct published flags, settings;
    const banyan_main_conf_t *conf;
    void *map;
    size_t map_len;
    struct flags_set set;
    struct route_settings *current, *spare;
};

static struct look look;

const struct flags_set *banyan_published_flags(void) {
    return look.map ? &look.set : NULL;
}

const struct route_settings *banyan_published_settings(void) {
    return look.current;
}

static ngx_uint_t is_news(struct published *p, const struct stat *st) {
    if (st->st_ino == p->inode && st->st_size == p->size &&
        st->st_mtim.tv_sec == p->changed.tv_sec && st->st_mtim.tv_nsec == p->changed.tv_nsec)
        return 0;
    p->inode = st->st_ino;
    p->size = st->st_size;
    p->changed = st->st_mtim;
    return 1;
}

/* MAP_FAILED: nothing new, or it cannot be mapped. Files are replaced by rename, never written to,
 * so a mapping stays as it is. */
static void *map_news(struct published *p, ngx_log_t *log) {
    struct stat st;
    void *map = MAP_FAILED;
    int fd = open((const char *)p->path->data, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return MAP_FAILED;
    if (fstat(fd, &st) == 0 && is_news(p, &st) && st.st_size > 0 && st.st_size <= FILE_MAX) {
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            p->inode = 0; /* it is news at the next look, too */
            ngx_log_error(NGX_LOG_ERR, log, ngx_errno, "banyan: cannot map %V", p->path);
        }
    }
    (void)close(fd);
    return map;
}

static void refuse(const struct published *p, const struct err *err, ngx_log_t *log) {
    ngx_log_error(NGX_LOG_ERR, log, 0, "banyan: %V is refused, what was there stays: %s", p->path,
                  err->text);
}

static void look_at_flags(ngx_log_t *log) {
    struct flags_set set;
    struct err err;
    void *map = map_news(&look.flags, log);
    if (map == MAP_FAILED)
        return;
    size_t len = (size_t)look.flags.size;
    if (flags_open(map, len, &set, &err) < 0) {
        refuse(&look.flags, &err, log);
        (void)munmap(map, len);
        return;
    }
    if (look.map)
        (void)munmap(look.map, look.map_len);
    look.map = map;
    look.map_len = len;
    look.set = set;
}

static void look_at_settings(ngx_log_t *log) {
    struct err err;
    void *map = map_news(&look.settings, log);
    if (map == MAP_FAILED)
        return;
    size_t len = (size_t)look.settings.size;
    if (route_settings_read(span_make(map, len), look.spare, &err) < 0) {
        refuse(&look.settings, &err, log);
    } else {
        struct route_settings *old = look.current;
        look.current = look.spare;
        look.spare = old ? old : look.current + 1;
    }
    (void)munmap(map, len);
}

static void on_timer(ngx_event_t *event) {
    look_at_flags(event->log);
    look_at_settings(event->log);
    banyan_applied_look(look.conf);
    banyan_sockets_look(look.conf);
    ngx_add_timer(event, LOOK_EVERY_MS);
}

ngx_int_t banyan_published_start(ngx_cycle_t *cycle, const banyan_main_conf_t *conf) {
    look.conf = conf;
    banyan_sockets_start();
    look.flags.path = &conf->flags_path;
    look.settings.path = &conf->settings_path;
    look.spare = ngx_pcalloc(cycle->pool, 2 * sizeof *look.spare);
    if (!look.spare)
        return NGX_ERROR;
    look.timer.handler = on_timer;
    look.timer.log = cycle->log;
    look.timer.data = &look;
    look.timer.cancelable = 1; /* does not hold a worker that wants to end */
    on_timer(&look.timer);
    return NGX_OK;
}

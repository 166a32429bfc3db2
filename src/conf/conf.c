#include "conf/conf.h"

#include "base/mem.h"
#include "conf/conf_bind.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* What conf_free needs, around what callers see. */
struct conf_whole {
    struct conf conf; /* first: a struct conf * is a struct conf_whole * */
    struct arena arena;
};

static int parse(const char *name, const char *text, size_t len, bool edge, struct conf **ret_conf,
                 struct err *err) {
    struct conf_whole *whole = mem_zalloc(1, sizeof *whole);
    arena_init(&whole->arena, CONF_MEMORY_MAX);
    struct tree_input in = {name, len ? text : "", len, NULL};
    const struct tree_node *root = NULL;
    int rc = tree_parse(&in, &whole->arena, &root, err);
    struct span file = rc == 0 ? arena_copy(&whole->arena, span_of(name)) : (struct span){0};
    whole->conf.file = file.ptr;
    if (rc == 0 && !file.ptr)
        rc = err_set(err, ERR_CONF, "%s:1:1: no memory left for its name", name);
    if (rc == 0)
        rc = bind_conf(whole->conf.file, root, &whole->arena, edge, &whole->conf, err);
    if (rc < 0)
        conf_free(&whole->conf);
    else
        *ret_conf = &whole->conf;
    return rc;
}

int conf_parse(const char *name, const char *text, size_t len, struct conf **ret_conf,
               struct err *err) {
    return parse(name, text, len, false, ret_conf, err);
}

static const char *name_another(int number) {
    switch (number) {
    case EACCES:
    case EPERM:
        return "let this user read it, or name another file with -c";
    case EISDIR:
        return "name a file with -c";
    default:
        return "name the file with -c";
    }
}

/* "path:1:1: cannot open it: ...", with what to do where the caller knows that. */
static int unreadable(const char *path, const char *what, const char *(*way_out)(int),
                      struct err *err) {
    int number = errno;
    return err_set(err, ERR_CONF, "%s:1:1: cannot %s it: %s%s%s", path, what,
                   strerrordesc_np(number), way_out ? "; " : "", way_out ? way_out(number) : "");
}

int conf_read_file(const char *path, size_t limit, const char *(*way_out)(int), struct buf *to,
                   struct err *err) {
    const size_t step = 64 * (size_t)1024;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return unreadable(path, "open", way_out, err);
    int rc = 0;
    for (;;) {
        char *at = buf_reserve(to, step);
        ssize_t n = at ? read(fd, at, step) : -1;
        if (!at)
            rc = err_set(err, ERR_CONF, "%s:1:1: the file has more than %zu MiB; split it", path,
                         limit >> 20);
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0)
            rc = unreadable(path, "read", way_out, err);
        if (n <= 0)
            break;
        to->len += (size_t)n;
    }
    (void)close(fd);
    return rc;
}

static int load(const char *path, bool edge, struct conf **ret_conf, struct err *err) {
    /* One read more than the limit, so that the exact check is parse's. */
    _cleanup_(buf_release) struct buf text = {.max = CONF_FILE_MAX + 128 * (size_t)1024};
    int rc = conf_read_file(path, CONF_FILE_MAX, name_another, &text, err);
    return rc < 0 ? rc : parse(path, text.data, text.len, edge, ret_conf, err);
}

int conf_load(const char *path, struct conf **ret_conf, struct err *err) {
    return load(path, false, ret_conf, err);
}

int conf_load_edge(const char *path, struct conf **ret_conf, struct err *err) {
    return load(path, true, ret_conf, err);
}

void conf_free(struct conf *conf) {
    if (!conf)
        return;
    struct conf_whole *whole = (struct conf_whole *)conf;
    arena_release(&whole->arena);
    free(whole);
}

const struct conf_module *conf_module(const struct conf *conf, const char *name) {
    for (size_t i = 0; i < conf->module_count; i++)
        if (strcmp(conf->modules[i].name.text, name) == 0)
            return &conf->modules[i];
    return NULL;
}

int conf_error(const struct conf *conf, struct conf_at at, struct err *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int rc = tree_verror(conf->file, at, err, fmt, args);
    va_end(args);
    return rc;
}

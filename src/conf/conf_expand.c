#include "conf/conf_expand.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int too_long(struct err *err) {
    return err_set(err, ERR_CONF, "a value of more than %d bytes", CONF_VALUE_MAX);
}

static int read_all(int fd, const char *path, struct buf *out, struct err *err) {
    for (;;) {
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, ERR_CONF, "cannot read file '%s': %s", path,
                           strerrordesc_np(errno));
        if (n == 0)
            return 0;
        buf_add(out, chunk, (size_t)n);
        if (!buf_ok(out))
            return err_set(err, ERR_CONF, "file '%s' has more than %d bytes", path, CONF_VALUE_MAX);
    }
}

static int add_file(const char *path, struct buf *out, struct err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_CONF, "cannot open file '%s': %s; make it readable or name another",
                       path, strerrordesc_np(errno));
    size_t start = out->len;
    int rc = read_all(fd, path, out, err);
    (void)close(fd);
    if (rc < 0)
        return rc;
    if (out->len > start && out->data[out->len - 1] == '\n')
        out->len--;
    if (out->len > start && memchr(out->data + start, 0, out->len - start))
        return err_set(err, ERR_CONF, "file '%s' holds a NUL byte; it must be text", path);
    return 0;
}

static bool is_variable(const char *name) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    size_t len = strlen(name);
    return len > 0 && strchr(letters, name[0]) &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == len;
}

/* What stands between the braces. */
static int add_reference(struct span inside, struct buf *out, struct err *err) {
    _cleanup_(mem_freep) char *name = mem_strndup(inside.ptr, inside.len);
    if (strncmp(name, "file:", 5) == 0 && name[5] != '\0')
        return add_file(name + 5, out, err);
    if (!is_variable(name))
        return err_set(
            err, ERR_CONF,
            "'${%.60s}' is neither ${NAME} nor ${file:/path}; write $${ for a literal ${", name);
    const char *value = getenv(name);
    if (!value)
        return err_set(err, ERR_CONF, "environment variable '%s' is not set; set it", name);
    buf_add_text(out, value);
    return 0;
}

static int expand_into(struct span text, struct buf *out, bool *ret_expanded, struct err *err) {
    for (size_t i = 0; i < text.len;) {
        struct span rest = span_make(text.ptr + i, text.len - i);
        if (rest.len >= 3 && memcmp(rest.ptr, "$${", 3) == 0) {
            buf_add_text(out, "${");
            i += 3;
        } else if (rest.len >= 2 && memcmp(rest.ptr, "${", 2) == 0) {
            const char *close_at = memchr(rest.ptr, '}', rest.len);
            if (!close_at)
                return err_set(err, ERR_CONF, "'${' without '}'; write $${ for a literal ${");
            size_t len = (size_t)(close_at - rest.ptr);
            int rc = add_reference(span_make(rest.ptr + 2, len - 2), out, err);
            if (rc < 0)
                return rc;
            *ret_expanded = true;
            i += len + 1;
        } else {
            buf_add_char(out, rest.ptr[0]);
            i++;
        }
        if (!buf_ok(out))
            return too_long(err);
    }
    return 0;
}

int conf_expand(struct span text, struct arena *arena, struct span *ret_text, bool *ret_expanded,
                struct err *err) {
    *ret_expanded = false;
    _cleanup_(buf_release) struct buf out = {.max = CONF_VALUE_MAX};
    int rc = expand_into(text, &out, ret_expanded, err);
    if (rc < 0)
        return rc;
    if (!utf8_valid(buf_span(&out)))
        return err_set(err, ERR_CONF, "a variable or file holds text that is not UTF-8");
    struct span copy = arena_copy(arena, buf_span(&out));
    if (out.len == 0)
        copy = (struct span){"", 0};
    if (!copy.ptr)
        return err_set(err, ERR_CONF, "the configuration needs more than %d MiB of memory",
                       CONF_MEMORY_MAX / (1024 * 1024));
    *ret_text = copy;
    return 0;
}

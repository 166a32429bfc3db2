#include "gateway/fits.h"

#include "base/buf.h"
#include "base/file.h"

#include <string.h>

#define FILE_MAX ((size_t)256 * 1024 * 1024)
#define MARK "banyan: built for "
#define WORD_MAX 128

struct built {
    char version[WORD_MAX], signature[WORD_MAX];
};

static bool take_word(const char **at, const char *end, char word[WORD_MAX]) {
    size_t len = 0;
    while (*at + len < end && (*at)[len] > ' ' && (*at)[len] <= '~')
        len++;
    if (len == 0 || len >= WORD_MAX)
        return false;
    memcpy(word, *at, len);
    word[len] = '\0';
    *at += len;
    return true;
}

/* "banyan: built for nginx/1.22.1 8,4,8,0011..." somewhere in the file. */
static bool find_mark(struct span file, struct built *ret) {
    const char *end = file.ptr + file.len;
    const char *at = memmem(file.ptr, file.len, MARK, sizeof MARK - 1);
    if (!at)
        return false;
    at += sizeof MARK - 1;
    return take_word(&at, end, ret->version) && at < end && *at++ == ' ' &&
           take_word(&at, end, ret->signature);
}

static bool is_elf(struct span file) {
    return file.len > 4 && memcmp(file.ptr, "\177ELF", 4) == 0;
}

#define WAY_OUT "; build it with gateway/build.sh and the sources of that nginx (NGINX_SRC)"

int fits_check(const char *module, const char *program, const char *version, struct err *err) {
    _cleanup_(buf_release) struct buf file = {.max = FILE_MAX};
    struct built built;
    int rc = file_read(module, &file, err);
    if (rc < 0)
        return rc;
    if (!find_mark(buf_span(&file), &built))
        return err_set(err, ERR_CONF, "%s is no module of Banyan" WAY_OUT, module);
    if (strcmp(built.version, version) != 0)
        return err_set(err, ERR_CONF, "the module %s was built for %s, but %s is %s" WAY_OUT,
                       module, built.version, program, version);
    buf_clear(&file);
    rc = file_read(program, &file, err);
    if (rc == 0 && is_elf(buf_span(&file)) &&
        !memmem(file.data, file.len, built.signature, strlen(built.signature)))
        rc = err_set(err, ERR_CONF,
                     "the module %s was built for an nginx with other options than %s, although "
                     "both are %s" WAY_OUT "; it must have been built --with-compat",
                     module, program, version);
    return rc;
}

#define ERR_STATE ERR_STATE_of_openssl
#include <openssl/evp.h>
#include <openssl/hmac.h>
#undef ERR_STATE

#include "parallel/secret.h"

#include "base/mem.h"
#include "state/divergence.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

static int read_it(const char *path, struct secret *ret, bool *ret_found, struct err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *ret_found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT
                   ? 0
                   : err_set(err, ERR_STATE, "cannot read %s: %s", path, strerror(errno));
    ssize_t n = read(fd, ret->key, sizeof ret->key);
    close(fd);
    return n == (ssize_t)sizeof ret->key
               ? 0
               : err_set(err, ERR_STATE,
                         "%s is damaged; delete it, and hashes of masked values no longer compare "
                         "with older ones",
                         path);
}

/* Written beside and linked: whoever is first wins, and nobody sees half of it. */
static int make_it(const char *path, struct err *err) {
    struct secret fresh;
    _cleanup_(mem_freep) char *beside = mem_printf("%s.%d", path, (int)getpid());
    if (getrandom(fresh.key, sizeof fresh.key, 0) != (ssize_t)sizeof fresh.key)
        return err_set(err, ERR_INTERNAL, "the system gives no random number");
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, fresh.key, sizeof fresh.key) == (ssize_t)sizeof fresh.key &&
              fsync(fd) == 0;
    if (ok)
        ok = link(beside, path) == 0 || errno == EEXIST;
    int number = errno;
    if (fd >= 0)
        close(fd);
    unlink(beside);
    return ok ? 0 : err_set(err, ERR_STATE, "cannot make %s: %s", path, strerror(number));
}

int secret_open(const char *state_path, struct secret *ret, struct err *err) {
    _cleanup_(mem_freep) char *path = mem_printf("%s.mask-key", state_path);
    bool found = false;
    int rc = read_it(path, ret, &found, err);
    if (rc < 0 || found)
        return rc;
    rc = make_it(path, err);
    if (rc == 0)
        rc = read_it(path, ret, &found, err);
    return rc == 0 && !found ? err_set(err, ERR_STATE, "%s was taken away", path) : rc;
}

void secret_hash_user(const struct secret *s, struct span user, unsigned char *ret) {
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    HMAC(EVP_sha256(), s->key, SECRET_LEN, (const unsigned char *)user.ptr, user.len, hash, &len);
    memcpy(ret, hash, STATE_USER_LEN);
}

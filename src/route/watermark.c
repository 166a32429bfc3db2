#include "route/watermark.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "BANYANWM"
#define LAYOUT 1u
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_MAX 40

struct content {
    char magic[8];
    uint32_t layout;
    _Atomic uint32_t count;
    char reserved[16];
    char boot[BOOT_MAX];
    struct watermark_slot slots[ROUTE_MODULES_MAX];
};
_Static_assert(sizeof(struct watermark_slot) == 192, "the layout of slots is fixed");

struct watermark {
    struct content *content;
};

static int fails(const char *what, const char *path, struct err *err) {
    return err_set(err, ERR_STATE, "cannot %s %s: %s", what, path, strerrordesc_np(errno));
}

/* Without /proc every boot is the same: the daemon makes the file anew then. */
static void boot_id(char id[BOOT_MAX]) {
    memset(id, 0, BOOT_MAX);
    int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, id, BOOT_MAX - 1);
    (void)close(fd);
    if (n < 0)
        id[0] = '\0';
}

static bool is_ours(const struct content *c) {
    char boot[BOOT_MAX];
    boot_id(boot);
    return memcmp(c->magic, MAGIC, sizeof c->magic) == 0 && c->layout == LAYOUT &&
           memcmp(c->boot, boot, BOOT_MAX) == 0 &&
           atomic_load_explicit(&c->count, memory_order_acquire) <= ROUTE_MODULES_MAX;
}

/* Owns the mapping; `fd` stays the caller's. */
static int map(int fd, const char *path, struct watermark **ret, struct err *err) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fails("look at", path, err);
    if (st.st_size != sizeof(struct content))
        return err_set(err, ERR_STATE, "%s has another length than this program writes", path);
    void *at = mmap(NULL, sizeof(struct content), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return fails("map", path, err);
    if (!is_ours(at)) {
        (void)munmap(at, sizeof(struct content));
        return err_set(err, ERR_STATE, "%s is of another boot or another program", path);
    }
    *ret = mem_zalloc(1, sizeof **ret);
    (*ret)->content = at;
    return 0;
}

int watermark_open(const char *path, struct watermark **ret_watermark, struct err *err) {
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fails("open", path, err);
    int rc = map(fd, path, ret_watermark, err);
    (void)close(fd);
    return rc;
}

static int fill(int fd, const char *path, struct err *err) {
    struct content *fresh = mem_zalloc(1, sizeof *fresh);
    memcpy(fresh->magic, MAGIC, sizeof fresh->magic);
    fresh->layout = LAYOUT;
    boot_id(fresh->boot);
    ssize_t n = write(fd, fresh, sizeof *fresh);
    free(fresh);
    return n == sizeof *fresh ? 0 : fails("write", path, err);
}

/* Beside and renamed: a worker sees a whole one, or none. Not made durable: after a crash of the
 * machine it is of another boot. */
static int make(const char *path, struct err *err) {
    _cleanup_(mem_freep) char *beside = mem_printf("%s.new", path);
    (void)unlink(beside);
    int fd = open(beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fails("make", beside, err);
    int rc = fill(fd, beside, err);
    (void)close(fd);
    if (rc == 0 && rename(beside, path) < 0)
        rc = fails("rename", beside, err);
    return rc;
}

int watermark_publish(const char *path, struct watermark **ret_watermark, struct err *err) {
    if (watermark_open(path, ret_watermark, NULL) == 0)
        return 0;
    int rc = make(path, err);
    return rc < 0 ? rc : watermark_open(path, ret_watermark, err);
}

void watermark_close(struct watermark *w) {
    if (!w)
        return;
    (void)munmap(w->content, sizeof *w->content);
    free(w);
}

/* Another process may have written anything: names are compared within their room. */
struct watermark_slot *watermark_find(struct watermark *w, const char *module) {
    struct content *c = w->content;
    uint32_t count = atomic_load_explicit(&c->count, memory_order_acquire);
    for (uint32_t i = 0; i < count && i < ROUTE_MODULES_MAX; i++)
        if (strncmp(c->slots[i].name, module, ROUTE_NAME_MAX) == 0)
            return &c->slots[i];
    return NULL;
}

struct watermark_slot *watermark_add(struct watermark *w, const char *module) {
    struct content *c = w->content;
    struct watermark_slot *slot = watermark_find(w, module);
    uint32_t count = atomic_load_explicit(&c->count, memory_order_relaxed);
    if (slot || count >= ROUTE_MODULES_MAX || strlen(module) >= ROUTE_NAME_MAX)
        return slot;
    slot = &c->slots[count];
    (void)snprintf(slot->name, sizeof slot->name, "%s", module);
    atomic_store_explicit(&c->count, count + 1, memory_order_release);
    return slot;
}

void watermark_set(struct watermark_slot *slot, int64_t applied_us, int64_t now_us) {
    if (applied_us > watermark_applied(slot))
        atomic_store_explicit(&slot->applied_us, applied_us, memory_order_release);
    atomic_store_explicit(&slot->beat_us, now_us, memory_order_relaxed);
}

#include "edge/spool.h"

#include "base/cursor.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)2 * 1024 * 1024)
#define SUFFIX ".batch"

struct spool {
    char *folder;
    int64_t last;                   /* sequence that was given away */
    int64_t waiting[SPOOL_MAX + 1]; /* sequences, ascending */
    size_t count;
};

static char *path_of(const struct spool *s, int64_t sequence) {
    return mem_printf("%s/%019" PRId64 SUFFIX, s->folder, sequence);
}

static char *last_path(const struct spool *s) {
    return mem_printf("%s/last", s->folder);
}

/* ---- what waits from before ---- */

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* 0: not a batch's. */
static int64_t sequence_of(const char *name) {
    int64_t v = 0;
    if (strlen(name) != 19 + sizeof SUFFIX - 1 || strcmp(name + 19, SUFFIX) != 0 ||
        strspn(name, "0123456789") != 19 || sscanf(name, "%19" SCNd64, &v) != 1)
        return 0;
    return v;
}

static int list(struct spool *s, struct err *err) {
    DIR *d = opendir(s->folder);
    if (!d)
        return err_set(err, ERR_STATE, "cannot read %s: %s", s->folder, strerror(errno));
    for (struct dirent *entry; s->count < SPOOL_MAX && (entry = readdir(d));) {
        int64_t sequence = sequence_of(entry->d_name);
        if (sequence > 0)
            s->waiting[s->count++] = sequence;
    }
    closedir(d);
    qsort(s->waiting, s->count, sizeof *s->waiting, by_number);
    if (s->count && s->waiting[s->count - 1] > s->last)
        s->last = s->waiting[s->count - 1];
    return 0;
}

/* A number that cannot be read is no reason to begin anew: the control daemon would leave out what
 * is numbered below what it has. */
static int read_last(struct spool *s, struct err *err) {
    _cleanup_(mem_freep) char *path = last_path(s);
    _cleanup_(buf_release) struct buf text = {.max = 64};
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    int rc = file_read(path, &text, err);
    if (rc == 0 && (sscanf(buf_text(&text), "%19" SCNd64, &s->last) != 1 || s->last < 0))
        rc = err_set(err, ERR_STATE,
                     "%s does not hold the number of the last batch; delete the folder of this "
                     "file and edge.id beside it: this edge is then a new one",
                     path);
    return rc;
}

int spool_open(const char *folder, struct spool **ret_spool, struct err *err) {
    struct spool *s = mem_zalloc(1, sizeof *s);
    s->folder = mem_printf("%s/statistics", folder);
    int rc = 0;
    if (mkdir(s->folder, 0700) < 0 && errno != EEXIST)
        rc = err_set(err, ERR_STATE, "cannot make the folder %s: %s", s->folder, strerror(errno));
    if (rc == 0)
        rc = read_last(s, err);
    if (rc == 0)
        rc = list(s, err);
    if (rc < 0) {
        spool_close(s);
        return rc;
    }
    *ret_spool = s;
    return 0;
}

void spool_close(struct spool *s) {
    if (!s)
        return;
    free(s->folder);
    free(s);
}

size_t spool_count(const struct spool *s) {
    return s->count;
}

/* ---- in and out ---- */

int64_t spool_next(const struct spool *s) {
    return s->last + 1;
}

static int use_up(struct spool *s, struct err *err) {
    _cleanup_(mem_freep) char *path = last_path(s);
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64 "\n", ++s->last);
    return file_replace(path, span_of(text), err);
}

int spool_put(struct spool *s, int64_t made_us, struct span batch, size_t *ret_lost,
              struct err *err) {
    int64_t sequence = spool_next(s);
    _cleanup_(mem_freep) char *path = path_of(s, sequence);
    _cleanup_(buf_release) struct buf file = {.max = FILE_MAX};
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_add_char(&file, (char)((uint64_t)made_us >> shift));
    buf_add_span(&file, batch);
    int rc = use_up(s, err);
    if (rc == 0)
        rc = file_replace(path, buf_span(&file), err);
    if (rc < 0)
        return rc;
    s->waiting[s->count++] = sequence;
    for (*ret_lost = 0; s->count > SPOOL_MAX; ++*ret_lost)
        spool_drop_first(s);
    return 0;
}

int spool_first(struct spool *s, struct buf *batch, int64_t *ret_made_us, struct err *err) {
    _cleanup_(mem_freep) char *path = path_of(s, s->waiting[0]);
    _cleanup_(buf_release) struct buf file = {.max = FILE_MAX};
    int rc = file_read(path, &file, err);
    if (rc < 0)
        return rc;
    struct cursor c = cursor_over(buf_span(&file));
    uint64_t made = cursor_u64(&c);
    buf_add_span(batch, cursor_take(&c, cursor_left(&c)));
    *ret_made_us = (int64_t)made;
    return c.failed || !buf_ok(batch) ? err_set(err, ERR_STATE, "%s is damaged", path) : 0;
}

void spool_drop_first(struct spool *s) {
    _cleanup_(mem_freep) char *path = path_of(s, s->waiting[0]);
    (void)unlink(path); /* one that stays is sent again, and left out there */
    s->count--;
    memmove(s->waiting, s->waiting + 1, s->count * sizeof *s->waiting);
}

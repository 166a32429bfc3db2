/* Who this edge is: a name that people gave it, and an id that its folder keeps. */
#include "base/file.h"
#include "base/mem.h"
#include "edge/core.h"
#include "flagfile/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int take_name(struct edge *e, struct err *err) {
    char host[256] = "";
    const char *name = e->conf->edge.name.text;
    if (!name && gethostname(host, sizeof host - 1) == 0)
        name = host;
    if (!name || !conf_is_edge_name(name))
        return err_set(err, ERR_CONF,
                       "the machine's name cannot be the name of an edge: set edge.name");
    memcpy(e->name, name, strlen(name) + 1); /* conf_is_edge_name: it has room */
    return 0;
}

static int take_lock(struct edge *e, struct err *err) {
    _cleanup_(mem_freep) char *path = mem_printf("%s/edge.lock", e->folder);
    e->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (e->lock_fd < 0)
        return err_set(err, ERR_STATE, "cannot open %s: %s", path, strerror(errno));
    if (flock(e->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return err_set(err, ERR_BUSY, "another edge runs with %s", e->folder);
}

static bool is_id(struct span s) {
    bool hex = s.len == EXCHANGE_ETAG_MAX - 1;
    for (size_t i = 0; hex && i < s.len; i++)
        hex = (s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f');
    return hex;
}

/* A damaged one is made anew: the control daemon then knows another edge of this name. */
static int take_id(struct edge *e, struct err *err) {
    _cleanup_(mem_freep) char *path = mem_printf("%s/edge.id", e->folder);
    _cleanup_(buf_release) struct buf kept = {.max = 4096};
    uint64_t random = 0;
    if (file_read(path, &kept, NULL) == 0 && is_id(buf_span(&kept))) {
        memcpy(e->id, kept.data, kept.len);
        return 0;
    }
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, ERR_INTERNAL, "the system gives no random number");
    (void)snprintf(e->id, sizeof e->id, "%016" PRIx64, random);
    return file_replace(path, span_of(e->id), err);
}

int identity_take(struct edge *e, struct err *err) {
    e->folder = gateway_folder(e->options->state_path);
    e->blob_path = snapshot_blob_path(e->options->state_path);
    e->settings_path = mem_printf("%s/settings", e->folder);
    int rc = take_name(e, err);
    if (rc == 0 && mkdir(e->folder, 0700) < 0 && errno != EEXIST)
        rc = err_set(err, ERR_STATE, "cannot make the folder %s: %s", e->folder, strerror(errno));
    if (rc == 0)
        rc = take_lock(e, err);
    return rc == 0 ? take_id(e, err) : rc;
}

void identity_release(struct edge *e) {
    if (e->lock_fd >= 0)
        close(e->lock_fd);
    free(e->folder);
    free(e->blob_path);
    free(e->settings_path);
}

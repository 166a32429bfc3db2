#include "admin/watermarks.h"

#include "base/mem.h"

#include <string.h>

/* After a worker has asked: long enough for a position behind the write to be taken, short enough
 * that nothing is written into the source's log for nobody. */
#define WANTED_FOR_US (2 * INT64_C(1000000))

struct watermarks {
    struct watermark_slot *slots[ROUTE_MODULES_MAX];
    size_t count;
};

struct watermarks *watermarks_new(const struct conf *conf, const char *pipeline,
                                  struct watermark *file) {
    struct watermarks *w = mem_zalloc(1, sizeof *w);
    for (size_t i = 0; file && i < conf->module_count; i++) {
        const char *name = conf->modules[i].name.text;
        bool ours = strcmp(pipeline, "all") == 0 || strcmp(pipeline, name) == 0;
        struct watermark_slot *slot = ours ? watermark_add(file, name) : NULL;
        if (slot && w->count < ROUTE_MODULES_MAX)
            w->slots[w->count++] = slot;
    }
    return w;
}

void watermarks_free(struct watermarks *w) {
    free(w);
}

static bool is_wanted(void *context, int64_t now_us) {
    const struct watermarks *w = context;
    for (size_t i = 0; i < w->count; i++)
        if (watermark_is_wanted(w->slots[i], now_us, WANTED_FOR_US))
            return true;
    return false;
}

static void passed(void *context, const char *module, int64_t through_us, int64_t now_us) {
    const struct watermarks *w = context;
    for (size_t i = 0; i < w->count; i++)
        if (strncmp(w->slots[i]->name, module, ROUTE_NAME_MAX) == 0)
            watermark_set(w->slots[i], through_us, now_us);
}

struct applied_hooks watermarks_hooks(struct watermarks *w) {
    return (struct applied_hooks){.context = w, .is_wanted = is_wanted, .passed = passed};
}

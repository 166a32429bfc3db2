/*
 * Flag files -> the model that flags/ compiles, and back.
 *
 * Four formats: feature-flags.yml (reference/feature-flags.yml), flagd's JSON or YAML, Unleash's
 * features as its client API and exports have them, LaunchDarkly's flags as its SDKs read them.
 * What cannot be kept exactly is an error with the place that names the flag, so a file that loads
 * means what it meant there. Everything belongs to the struct flagfile and does not change after
 * it was read: any thread.
 */
#ifndef BANYAN_FLAGFILE_FLAGFILE_H
#define BANYAN_FLAGFILE_FLAGFILE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "flags/model.h"

/* Limits, besides those of flags/model.h. */
#define FLAGFILE_MAX (64 * 1024 * 1024)          /* bytes of the file */
#define FLAGFILE_NODES_MAX 3000000               /* values in it */
#define FLAGFILE_MEMORY_MAX (1024 * 1024 * 1024) /* bytes of everything read */

enum flagfile_format {
    FLAGFILE_ANY, /* found out from what the file holds */
    FLAGFILE_FEATURES,
    FLAGFILE_FLAGD,
    FLAGFILE_UNLEASH,
    FLAGFILE_LAUNCHDARKLY
};

/* The lines of a flag in its file, from 1; last 0: unknown. */
struct flagfile_lines {
    unsigned first, last;
};

struct flagfile {
    struct arena arena;
    enum flagfile_format format;
    struct flags_model model;
    const struct flagfile_lines *lines; /* one for each flag of the model */
};

/* "feature-flags", "flagd", "unleash", "launchdarkly"; false: none of them. */
bool flagfile_format_of(const char *name, enum flagfile_format *ret_format) must_check;
const char *flagfile_format_name(enum flagfile_format format);

/* On failure the text begins with "path:line:column: ", code ERR_CONF. The file is checked as far
 * as that needs no time and no attributes: names, requirements, cycles, numbers, time zones. */
int flagfile_load(const char *path, enum flagfile_format format, struct flagfile **ret_file,
                  struct err *err) must_check;

/* Same, from memory; `name` stands for the path. */
int flagfile_parse(const char *name, const char *text, size_t len, enum flagfile_format format,
                   struct flagfile **ret_file, struct err *err) must_check;
void flagfile_free(struct flagfile *file);
DEFINE_CLEANUP(struct flagfile *, flagfile_free)

/* NULL: no such flag. */
const struct flags_flag *flagfile_find(const struct flags_model *model, const char *name);

/* The name that looks most like it; NULL: none does. */
const char *flagfile_similar(const struct flags_model *model, const char *name);

/* Whether `expires` has passed: a warning, nothing else. */
/* "12.5": as short as it is exact. */
struct flagfile_percent {
    char text[16];
};
struct flagfile_percent flagfile_percent(uint32_t rollout);

bool flagfile_expired(const struct flags_flag *flag, int64_t now_us);

/* The bytes of a file, at most FLAGFILE_MAX, behind what `ret_text` holds; ERR_CONF names it. */
int flagfile_read(const char *path, struct buf *ret_text, struct err *err) must_check;

/* The model as feature-flags.yml. ERR_CONF names the first flag and what of it that format has no
 * words for. What only reads differently is added to `notes`, one line each. */
int flagfile_write(const struct flags_model *model, struct buf *out, struct buf *notes,
                   struct err *err) must_check;

#endif

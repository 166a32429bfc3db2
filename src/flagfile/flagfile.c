#include "flagfile/flagfile.h"

#include "base/mem.h"
#include "flagfile/reader.h"

#include <stdio.h>
#include <string.h>

static const char *const format_names[] = {
    [FLAGFILE_ANY] = "any",
    [FLAGFILE_FEATURES] = "feature-flags",
    [FLAGFILE_FLAGD] = "flagd",
    [FLAGFILE_UNLEASH] = "unleash",
    [FLAGFILE_LAUNCHDARKLY] = "launchdarkly",
};

bool flagfile_format_of(const char *name, enum flagfile_format *ret_format) {
    for (size_t i = 1; i < sizeof format_names / sizeof *format_names; i++)
        if (strcmp(format_names[i], name) == 0) {
            *ret_format = (enum flagfile_format)i;
            return true;
        }
    return false;
}

const char *flagfile_format_name(enum flagfile_format format) {
    return format_names[format];
}

/* ---- which format ---- */

/* Whether the first entry of the list or mapping has the key. */
static bool first_has(const struct tree_node *node, const char *key) {
    return node && node->kind != TREE_SCALAR && node->first && tree_find(node->first->value, key);
}

static enum flagfile_format detect(const struct tree_node *root) {
    const struct tree_node *features = read_get(root, "features"), *flags = read_get(root, "flags");
    if (first_has(features, "strategies") || tree_find(root, "segments") ||
        (features && tree_find(root, "version")))
        return flags ? FLAGFILE_LAUNCHDARKLY : FLAGFILE_UNLEASH;
    if (first_has(flags, "variations") || tree_find(root, "variations") ||
        tree_find(root, "flagValues"))
        return FLAGFILE_LAUNCHDARKLY;
    return flags ? FLAGFILE_FLAGD : FLAGFILE_FEATURES;
}

static bool looks_like_json(const char *text, size_t len) {
    size_t i = 0;
    while (i < len && strchr(" \t\r\n\xef\xbb\xbf", text[i]) && text[i])
        i++;
    return i < len && text[i] == '{';
}

/* ---- reading ---- */

static int read_tree(struct reader *r, const char *text, size_t len) {
    static const struct tree_limits limits = {FLAGFILE_MAX, FLAGFILE_NODES_MAX,
                                              "'features' is needed; features: [] is no flags"};
    struct tree_input in = {r->file, len ? text : "", len, &limits};
    struct err yaml = {0};
    if (!looks_like_json(text, len))
        return tree_parse(&in, r->arena, &r->root, r->err);
    /* YAML in flow style begins as JSON does: which of the errors helps depends on what it is. */
    size_t name = strlen(r->file);
    bool yml = name > 4 && (strcmp(r->file + name - 4, ".yml") == 0 ||
                            (name > 5 && strcmp(r->file + name - 5, ".yaml") == 0));
    if (json_tree_parse(&in, r->arena, &r->root, r->err) == 0)
        return 0;
    if (tree_parse(&in, r->arena, &r->root, &yaml) == 0 && yml)
        return 0;
    if (yml && r->err)
        *r->err = yaml;
    return ERR_CONF;
}

static int read_flags(struct reader *r, enum flagfile_format format) {
    int rc = read_kind(r, "the file", r->root, TREE_MAP);
    if (rc < 0)
        return rc;
    if (format == FLAGFILE_ANY)
        format = detect(r->root);
    r->out->format = format;
    switch (format) {
    case FLAGFILE_FLAGD:
        rc = flagd_read(r);
        break;
    case FLAGFILE_UNLEASH:
        rc = unleash_read(r);
        break;
    case FLAGFILE_LAUNCHDARKLY:
        rc = launchdarkly_read(r);
        break;
    case FLAGFILE_ANY:
    case FLAGFILE_FEATURES:
        rc = features_read(r);
        break;
    }
    return rc < 0 ? rc : read_check(r);
}

int flagfile_parse(const char *name, const char *text, size_t len, enum flagfile_format format,
                   struct flagfile **ret_file, struct err *err) {
    struct err unasked;
    struct flagfile *file = mem_zalloc(1, sizeof *file);
    arena_init(&file->arena, FLAGFILE_MEMORY_MAX);
    struct span kept = arena_copy(&file->arena, span_of(name));
    struct reader r = {.out = file,
                       .arena = &file->arena,
                       .file = kept.ptr ? kept.ptr : name,
                       .err = err ? err : &unasked};
    int rc = read_tree(&r, text, len);
    if (rc == 0)
        rc = read_flags(&r, format);
    if (rc < 0)
        flagfile_free(file);
    else
        *ret_file = file;
    return rc;
}

void flagfile_free(struct flagfile *file) {
    if (!file)
        return;
    arena_release(&file->arena);
    free(file);
}

int flagfile_read(const char *path, struct buf *ret_text, struct err *err) {
    return conf_read_file(path, FLAGFILE_MAX, NULL, ret_text, err);
}

int flagfile_load(const char *path, enum flagfile_format format, struct flagfile **ret_file,
                  struct err *err) {
    _cleanup_(buf_release) struct buf text = {.max = FLAGFILE_MAX + 128 * (size_t)1024};
    int rc = flagfile_read(path, &text, err);
    return rc < 0 ? rc : flagfile_parse(path, text.data, text.len, format, ret_file, err);
}

struct flagfile_percent flagfile_percent(uint32_t rollout) {
    struct flagfile_percent p;
    (void)snprintf(p.text, sizeof p.text, "%u.%03u", rollout / 1000, rollout % 1000);
    size_t n = strlen(p.text);
    while (p.text[n - 1] == '0')
        n--;
    p.text[n - (p.text[n - 1] == '.')] = '\0';
    return p;
}

bool flagfile_expired(const struct flags_flag *flag, int64_t now_us) {
    return flag->expires != 0 && now_us / 86400000000 > flag->expires;
}

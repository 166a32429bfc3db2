/* Reading banyan.yml by the table of keys. */
#include "conf/conf.h"

#include "base/mem.h"
#include "confq/keys.h"
#include "confq/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX ((size_t)128 * 1024 * 1024)
#define LEVEL_MAX 64

/* ---- the table ---- */

static const struct key *find_key(const char *path) {
    for (size_t i = 0; i < conf_key_count; i++)
        if (strcmp(conf_keys[i].path, path) == 0)
            return &conf_keys[i];
    return NULL;
}

/* The names directly below a section ("" is the top). */
static size_t names_below(const char *section, const char **ret) {
    size_t n = 0, len = strlen(section);
    for (size_t i = 0; i < conf_key_count && n < LEVEL_MAX; i++) {
        const char *path = conf_keys[i].path;
        if (len && (strncmp(path, section, len) != 0 || path[len] != '.'))
            continue;
        const char *name = len ? path + len + 1 : path;
        if (!strchr(name, '.') && (unsigned char)name[0] < 0x80)
            ret[n++] = name;
    }
    return n;
}

static void *field(struct conf *conf, const struct key *key) {
    return (char *)conf + key->offset;
}

static int choice_index(const char *choices, const char *word) {
    int index = 0;
    size_t len = strlen(word);
    for (const char *p = choices;; index++) {
        size_t n = strcspn(p, "|");
        if (n == len && strncmp(p, word, n) == 0)
            return index;
        if (!p[n])
            return -1;
        p += n + 1;
    }
}

/* ---- values ---- */

static int read_choice(struct reader *r, const struct yaml *node, const struct key *key, int *ret) {
    const char *text = NULL;
    int rc = reader_text(r, node, &text);
    if (rc < 0)
        return rc;
    int index = choice_index(key->choices, text);
    if (index < 0)
        return reader_error(r, node->at, "'%s' must be one of %s, not '%s'", node->key, key->choices,
                            text);
    *ret = index;
    return 0;
}

static int read_integer(struct reader *r, struct conf *conf, const struct yaml *node,
                        const struct key *key) {
    int64_t v = 0;
    int rc = reader_integer(r, node, key->least, key->most, &v);
    if (rc < 0)
        return rc;
    /* Two fields are int: their range in the table is small. */
    if (key->offset == offsetof(struct conf, source.snapshot_threads) ||
        key->offset == offsetof(struct conf, target.lanes))
        *(int *)field(conf, key) = (int)v;
    else
        *(int64_t *)field(conf, key) = v;
    return 0;
}

static int read_key(struct reader *r, struct conf *conf, const struct yaml *node,
                    const struct key *key);

static int read_section(struct reader *r, struct conf *conf, const struct yaml *map,
                        const char *path) {
    int rc = reader_want(r, map, YAML_MAP);
    for (const struct yaml *node = map->first; rc == 0 && node; node = node->next) {
        _cleanup_(mem_freep) char *full =
            mem_printf("%s%s%s", path, path[0] ? "." : "", node->key);
        const struct key *key = find_key(full);
        if (key) {
            rc = read_key(r, conf, node, key);
            continue;
        }
        const char *names[LEVEL_MAX];
        rc = reader_unknown(r, node, names, names_below(path, names));
    }
    return rc;
}

static int read_later(struct reader *r, const struct yaml *node) {
    bool off = node->kind == YAML_SCALAR && strcmp(node->key, "atomic") == 0 &&
               strcmp(node->text, "false") == 0;
    return off ? 0 : reader_later(r, node);
}

static int read_key(struct reader *r, struct conf *conf, const struct yaml *node,
                    const struct key *key) {
    switch (key->type) {
    case KEY_SECRET_URI:
        if (key->offset == offsetof(struct conf, source.uri))
            conf->source.uri_at = node->at;
        else
            conf->target.uri_at = node->at;
        return reader_text(r, node, field(conf, key));
    case KEY_TEXT:
        return reader_text(r, node, field(conf, key));
    case KEY_INTEGER:
        return read_integer(r, conf, node, key);
    case KEY_DURATION:
        return reader_duration(r, node, key->least, key->most, field(conf, key));
    case KEY_BOOL:
        return reader_bool(r, node, field(conf, key));
    case KEY_CHOICE:
        return read_choice(r, node, key, field(conf, key));
    case KEY_SECTION:
        return read_section(r, conf, node, key->path);
    case KEY_STRUCTURE:
        return read_modules(r, node, conf);
    case KEY_LATER:
        return read_later(r, node);
    }
    return 0;
}

/* A default is read as if the file said it. */
static int apply_defaults(struct reader *r, struct conf *conf) {
    for (size_t i = 0; i < conf_key_count; i++) {
        const struct key *key = &conf_keys[i];
        const char *name = strrchr(key->path, '.');
        if (!key->fallback)
            continue;
        struct yaml node = {.kind = YAML_SCALAR, .key = name ? name + 1 : key->path,
                            .text = key->fallback, .plain = true};
        int rc = read_key(r, conf, &node, key);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- checks over the whole ---- */

static int check_needed(struct reader *r, struct conf *conf) {
    for (size_t i = 0; i < conf_key_count; i++) {
        const struct key *key = &conf_keys[i];
        if (key->needed && !*(const char **)field(conf, key))
            return reader_error(r, (struct conf_at){1, 1}, "'%s' is needed: %s", key->path, key->help);
    }
    if (conf->module_count == 0)
        return reader_error(r, (struct conf_at){1, 1}, "'modules' is needed: what is to be moved");
    return 0;
}

/* MongoDB manual, "MongoDB Limits": names of databases on any platform. */
static int check_database(struct reader *r, const struct conf *conf) {
    const char *name = conf->target.database;
    size_t len = strlen(name);
    if (len < 1 || len > 63 || strpbrk(name, "/\\. \"$*<>:|?"))
        return reader_error(r, conf->target.uri_at,
                            "'%s' cannot be the name of a MongoDB database: 1 to 63 bytes without "
                            "any of /\\. \"$*<>:|?",
                            name);
    return 0;
}

static int check_source(struct reader *r, const struct conf *conf) {
    if (strncmp(conf->source.uri, "mariadb:", 8) == 0 || strncmp(conf->source.uri, "mysql:", 6) == 0)
        return reader_error(r, conf->source.uri_at,
                            "a MariaDB source is in the contract but not built yet in this version");
    return 0;
}

static int read_all(struct reader *r, struct conf *conf, const struct yaml *root) {
    int rc = apply_defaults(r, conf);
    if (rc == 0)
        rc = read_section(r, conf, root, "");
    if (rc == 0)
        rc = check_needed(r, conf);
    if (rc == 0)
        rc = check_source(r, conf);
    return rc < 0 ? rc : check_database(r, conf);
}

/* ---- loading ---- */

int conf_parse(const char *name, const char *text, size_t len, struct conf **ret_conf,
               struct err *err) {
    struct err local;
    struct conf_owned *owned = mem_zalloc(1, sizeof *owned);
    arena_init(&owned->memory, MEMORY_MAX);
    owned->conf.file = arena_copy(&owned->memory, span_of(name)).ptr;
    struct reader r = {.conf = &owned->conf, .memory = &owned->memory, .err = err ? err : &local};
    struct yaml *root = NULL;
    r.err->code = 0;
    int rc = yaml_parse(name, text, len, &owned->memory, &root, r.err);
    if (rc == 0)
        rc = read_all(&r, &owned->conf, root);
    if (rc < 0) {
        conf_free(&owned->conf);
        return rc;
    }
    *ret_conf = &owned->conf;
    return 0;
}

int conf_load(const char *path, struct conf **ret_conf, struct err *err) {
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, ERR_CONF, "cannot read configuration %s: %s; name it with -c FILE", path,
                       strerror(errno));
    _cleanup_(buf_release) struct buf text = {.max = YAML_BYTES_MAX + 1};
    char chunk[65536];
    size_t n;
    while (buf_ok(&text) && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(&text, chunk, n);
    bool failed = ferror(f);
    (void)fclose(f);
    if (failed)
        return err_set(err, ERR_CONF, "cannot read configuration %s", path);
    if (!buf_ok(&text))
        return err_set(err, ERR_CONF, "%s:1:1: the file is larger than %zu bytes", path,
                       YAML_BYTES_MAX);
    return conf_parse(path, buf_text(&text), text.len, ret_conf, err);
}

void conf_free(struct conf *conf) {
    if (!conf)
        return;
    struct conf_owned *owned = (struct conf_owned *)conf;
    arena_release(&owned->memory);
    free(owned);
}

const struct conf_module *conf_module(const struct conf *conf, const char *name) {
    for (size_t i = 0; i < conf->module_count; i++)
        if (strcmp(conf->modules[i].name.text, name) == 0)
            return &conf->modules[i];
    return NULL;
}

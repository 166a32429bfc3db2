#include "confq/yaml.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

struct loader {
    const char *name;
    struct arena *memory;
    struct fy_parser *parser;
    struct buf diagnosis; /* what libfyaml says, its first line */
    struct err *err;
    size_t nodes;
};

static int fail(struct loader *l, struct conf_at at, const char *what) {
    return err_set(l->err, ERR_CONF, "%s:%d:%d: %s", l->name, at.line, at.column, what);
}

static void on_diagnosis(struct fy_diag *diag, void *user, const char *text, size_t len) {
    (void)diag;
    buf_add(user, text, len);
}

/* libfyaml writes "line:column: text"; its column counts from 1 like ours. */
static int syntax_error(struct loader *l) {
    struct conf_at at = {1, 1};
    char *text = (char *)(uintptr_t)buf_text(&l->diagnosis);
    text[strcspn(text, "\n")] = '\0';
    char *colon = strchr(text, ':');
    while (colon && !(colon[1] >= '0' && colon[1] <= '9'))
        colon = strchr(colon + 1, ':');
    char *end = NULL;
    if (colon) {
        at.line = (int)strtol(colon + 1, &end, 10);
        if (*end == ':')
            at.column = (int)strtol(end + 1, &end, 10);
    }
    const char *message = end ? end + strspn(end, ": ") : text;
    return fail(l, at, message[0] ? message : "not YAML");
}

static struct conf_at place(struct fy_token *token) {
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    return mark ? (struct conf_at){mark->line + 1, mark->column + 1} : (struct conf_at){1, 1};
}

static struct yaml *new_node(struct loader *l, enum yaml_kind kind, struct conf_at at) {
    struct yaml *node = arena_alloc(l->memory, sizeof *node);
    if (!node || ++l->nodes > YAML_NODES_MAX) {
        (void)fail(l, at, "the file is too large: more than 200000 values");
        return NULL;
    }
    *node = (struct yaml){.kind = kind, .at = at};
    return node;
}

static const char *copy_text(struct loader *l, struct fy_token *token, struct conf_at at) {
    size_t len = 0;
    const char *text = fy_token_get_text(token, &len);
    struct span s = span_make(text ? text : "", text ? len : 0);
    if (memchr(s.ptr, '\0', s.len) || !utf8_valid(s)) {
        (void)fail(l, at, "a value holds a NUL byte or is not UTF-8");
        return NULL;
    }
    s = arena_copy(l->memory, s);
    if (!s.ptr)
        (void)fail(l, at, "the file is too large");
    return s.ptr;
}

static struct yaml *read_scalar(struct loader *l, struct fy_event *event) {
    struct fy_token *token = event->scalar.value;
    struct conf_at at = place(token);
    struct yaml *node = new_node(l, YAML_SCALAR, at);
    if (!node)
        return NULL;
    node->text = copy_text(l, token, at);
    node->plain = !token || fy_token_scalar_style(token) == FYSS_PLAIN;
    return node->text ? node : NULL;
}

static struct yaml *read_value(struct loader *l, struct fy_event *event, int depth);

static struct yaml *next_value(struct loader *l, enum fy_event_type end, bool *ret_end, int depth) {
    struct fy_event *event = fy_parser_parse(l->parser);
    *ret_end = event && event->type == end;
    struct yaml *node = NULL;
    if (!event)
        (void)syntax_error(l);
    else if (!*ret_end)
        node = read_value(l, event, depth);
    fy_parser_event_free(l->parser, event);
    return node;
}

static int read_list(struct loader *l, struct yaml *list, int depth) {
    struct yaml **last = &list->first;
    for (;;) {
        bool end;
        struct yaml *node = next_value(l, FYET_SEQUENCE_END, &end, depth + 1);
        if (end)
            return 0;
        if (!node)
            return ERR_CONF;
        *last = node;
        last = &node->next;
        list->count++;
    }
}

static int add_to_map(struct loader *l, struct yaml *map, struct yaml ***last, struct yaml *key,
                      struct yaml *value) {
    if (yaml_get(map, key->text)) {
        char what[300];
        (void)snprintf(what, sizeof what, "key '%.200s' is given twice", key->text);
        return fail(l, key->at, what);
    }
    value->key = key->text;
    value->key_at = key->at;
    **last = value;
    *last = &value->next;
    map->count++;
    return 0;
}

static int read_map(struct loader *l, struct yaml *map, int depth) {
    struct yaml **last = &map->first;
    for (;;) {
        bool end;
        struct yaml *key = next_value(l, FYET_MAPPING_END, &end, depth + 1);
        if (end)
            return 0;
        if (!key)
            return ERR_CONF;
        if (key->kind != YAML_SCALAR)
            return fail(l, key->at, "a key must be a name");
        struct yaml *value = next_value(l, FYET_NONE, &end, depth + 1);
        if (!value)
            return ERR_CONF;
        int rc = add_to_map(l, map, &last, key, value);
        if (rc < 0)
            return rc;
    }
}

static struct yaml *read_value(struct loader *l, struct fy_event *event, int depth) {
    struct yaml *node = NULL;
    if (event->type == FYET_SCALAR)
        return read_scalar(l, event);
    if (event->type == FYET_ALIAS) {
        (void)fail(l, place(event->alias.anchor), "aliases are not used here: write it out");
        return NULL;
    }
    bool is_map = event->type == FYET_MAPPING_START;
    struct conf_at at =
        place(is_map ? event->mapping_start.mapping_start : event->sequence_start.sequence_start);
    if (depth >= YAML_DEPTH_MAX) {
        (void)fail(l, at, "nested deeper than 64 levels");
        return NULL;
    }
    node = new_node(l, is_map ? YAML_MAP : YAML_LIST, at);
    if (!node)
        return NULL;
    int rc = is_map ? read_map(l, node, depth) : read_list(l, node, depth);
    return rc < 0 ? NULL : node;
}

/* One document; what stands behind it is a mistake. */
static int read_stream(struct loader *l, struct yaml **ret_root) {
    *ret_root = NULL;
    for (;;) {
        struct fy_event *event = fy_parser_parse(l->parser);
        if (!event)
            return syntax_error(l);
        enum fy_event_type type = event->type;
        int rc = 0;
        if (type == FYET_DOCUMENT_START && *ret_root)
            rc = fail(l, place(event->document_start.document_start), "more than one document");
        bool is_value = type == FYET_SCALAR || type == FYET_MAPPING_START ||
                        type == FYET_SEQUENCE_START || type == FYET_ALIAS;
        if (rc == 0 && is_value) {
            *ret_root = read_value(l, event, 0);
            rc = *ret_root ? 0 : ERR_CONF;
        }
        fy_parser_event_free(l->parser, event);
        if (rc < 0 || type == FYET_STREAM_END)
            return rc;
    }
}

static int parse(struct loader *l, const char *text, size_t len, struct yaml **ret_root) {
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.output_fn = on_diagnosis;
    diag_config.user = &l->diagnosis;
    diag_config.colorize = false;
    diag_config.show_source = false;
    diag_config.show_position = true;
    diag_config.show_type = false;
    diag_config.show_module = false;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    struct fy_parse_cfg config = {.flags = FYPCF_DISABLE_MMAP_OPT, .diag = diag};
    l->parser = fy_parser_create(&config);
    int rc = ERR_INTERNAL;
    if (l->parser && fy_parser_set_string(l->parser, text, len) == 0)
        rc = read_stream(l, ret_root);
    else
        rc = err_set(l->err, ERR_INTERNAL, "cannot start the YAML parser");
    fy_parser_destroy(l->parser);
    fy_diag_destroy(diag);
    return rc;
}

int yaml_parse(const char *name, const char *text, size_t len, struct arena *memory,
               struct yaml **ret_root, struct err *err) {
    struct loader l = {.name = name, .memory = memory, .err = err};
    if (len > YAML_BYTES_MAX)
        return err_set(err, ERR_CONF, "%s:1:1: the file is larger than %zu bytes", name,
                       YAML_BYTES_MAX);
    buf_init(&l.diagnosis, 1024 * 1024);
    struct yaml *root = NULL;
    int rc = parse(&l, text, len, &root);
    bool is_empty = rc == 0 && (!root || (root->kind == YAML_SCALAR && !root->text[0]));
    if (is_empty)
        root = new_node(&l, YAML_MAP, (struct conf_at){1, 1});
    buf_release(&l.diagnosis);
    if (rc < 0)
        return err && err->code ? err->code : err_set(err, ERR_CONF, "%s:1:1: not YAML", name);
    *ret_root = root;
    return 0;
}

struct yaml *yaml_get(const struct yaml *map, const char *key) {
    for (struct yaml *node = map->first; node; node = node->next)
        if (strcmp(node->key, key) == 0)
            return node;
    return NULL;
}

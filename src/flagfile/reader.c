#include "flagfile/reader.h"

#include "base/json_text.h"
#include "base/mem.h"
#include "base/spanmap.h"
#include "base/text.h"
#include "conf/conf_check.h"
#include "flagfile/zone.h"

#include <stdio.h>

int read_fail(const struct reader *r, struct conf_at at, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (r->flag)
        return tree_error(r->file, at, r->err, "flag '%s': %s", r->flag, text);
    return tree_error(r->file, at, r->err, "%s", text);
}

void *read_alloc(struct reader *r, size_t count, size_t size) {
    size_t bytes;
    void *p = __builtin_mul_overflow(count, size, &bytes) ? NULL : arena_alloc(r->arena, bytes + 1);
    if (p)
        memset(p, 0, bytes);
    else
        (void)err_set(r->err, ERR_CONF, "%s:1:1: the flags need more than %d MiB of memory",
                      r->file, FLAGFILE_MEMORY_MAX / (1024 * 1024));
    return p;
}

/* ---- words ---- */

static struct span read_word(const char *words, size_t i) {
    const char *p = words;
    for (; i > 0 && p; i--) {
        p = strchr(p, ' ');
        p = p ? p + 1 : NULL;
    }
    return p ? span_make(p, strcspn(p, " ")) : (struct span){"", 0};
}

struct read_hint read_similar(const char *choices, struct span word) {
    struct read_hint hint = {""};
    struct span best = {NULL, 0}, choice;
    size_t least = 3;
    for (size_t i = 0; choice = read_word(choices, i), choice.len > 0; i++) {
        size_t d = text_distance(word, choice);
        if (d < least && d < choice.len && d < word.len) {
            least = d;
            best = choice;
        }
    }
    if (best.ptr)
        (void)snprintf(hint.text, sizeof hint.text, ", did you mean '%.*s'?", SPAN_ARG(best));
    return hint;
}

/* "a, b, c" */
static void list_words(const char *words, char *text, size_t size) {
    size_t n = 0;
    for (const char *p = words; *p && n + 3 < size; p++) {
        if (*p == ' ')
            text[n++] = ',';
        text[n++] = *p;
    }
    text[n] = '\0';
}

/* ---- kinds and keys ---- */

int read_kind(struct reader *r, const char *what, const struct tree_node *node,
              enum tree_kind kind) {
    static const char *const wanted[] = {
        [TREE_SCALAR] = "a single value", [TREE_LIST] = "a list", [TREE_MAP] = "a mapping"};
    return node->kind == kind ? 0
                              : read_fail(r, node->at, "'%s' must be %s, not %s", what,
                                          wanted[kind], tree_kind_name(node));
}

int read_keys(struct reader *r, const char *what, const struct tree_node *node, const char *keys) {
    int rc = read_kind(r, what, node, TREE_MAP);
    for (const struct tree_entry *e = node->first; rc == 0 && e; e = e->next) {
        struct span key;
        size_t i = 0;
        while (key = read_word(keys, i), key.len > 0 && !span_eq(key, e->key))
            i++;
        if (key.len > 0)
            continue;
        struct read_hint hint = read_similar(keys, e->key);
        rc = read_fail(r, e->key_at, "unknown key '%.200s'%s", e->key.ptr,
                       hint.text[0] ? hint.text : "; remove it");
    }
    return rc;
}

const struct tree_node *read_get(const struct tree_node *map, const char *key) {
    const struct tree_entry *e = tree_find(map, key);
    return e && !tree_is_null(e->value) ? e->value : NULL;
}

/* ---- scalars ---- */

int read_text(struct reader *r, const char *what, const struct tree_node *node, size_t max,
              struct span *ret) {
    bool truth;
    if (node->kind != TREE_SCALAR || tree_is_null(node) || tree_is_bool(node, &truth))
        return read_fail(r, node->at, "'%s' must be text, not %s%s", what, tree_kind_name(node),
                         node->kind == TREE_SCALAR && !tree_is_null(node) ? "; quote it" : "");
    if (node->text.len == 0)
        return read_fail(r, node->at, "'%s' is empty; give it a value", what);
    if (node->text.len > max)
        return read_fail(r, node->at, "'%s' has more than %zu bytes", what, max);
    *ret = node->text;
    return 0;
}

int read_bool(struct reader *r, const char *what, const struct tree_node *node, bool *ret) {
    if (tree_is_bool(node, ret))
        return 0;
    if (node->kind == TREE_SCALAR && !tree_is_null(node))
        return read_fail(r, node->at, "'%s' must be true or false, not '%.60s'", what,
                         node->text.ptr);
    return read_fail(r, node->at, "'%s' must be true or false, not %s", what, tree_kind_name(node));
}

int read_int(struct reader *r, const char *what, const struct tree_node *node, int64_t min,
             int64_t max, int64_t *ret) {
    int64_t v;
    if (node->kind != TREE_SCALAR || tree_is_null(node))
        return read_fail(r, node->at, "'%s' must be a whole number from %lld to %lld, not %s", what,
                         (long long)min, (long long)max, tree_kind_name(node));
    if (!node->plain || !conf_read_int(node->text, &v) || v < min || v > max)
        return read_fail(r, node->at,
                         "'%s' must be a whole number from %lld to %lld, not %s%.60s%s", what,
                         (long long)min, (long long)max, node->plain ? "" : "\"", node->text.ptr,
                         node->plain ? "" : "\"");
    *ret = v;
    return 0;
}

/* Digits, not a double: 0.0005 must not become 0, nor 99.9999 everybody. */
static bool percent_of(struct span s, uint32_t *ret) {
    uint32_t v = 0;
    size_t i = 0, behind = 0, count = 0;
    bool point = false;
    for (; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '.' && !point && i > 0) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            return false;
        count++;
        if (point && ++behind > 3) {
            if (c != '0')
                return false;
            continue;
        }
        v = v * 10 + (uint32_t)(c - '0');
        if (v > FLAGS_ROLLOUT_ALL)
            return false;
    }
    for (; behind < 3; behind++) {
        v *= 10;
        if (v > FLAGS_ROLLOUT_ALL)
            return false;
    }
    *ret = v;
    return count > 0;
}

int read_percent(struct reader *r, const char *what, const struct tree_node *node, uint32_t *ret) {
    if (node->kind != TREE_SCALAR || tree_is_null(node))
        return read_fail(r, node->at,
                         "'%s' must be a number from 0 to 100 in steps of 0.001, not %s", what,
                         tree_kind_name(node));
    if (!node->plain || !percent_of(node->text, ret))
        return read_fail(r, node->at,
                         "'%s' must be a number from 0 to 100 in steps of 0.001, not %s%.60s%s",
                         what, node->plain ? "" : "\"", node->text.ptr, node->plain ? "" : "\"");
    return 0;
}

int read_optional_text(struct reader *r, const struct tree_node *map, const char *key,
                       struct span *ret) {
    const struct tree_node *node = read_get(map, key);
    return node ? read_text(r, key, node, FLAGS_NAME_MAX, ret) : 0;
}

int read_optional_bool(struct reader *r, const struct tree_node *map, const char *key, bool *ret) {
    const struct tree_node *node = read_get(map, key);
    return node ? read_bool(r, key, node, ret) : 0;
}

int read_choice(struct reader *r, const char *what, const struct tree_node *node,
                const char *choices, unsigned *ret) {
    char allowed[256];
    struct span text, choice;
    list_words(choices, allowed, sizeof allowed);
    int rc = read_text(r, what, node, FLAGS_TEXT_MAX, &text);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; choice = read_word(choices, i), choice.len > 0; i++)
        if (span_eq(choice, text)) {
            *ret = i;
            return 0;
        }
    struct read_hint hint = read_similar(choices, text);
    return read_fail(r, node->at, "unknown %s '%.60s'%s%s", what, text.ptr,
                     hint.text[0] ? hint.text : "; it is one of ", hint.text[0] ? "" : allowed);
}

/* ---- lists and values ---- */

int read_texts(struct reader *r, const char *what, const struct tree_node *node, size_t max,
               const struct span **ret, size_t *ret_count) {
    struct spanmap seen = {0};
    size_t n = 0;
    int rc = read_kind(r, what, node, TREE_LIST);
    if (rc == 0 && node->count > max)
        rc = read_fail(r, node->at, "'%s' has more than %zu entries", what, max);
    struct span *list = rc == 0 ? read_alloc(r, node->count, sizeof *list) : NULL;
    if (!list)
        return ERR_CONF;
    for (const struct tree_entry *e = node->first; rc == 0 && e; e = e->next) {
        bool fresh;
        rc = read_text(r, what, e->value, FLAGS_TEXT_MAX, &list[n]);
        if (rc < 0)
            break;
        (void)spanmap_put(&seen, list[n], &fresh);
        n += fresh;
    }
    spanmap_release(&seen);
    if (rc == 0) {
        *ret = list;
        *ret_count = n;
    }
    return rc;
}

int read_json(struct reader *r, const struct tree_node *node, struct span *ret) {
    _cleanup_(buf_release) struct buf text = {.max = FLAGS_TEXT_MAX};
    json_tree_write(node, &text);
    if (!buf_ok(&text))
        return read_fail(r, node->at, "a value of more than %d bytes", FLAGS_TEXT_MAX);
    *ret = arena_copy(r->arena, buf_span(&text));
    return ret->ptr ? 0 : read_fail(r, node->at, "no memory left");
}

int read_value(struct reader *r, const struct tree_node *node, struct flags_value *ret) {
    struct flags_value v = {.type = FLAGS_STRING, .text = node->text};
    int rc = 0;
    if (node->kind != TREE_SCALAR) {
        v.type = FLAGS_JSON;
        rc = read_json(r, node, &v.text);
    } else if (tree_is_null(node)) {
        v = (struct flags_value){.type = FLAGS_NULL};
    } else if (tree_is_bool(node, &v.boolean)) {
        v = (struct flags_value){.type = FLAGS_BOOL, .boolean = v.boolean};
    } else if (tree_is_number(node, &v.number)) {
        v.type = FLAGS_NUMBER;
        rc = read_json(r, node, &v.text);
        if (rc == 0 && v.text.len && v.text.ptr[0] == '"')
            rc =
                read_fail(r, node->at, "'%s' is not a number that can be compared", node->text.ptr);
    }
    if (rc == 0)
        *ret = v;
    return rc;
}

/* ---- zones ---- */

int read_zone(struct reader *r, const struct tree_node *node, const char **ret_name) {
    struct span name;
    struct err why = {0};
    int rc = read_text(r, "time_zone", node, FLAGS_NAME_MAX, &name);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < r->zone_count; i++)
        if (span_is(name, r->zones[i].name)) {
            *ret_name = r->zones[i].name;
            return 0;
        }
    if (r->zone_count == FLAGS_ZONES_MAX)
        return read_fail(r, node->at, "more than %d time zones", FLAGS_ZONES_MAX);
    if (!r->zones)
        r->zones = read_alloc(r, FLAGS_ZONES_MAX, sizeof *r->zones);
    if (!r->zones)
        return ERR_CONF;
    struct flags_zone *zone = &r->zones[r->zone_count];
    if (zone_load(name.ptr, r->arena, zone, &why) < 0)
        return read_fail(r, node->at, "%s", why.text);
    r->zone_count++;
    *ret_name = zone->name;
    return 0;
}

/* ---- the end of a file ---- */

unsigned read_last_line(const struct tree_node *node) {
    unsigned last = (unsigned)node->at.line;
    for (const struct tree_entry *e = node->first; e; e = e->next) {
        unsigned below = read_last_line(e->value);
        last = below > last ? below : last;
    }
    return last;
}

void read_finish(struct reader *r, struct flags_flag *flags, struct flagfile_lines *lines,
                 size_t count) {
    r->out->model.file = r->file;
    r->out->model.flags = flags;
    r->out->model.flag_count = count;
    r->out->model.zones = r->zones;
    r->out->model.zone_count = r->zone_count;
    r->out->lines = lines;
}

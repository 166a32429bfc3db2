/* The model as feature-flags.yml. */
#include "flagfile/plain.h"

#include "base/utf8.h"
#include "conf/conf_tree.h"
#include "flagfile/json_tree.h"
#include "flagfile/zone.h"

#include <stdio.h>

/* ---- texts ---- */

static bool is_plain(struct span s) {
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char more[] = "0123456789-./@";
    static const char *const words[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};
    if (s.len == 0 || s.len > 200 || !strchr(first, s.ptr[0]) || s.ptr[0] == '\0')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\0' || (!strchr(first, s.ptr[i]) && !strchr(more, s.ptr[i])))
            return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == s.len && strncasecmp(words[i], s.ptr, s.len) == 0)
            return false;
    return true;
}

/* What YAML does not let stand: control characters, line and paragraph ends, byte order marks. */
static bool must_escape(unsigned c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff;
}

static unsigned code_point(const char *bytes, size_t len) {
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned c = (unsigned char)bytes[0] & masks[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((unsigned char)bytes[i] & 0x3f);
    return c;
}

static void put_text(struct buf *out, struct span s) {
    if (is_plain(s)) {
        buf_add_span(out, s);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_char_len(span_make(s.ptr + i, s.len - i));
        unsigned c = n ? code_point(s.ptr + i, n) : 0xfffd;
        n = n ? n : 1;
        if (c == '"' || c == '\\')
            buf_add_char(out, '\\');
        if (must_escape(c))
            buf_printf(out, "\\u%04x", c);
        else
            buf_add(out, s.ptr + i, n);
        i += n;
    }
    buf_add_char(out, '"');
}

static void put_value(struct buf *out, const struct flags_value *v) {
    switch (v->type) {
    case FLAGS_BOOL:
        buf_add_text(out, v->boolean ? "true" : "false");
        break;
    case FLAGS_NUMBER:
        if (v->text.len)
            buf_add_span(out, v->text);
        else
            buf_printf(out, "%.17g", v->number);
        break;
    case FLAGS_STRING:
        put_text(out, v->text);
        break;
    case FLAGS_NULL:
    case FLAGS_JSON:
        buf_add_text(out, "null"); /* no condition has it */
        break;
    }
}

/* ---- keys ---- */

static void put_key(struct buf *out, const char *key) {
    buf_printf(out, "    %s: ", key);
}

static void put_lists(struct buf *out, const char *key, const struct plain_list *lists,
                      size_t count) {
    bool first = true;
    for (size_t l = 0; l < count; l++)
        for (size_t i = 0; i < lists[l].count; i++) {
            if (first)
                put_key(out, key);
            buf_add_text(out, first ? "[" : ", ");
            put_text(out, lists[l].items[i]);
            first = false;
        }
    if (!first)
        buf_add_text(out, "]\n");
}

static void put_list(struct buf *out, const char *key, const struct span *items, size_t count) {
    struct plain_list list = {items, count};
    put_lists(out, key, &list, 1);
}

static void put_optional(struct buf *out, const char *key, struct span text) {
    if (text.len == 0)
        return;
    put_key(out, key);
    put_text(out, text);
    buf_add_char(out, '\n');
}

static void put_percent(struct buf *out, uint32_t rollout) {
    put_key(out, "rollout_percentage");
    buf_printf(out, "%s\n", flagfile_percent(rollout).text);
}

/* ---- conditions ---- */

static void put_condition(struct buf *out, const struct flags_condition *c) {
    static const char *const types[] = {"user_attribute", "tenant_attribute", "custom"};
    static const char *const ops[] = {"\"=\"", "\"!=\"", "\"<\"", "\">\"", "in", "not_in"};
    bool custom = c->subject == FLAGS_CUSTOM;
    bool list = c->op == FLAGS_IN || c->op == FLAGS_NOT_IN;
    buf_printf(out, "      - {type: %s, %s: ", types[c->subject], custom ? "name" : "attribute");
    put_text(out, c->attribute);
    if (!custom)
        buf_printf(out, ", operator: %s", ops[c->op]);
    buf_add_text(out, list ? ", value: [" : ", value: ");
    for (size_t i = 0; i < c->value_count; i++) {
        buf_add_text(out, i ? ", " : "");
        put_value(out, &c->values[i]);
    }
    buf_add_text(out, list ? "]}\n" : "}\n");
}

static int put_conditions(struct buf *out, const struct flags_model *model, const struct plain *p,
                          struct err *err) {
    const struct flags_flag *f = p->flag;
    if (p->condition_count + f->window_count == 0)
        return 0;
    buf_add_text(out, "    conditions:\n");
    for (size_t i = 0; i < p->condition_count; i++)
        put_condition(out, &p->conditions[i]);
    for (size_t i = 0; i < f->window_count; i++) {
        const struct flags_window *w = &f->windows[i];
        bool same_zone = (w->zone == NULL) == (f->windows[0].zone == NULL) &&
                         (!w->zone || strcmp(w->zone, f->windows[0].zone) == 0);
        if (w->start_minute % 60 || w->end_minute % 60 || !same_zone)
            return err_set(err, ERR_CONF,
                           "%s:%u:%u: flag '%.*s': a window that is not of whole hours of one "
                           "time zone cannot be kept in feature-flags.yml",
                           model->file ? model->file : "flags", w->place.line, w->place.column,
                           SPAN_ARG(f->name));
        buf_printf(out, "      - {type: time_window, start_hour: %u, end_hour: %u}\n",
                   w->start_minute / 60, w->end_minute / 60);
    }
    if (p->match_any && p->condition_count > 1)
        buf_add_text(out, "    match: any\n");
    return 0;
}

static void put_bucketing(struct buf *out, const struct plain *p) {
    static const char *const hashes[] = {"banyan1", "java31", "flagd", "unleash", "launchdarkly"};
    const struct flags_bucketing *b = &p->bucketing;
    bool darkly = b->hash == FLAGS_HASH_LAUNCHDARKLY;
    if (b->by_count > 0) {
        put_key(out, "bucket_by");
        put_text(out, b->by[0].source == FLAGS_BY_USER     ? SPAN_LIT("user")
                      : b->by[0].source == FLAGS_BY_TENANT ? SPAN_LIT("tenant")
                                                           : b->by[0].attribute);
        buf_add_char(out, '\n');
    }
    if (darkly && b->seeded) {
        buf_printf(out, "    bucket_group: \"%u\"\n", b->seed);
    } else if (b->group.ptr && (darkly || !span_eq(b->group, p->flag->name))) {
        _cleanup_(buf_release) struct buf text = {.max = 4096};
        buf_add_span(&text, b->group);
        if (darkly) {
            buf_add_char(&text, '.');
            buf_add_span(&text, b->salt);
        }
        put_key(out, "bucket_group");
        put_text(out, buf_span(&text));
        buf_add_char(out, '\n');
    }
    if (b->hash != FLAGS_HASH_BANYAN1)
        buf_printf(out, "    hash: %s\n", hashes[b->hash]);
}

static void put_requires(struct buf *out, const struct flags_flag *f) {
    for (size_t i = 0; i < f->require_count; i++) {
        if (i == 0)
            put_key(out, "requires");
        buf_add_text(out, i ? ", " : "[");
        put_text(out, f->requires[i].flag);
    }
    if (f->require_count)
        buf_add_text(out, "]\n");
}

static void put_expires(struct buf *out, int32_t days) {
    if (days == 0)
        return;
    int year = 1970 + days / 366, month = 1;
    while (zone_days(year + 1, 1, 1) <= days)
        year++;
    while (month < 12 && zone_days(year, month + 1, 1) <= days)
        month++;
    buf_printf(out, "    expires: %04d-%02d-%02d\n", year, month,
               (int)(days - zone_days(year, month, 1)) + 1);
}

static int put_flag(struct buf *out, const struct flags_model *model, const struct plain *p,
                    struct err *err) {
    const struct flags_flag *f = p->flag;
    buf_add_text(out, "  - name: ");
    put_text(out, f->name);
    buf_printf(out, "\n    enabled: %s\n", f->enabled && !f->killed ? "true" : "false");
    put_percent(out, p->rollout);
    put_lists(out, "enabled_for_users", p->users_on, p->users_on_count);
    put_list(out, "enabled_for_tenants", f->tenants_on, f->tenants_on_count);
    int rc = put_conditions(out, model, p, err);
    if (rc < 0)
        return rc;
    put_list(out, "disabled_for_users", f->users_off, f->users_off_count);
    put_list(out, "disabled_for_tenants", f->tenants_off, f->tenants_off_count);
    put_requires(out, f);
    put_bucketing(out, p);
    if (f->window_count && f->windows[0].zone)
        put_optional(out, "time_zone", span_of(f->windows[0].zone));
    put_optional(out, "owner", f->owner);
    put_expires(out, f->expires);
    put_optional(out, "module", f->module);
    return 0;
}

int flagfile_write(const struct flags_model *model, struct buf *out, struct buf *notes,
                   struct err *err) {
    struct arena arena;
    int rc = 0;
    arena_init(&arena, FLAGFILE_MEMORY_MAX);
    buf_add_text(out, model->flag_count ? "features:\n" : "features: []\n");
    for (size_t i = 0; rc == 0 && i < model->flag_count; i++) {
        struct plain p;
        arena_reset(&arena);
        rc = plain_of(model, &model->flags[i], &arena, &p, notes, err);
        if (rc == 0)
            rc = put_flag(out, model, &p, err);
    }
    arena_release(&arena);
    if (rc == 0 && !buf_ok(out))
        rc = err_set(err, ERR_LIMIT, "the flags need more than %zu MiB as feature-flags.yml",
                     out->max / ((size_t)1024 * 1024));
    return rc;
}

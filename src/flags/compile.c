#include "flags/compile.h"

#include "base/utf8.h"
#include "flags/compiler.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char padding[8];

void *compiler_scratch(struct compiler *c, size_t count, size_t size) {
    size_t bytes;
    bool too_much = __builtin_mul_overflow(count, size, &bytes);
    assert(!too_much);
    void *p = arena_alloc(&c->scratch, bytes);
    assert(p);
    memset(p, 0, bytes);
    return p;
}

static uint32_t append(struct compiler *c, struct span bytes, size_t align) {
    buf_add(c->out, padding, (align - c->out->len % align) % align);
    uint32_t at = (uint32_t)c->out->len;
    buf_add_span(c->out, bytes);
    return at;
}

#define SHARED_MAX 4096 /* bytes; what is longer is seldom there twice */

static uint32_t share(struct compiler *c, struct spanmap *map, struct span bytes, size_t align) {
    const uint32_t *there = bytes.len <= SHARED_MAX ? spanmap_get(map, bytes) : NULL;
    if (there)
        return *there;
    uint32_t at = append(c, bytes, align);
    struct span key = bytes.len <= SHARED_MAX ? arena_copy(&c->shared, bytes) : (struct span){0};
    bool fresh;
    if (key.ptr)
        *spanmap_put(map, key, &fresh) = at;
    return at;
}

uint32_t compiler_emit(struct compiler *c, const void *bytes, size_t len) {
    return share(c, &c->structs, span_make(bytes, len), 8);
}

struct blob_list compiler_emit_list(struct compiler *c, const void *items, size_t count,
                                    size_t size) {
    if (count == 0)
        return (struct blob_list){0};
    return (struct blob_list){compiler_emit(c, items, count * size), (uint32_t)count};
}

struct blob_text compiler_emit_text(struct compiler *c, struct span s) {
    if (s.len == 0)
        return (struct blob_text){0};
    return (struct blob_text){share(c, &c->texts, s, 1), (uint32_t)s.len};
}

struct blob_text compiler_emit_name(struct compiler *c, struct span s) {
    return (struct blob_text){append(c, s, 1), (uint32_t)s.len};
}

int compiler_error(struct compiler *c, int code, struct flags_place place, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err_set(c->err, code, "%s", text);
    if (c->flag)
        err_prefix(c->err, "flag %.*s",
                   (int)(c->flag->name.len > FLAGS_NAME_MAX ? FLAGS_NAME_MAX : c->flag->name.len),
                   c->flag->name.len ? c->flag->name.ptr : "");
    if (place.line == 0 && c->flag)
        place = c->flag->place;
    if (place.line && c->model->file)
        err_prefix(c->err, "%s:%u:%u", c->model->file, place.line, place.column);
    else if (c->model->file)
        err_prefix(c->err, "%s", c->model->file);
    return code;
}

int compiler_check_name(struct compiler *c, struct flags_place place, const char *what,
                        struct span name) {
    if (name.len == 0)
        return compiler_error(c, ERR_CONF, place, "%s has no name", what);
    if (name.len > FLAGS_NAME_MAX)
        return compiler_error(c, ERR_LIMIT, place, "%s has a name of more than %d bytes", what,
                              FLAGS_NAME_MAX);
    if (!utf8_valid(name) || memchr(name.ptr, 0, name.len))
        return compiler_error(c, ERR_CONF, place, "%s has a name that is not UTF-8", what);
    return 0;
}

int compiler_check_text(struct compiler *c, struct flags_place place, const char *what,
                        struct span text) {
    if (text.len > FLAGS_TEXT_MAX)
        return compiler_error(c, ERR_LIMIT, place, "%s has more than %d bytes", what,
                              FLAGS_TEXT_MAX);
    if (!utf8_valid(text))
        return compiler_error(c, ERR_CONF, place, "%s is not UTF-8", what);
    return 0;
}

int compiler_check_value(struct compiler *c, struct flags_place place, const char *what,
                         const struct flags_value *v) {
    if (v->type == FLAGS_NUMBER && !__builtin_isfinite(v->number))
        return compiler_error(c, ERR_CONF, place, "%s is not a finite number", what);
    return compiler_check_text(c, place, what, v->text);
}

static const struct flags_variant switch_variants[] = {
    {{"on", 2}, {.type = FLAGS_BOOL, .boolean = true}},
    {{"off", 3}, {.type = FLAGS_BOOL, .boolean = false}},
};

static const struct flags_variant *variants_of(const struct flags_flag *flag, size_t *ret_count) {
    *ret_count = flag->variant_count ? flag->variant_count : 2;
    return flag->variant_count ? flag->variants : switch_variants;
}

int compiler_variant(struct compiler *c, struct span name, int32_t *ret_variant) {
    size_t count;
    const struct flags_variant *variants = variants_of(c->flag, &count);
    for (size_t i = 0; i < count; i++) {
        if (span_eq(variants[i].name, name)) {
            *ret_variant = (int32_t)i;
            return 0;
        }
    }
    return compiler_error(
        c, ERR_CONF, c->flag->place, "there is no variant %.*s: name one of its variants",
        (int)(name.len > FLAGS_NAME_MAX ? FLAGS_NAME_MAX : name.len), name.len ? name.ptr : "");
}

static int compile_variants(struct compiler *c, struct blob_list *ret_list) {
    size_t count;
    const struct flags_variant *variants = variants_of(c->flag, &count);
    struct flags_place place = c->flag->place;
    if (count > FLAGS_VARIANTS_MAX)
        return compiler_error(c, ERR_LIMIT, place, "there are more than %d variants",
                              FLAGS_VARIANTS_MAX);
    struct blob_variant *list = compiler_scratch(c, count, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const struct flags_variant *v = &variants[i];
        int r = compiler_check_name(c, place, "a variant", v->name);
        if (r == 0)
            r = compiler_check_value(c, place, "the value of a variant", &v->value);
        if (r < 0)
            return r;
        for (size_t j = 0; j < i; j++)
            if (span_eq(variants[j].name, v->name))
                return compiler_error(c, ERR_CONF, place, "there are two variants %.*s",
                                      SPAN_ARG(v->name));
        list[i].name = compiler_emit_text(c, v->name);
        list[i].value.type = v->value.type;
        list[i].value.boolean = v->value.type == FLAGS_BOOL && v->value.boolean;
        list[i].value.number = v->value.type == FLAGS_NUMBER ? v->value.number : 0;
        list[i].value.text = compiler_emit_text(c, v->value.text);
    }
    *ret_list = compiler_emit_list(c, list, count, sizeof *list);
    return 0;
}

static int on_and_off(struct compiler *c, struct blob_flag *out) {
    const struct flags_flag *f = c->flag;
    struct span on = f->on_variant, off = f->off_variant;
    if (on.len == 0 && f->variant_count == 0)
        on = SPAN_LIT("on");
    if (off.len == 0 && f->variant_count == 0)
        off = SPAN_LIT("off");
    out->on_variant = out->off_variant = BLOB_NO_VARIANT;
    int r = on.len ? compiler_variant(c, on, &out->on_variant) : 0;
    if (r == 0 && off.len)
        r = compiler_variant(c, off, &out->off_variant);
    return r;
}

/* The four lists of a flag, as one table. */
struct listed_source {
    const struct span *ids;
    size_t count;
    uint32_t bits;
};

static void list_id(struct compiler *c, struct blob_listed *table, uint32_t mask, struct span id,
                    const struct blob_listed *add) {
    uint64_t hash = blob_hash(id, add->bits & ~3u);
    uint32_t i = (uint32_t)hash & mask;
    for (; table[i].bits; i = (i + 1) & mask) {
        struct span there = span_make(c->out->data + table[i].id.at, table[i].id.len);
        if ((table[i].bits & ~3u) == (add->bits & ~3u) && span_eq(there, id)) {
            table[i].bits |= add->bits;
            return;
        }
    }
    table[i] = (struct blob_listed){(uint32_t)(hash >> 32), add->bits, compiler_emit_name(c, id)};
}

static int compile_listed(struct compiler *c, struct blob_list *ret_list) {
    const struct flags_flag *f = c->flag;
    const struct listed_source sources[] = {
        {f->users_off, f->users_off_count, BLOB_LISTED_USER | BLOB_LISTED_OFF},
        {f->users_on, f->users_on_count, BLOB_LISTED_USER | BLOB_LISTED_ON},
        {f->tenants_off, f->tenants_off_count, BLOB_LISTED_TENANT | BLOB_LISTED_OFF},
        {f->tenants_on, f->tenants_on_count, BLOB_LISTED_TENANT | BLOB_LISTED_ON},
    };
    size_t total = 0;
    for (size_t i = 0; i < 4; i++) {
        if (sources[i].count > FLAGS_LISTED_MAX - total)
            return compiler_error(c, ERR_LIMIT, f->place,
                                  "more than %d users and tenants are listed", FLAGS_LISTED_MAX);
        total += sources[i].count;
    }
    if (total == 0)
        return 0;
    uint32_t slots = 4;
    while (slots < total * 2)
        slots *= 2;
    struct blob_listed *table = compiler_scratch(c, slots, sizeof *table);
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < sources[i].count && buf_ok(c->out); j++) {
            struct span id = sources[i].ids[j];
            int r = compiler_check_name(c, f->place, "a listed user or tenant", id);
            if (r < 0)
                return r;
            list_id(c, table, slots - 1, id, &(struct blob_listed){.bits = sources[i].bits});
        }
    }
    *ret_list = compiler_emit_list(c, table, slots, sizeof *table);
    return 0;
}

static int compile_windows(struct compiler *c, struct blob_list *ret_list) {
    const struct flags_flag *f = c->flag;
    if (f->window_count > FLAGS_WINDOWS_MAX)
        return compiler_error(c, ERR_LIMIT, f->place, "there are more than %d time windows",
                              FLAGS_WINDOWS_MAX);
    struct blob_window *list = compiler_scratch(c, f->window_count, sizeof *list);
    for (size_t i = 0; i < f->window_count; i++) {
        const struct flags_window *w = &f->windows[i];
        if (w->start_minute >= 1440 || w->end_minute > 1440)
            return compiler_error(c, ERR_CONF, w->place,
                                  "a time window ends after its day: hours are 0 to 23");
        if (w->start_minute == w->end_minute % 1440)
            return compiler_error(c, ERR_CONF, w->place,
                                  "a time window starts where it ends: remove it for the whole "
                                  "day");
        list[i].start_minute = w->start_minute;
        list[i].end_minute = w->end_minute;
        const uint32_t *zone = w->zone ? spanmap_get(&c->zones, span_of(w->zone)) : NULL;
        if (w->zone && !zone)
            return compiler_error(c, ERR_CONF, w->place, "time zone %.64s is not known", w->zone);
        list[i].zone = zone ? *zone + 1 : 0;
    }
    *ret_list = compiler_emit_list(c, list, f->window_count, sizeof *list);
    return 0;
}

/* flagd takes an empty object for no targeting. */
static bool has_targeting(const struct flags_flag *f) {
    return f->targeting && !(f->targeting->type == FLAGS_NODE_OBJECT && f->targeting->count == 0);
}

static bool is_fixed(const struct flags_flag *f) {
    return f->fixed || (f->targeting && !has_targeting(f));
}

/* Whether everybody gets one answer, whoever asks and whenever. */
static void settle(const struct flags_flag *f, bool alone, struct blob_flag *out) {
    bool switched_off = !f->enabled || f->killed;
    bool same = switched_off || (alone && !out->listed.count && !f->window_count &&
                                 !f->condition_count && !has_targeting(f) && !f->rule_count);
    if (!same)
        return;
    if (switched_off) {
        out->settled_variant = f->no_value_when_off ? BLOB_NO_VARIANT : out->off_variant;
        out->settled_reason = FLAGS_DISABLED;
    } else if (is_fixed(f) || f->rules_only) {
        out->settled_variant = out->off_variant;
        out->settled_reason =
            is_fixed(f) && out->off_variant != BLOB_NO_VARIANT ? FLAGS_STATIC : FLAGS_DEFAULT;
    } else if (f->rollout == 0 ||
               (f->rollout == FLAGS_ROLLOUT_ALL && !f->split_count && !f->bucketing.needs_key)) {
        out->settled_variant = f->rollout ? out->on_variant : out->off_variant;
        out->settled_reason = FLAGS_STATIC;
    } else {
        return;
    }
    out->bits |= BLOB_SETTLED;
}

static int compile_texts(struct compiler *c, struct blob_flag *out) {
    const struct flags_flag *f = c->flag;
    int r = compiler_check_text(c, f->place, "owner", f->owner);
    if (r == 0)
        r = compiler_check_text(c, f->place, "module", f->module);
    if (r == 0)
        r = compiler_check_text(c, f->place, "metadata", f->metadata);
    if (r < 0)
        return r;
    out->owner = compiler_emit_text(c, f->owner);
    out->module = compiler_emit_text(c, f->module);
    out->metadata = compiler_emit_text(c, f->metadata);
    out->expires = f->expires;
    out->rollout = f->rollout;
    return 0;
}

static int compile_flag(struct compiler *c, const struct compiler_requires *requires,
                        struct blob_flag *out) {
    const struct flags_flag *f = c->flag;
    out->bits = (f->enabled ? BLOB_ENABLED : 0u) | (f->killed ? BLOB_KILLED : 0u) |
                (f->match_any ? BLOB_MATCH_ANY : 0u) | (f->no_value_when_off ? BLOB_NO_VALUE : 0u);
    out->name = compiler_emit_name(c, f->name);
    int r = compile_variants(c, &out->variants);
    if (r == 0)
        r = on_and_off(c, out);
    if (r == 0)
        r = compile_texts(c, out);
    if (r == 0)
        r = compile_listed(c, &out->listed);
    if (r == 0)
        r = compile_windows(c, &out->windows);
    if (r == 0)
        r = compiler_conditions(c, f->conditions, f->condition_count, &out->conditions);
    if (r == 0 && has_targeting(f))
        r = compiler_logic(c, f->targeting, &out->targeting);
    else if (r == 0 && !is_fixed(f))
        r = compiler_rules(c, out->on_variant, &out->rules);
    if (r < 0)
        return r;
    out->requires = compiler_emit_list(c, requires->list, requires->count, sizeof *requires->list);
    settle(f, requires->count == 0, out);
    return 0;
}

static int compile_zone(struct compiler *c, const struct flags_zone *zone, struct blob_zone *out) {
    struct flags_place nowhere = {0};
    int r = compiler_check_name(c, nowhere, "a time zone", span_of(zone->name));
    if (r < 0)
        return r;
    if (zone->transition_count > FLAGS_TRANSITIONS_MAX)
        return compiler_error(c, ERR_LIMIT, nowhere, "time zone %s has more than %d changes",
                              zone->name, FLAGS_TRANSITIONS_MAX);
    struct blob_transition *list = compiler_scratch(c, zone->transition_count, sizeof *list);
    for (size_t i = 0; i < zone->transition_count; i++) {
        if (i && zone->transitions[i].at <= zone->transitions[i - 1].at)
            return compiler_error(c, ERR_CONF, nowhere, "time zone %s: changes are not in order",
                                  zone->name);
        list[i].at = zone->transitions[i].at;
        list[i].offset = zone->transitions[i].offset;
    }
    out->name = compiler_emit_text(c, span_of(zone->name));
    out->first_offset = zone->first_offset;
    out->transitions = compiler_emit_list(c, list, zone->transition_count, sizeof *list);
    return 0;
}

static int compile_zones(struct compiler *c, struct blob_list *ret_list) {
    const struct flags_model *m = c->model;
    struct flags_place nowhere = {0};
    if (m->zone_count > FLAGS_ZONES_MAX)
        return compiler_error(c, ERR_LIMIT, nowhere, "there are more than %d time zones",
                              FLAGS_ZONES_MAX);
    struct blob_zone *list = compiler_scratch(c, m->zone_count, sizeof *list);
    for (size_t i = 0; i < m->zone_count; i++) {
        int r = compile_zone(c, &m->zones[i], &list[i]);
        if (r < 0)
            return r;
        bool fresh;
        uint32_t *number = spanmap_put(&c->zones, span_of(m->zones[i].name), &fresh);
        if (!fresh)
            return compiler_error(c, ERR_CONF, nowhere, "time zone %s is there twice",
                                  m->zones[i].name);
        *number = (uint32_t)i;
    }
    *ret_list = compiler_emit_list(c, list, m->zone_count, sizeof *list);
    return 0;
}

static int by_name(const void *a, const void *b) {
    return span_compare((*(const struct flags_flag *const *)a)->name,
                        (*(const struct flags_flag *const *)b)->name);
}

/* Flags in the order of the blob, and their numbers. */
static int sort_flags(struct compiler *c, const struct flags_flag **ret_order,
                      struct spanmap *ret_numbers) {
    const struct flags_model *m = c->model;
    for (size_t i = 0; i < m->flag_count; i++) {
        c->flag = &m->flags[i];
        int r = compiler_check_name(c, m->flags[i].place, "a flag", m->flags[i].name);
        if (r < 0)
            return r;
        ret_order[i] = &m->flags[i];
    }
    if (m->flag_count)
        qsort(ret_order, m->flag_count, sizeof *ret_order, by_name);
    for (size_t i = 0; i < m->flag_count; i++) {
        bool fresh;
        uint32_t *number = spanmap_put(ret_numbers, ret_order[i]->name, &fresh);
        c->flag = ret_order[i];
        if (!fresh)
            return compiler_error(c, ERR_CONF, ret_order[i]->place,
                                  "there are two flags of this name");
        *number = (uint32_t)i;
    }
    c->flag = NULL;
    return 0;
}

static void emit_index(struct compiler *c, const struct blob_flag *flags, size_t count,
                       struct blob_list *ret_list) {
    uint32_t slots = 4;
    while (slots < count * 2)
        slots *= 2;
    struct blob_slot *table = compiler_scratch(c, slots, sizeof *table);
    for (size_t i = 0; i < count && buf_ok(c->out); i++) {
        uint64_t hash = blob_hash(span_make(c->out->data + flags[i].name.at, flags[i].name.len), 0);
        uint32_t at = (uint32_t)hash & (slots - 1);
        while (table[at].flag)
            at = (at + 1) & (slots - 1);
        table[at] = (struct blob_slot){(uint32_t)(hash >> 32), (uint32_t)i + 1, flags[i].name};
    }
    *ret_list = compiler_emit_list(c, table, slots, sizeof *table);
}

static int compile_all(struct compiler *c, const struct flags_flag **order, struct spanmap *numbers,
                       struct arena *kept) {
    const struct flags_model *m = c->model;
    struct blob_header head = {.magic = BLOB_MAGIC,
                               .layout = FLAGS_LAYOUT,
                               .header_len = sizeof head,
                               .version = m->version};
    struct blob_flag *flags = arena_alloc(kept, (m->flag_count + 1) * sizeof *flags);
    struct compiler_requires *requires = arena_alloc(kept, (m->flag_count + 1) * sizeof *requires);
    assert(flags && requires);
    memset(flags, 0, (m->flag_count + 1) * sizeof *flags);
    compiler_emit(c, &head, sizeof head);
    int r = compiler_check_text(c, (struct flags_place){0}, "metadata", m->metadata);
    if (r == 0)
        r = compile_zones(c, &head.zones);
    if (r == 0)
        r = sort_flags(c, order, numbers);
    if (r == 0)
        r = compiler_requires(c, order, numbers, kept, requires);
    for (size_t i = 0; r == 0 && i < m->flag_count && buf_ok(c->out); i++) {
        c->flag = order[i];
        r = compile_flag(c, &requires[i], &flags[i]);
        arena_reset(&c->scratch);
    }
    c->flag = NULL;
    if (r < 0)
        return r;
    head.metadata = compiler_emit_text(c, m->metadata);
    head.flags = compiler_emit_list(c, flags, m->flag_count, sizeof *flags);
    emit_index(c, flags, m->flag_count, &head.index);
    if (!buf_ok(c->out))
        return compiler_error(c, ERR_LIMIT, (struct flags_place){0},
                              "the flags need more than %zu bytes", c->out->max);
    head.len = c->out->len;
    memcpy(c->out->data, &head, sizeof head);
    head.checksum = blob_checksum(c->out->data, c->out->len);
    memcpy(c->out->data, &head, sizeof head);
    return 0;
}

int flags_compile(const struct flags_model *model, struct buf *ret_blob, struct err *err) {
    struct err own;
    struct compiler c = {.model = model, .out = ret_blob, .err = err ? err : &own};
    buf_clear(ret_blob);
    if (model->flag_count > FLAGS_MAX)
        return compiler_error(&c, ERR_LIMIT, (struct flags_place){0},
                              "there are more than %d flags", FLAGS_MAX);
    struct arena kept;
    struct spanmap numbers = {0};
    arena_init(&kept, SIZE_MAX);
    arena_init(&c.scratch, SIZE_MAX);
    arena_init(&c.shared, SIZE_MAX);
    const struct flags_flag **order = arena_alloc(&kept, (model->flag_count + 1) * sizeof *order);
    assert(order);
    /* Offsets have 32 bits, whatever the caller allows. */
    size_t max = ret_blob->max;
    if (max > FLAGS_BLOB_MAX)
        ret_blob->max = FLAGS_BLOB_MAX;
    int r = compile_all(&c, order, &numbers, &kept);
    ret_blob->max = max;
    if (r < 0)
        buf_clear(ret_blob);
    spanmap_release(&numbers);
    spanmap_release(&c.zones);
    spanmap_release(&c.texts);
    spanmap_release(&c.structs);
    arena_release(&c.shared);
    arena_release(&c.scratch);
    arena_release(&kept);
    return r;
}

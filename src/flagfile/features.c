/* feature-flags.yml. */
#include "flagfile/reader.h"

#include "conf/conf_check.h"
#include "flagfile/zone.h"
#include "flags/compile.h"

#include <string.h>

#define FLAG_KEYS                                                                                  \
    "name enabled rollout_percentage enabled_for_users enabled_for_tenants conditions match "      \
    "disabled_for_users disabled_for_tenants requires bucket_by bucket_group hash time_zone "      \
    "owner expires module"

/* In the order of enum flags_hash and enum flags_operator. */
#define HASHES "banyan1 java31 flagd unleash launchdarkly"
#define OPERATORS "= != < > in not_in"
#define TYPES "user_attribute tenant_attribute time_window custom"

struct conditions {
    struct flags_condition *list;
    size_t count;
    struct flags_window *windows;
    size_t window_count;
};

/* ---- conditions ---- */

static int read_one_value(struct reader *r, const struct tree_node *node, struct flags_value *ret) {
    if (node->kind != TREE_SCALAR || tree_is_null(node))
        return read_fail(r, node->at, "'value' must be text, a number, true or false, not %s",
                         tree_kind_name(node));
    return read_value(r, node, ret);
}

static int read_values(struct reader *r, const struct tree_node *node, struct flags_condition *c) {
    bool many = c->op == FLAGS_IN || c->op == FLAGS_NOT_IN;
    if (many && node->kind != TREE_LIST)
        return read_fail(r, node->at, "'value' of 'in' and 'not_in' must be a list, [a, b], not %s",
                         tree_kind_name(node));
    if (!many && node->kind == TREE_LIST)
        return read_fail(r, node->at,
                         "'value' must be one value; for a list take 'in' or 'not_in'");
    if (many && node->count == 0)
        return read_fail(r, node->at,
                         "'value' is an empty list, which never decides; remove the "
                         "condition");
    if (many && node->count > FLAGS_VALUES_MAX)
        return read_fail(r, node->at, "'value' has more than %d entries", FLAGS_VALUES_MAX);
    struct flags_value *values = read_alloc(r, many ? node->count : 1, sizeof *values);
    if (!values)
        return ERR_CONF;
    c->values = values;
    c->value_count = 0;
    if (!many)
        return read_one_value(r, node, &values[c->value_count++]);
    int rc = 0;
    for (const struct tree_entry *e = node->first; rc == 0 && e; e = e->next)
        rc = read_one_value(r, e->value, &values[c->value_count++]);
    return rc;
}

static int need(struct reader *r, const struct tree_node *node, const char *what, const char *key,
                const char *example, const struct tree_node **ret) {
    *ret = read_get(node, key);
    return *ret ? 0 : read_fail(r, node->at, "%s: '%s' is missing; add it: %s", what, key, example);
}

static int read_attribute(struct reader *r, const struct tree_node *node, const char *what,
                          struct flags_condition *c) {
    const struct tree_node *attribute = NULL, *op = NULL, *value = NULL;
    unsigned choice = 0;
    int rc = read_keys(r, what, node, "type attribute operator value");
    if (rc == 0)
        rc = need(r, node, what, "attribute", "attribute: tier", &attribute);
    if (rc == 0)
        rc = read_text(r, "attribute", attribute, FLAGS_NAME_MAX, &c->attribute);
    if (rc == 0)
        rc = need(r, node, what, "operator", "operator: in", &op);
    if (rc == 0)
        rc = read_choice(r, "operator", op, OPERATORS, &choice);
    if (rc == 0)
        rc = need(r, node, what, "value", "value: [a, b]", &value);
    if (rc < 0)
        return rc;
    c->op = (enum flags_operator)choice;
    rc = read_values(r, value, c);
    bool ordered = c->op == FLAGS_LESS || c->op == FLAGS_GREATER;
    if (rc == 0 && ordered && c->values[0].type == FLAGS_BOOL)
        rc = read_fail(r, value->at, "'value' of '<' and '>' must be a number or text");
    return rc;
}

static int read_custom(struct reader *r, const struct tree_node *node, struct flags_condition *c) {
    const struct tree_node *name = NULL, *value = read_get(node, "value");
    const char *known = NULL;
    struct buf all = {.max = 4096};
    int rc = read_keys(r, "custom", node, "type name value");
    if (rc == 0)
        rc = need(r, node, "custom", "name", "name: internal_network", &name);
    if (rc == 0)
        rc = read_text(r, "name", name, FLAGS_NAME_MAX, &c->attribute);
    if (rc < 0)
        return rc;
    for (size_t i = 0; (known = flags_custom_name(i)) && !span_is(c->attribute, known); i++)
        buf_printf(&all, "%s%s", i ? " " : "", known);
    if (!known) {
        struct read_hint hint = read_similar(buf_text(&all), c->attribute);
        rc = read_fail(r, name->at, "unknown custom condition '%.100s'%s%s%s", c->attribute.ptr,
                       hint.text,
                       hint.text[0] ? "" : "; there is: ", hint.text[0] ? "" : buf_text(&all));
    } else if (!value) {
        rc = read_fail(r, node->at, "custom: 'value' is missing");
    } else {
        c->op = value->kind == TREE_LIST ? FLAGS_IN : FLAGS_EQUAL;
        rc = read_values(r, value, c);
    }
    buf_release(&all);
    return rc;
}

static int read_window(struct reader *r, const struct tree_node *node, struct flags_window *w) {
    const struct tree_node *start = NULL, *end = NULL;
    int64_t from = 0, to = 0;
    int rc = read_keys(r, "time_window", node, "type start_hour end_hour");
    if (rc == 0)
        rc = need(r, node, "time_window", "start_hour", "start_hour: 22", &start);
    if (rc == 0)
        rc = read_int(r, "start_hour", start, 0, 23, &from);
    if (rc == 0)
        rc = need(r, node, "time_window", "end_hour", "end_hour: 6", &end);
    if (rc == 0)
        rc = read_int(r, "end_hour", end, 0, 24, &to);
    if (rc < 0)
        return rc;
    if (from == to)
        return read_fail(r, end->at,
                         "'end_hour' equals 'start_hour': the window is empty or the whole day; "
                         "0 and 24 are the whole day");
    *w = (struct flags_window){.start_minute = (unsigned)from * 60,
                               .end_minute = (unsigned)to * 60,
                               .place = read_place(node->at)};
    return 0;
}

static int read_condition(struct reader *r, const struct tree_node *node, struct conditions *all) {
    const struct tree_node *type = NULL;
    unsigned choice = 0;
    int rc = read_kind(r, "conditions", node, TREE_MAP);
    if (rc == 0)
        rc = need(r, node, "conditions", "type", "type: tenant_attribute", &type);
    if (rc == 0)
        rc = read_choice(r, "type", type, TYPES, &choice);
    if (rc < 0)
        return rc;
    if (choice == 2)
        return read_window(r, node, &all->windows[all->window_count++]);
    struct flags_condition *c = &all->list[all->count++];
    c->place = read_place(node->at);
    c->subject = choice == 0   ? FLAGS_USER_ATTRIBUTE
                 : choice == 1 ? FLAGS_TENANT_ATTRIBUTE
                               : FLAGS_CUSTOM;
    return choice == 3 ? read_custom(r, node, c) : read_attribute(r, node, type->text.ptr, c);
}

static int read_conditions(struct reader *r, const struct tree_node *node, struct flags_flag *f) {
    int rc = node ? read_kind(r, "conditions", node, TREE_LIST) : 0;
    if (rc < 0 || !node)
        return rc;
    if (node->count > FLAGS_CONDITIONS_MAX)
        return read_fail(r, node->at, "'conditions' has more than %d entries",
                         FLAGS_CONDITIONS_MAX);
    struct conditions all = {.list = read_alloc(r, node->count, sizeof *all.list),
                             .windows = read_alloc(r, node->count, sizeof *all.windows)};
    rc = all.list && all.windows ? 0 : ERR_CONF;
    for (const struct tree_entry *e = node->first; rc == 0 && e; e = e->next)
        rc = read_condition(r, e->value, &all);
    if (rc == 0 && all.window_count > FLAGS_WINDOWS_MAX)
        rc = read_fail(r, node->at, "more than %d time windows", FLAGS_WINDOWS_MAX);
    f->conditions = all.list;
    f->condition_count = all.count;
    f->windows = all.windows;
    f->window_count = all.window_count;
    return rc;
}

/* ---- the rest of a flag ---- */

static int read_bucket_by(struct reader *r, const struct tree_node *node,
                          struct flags_bucketing *b) {
    struct span text;
    int rc = read_text(r, "bucket_by", node, FLAGS_NAME_MAX, &text);
    if (rc < 0)
        return rc;
    b->by_count = 1;
    b->by[0].source = span_is(text, "user")     ? FLAGS_BY_USER
                      : span_is(text, "tenant") ? FLAGS_BY_TENANT
                                                : FLAGS_BY_ATTRIBUTE;
    if (b->by[0].source == FLAGS_BY_ATTRIBUTE)
        b->by[0].attribute = text;
    return 0;
}

/* LaunchDarkly hashes "<key>.<salt>.<value>" or "<seed>.<value>": the group is what stands before
 * the last dot, so a seed is a number and everything else has a dot. */
static int split_group(struct reader *r, struct conf_at at, struct flags_bucketing *b) {
    int64_t seed;
    const char *dot = b->group.ptr ? memchr(b->group.ptr, '.', b->group.len) : NULL;
    if (b->group.ptr && conf_read_int(b->group, &seed) && seed >= 0 && seed <= UINT32_MAX) {
        b->seeded = true;
        b->seed = (uint32_t)seed;
        b->group = (struct span){0};
    } else if (dot) {
        b->salt = span_make(dot + 1, b->group.len - (size_t)(dot + 1 - b->group.ptr));
        b->group.len = (size_t)(dot - b->group.ptr);
    } else {
        return read_fail(r, at,
                         "'hash: launchdarkly' needs 'bucket_group': the flag's key and salt "
                         "there, \"key.salt\", or the seed, a number");
    }
    return 0;
}

static int read_bucketing(struct reader *r, const struct tree_node *node, struct flags_flag *f) {
    const struct tree_node *by = read_get(node, "bucket_by"), *hash = read_get(node, "hash");
    struct flags_bucketing *b = &f->bucketing;
    unsigned choice = 0;
    const struct tree_node *group = read_get(node, "bucket_group");
    /* "" is a group too: Unleash's gradual strategies have it unless another is given. */
    bool none = group && group->kind == TREE_SCALAR && group->text.len == 0;
    int rc = group && !none ? read_text(r, "bucket_group", group, FLAGS_NAME_MAX, &b->group) : 0;
    if (none)
        b->group = group->text;
    if (rc == 0 && hash)
        rc = read_choice(r, "hash", hash, HASHES, &choice);
    b->hash = (enum flags_hash)choice;
    if (rc == 0 && by)
        rc = read_bucket_by(r, by, b);
    return rc < 0 || b->hash != FLAGS_HASH_LAUNCHDARKLY ? rc : split_group(r, hash->at, b);
}

static bool read_date(struct span s, int32_t *ret_days) {
    struct conf_date d;
    if (!conf_read_date(s, &d) || d.year < 1970)
        return false;
    *ret_days = (int32_t)zone_days(d.year, d.month, d.day);
    return true;
}

static int read_kept(struct reader *r, const struct tree_node *node, struct flags_flag *f) {
    const struct tree_node *expires = read_get(node, "expires");
    int rc = read_optional_text(r, node, "owner", &f->owner);
    if (rc == 0)
        rc = read_optional_text(r, node, "module", &f->module);
    if (rc == 0 && expires &&
        (expires->kind != TREE_SCALAR || !read_date(expires->text, &f->expires)))
        rc = read_fail(r, expires->at, "'expires' must be a date such as 2027-01-31");
    return rc;
}

static int read_requires(struct reader *r, const struct tree_node *node, struct flags_flag *f) {
    const struct tree_node *list = read_get(node, "requires");
    if (!list)
        return 0;
    int rc = read_kind(r, "requires", list, TREE_LIST);
    if (rc == 0 && list->count > FLAGS_REQUIRES_MAX)
        rc = read_fail(r, list->at, "'requires' has more than %d entries", FLAGS_REQUIRES_MAX);
    struct flags_require *requires = rc == 0 ? read_alloc(r, list->count, sizeof *requires) : NULL;
    if (!requires)
        return ERR_CONF;
    size_t n = 0;
    for (const struct tree_entry *e = list->first; rc == 0 && e; e = e->next, n++) {
        requires[n].place = read_place(e->value->at);
        rc = read_text(r, "requires", e->value, FLAGS_NAME_MAX, &requires[n].flag);
    }
    f->requires = requires;
    f->require_count = n;
    return rc;
}

static int read_listed(struct reader *r, const struct tree_node *node, const char *key,
                       const struct span **ret, size_t *ret_count) {
    const struct tree_node *list = read_get(node, key);
    return list ? read_texts(r, key, list, FLAGS_LISTED_MAX, ret, ret_count) : 0;
}

static int read_lists(struct reader *r, const struct tree_node *node, struct flags_flag *f) {
    int rc = read_listed(r, node, "enabled_for_users", &f->users_on, &f->users_on_count);
    if (rc == 0)
        rc = read_listed(r, node, "enabled_for_tenants", &f->tenants_on, &f->tenants_on_count);
    if (rc == 0)
        rc = read_listed(r, node, "disabled_for_users", &f->users_off, &f->users_off_count);
    if (rc == 0)
        rc = read_listed(r, node, "disabled_for_tenants", &f->tenants_off, &f->tenants_off_count);
    return rc;
}

static int read_switches(struct reader *r, const struct tree_node *node, struct flags_flag *f) {
    const struct tree_node *enabled, *percent = read_get(node, "rollout_percentage");
    const struct tree_node *match = read_get(node, "match");
    unsigned choice = 0;
    int rc = need(r, node, "the flag", "enabled", "enabled: true", &enabled);
    if (rc == 0)
        rc = read_bool(r, "enabled", enabled, &f->enabled);
    if (rc == 0 && percent)
        rc = read_percent(r, "rollout_percentage", percent, &f->rollout);
    if (rc == 0 && match)
        rc = read_choice(r, "match", match, "all any", &choice);
    f->match_any = choice == 1;
    return rc;
}

static int read_flag(struct reader *r, const struct tree_node *node, struct flags_flag *f) {
    const struct tree_node *name = NULL, *zone;
    const char *zone_name = NULL;
    int rc = read_kind(r, "features", node, TREE_MAP);
    if (rc == 0)
        rc = need(r, node, "features", "name", "name: orders_mongodb", &name);
    if (rc == 0)
        rc = read_text(r, "name", name, FLAGS_NAME_MAX, &f->name);
    if (rc < 0)
        return rc;
    f->place = read_place(name->at);
    r->flag = f->name.ptr;
    rc = read_keys(r, "features", node, FLAG_KEYS);
    if (rc == 0)
        rc = read_switches(r, node, f);
    if (rc == 0)
        rc = read_lists(r, node, f);
    if (rc == 0)
        rc = read_conditions(r, read_get(node, "conditions"), f);
    if (rc == 0)
        rc = read_bucketing(r, node, f);
    if (rc == 0)
        rc = read_requires(r, node, f);
    if (rc == 0)
        rc = read_kept(r, node, f);
    if (rc == 0 && (zone = read_get(node, "time_zone")))
        rc = read_zone(r, zone, &zone_name);
    for (size_t i = 0; rc == 0 && i < f->window_count; i++)
        ((struct flags_window *)f->windows)[i].zone = zone_name;
    r->flag = NULL;
    return rc;
}

int features_read(struct reader *r) {
    int rc = read_keys(r, "the file", r->root, "features");
    const struct tree_entry *features = rc == 0 ? tree_find(r->root, "features") : NULL;
    if (rc == 0 && !features)
        rc = read_fail(r, r->root->at, "'features' is missing; add it: features: []");
    if (rc < 0)
        return rc;
    const struct tree_node *list = features->value;
    if (tree_is_null(list)) {
        read_finish(r, NULL, NULL, 0);
        return 0;
    }
    rc = read_kind(r, "features", list, TREE_LIST);
    if (rc == 0 && list->count > FLAGS_MAX)
        rc = read_fail(r, list->at, "more than %d flags", FLAGS_MAX);
    if (rc < 0)
        return rc;
    struct flags_flag *flags = read_alloc(r, list->count, sizeof *flags);
    struct flagfile_lines *lines = read_alloc(r, list->count, sizeof *lines);
    if (!flags || !lines)
        return ERR_CONF;
    size_t n = 0;
    for (const struct tree_entry *e = list->first; rc == 0 && e; e = e->next, n++) {
        rc = read_flag(r, e->value, &flags[n]);
        lines[n] = (struct flagfile_lines){(unsigned)e->value->at.line, read_last_line(e->value)};
    }
    if (rc == 0)
        read_finish(r, flags, lines, n);
    return rc;
}

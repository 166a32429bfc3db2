#include "flags/flags.h"

#include "flags/blob.h"
#include "flags/custom.h"
#include "flags/logic.h"

/*
 * Bytes that anybody may have written: everything that evaluation follows or indexes with is
 * checked here once, so that evaluation never asks. Only reads; work is proportional to the
 * structs that the lists name. Equal lists are there once and named by many (compiler_emit), so
 * that is more than the blob is long; in forged blobs, whose lists overlap at will, it would be
 * without bound: `work` ends those.
 */
#define WORK_SHARED ((size_t)64 << 20) /* FLAGS_MAX flags that share a list as long as can be */

struct check {
    const unsigned char *bytes;
    size_t len;
    const struct blob_header *head;
    size_t work; /* structs still to be looked at */
    const char *wrong;
};

static bool fail(struct check *c, const char *wrong) {
    if (!c->wrong)
        c->wrong = wrong;
    return false;
}

static bool check_text(struct check *c, struct blob_text t, size_t most) {
    if (t.at > c->len || t.len > c->len - t.at || t.len > most)
        return fail(c, "a text is outside");
    return true;
}

/* The structs of a list; NULL when it is wrong (or empty). */
static const void *check_list(struct check *c, struct blob_list list, size_t size, size_t most) {
    if (list.count == 0)
        return NULL;
    if (list.at % 8 != 0 || list.at > c->len || list.count > (c->len - list.at) / size ||
        list.count > most) {
        fail(c, "a list is outside");
        return NULL;
    }
    if (list.count > c->work) {
        fail(c, "lists overlap");
        return NULL;
    }
    c->work -= list.count;
    return c->bytes + list.at;
}

static bool check_variant(struct check *c, int32_t variant, const struct blob_flag *flag) {
    if (variant != BLOB_NO_VARIANT && (variant < 0 || (uint32_t)variant >= flag->variants.count))
        return fail(c, "a variant is outside");
    return true;
}

static bool check_value(struct check *c, const struct blob_value *v) {
    if (v->type > FLAGS_JSON)
        return fail(c, "a value has an unknown type");
    return check_text(c, v->text, FLAGS_TEXT_MAX);
}

static void check_variants(struct check *c, const struct blob_flag *flag) {
    const struct blob_variant *v = check_list(c, flag->variants, sizeof *v, FLAGS_VARIANTS_MAX);
    if (flag->variants.count == 0)
        fail(c, "a flag has no variants");
    for (uint32_t i = 0; !c->wrong && i < flag->variants.count; i++)
        if (check_text(c, v[i].name, FLAGS_NAME_MAX))
            check_value(c, &v[i].value);
}

static void check_listed(struct check *c, struct blob_list list) {
    const struct blob_listed *l = check_list(c, list, sizeof *l, FLAGS_BLOB_MAX);
    if (list.count & (list.count - 1))
        fail(c, "a table has a wrong size");
    for (uint32_t i = 0; !c->wrong && i < list.count; i++)
        check_text(c, l[i].id, FLAGS_NAME_MAX);
}

static void check_requires(struct check *c, struct blob_list list) {
    const struct blob_require *r = check_list(c, list, sizeof *r, FLAGS_REQUIRES_MAX);
    const struct blob_flag *flags = (const void *)(c->bytes + c->head->flags.at);
    for (uint32_t i = 0; !c->wrong && i < list.count; i++) {
        if (r[i].flag >= c->head->flags.count)
            fail(c, "a required flag is outside");
        else
            check_variant(c, r[i].variant, &flags[r[i].flag]);
    }
}

static void check_windows(struct check *c, struct blob_list list) {
    const struct blob_window *w = check_list(c, list, sizeof *w, FLAGS_WINDOWS_MAX);
    for (uint32_t i = 0; !c->wrong && i < list.count; i++)
        if (w[i].zone > c->head->zones.count)
            fail(c, "a time zone is outside");
}

static void check_conditions(struct check *c, struct blob_list list) {
    const struct blob_condition *d = check_list(c, list, sizeof *d, FLAGS_CONDITIONS_MAX);
    for (uint32_t i = 0; !c->wrong && i < list.count; i++) {
        if (d[i].subject > FLAGS_CUSTOM || d[i].op > FLAGS_NOT_IN)
            fail(c, "a condition is of an unknown kind");
        if (!check_text(c, d[i].attribute, FLAGS_NAME_MAX))
            return;
        check_list(c, d[i].numbers, sizeof(double), FLAGS_VALUES_MAX);
        const struct blob_text *texts = check_list(c, d[i].texts, sizeof *texts, FLAGS_VALUES_MAX);
        for (uint32_t j = 0; !c->wrong && j < d[i].texts.count; j++)
            check_text(c, texts[j], FLAGS_TEXT_MAX);
        check_list(c, d[i].raw, sizeof(uint64_t), (size_t)FLAGS_VALUES_MAX * CUSTOM_WORDS_MAX);
        if (d[i].subject == FLAGS_CUSTOM &&
            (!custom_at(d[i].custom) || d[i].raw.count % custom_at(d[i].custom)->words != 0))
            fail(c, "a custom condition is not known");
    }
}

static void check_logic(struct check *c, uint32_t at) {
    if (at == 0)
        return;
    const struct blob_logic *logic = check_list(c, (struct blob_list){at, 1}, sizeof *logic, 1);
    const struct blob_node *n =
        logic ? check_list(c, logic->nodes, sizeof *n, FLAGS_LOGIC_NODES_MAX) : NULL;
    if (!n) {
        fail(c, "a targeting is empty");
        return;
    }
    uint32_t count = logic->nodes.count;
    for (uint32_t i = 0; !c->wrong && i < count; i++) {
        if (n[i].op >= LOGIC_OP_COUNT || n[i].depth > FLAGS_LOGIC_DEPTH_MAX) {
            fail(c, "an operator is not known");
            return;
        }
        if (!check_value(c, &n[i].literal))
            return;
        if (n[i].count && (n[i].first <= i || n[i].first >= count || n[i].count > count ||
                           n[i].first + n[i].count > count)) {
            fail(c, "an argument is outside");
            return;
        }
        /* Each child one deeper: what evaluation relies on to end. */
        if (n[i].count > c->work) {
            fail(c, "lists overlap");
            return;
        }
        c->work -= n[i].count;
        for (uint32_t j = 0; j < n[i].count; j++)
            if (n[n[i].first + j].depth != n[i].depth + 1)
                fail(c, "an argument is at a wrong depth");
        if (!logic_takes((enum logic_op)n[i].op, n[i].count))
            fail(c, "an operator has a wrong number of arguments");
    }
}

static void check_bucketing(struct check *c, uint32_t at) {
    if (at == 0)
        return;
    const struct blob_bucketing *b = check_list(c, (struct blob_list){at, 1}, sizeof *b, 1);
    if (!b)
        return;
    if (b->hash > FLAGS_HASH_LAUNCHDARKLY || b->by_count > FLAGS_SOURCES_MAX)
        fail(c, "a bucketing is of an unknown kind");
    for (uint32_t i = 0; !c->wrong && i < b->by_count; i++) {
        if (b->by[i].source > FLAGS_BY_RANDOM)
            fail(c, "a bucketing is of an unknown kind");
        check_text(c, b->by[i].attribute, FLAGS_NAME_MAX);
    }
    check_text(c, b->prefix, (size_t)2 * FLAGS_NAME_MAX + 2);
}

static void check_rules(struct check *c, const struct blob_flag *flag) {
    const struct blob_rule *r = check_list(c, flag->rules, sizeof *r, FLAGS_RULES_MAX + 1);
    for (uint32_t i = 0; !c->wrong && i < flag->rules.count; i++) {
        check_conditions(c, r[i].conditions);
        check_logic(c, r[i].when);
        check_bucketing(c, r[i].bucketing);
        check_bucketing(c, r[i].split_bucketing);
        check_variant(c, r[i].variant, flag);
        const struct blob_weight *w = check_list(c, r[i].split, sizeof *w, FLAGS_VARIANTS_MAX);
        uint64_t sum = 0;
        for (uint32_t j = 0; !c->wrong && j < r[i].split.count; j++) {
            sum += w[j].weight;
            check_variant(c, w[j].variant, flag);
        }
        if (!c->wrong && r[i].split.count && (sum == 0 || sum > INT32_MAX))
            fail(c, "the weights of a split add up wrongly");
        if (!r[i].split_bucketing != !r[i].split.count)
            fail(c, "a split has no bucketing");
        if (!r[i].bucketing && r[i].rollout != 0 && r[i].rollout != FLAGS_ROLLOUT_ALL)
            fail(c, "a rollout has no bucketing");
    }
}

static void check_flag(struct check *c, const struct blob_flag *flag) {
    if (!check_text(c, flag->name, FLAGS_NAME_MAX) || !check_text(c, flag->owner, FLAGS_TEXT_MAX) ||
        !check_text(c, flag->module, FLAGS_TEXT_MAX) ||
        !check_text(c, flag->metadata, FLAGS_TEXT_MAX))
        return;
    check_variants(c, flag);
    check_variant(c, flag->on_variant, flag);
    check_variant(c, flag->off_variant, flag);
    check_variant(c, flag->settled_variant, flag);
    if (flag->settled_reason >= FLAGS_ERROR)
        fail(c, "a reason is not known");
    check_listed(c, flag->listed);
    check_requires(c, flag->requires);
    check_windows(c, flag->windows);
    check_conditions(c, flag->conditions);
    check_logic(c, flag->targeting);
    check_rules(c, flag);
}

static void check_zones(struct check *c) {
    const struct blob_zone *z = check_list(c, c->head->zones, sizeof *z, FLAGS_ZONES_MAX);
    for (uint32_t i = 0; !c->wrong && i < c->head->zones.count; i++) {
        check_text(c, z[i].name, FLAGS_NAME_MAX);
        check_list(c, z[i].transitions, sizeof(struct blob_transition), FLAGS_TRANSITIONS_MAX);
    }
}

static void check_index(struct check *c) {
    struct blob_list index = c->head->index;
    const struct blob_slot *s = check_list(c, index, sizeof *s, FLAGS_BLOB_MAX);
    if (index.count == 0 || index.count & (index.count - 1))
        fail(c, "the table of names has a wrong size");
    for (uint32_t i = 0; !c->wrong && i < index.count; i++) {
        if (s[i].flag > c->head->flags.count)
            fail(c, "a flag is outside");
        check_text(c, s[i].name, FLAGS_NAME_MAX);
    }
}

static const char *check_header(const unsigned char *bytes, size_t len) {
    const struct blob_header *head = (const void *)bytes;
    if ((uintptr_t)bytes % 8 != 0)
        return "they are not at an address divisible by 8";
    if (len < sizeof *head || memcmp(head->magic, BLOB_MAGIC, sizeof head->magic) != 0)
        return "they are no compiled flags";
    if (head->layout != FLAGS_LAYOUT)
        return "they are in a layout of another version of banyan";
    if (head->header_len != sizeof *head || head->len != len || len > FLAGS_BLOB_MAX)
        return "their length is wrong: the file is cut or still being written";
    if (head->checksum != blob_checksum(bytes, len))
        return "their checksum is wrong: the file is damaged";
    return NULL;
}

int flags_open(const void *bytes, size_t len, struct flags_set *ret_set, struct err *err) {
    const char *wrong = check_header(bytes, len);
    if (wrong)
        return err_set(err, ERR_STATE, "cannot use the compiled flags: %s", wrong);
    /* Every struct has 8 bytes or more, and arguments are counted where they are named and where
     * they stand: so much for what nobody shares. */
    struct check c = {.bytes = bytes, .len = len, .head = bytes, .work = len / 4 + WORK_SHARED};
    check_text(&c, c.head->metadata, FLAGS_TEXT_MAX);
    check_zones(&c);
    const struct blob_flag *flags = check_list(&c, c.head->flags, sizeof *flags, FLAGS_MAX);
    for (uint32_t i = 0; !c.wrong && i < c.head->flags.count; i++)
        check_flag(&c, &flags[i]);
    if (!c.wrong)
        check_index(&c);
    if (c.wrong)
        return err_set(err, ERR_STATE, "cannot use the compiled flags: %s", c.wrong);
    *ret_set = (struct flags_set){bytes, len};
    return 0;
}

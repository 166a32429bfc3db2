#include "flags/logic.h"

#include "base/utf8.h"
#include "flags/bucket.h"

#include <math.h>

/* Operators over text, versions, and flagd's fractional. */

static const struct logic_value null_value = {.type = LOGIC_NULL};

static struct logic_value of_bool(bool v) {
    return (struct logic_value){.type = LOGIC_BOOL, .boolean = v};
}

static struct logic_value of_text(struct span s) {
    return (struct logic_value){.type = LOGIC_STRING, .text = s};
}

static struct logic_value cat(struct logic_run *run, const struct blob_node *node) {
    struct span *parts = logic_alloc(run, node->count * sizeof *parts);
    size_t total = 0;
    for (uint32_t i = 0; parts && i < node->count; i++) {
        struct logic_value v = logic_node(run, logic_argument(run, node, i));
        parts[i] = logic_text(run, &v);
        total += parts[i].len;
    }
    char *out = parts ? logic_alloc(run, total) : NULL, *at = out;
    if (!out)
        return null_value;
    for (uint32_t i = 0; i < node->count; i++) {
        if (parts[i].len)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return of_text(span_make(out, total));
}

static size_t char_len(struct span s) {
    size_t n = utf8_char_len(s);
    return n ? n : 1;
}

/* Bytes of the first `chars` characters. */
static size_t bytes_of(struct span s, size_t chars) {
    size_t at = 0;
    for (size_t n = 0; n < chars && at < s.len; n++)
        at += char_len(span_make(s.ptr + at, s.len - at));
    return at;
}

static double whole(double v) {
    return isnan(v) ? 0 : trunc(v);
}

/* Negative: from the end. The length, too, where it is negative, ends that far from the end. */
static struct logic_value substr(struct logic_run *run, const struct blob_node *node) {
    struct logic_value v = logic_node(run, logic_argument(run, node, 0));
    struct logic_value from = logic_node(run, logic_argument(run, node, 1));
    struct span s = logic_text(run, &v);
    if (!logic_step(run, s.len / 16))
        return null_value;
    size_t count = 0;
    for (size_t at = 0; at < s.len; count++)
        at += char_len(span_make(s.ptr + at, s.len - at));
    double chars = (double)count, start = whole(logic_number(run, &from)), end = chars;
    if (start < 0)
        start = fmax(0, chars + start);
    if (node->count == 3) {
        struct logic_value len = logic_node(run, logic_argument(run, node, 2));
        double n = whole(logic_number(run, &len));
        end = n < 0 ? chars + n : fmin(chars, start + n);
    }
    if (start >= end)
        return of_text(SPAN_LIT(""));
    size_t first = bytes_of(s, (size_t)start);
    return of_text(span_make(s.ptr + first, bytes_of(s, (size_t)end) - first));
}

/* Parts of a version: digits, and what stands behind '-'. */
struct version {
    struct span number[3];
    struct span pre;
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Digits without a leading zero. */
static bool read_digits(struct span *s, struct span *ret_digits) {
    size_t n = 0;
    while (n < s->len && is_digit(s->ptr[n]))
        n++;
    if (n == 0 || (n > 1 && s->ptr[0] == '0'))
        return false;
    *ret_digits = span_make(s->ptr, n);
    *s = span_make(s->ptr + n, s->len - n);
    return true;
}

static bool all_digits(struct span s) {
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.ptr[i]))
            return false;
    return true;
}

/* Identifiers between dots, up to '+' or the end; of a prerelease, numbers without leading zero. */
static bool read_identifiers(struct span *s, bool prerelease, struct span *ret_text) {
    size_t at = 0, from = 0;
    for (;; at++) {
        char c = at < s->len ? s->ptr[at] : '.';
        if (c == '.' || (c == '+' && prerelease)) {
            struct span part = span_make(s->ptr + from, at - from);
            if (part.len == 0 ||
                (prerelease && part.len > 1 && part.ptr[0] == '0' && all_digits(part)))
                return false;
            from = at + 1;
            if (at == s->len || c == '+')
                break;
        } else if (!is_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && c != '-') {
            return false;
        }
    }
    *ret_text = span_make(s->ptr, at);
    *s = span_make(s->ptr + at, s->len - at);
    return true;
}

/* v1, v1.2 and v1.2.3-pre+build, with or without the v, as flagd takes them. */
static bool read_version(struct span s, struct version *ret_version) {
    struct version v = {{SPAN_LIT("0"), SPAN_LIT("0"), SPAN_LIT("0")}, {0}};
    if (s.len && s.ptr[0] == 'v')
        s = span_make(s.ptr + 1, s.len - 1);
    int parts = 0;
    do {
        if (parts && s.len)
            s = span_make(s.ptr + 1, s.len - 1); /* the dot */
        if (!read_digits(&s, &v.number[parts++]))
            return false;
    } while (parts < 3 && s.len && s.ptr[0] == '.');
    struct span build;
    if (s.len && s.ptr[0] == '-') {
        s = span_make(s.ptr + 1, s.len - 1);
        if (parts < 3 || !read_identifiers(&s, true, &v.pre))
            return false;
    }
    if (s.len && s.ptr[0] == '+') {
        s = span_make(s.ptr + 1, s.len - 1);
        if (parts < 3 || !read_identifiers(&s, false, &build))
            return false;
    }
    *ret_version = v;
    return s.len == 0;
}

/* Of any length, without leading zeros. */
static int compare_digits(struct span a, struct span b) {
    return a.len != b.len ? (a.len > b.len) - (a.len < b.len) : span_compare(a, b);
}

static struct span next_identifier(struct span *s) {
    const char *dot = memchr(s->ptr, '.', s->len);
    struct span part = span_make(s->ptr, dot ? (size_t)(dot - s->ptr) : s->len);
    size_t used = part.len + (dot != NULL);
    *s = span_make(s->ptr + used, s->len - used);
    return part;
}

/* A version with a prerelease comes before the one without. */
static int compare_prerelease(struct span a, struct span b) {
    if (a.len == 0 || b.len == 0)
        return (a.len == 0) - (b.len == 0);
    while (a.len && b.len) {
        struct span x = next_identifier(&a), y = next_identifier(&b);
        bool x_number = all_digits(x), y_number = all_digits(y);
        int r;
        if (x_number != y_number)
            r = x_number ? -1 : 1;
        else
            r = x_number ? compare_digits(x, y) : span_compare(x, y);
        if (r)
            return r;
    }
    return (a.len > 0) - (b.len > 0);
}

bool logic_sem_ver(struct span value, struct span op, struct span target) {
    struct version a, b;
    if (!read_version(value, &a) || !read_version(target, &b))
        return false;
    int major = compare_digits(a.number[0], b.number[0]);
    int minor = compare_digits(a.number[1], b.number[1]);
    if (span_is(op, "^"))
        return major == 0;
    if (span_is(op, "~"))
        return major == 0 && minor == 0;
    int r = major ? major : minor;
    if (r == 0)
        r = compare_digits(a.number[2], b.number[2]);
    if (r == 0)
        r = compare_prerelease(a.pre, b.pre);
    return (span_is(op, "=") && r == 0) || (span_is(op, "!=") && r != 0) ||
           (span_is(op, "<") && r < 0) || (span_is(op, "<=") && r <= 0) ||
           (span_is(op, ">") && r > 0) || (span_is(op, ">=") && r >= 0);
}

static bool starts_or_ends(enum logic_op op, struct span s, struct span part) {
    if (part.len > s.len)
        return false;
    size_t from = op == LOGIC_ENDS_WITH ? s.len - part.len : 0;
    return part.len == 0 || memcmp(s.ptr + from, part.ptr, part.len) == 0;
}

struct logic_value logic_text_op(struct logic_run *run, const struct blob_node *node) {
    if (node->op == LOGIC_CAT)
        return cat(run, node);
    if (node->op == LOGIC_SUBSTR)
        return substr(run, node);
    struct logic_value v[3];
    for (uint32_t i = 0; i < node->count && i < 3; i++) {
        v[i] = logic_node(run, logic_argument(run, node, i));
        if (v[i].type != LOGIC_STRING)
            return of_bool(false);
    }
    if (node->op == LOGIC_SEM_VER)
        return of_bool(logic_sem_ver(v[0].text, v[1].text, v[2].text));
    return of_bool(starts_or_ends((enum logic_op)node->op, v[0].text, v[1].text));
}

/* The weight of a part: 1 when it is not given. False: not one that flagd would take. */
static bool weight_of(struct logic_run *run, const struct blob_node *part, uint64_t *ret_weight) {
    struct logic_value v = null_value;
    if (part->count > 1)
        v = logic_node(run, logic_argument(run, part, 1));
    *ret_weight = 1;
    if (v.type == LOGIC_NULL)
        return true;
    if (v.type != LOGIC_NUMBER || v.number != floor(v.number) || v.number > INT32_MAX)
        return false;
    *ret_weight = v.number < 0 ? 0 : (uint64_t)v.number;
    return true;
}

/* Version 2: murmur3 of the key over all weights. Null where flagd gives none: no key, a weight
 * that is not whole, weights that add up to 0. */
struct logic_value logic_fractional(struct logic_run *run, const struct blob_node *node) {
    uint32_t first = 0;
    struct span prefix = run->flag_name, key = run->context->user;
    bool by_user = true;
    if (logic_argument(run, node, 0)->op != LOGIC_LIST) {
        struct logic_value by = logic_node(run, logic_argument(run, node, first++));
        if (by.type == LOGIC_STRING) {
            prefix = by.text;
            key = (struct span){0};
            by_user = false;
        } else if (by.type != LOGIC_NULL) {
            return null_value;
        }
    }
    if (by_user && key.len == 0)
        return null_value;
    uint64_t total = 0, sum = 0, weight;
    for (uint32_t i = first; i < node->count; i++) {
        const struct blob_node *part = logic_argument(run, node, i);
        if (part->op != LOGIC_LIST || part->count == 0 || !weight_of(run, part, &weight))
            return null_value;
        total += weight;
    }
    if (total == 0 || total > INT32_MAX)
        return null_value;
    uint32_t bucket = bucket_flagd(prefix, key, (uint32_t)total);
    for (uint32_t i = first; i < node->count; i++) {
        const struct blob_node *part = logic_argument(run, node, i);
        if (weight_of(run, part, &weight))
            sum += weight;
        if (bucket < sum)
            return logic_node(run, logic_argument(run, part, 0));
    }
    return null_value;
}

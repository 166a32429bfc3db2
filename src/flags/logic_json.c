#include "flags/logic_json.h"

#include "base/text.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>

struct reader {
    struct logic_run *run;
    const char *at, *end;
};

static const struct logic_value null_value = {.type = LOGIC_NULL};

static bool bad(struct reader *r) {
    logic_fail(r->run, FLAGS_INVALID_CONTEXT, "an attribute is not valid JSON");
    return false;
}

static void skip_blanks(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, char c) {
    skip_blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

/* With its quotes. */
static bool skip_string(struct reader *r) {
    if (!take(r, '"'))
        return bad(r);
    while (r->at < r->end && *r->at != '"')
        r->at += *r->at == '\\' && r->end - r->at > 1 ? 2 : 1;
    if (r->at == r->end)
        return bad(r);
    r->at++;
    return true;
}

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

static bool skip_value(struct reader *r, unsigned depth);

/* Behind the bracket, up to the other one. */
static bool skip_inside(struct reader *r, char closing, unsigned depth) {
    if (take(r, closing))
        return true;
    do {
        if (closing == '}' && (!skip_string(r) || !(take(r, ':') || bad(r))))
            return false;
        if (!skip_value(r, depth + 1))
            return false;
    } while (take(r, ','));
    return take(r, closing) || bad(r);
}

static bool skip_value(struct reader *r, unsigned depth) {
    skip_blanks(r);
    if (r->at == r->end || depth > FLAGS_JSON_DEPTH_MAX)
        return bad(r);
    if (*r->at == '"')
        return skip_string(r);
    if (take(r, '{'))
        return skip_inside(r, '}', depth);
    if (take(r, '['))
        return skip_inside(r, ']', depth);
    const char *start = r->at;
    while (r->at < r->end && is_word(*r->at))
        r->at++;
    return r->at > start || bad(r);
}

static bool read_hex(const char *at, const char *end, uint32_t *ret_unit) {
    uint32_t v = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = text_hex_digit(at[i]);
        if (digit < 0)
            return false;
        v = v << 4 | (uint32_t)digit;
    }
    *ret_unit = v;
    return true;
}

/* \uXXXX, with its second half where there is one; what is half only becomes U+FFFD. NULL: no
 * digits. A unit takes 6 bytes and gives at most 3, a pair takes 12 and gives 4. */
static const char *read_unit(const char *at, const char *end, char **out) {
    uint32_t c, low;
    if (!read_hex(at, end, &c))
        return NULL;
    at += 4;
    if (c >= 0xd800 && c < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u' &&
        read_hex(at + 2, end, &low) && low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
    } else if (c >= 0xd800 && c < 0xe000) {
        c = 0xfffd;
    }
    *out += utf8_put(c, *out);
    return at;
}

/* `raw` is between the quotes. */
static struct span decode(struct reader *r, struct span raw) {
    if (raw.len == 0 || !memchr(raw.ptr, '\\', raw.len))
        return raw;
    char *text = logic_alloc(r->run, raw.len), *out = text;
    const char *at = raw.ptr, *end = raw.ptr + raw.len;
    if (!text)
        return SPAN_LIT("");
    while (at < end) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *known = ++at < end && *at ? strchr(from, *at) : NULL;
        if (known) {
            *out++ = to[known - from];
            at++;
        } else if (at == end || *at != 'u' || !(at = read_unit(at + 1, end, &out))) {
            bad(r);
            return SPAN_LIT("");
        }
    }
    return span_make(text, (size_t)(out - text));
}

static struct logic_value convert(struct reader *r, struct span raw) {
    char c = raw.ptr[0];
    if (c == '"')
        return (struct logic_value){.type = LOGIC_STRING,
                                    .text = decode(r, span_make(raw.ptr + 1, raw.len - 2))};
    if (c == '{' || c == '[')
        return (struct logic_value){.type = LOGIC_JSON, .text = raw};
    if (span_is(raw, "null"))
        return null_value;
    if (span_is(raw, "true") || span_is(raw, "false"))
        return (struct logic_value){.type = LOGIC_BOOL, .boolean = c == 't'};
    double v = logic_json_number(raw, false);
    if ((c != '-' && (c < '0' || c > '9')) || isnan(v))
        bad(r);
    return (struct logic_value){.type = LOGIC_NUMBER, .number = v};
}

/* The next value, behind blanks, as it is written. */
static bool next_raw(struct reader *r, struct span *ret_raw) {
    skip_blanks(r);
    const char *start = r->at;
    if (!skip_value(r, 1))
        return false;
    *ret_raw = span_make(start, (size_t)(r->at - start));
    return true;
}

static struct reader reader_over(struct logic_run *run, struct span text) {
    return (struct reader){run, text.ptr, text.ptr ? text.ptr + text.len : text.ptr};
}

static struct logic_value member_of_object(struct reader *r, struct span name) {
    struct logic_value found = null_value;
    if (take(r, '}'))
        return found;
    do {
        struct span key, raw;
        skip_blanks(r);
        const char *start = r->at;
        if (!skip_string(r))
            return null_value;
        key = decode(r, span_make(start + 1, (size_t)(r->at - start) - 2));
        if (!take(r, ':')) {
            bad(r);
            return null_value;
        }
        if (!next_raw(r, &raw))
            return null_value;
        if (span_eq(key, name))
            found = convert(r, raw); /* the last of equal names counts, as in JSON.parse */
    } while (take(r, ','));
    if (!take(r, '}'))
        bad(r);
    return found;
}

static struct logic_value member_of_items(const struct logic_value *list, struct span name) {
    uint64_t i;
    return text_digits(name, 9, &i) && i < list->count ? list->items[i] : null_value;
}

struct logic_value logic_json_member(struct logic_run *run, const struct logic_value *v,
                                     struct span name) {
    if (v->type == LOGIC_ITEMS)
        return member_of_items(v, name);
    if (v->type != LOGIC_JSON || !logic_step(run, v->text.len / 16 + 1))
        return null_value;
    struct reader r = reader_over(run, v->text);
    if (take(&r, '{'))
        return member_of_object(&r, name);
    struct logic_value list = logic_open_list(run, *v);
    return list.type == LOGIC_ITEMS ? member_of_items(&list, name) : null_value;
}

static bool next_item(struct reader *r, bool first, struct span *ret_raw, bool *ret_end) {
    *ret_end = first ? take(r, ']') : !take(r, ',');
    if (!*ret_end)
        return next_raw(r, ret_raw);
    return first || take(r, ']') || bad(r);
}

struct logic_value logic_open_list(struct logic_run *run, struct logic_value v) {
    if (v.type != LOGIC_JSON || !logic_step(run, v.text.len / 16 + 1))
        return v;
    struct reader r = reader_over(run, v.text);
    if (!take(&r, '['))
        return v;
    struct reader again = r;
    struct span raw;
    size_t count = 0;
    for (bool end = false;; count++) {
        if (!next_item(&r, count == 0, &raw, &end))
            return null_value;
        if (end)
            break;
    }
    struct logic_value *items = logic_alloc(run, count * sizeof *items);
    for (size_t i = 0; items && i < count; i++) {
        bool end;
        if (!next_item(&again, i == 0, &raw, &end))
            return null_value;
        items[i] = convert(&again, raw);
    }
    if (!items || run->error != FLAGS_OK)
        return null_value;
    return (struct logic_value){.type = LOGIC_ITEMS, .items = items, .count = count};
}

double logic_json_number(struct span text, bool leading) {
    char copy[64];
    size_t start = 0, end = text.len;
    while (start < end && strchr(" \t\r\n", text.ptr[start]) && text.ptr[start])
        start++;
    while (end > start && strchr(" \t\r\n", text.ptr[end - 1]) && text.ptr[end - 1])
        end--;
    if (start == end)
        return leading ? NAN : 0;
    size_t len = end - start;
    if (leading && len >= sizeof copy)
        len = sizeof copy - 1;
    if (len >= sizeof copy)
        return NAN;
    /* Digits, signs, dot and exponent only: strtod knows hexadecimal, infinity and nan as well. */
    size_t n = 0;
    while (n < len && text.ptr[start + n] && strchr("0123456789+-.eE", text.ptr[start + n])) {
        copy[n] = text.ptr[start + n];
        n++;
    }
    copy[n] = '\0';
    char *stop;
    double v = strtod(copy, &stop);
    if (stop == copy || (!leading && (n < len || *stop)))
        return NAN;
    return v;
}

#include "flags/custom.h"

#include "base/text.h"
#include "flags/compile.h"
#include "flags/logic.h"

#include <arpa/inet.h>

/* An IPv6 address, or an IPv4 one in its mapped form ::ffff:a.b.c.d, so that both compare alike. */
struct address {
    uint64_t high, low;
    bool v4;
};

static bool read_address(struct span text, struct address *ret_address) {
    char copy[INET6_ADDRSTRLEN];
    unsigned char bytes[16] = {[10] = 0xff, [11] = 0xff};
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, 0, text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    bool v4 = inet_pton(AF_INET, copy, bytes + 12) == 1;
    if (!v4 && inet_pton(AF_INET6, copy, bytes) != 1)
        return false;
    struct address a = {.v4 = v4};
    for (int i = 0; i < 8; i++) {
        a.high = a.high << 8 | bytes[i];
        a.low = a.low << 8 | bytes[8 + i];
    }
    *ret_address = a;
    return true;
}

/* Digits behind the slash, 0 to `most`. */
static bool read_prefix_len(struct span text, unsigned most, unsigned *ret_len) {
    uint64_t v;
    if (!text_digits(text, 3, &v))
        return false;
    *ret_len = (unsigned)v;
    return v <= most;
}

static uint64_t mask_of(unsigned bits) {
    if (bits == 0)
        return 0;
    return bits >= 64 ? UINT64_MAX : ~(UINT64_MAX >> bits);
}

/* "10.0.0.0/8", "fd00::/8", or an address alone -> network and mask. */
static const char *compile_network(const struct flags_value *value, uint64_t *ret_words) {
    if (value->type != FLAGS_STRING)
        return "not text such as \"10.0.0.0/8\"";
    const char *slash = value->text.len ? memchr(value->text.ptr, '/', value->text.len) : NULL;
    size_t len = slash ? (size_t)(slash - value->text.ptr) : value->text.len;
    struct address a;
    if (!read_address(span_make(value->text.ptr, len), &a))
        return "not an address of IPv4 or IPv6";
    unsigned most = a.v4 ? 32 : 128, bits = most;
    if (slash && !read_prefix_len(span_make(slash + 1, value->text.len - len - 1), most, &bits))
        return "not a prefix length behind the slash";
    if (a.v4)
        bits += 96;
    uint64_t high = mask_of(bits > 64 ? 64 : bits), low = bits > 64 ? mask_of(bits - 64) : 0;
    if ((a.high & ~high) || (a.low & ~low))
        return "not a network: bits are set behind the prefix";
    ret_words[0] = a.high;
    ret_words[1] = a.low;
    ret_words[2] = high;
    ret_words[3] = low;
    return NULL;
}

static int in_network(const struct flags_context *context, const uint64_t *words, size_t count) {
    const struct flags_attribute *ip =
        logic_attribute(context->user_attributes, context->user_attribute_count, SPAN_LIT("ip"));
    struct address a;
    if (!ip || ip->value.type != FLAGS_STRING || !read_address(ip->value.text, &a))
        return -1;
    for (size_t i = 0; i < count; i++, words += 4)
        if (((a.high ^ words[0]) & words[2]) == 0 && ((a.low ^ words[1]) & words[3]) == 0)
            return 1;
    return 0;
}

static const struct custom customs[] = {
    {"internal_network", 4, compile_network, in_network},
};

const struct custom *custom_at(size_t i) {
    return i < sizeof customs / sizeof customs[0] ? &customs[i] : NULL;
}

const char *flags_custom_name(size_t i) {
    return custom_at(i) ? customs[i].name : NULL;
}

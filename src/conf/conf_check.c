#include "conf/conf_check.h"

#include "base/text.h"

#include <math.h>
#include <strings.h>

/* --- names ------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

const char *conf_check_source_uri(const char *value) {
    if (begins(value, "mariadb://") || begins(value, "mysql://"))
        return "begins with mariadb://, which is in the contract but not built yet in this "
               "version; "
               "use postgresql://user@host:5432/database";
    if (begins(value, "postgresql://") || begins(value, "postgres://"))
        return NULL;
    /* libpq's other form. */
    if (strchr(value, '=') && !strstr(value, "://"))
        return NULL;
    return "is not a PostgreSQL URI; write postgresql://user@host:5432/database";
}

const char *conf_check_target_uri(const char *value) {
    if (begins(value, "mongodb://") || begins(value, "mongodb+srv://"))
        return NULL;
    return "is not a MongoDB URI; write mongodb://host:27017/?replicaSet=name";
}

/* PostgreSQL 15 docs, 27.2.6.1: lower-case letters, numbers and the underscore. */
const char *conf_check_slot(const char *value) {
    size_t len = strlen(value);
    if (len == 0 || len > 63 || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
        return "must be 1 to 63 lower case letters, digits and underscores";
    return NULL;
}

/* PostgreSQL 15 docs, 4.1.1: a longer name would be cut without a word. */
const char *conf_check_publication(const char *value) {
    return strlen(value) > 63 ? "must have at most 63 bytes" : NULL;
}

/* 127.0.0.1:8420, [::1]:8420: an address, not a name, so that it cannot change its meaning. */
const char *conf_check_listen(const char *value) {
    const char *colon = strrchr(value, ':');
    size_t host = colon ? (size_t)(colon - value) : 0;
    bool v6 = value[0] == '[' && host > 1 && value[host - 1] == ']';
    bool v4 = host > 0 && strspn(value, "0123456789.") == host;
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    if ((!v4 && !v6) || digits == 0 || digits > 5 || colon[1 + digits] ||
        strtol(colon + 1, NULL, 10) > 65535)
        return "must be an address and a port, as 127.0.0.1:8420 or [::1]:8420";
    return NULL;
}

#define TOKEN_MIN 16
#define TOKEN_MAX 512

const char *conf_check_token(const char *value) {
    size_t len = strlen(value);
    if (len < TOKEN_MIN || len > TOKEN_MAX)
        return "must have 16 to 512 characters; `openssl rand -hex 32` makes a good one";
    for (size_t i = 0; i < len; i++)
        if (value[i] <= ' ' || value[i] > '~')
            return "must be printable ASCII without spaces";
    return NULL;
}

const char *conf_check_control(const char *value) {
    size_t scheme = begins(value, "https://") ? 8 : begins(value, "http://") ? 7 : 0;
    size_t host = scheme
                      ? strspn(value + scheme, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
                                               "XYZ0123456789.-_:[]")
                      : 0;
    if (host == 0 || value[scheme] == ':' || strcmp(value + scheme + host, "/") == 0 ||
        value[scheme + host])
        return "must be https://host:port (or http://), without a path";
    return NULL;
}

bool conf_is_edge_name(const char *name) {
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    return name[len] == '\0' && len > 0 && len <= CONF_EDGE_NAME_MAX;
}

const char *conf_check_edge_name(const char *value) {
    return conf_is_edge_name(value)
               ? NULL
               : "must have 1 to 64 letters, digits, dots, dashes and underscores";
}

/* MongoDB manual, "MongoDB Limits and Thresholds", "Naming Restrictions". */
const char *conf_check_database(const char *value) {
    size_t len = strlen(value);
    if (len == 0 || len > 63 || strcspn(value, "/\\. \"$") != len)
        return "must have 1 to 63 bytes and none of / \\ . \" $ or space";
    if (strcasecmp(value, "admin") == 0 || strcasecmp(value, "local") == 0 ||
        strcasecmp(value, "config") == 0)
        return "is one of MongoDB's own databases (admin, local, config); take another name";
    return NULL;
}

const char *conf_check_collection(const char *value) {
    if (value[0] == '\0')
        return "is empty; MongoDB wants a name";
    if (strchr(value, '$'))
        return "has a '$', which MongoDB refuses in names of collections; take another name";
    if (begins(value, "system.") || strstr(value, ".system."))
        return "has 'system.', which MongoDB keeps for itself; take another name";
    if (value[0] == '.')
        return "begins with '.', which MongoDB refuses in names of collections; take another name";
    return NULL;
}

const char *conf_check_index_name(const char *value) {
    if (strcmp(value, "*") == 0 || strcmp(value, "_id_") == 0)
        return "is a name that MongoDB keeps for itself; take another";
    return NULL;
}

/* Its own words for what is a secret as a whole are not repeated, so neither is it. */
const char *conf_check_webhook(const char *value) {
    bool tls = begins(value, "https://");
    if (!tls && !begins(value, "http://"))
        return "is not an address for posts; write http://host:port/path or https://...";
    const char *host = value + (tls ? 8 : 7);
    for (const char *p = value; *p; p++)
        if (*p <= ' ' || *p > '~')
            return "has a character that no address has; percent-encode it";
    size_t len = strcspn(host, "/?#");
    if (len == 0 || host[0] == ':')
        return "names no host; write http://host:port/path";
    if (memchr(host, '@', len))
        return "has a user before the host, which is not built; use a path or query";
    return NULL;
}

/* --- numbers ----------------------------------------------------------------------------- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool read_digits(struct span s, int base, bool negative, int64_t *ret_value) {
    int64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        int d = text_hex_digit(s.ptr[i]);
        if (d < 0 || d >= base || __builtin_mul_overflow(v, (int64_t)base, &v) ||
            __builtin_add_overflow(v, (int64_t)(negative ? -d : d), &v))
            return false;
    }
    *ret_value = v;
    return s.len > 0;
}

bool conf_read_int(struct span s, int64_t *ret_value) {
    bool sign = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+');
    return read_digits(span_make(s.ptr + sign, s.len - sign), 10, sign && s.ptr[0] == '-',
                       ret_value);
}

static const struct {
    const char *name;
    int64_t us;
} units[] = {{"us", 1},
             {"ms", 1000},
             {"s", 1000000},
             {"m", 60 * (int64_t)1000000},
             {"h", 3600 * (int64_t)1000000},
             {"d", 24 * 3600 * (int64_t)1000000}};
#define UNIT_COUNT (sizeof units / sizeof units[0])

bool conf_read_duration(struct span s, int64_t *ret_us) {
    size_t digits = 0;
    while (digits < s.len && is_digit(s.ptr[digits]))
        digits++;
    int64_t n;
    if (!read_digits(span_make(s.ptr, digits), 10, false, &n))
        return false;
    struct span unit = span_make(s.ptr + digits, s.len - digits);
    for (size_t i = 0; i < UNIT_COUNT; i++)
        if (span_is(unit, units[i].name))
            return !__builtin_mul_overflow(n, units[i].us, ret_us);
    return false;
}

struct conf_duration conf_duration_text(int64_t us) {
    struct conf_duration d;
    size_t unit = UNIT_COUNT - 1;
    if (us == 0)
        unit = 2; /* 0s */
    while (unit > 0 && us % units[unit].us != 0)
        unit--;
    (void)snprintf(d.text, sizeof d.text, "%lld%s", (long long)(us / units[unit].us),
                   units[unit].name);
    return d;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? : YAML 1.2.2, 10.3.2. */
static bool is_float(struct span s) {
    size_t i = 0;
    if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+'))
        i++;
    size_t whole = i;
    while (i < s.len && is_digit(s.ptr[i]))
        i++;
    whole = i - whole;
    if (i < s.len && s.ptr[i] == '.') {
        size_t fraction = ++i;
        while (i < s.len && is_digit(s.ptr[i]))
            i++;
        whole += i - fraction;
    }
    if (whole == 0)
        return false;
    if (i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
        i++;
        if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+'))
            i++;
        if (i == s.len)
            return false;
        while (i < s.len && is_digit(s.ptr[i]))
            i++;
    }
    return i == s.len;
}

bool conf_read_threshold(struct span s, struct conf_threshold *ret) {
    int64_t us;
    bool percent = s.len > 1 && s.ptr[s.len - 1] == '%';
    struct span number = span_make(s.ptr, percent ? s.len - 1 : s.len);
    if (conf_read_duration(s, &us)) {
        ret->value = (double)us / 1e6;
        ret->unit = CONF_UNIT_SECONDS;
        return true;
    }
    if (!is_float(number) || number.len > 40)
        return false;
    char text[48];
    memcpy(text, number.ptr, number.len);
    text[number.len] = '\0';
    ret->value = strtod(text, NULL);
    ret->unit = percent ? CONF_UNIT_PERCENT : CONF_UNIT_NUMBER;
    return isfinite(ret->value);
}

static bool read_special(struct span s, double *ret_real) {
    bool sign = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+');
    struct span rest = span_make(s.ptr + sign, s.len - sign);
    if (span_is(rest, ".inf") || span_is(rest, ".Inf") || span_is(rest, ".INF")) {
        *ret_real = sign && s.ptr[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (span_is(s, ".nan") || span_is(s, ".NaN") || span_is(s, ".NAN")) {
        *ret_real = NAN;
        return true;
    }
    return false;
}

bool conf_read_number(struct span s, enum conf_scalar_kind *ret_kind, int64_t *ret_integer,
                      double *ret_real) {
    bool hex = s.len > 2 && s.ptr[0] == '0' && s.ptr[1] == 'x';
    bool octal = s.len > 2 && s.ptr[0] == '0' && s.ptr[1] == 'o';
    *ret_kind = CONF_INT;
    if (hex || octal)
        return read_digits(span_make(s.ptr + 2, s.len - 2), hex ? 16 : 8, false, ret_integer);
    if (conf_read_int(s, ret_integer))
        return true;
    *ret_kind = CONF_DOUBLE;
    if (read_special(s, ret_real))
        return true;
    char text[64]; /* a longer literal is text: nobody means a number by it */
    if (!is_float(s) || s.len >= sizeof text)
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    /* The program never calls setlocale, so the point is a point. */
    *ret_real = strtod(text, NULL);
    return true;
}

/* --- tables ------------------------------------------------------------------------------ */

static bool starts_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool continues_name(char c) {
    return starts_name(c) || is_digit(c) || c == '$';
}

/* Reads one part into `out` (as long as the rest of the text, at least); NULL, or what is wrong. */
static const char *read_part(struct span *s, char *out) {
    size_t i = 0, n = 0;
    if (s->len && s->ptr[0] == '"') {
        for (i = 1;; i++) {
            if (i == s->len)
                return "has a quote that does not end";
            if (s->ptr[i] == '"' && (++i == s->len || s->ptr[i] != '"'))
                break;
            out[n++] = s->ptr[i];
        }
    } else if (s->len && starts_name(s->ptr[0])) {
        for (; i < s->len && continues_name(s->ptr[i]); i++) {
            char c = s->ptr[i];
            out[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
    }
    out[n] = '\0';
    *s = span_make(s->ptr + i, s->len - i);
    return n ? NULL
             : "must be schema.table, each part quoted as in SQL where it has other characters "
               "than letters, digits and underscores: '\"my schema\".\"my table\"'";
}

const char *conf_read_table(struct span s, struct arena *arena, struct conf_table *ret_table) {
    char *first = arena_alloc(arena, s.len + 1);
    char *second = arena_alloc(arena, s.len + 1);
    if (!first || !second)
        return "is too long";
    const char *wrong = read_part(&s, first);
    if (wrong)
        return wrong;
    ret_table->schema = "public";
    ret_table->name = first;
    if (s.len == 0)
        return NULL;
    if (s.ptr[0] == '.') {
        s = span_make(s.ptr + 1, s.len - 1);
        wrong = read_part(&s, second);
        if (wrong)
            return wrong;
        ret_table->schema = first;
        ret_table->name = second;
    }
    if (s.len && s.ptr[0] == '.')
        return "has more than two parts; write schema.table (the database is in source.uri)";
    return s.len ? "has characters that must be quoted as in SQL: '\"my schema\".\"my table\"'"
                 : NULL;
}

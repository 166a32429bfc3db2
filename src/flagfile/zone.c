#include "flagfile/zone.h"

#include "base/buf.h"
#include "base/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FOLDER "/usr/share/zoneinfo"
#define FILE_MAX (256 * 1024)
#define DAY 86400

/* ---- days ---- */

/* Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March. */
int64_t zone_days(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_leap(int64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t year_of(int64_t seconds) {
    int64_t year = 1970 + seconds / (365 * (int64_t)DAY) + 1;
    while (zone_days(year, 1, 1) * DAY > seconds)
        year--;
    return year;
}

/* ---- the rule behind the transitions ---- */

enum rule_kind { RULE_MONTH, RULE_JULIAN, RULE_DAY };

struct rule_date {
    enum rule_kind kind;
    int month, week, day; /* RULE_MONTH; else `day` only */
    int64_t seconds;      /* of the day, local time; may be negative or over a day */
};

struct rule {
    int32_t standard, summer; /* seconds east */
    bool has_summer;
    struct rule_date begin, end;
};

struct text {
    const char *p, *end;
    bool failed;
};

static char next(const struct text *t) {
    return t->p < t->end ? *t->p : '\0';
}

static bool take(struct text *t, char c) {
    bool yes = next(t) == c && t->p < t->end;
    t->p += yes;
    return yes;
}

static int64_t take_number(struct text *t, int64_t max) {
    int64_t v = 0;
    size_t n = 0;
    for (; next(t) >= '0' && next(t) <= '9' && n < 4; t->p++, n++)
        v = v * 10 + (next(t) - '0');
    if (n == 0 || v > max)
        t->failed = true;
    return v;
}

/* [+-]hh[:mm[:ss]] */
static int64_t take_time(struct text *t, int64_t hours_max) {
    bool negative = take(t, '-');
    if (!negative)
        (void)take(t, '+');
    int64_t v = take_number(t, hours_max) * 3600;
    if (take(t, ':'))
        v += take_number(t, 59) * 60;
    if (take(t, ':'))
        v += take_number(t, 59);
    return negative ? -v : v;
}

static void skip_name(struct text *t) {
    const char *start = t->p;
    if (take(t, '<')) {
        while (t->p < t->end && *t->p != '>')
            t->p++;
        if (!take(t, '>'))
            t->failed = true;
        return;
    }
    while ((next(t) >= 'A' && next(t) <= 'Z') || (next(t) >= 'a' && next(t) <= 'z'))
        t->p++;
    if (t->p - start < 3)
        t->failed = true;
}

static struct rule_date take_date(struct text *t) {
    struct rule_date d = {.kind = RULE_DAY, .seconds = 7200};
    if (take(t, 'M')) {
        d.kind = RULE_MONTH;
        d.month = (int)take_number(t, 12);
        if (!take(t, '.'))
            t->failed = true;
        d.week = (int)take_number(t, 5);
        if (!take(t, '.'))
            t->failed = true;
        d.day = (int)take_number(t, 6);
        if (d.month < 1 || d.week < 1)
            t->failed = true;
    } else {
        if (take(t, 'J'))
            d.kind = RULE_JULIAN;
        d.day = (int)take_number(t, 365);
    }
    if (take(t, '/'))
        d.seconds = take_time(t, 167);
    return d;
}

/* POSIX TZ, as far as RFC 8536 lets it stand in a file. */
static bool parse_rule(struct span s, struct rule *ret) {
    struct text t = {s.ptr, s.ptr + s.len, false};
    struct rule r = {0};
    skip_name(&t);
    r.standard = (int32_t)-take_time(&t, 24);
    if (t.p < t.end) {
        r.has_summer = true;
        skip_name(&t);
        r.summer = next(&t) == ',' ? r.standard + 3600 : (int32_t)-take_time(&t, 24);
        if (!take(&t, ','))
            t.failed = true;
        r.begin = take_date(&t);
        if (!take(&t, ','))
            t.failed = true;
        r.end = take_date(&t);
    }
    *ret = r;
    return !t.failed && t.p == t.end;
}

/* Local seconds since 1970 of the date in that year. */
static int64_t date_in(const struct rule_date *d, int64_t year) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t day = zone_days(year, 1, 1);
    if (d->kind == RULE_MONTH) {
        int length = lengths[d->month - 1] + (d->month == 2 && is_leap(year));
        day = zone_days(year, d->month, 1);
        int64_t weekday = ((day + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        int64_t first = (d->day - weekday + 7) % 7;
        int64_t of_month = first + 7 * (d->week - (int64_t)1);
        while (of_month >= length)
            of_month -= 7;
        day += of_month;
    } else if (d->kind == RULE_JULIAN) { /* from 1, February 29 is never counted */
        day += d->day - 1 + (is_leap(year) && d->day > 59);
    } else {
        day += d->day;
    }
    return day * DAY + d->seconds;
}

/* ---- the file ---- */

struct block {
    uint32_t is_ut, is_std, leaps, times, types, chars;
};

static bool read_header(struct cursor *c, struct block *ret, char *ret_version) {
    if (!span_eq(cursor_take(c, 4), SPAN_LIT("TZif")))
        return false;
    *ret_version = (char)cursor_u8(c);
    (void)cursor_take(c, 15);
    ret->is_ut = cursor_u32(c);
    ret->is_std = cursor_u32(c);
    ret->leaps = cursor_u32(c);
    ret->times = cursor_u32(c);
    ret->types = cursor_u32(c);
    ret->chars = cursor_u32(c);
    return !c->failed && ret->types > 0 && ret->types <= 256 &&
           ret->times <= FLAGS_TRANSITIONS_MAX && ret->leaps < 10000 && ret->chars < 10000 &&
           ret->is_ut <= 256 && ret->is_std <= 256;
}

struct growing {
    struct flags_transition *list;
    size_t count;
    int32_t offset; /* after the last */
    bool failed;
};

/* One that changes nothing is left out. */
static void add(struct growing *g, int64_t at, int32_t offset) {
    if (offset == g->offset || (g->count && at <= g->list[g->count - 1].at))
        return;
    if (g->count == FLAGS_TRANSITIONS_MAX) {
        g->failed = true;
        return;
    }
    g->list[g->count++] = (struct flags_transition){at, offset};
    g->offset = offset;
}

static void add_rule(struct growing *g, const struct rule *r, int64_t from) {
    if (!r->has_summer) {
        add(g, from, r->standard);
        return;
    }
    for (int64_t year = year_of(from) - 1; year <= ZONE_YEAR_MAX; year++) {
        int64_t begin = date_in(&r->begin, year) - r->standard;
        int64_t end = date_in(&r->end, year) - r->summer;
        bool north = begin < end;
        if ((north ? begin : end) > from)
            add(g, north ? begin : end, north ? r->summer : r->standard);
        if ((north ? end : begin) > from)
            add(g, north ? end : begin, north ? r->standard : r->summer);
    }
}

static bool read_block(struct cursor *c, const struct block *b, struct growing *g,
                       int32_t *ret_first, int64_t *ret_last) {
    struct span times = cursor_take(c, 8 * (size_t)b->times);
    struct span kinds = cursor_take(c, b->times);
    struct span types = cursor_take(c, 6 * (size_t)b->types);
    (void)cursor_take(c, b->chars + 12 * (size_t)b->leaps + b->is_std + b->is_ut);
    if (c->failed)
        return false;
    int32_t offsets[256];
    struct cursor t = cursor_over(types);
    for (uint32_t i = 0; i < b->types; i++) {
        offsets[i] = (int32_t)cursor_u32(&t);
        (void)cursor_take(&t, 2);
        if (offsets[i] < -26 * 3600 || offsets[i] > 26 * 3600)
            return false;
    }
    *ret_first = g->offset = offsets[0];
    *ret_last = INT64_MIN;
    t = cursor_over(times);
    for (uint32_t i = 0; i < b->times; i++) {
        int64_t at = (int64_t)cursor_u64(&t);
        unsigned char kind = (unsigned char)kinds.ptr[i];
        if (kind >= b->types || at <= *ret_last)
            return false;
        *ret_last = at;
        add(g, at, offsets[kind]);
    }
    return true;
}

static int damaged(const char *name, struct err *err) {
    return err_set(err, ERR_CONF, "the system's file of time zone '%s' is not one of version 2",
                   name);
}

int zone_parse(const char *name, struct span bytes, struct arena *arena,
               struct flags_zone *ret_zone, struct err *err) {
    struct cursor c = cursor_over(bytes);
    struct block b;
    struct rule rule = {0};
    char version = 0;
    int64_t last = 0;
    struct flags_zone zone = {.name = name};
    struct growing g = {
        .list = arena_alloc(arena, FLAGS_TRANSITIONS_MAX * sizeof(struct flags_transition))};
    if (!g.list)
        return err_set(err, ERR_CONF, "no memory left for time zone '%s'", name);
    if (!read_header(&c, &b, &version) || version < '2')
        return damaged(name, err);
    (void)cursor_take(&c, 4 * (size_t)b.times + b.times + 6 * (size_t)b.types + b.chars +
                              8 * (size_t)b.leaps + b.is_std + b.is_ut);
    if (!read_header(&c, &b, &version) || !read_block(&c, &b, &g, &zone.first_offset, &last))
        return damaged(name, err);
    struct span rest = cursor_take(&c, cursor_left(&c));
    if (rest.len < 2 || rest.ptr[0] != '\n' || rest.ptr[rest.len - 1] != '\n')
        return damaged(name, err);
    struct span text = span_make(rest.ptr + 1, rest.len - 2);
    if (text.len > 0 && !parse_rule(text, &rule))
        return damaged(name, err);
    /* Times before 1900 or after the last year that is expanded are nobody's. */
    if (text.len > 0 && last < zone_days(ZONE_YEAR_MAX, 1, 1) * DAY)
        add_rule(&g, &rule, last < -2208988800 ? -2208988800 : last);
    if (g.failed)
        return err_set(err, ERR_CONF, "time zone '%s' has more than %d changes", name,
                       FLAGS_TRANSITIONS_MAX);
    zone.transitions = g.list;
    zone.transition_count = g.count;
    *ret_zone = zone;
    return 0;
}

/* A name from a file becomes a part of a path: only what names of zones consist of. */
static bool is_name(const char *name) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_+-/";
    size_t len = strlen(name);
    return len > 0 && len < 100 && strspn(name, allowed) == len && name[0] != '/' &&
           name[len - 1] != '/';
}

int zone_load(const char *name, struct arena *arena, struct flags_zone *ret_zone, struct err *err) {
    char path[160];
    _cleanup_(buf_release) struct buf bytes = {.max = FILE_MAX};
    (void)snprintf(path, sizeof path, FOLDER "/%s", name);
    int fd = is_name(name) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        if (access(FOLDER, X_OK) != 0)
            return err_set(err, ERR_CONF,
                           "time zone '%s' cannot be looked up: %s is missing; install tzdata",
                           name, FOLDER);
        return err_set(err, ERR_CONF,
                       "unknown time zone '%.100s'; names are those of " FOLDER ", as Europe/Paris",
                       name);
    }
    char *to = buf_reserve(&bytes, FILE_MAX);
    ssize_t n = to ? read(fd, to, FILE_MAX) : -1;
    (void)close(fd);
    if (n < 0)
        return err_set(err, ERR_CONF,
                       "unknown time zone '%.100s'; names are those of " FOLDER ", as Europe/Paris",
                       name);
    bytes.len = (size_t)n;
    struct span kept = arena_copy(arena, span_of(name));
    if (!kept.ptr)
        return err_set(err, ERR_CONF, "no memory left for time zone '%s'", name);
    return zone_parse(kept.ptr, buf_span(&bytes), arena, ret_zone, err);
}

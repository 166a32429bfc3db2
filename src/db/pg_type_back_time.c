#include "db/pg_type_back_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

struct ymd {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month, day;
};

/* By the 400-year cycle, then by century, four years and year, counting from January: not the
 * formula of the decoder. */
static struct ymd from_days(int64_t days) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t since_2000 = days - 10957; /* 2000 begins a cycle */
    int64_t cycle = since_2000 / 146097, left = since_2000 % 146097;
    if (left < 0) {
        left += 146097;
        cycle--;
    }
    int64_t year = 2000 + cycle * 400;
    for (;;) { /* at most 400 steps; verification can afford what the decoder cannot */
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        int in_year = leap ? 366 : 365;
        if (left >= in_year) {
            left -= in_year;
            year++;
            continue;
        }
        int month = 0;
        while (left >= lengths[month] + (leap && month == 1))
            left -= lengths[month] + (leap && month == 1), month++;
        return (struct ymd){year, month + 1, (int)left + 1};
    }
}

static void split_ms(int64_t ms, int64_t *ret_days, int64_t *ret_rest) {
    *ret_days = ms / 86400000;
    *ret_rest = ms % 86400000;
    if (*ret_rest < 0) {
        *ret_rest += 86400000;
        --*ret_days;
    }
}

static void add_ymd(struct ymd d, struct buf *out) {
    buf_printf(out, "%04" PRId64 "-%02d-%02d", d.year > 0 ? d.year : 1 - d.year, d.month, d.day);
}

void back_date_text(int64_t ms, struct buf *out) {
    int64_t days, rest;
    split_ms(ms, &days, &rest);
    struct ymd d = from_days(days);
    add_ymd(d, out);
    if (rest != 0) /* no date: shows it, and is no date's text */
        buf_printf(out, " +%" PRId64 " ms", rest);
    if (d.year <= 0)
        buf_add_text(out, " BC");
}

void back_timestamp_text(int64_t ms, int micros, const char *zone, struct buf *out) {
    int64_t days, rest;
    split_ms(ms, &days, &rest);
    struct ymd d = from_days(days);
    add_ymd(d, out);
    int seconds = (int)(rest / 1000);
    buf_printf(out, " %02d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
    char fraction[16];
    int len = snprintf(fraction, sizeof fraction, ".%03d%03d", (int)(rest % 1000), micros);
    while (len > 0 && (fraction[len - 1] == '0' || fraction[len - 1] == '.'))
        len--;
    if (len > 0)
        buf_add(out, fraction, (size_t)len);
    buf_add_text(out, zone);
    if (d.year <= 0)
        buf_add_text(out, " BC");
}

static bool offset_seconds(const char *p, int *ret) {
    int hour = 0, minute = 0, second = 0, used = 0;
    *ret = 0;
    if (*p == '\0' || strcmp(p, "Z") == 0)
        return true;
    if (*p != '+' && *p != '-')
        return false;
    if (sscanf(p + 1, "%2d:%2d:%2d%n", &hour, &minute, &second, &used) < 1)
        return false;
    *ret = (hour * 60 + minute) * 60 + second;
    if (*p == '-')
        *ret = -*ret;
    return true;
}

bool back_iso_ms(struct span text, int64_t *ret_ms) {
    char room[64];
    int year, month, day, hour = 0, minute = 0, second = 0, used = 0, offset = 0, ms = 0;
    if (text.len >= sizeof room)
        return false;
    memcpy(room, text.ptr, text.len);
    room[text.len] = '\0';
    size_t len = text.len;
    bool bc = len > 3 && strcmp(room + len - 3, " BC") == 0;
    if (bc)
        room[len - 3] = '\0';
    if (sscanf(room, "%7d-%2d-%2d%n", &year, &month, &day, &used) != 3)
        return false;
    const char *p = room + used;
    if (*p != '\0') {
        used = 0;
        if (sscanf(p + 1, "%2d:%2d%n", &hour, &minute, &used) != 2)
            return false;
        p += 1 + used;
        if (*p == ':') {
            used = 0;
            if (sscanf(p, ":%2d%n", &second, &used) != 1)
                return false;
            p += used;
        }
        if (*p == '.') {
            int scale = 100;
            for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
                ms += (*p - '0') * scale;
        }
        if (!offset_seconds(p, &offset))
            return false;
    }
    struct tm tm = {.tm_year = (bc ? 1 - year : year) - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    *ret_ms = ((int64_t)timegm(&tm) - offset) * 1000 + ms;
    return true;
}

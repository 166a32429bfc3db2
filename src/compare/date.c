/* Points in time, in the forms that databases and services write them. */
#include "compare/scalar.h"

#define DAY_US INT64_C(86400000000)

struct scan {
    const char *p, *end;
};

static bool number(struct scan *s, int width, int *ret) {
    *ret = 0;
    for (int i = 0; i < width; i++) {
        if (s->p == s->end || *s->p < '0' || *s->p > '9')
            return false;
        *ret = *ret * 10 + (*s->p++ - '0');
    }
    return true;
}

static bool take(struct scan *s, const char *any) {
    if (s->p == s->end || !strchr(any, *s->p) || !*s->p)
        return false;
    s->p++;
    return true;
}

/* Days since 1970-01-01 of the Gregorian calendar. */
static int64_t days(int64_t y, int m, int d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int month_days(int y, int m) {
    static const int of[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : of[m - 1];
}

static bool day(struct scan *s, int64_t *us) {
    int y, m, d;
    if (!number(s, 4, &y) || !take(s, "-") || !number(s, 2, &m) || !take(s, "-") ||
        !number(s, 2, &d) || m < 1 || m > 12 || d < 1 || d > month_days(y, m))
        return false;
    *us = days(y, m, d) * DAY_US;
    return true;
}

/* Digits behind the sixth are cut. */
static bool fraction(struct scan *s, int64_t *us) {
    int64_t unit = 100000;
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        *us += (*s->p++ - '0') * unit;
        unit /= 10;
    }
    return s->p > from;
}

static bool clock_time(struct scan *s, int64_t *us) {
    int h, m, second = 0;
    if (!number(s, 2, &h) || !take(s, ":") || !number(s, 2, &m) || h > 24 || m > 59)
        return false;
    if (take(s, ":") && (!number(s, 2, &second) || second > 60))
        return false;
    int64_t of_day = ((int64_t)h * 3600 + m * 60 + second) * 1000000;
    if (take(s, ".,") && !fraction(s, &of_day))
        return false;
    *us += of_day;
    return h < 24 || of_day == DAY_US; /* 24:00 is the end of the day */
}

/* Z, +02, +0200, +02:00, +02:00:00. */
static bool offset(struct scan *s, int64_t *us) {
    int part[3] = {0};
    if (s->p == s->end || take(s, "zZ"))
        return true;
    bool minus = *s->p == '-';
    if (!take(s, "+-") || !number(s, 2, &part[0]))
        return false;
    for (int i = 1; i < 3 && s->p < s->end; i++)
        if ((take(s, ":"), !number(s, 2, &part[i])) || part[i] > 59)
            return false;
    int64_t by = ((int64_t)part[0] * 3600 + part[1] * 60 + part[2]) * 1000000;
    *us -= minus ? -by : by;
    return part[0] < 24;
}

bool date_of_text(struct span text, int64_t *ret_us) {
    struct scan s = {text.ptr, text.ptr + text.len};
    if (!day(&s, ret_us))
        return false;
    if (s.p == s.end)
        return true;
    return take(&s, "Tt ") && clock_time(&s, ret_us) && offset(&s, ret_us) && s.p == s.end;
}

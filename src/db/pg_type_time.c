#include "db/pg_type_time.h"

#define DAY_MS INT64_C(86400000)
#define YEAR_DIGITS_MAX 7 /* PostgreSQL's last date is in the year 5874897 */

struct reader {
    const char *p, *end;
    bool failed;
};

static bool at(const struct reader *r, char c) {
    return r->p < r->end && *r->p == c;
}

static bool at_digit(const struct reader *r) {
    return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

static void expect(struct reader *r, char c) {
    if (at(r, c))
        r->p++;
    else
        r->failed = true;
}

/* Between `least` and `most` digits; *ret_count may be NULL. */
static int number(struct reader *r, int least, int most, int *ret_count) {
    int v = 0, n = 0;
    for (; n < most && at_digit(r); n++)
        v = v * 10 + (*r->p++ - '0');
    if (n < least || at_digit(r))
        r->failed = true;
    if (ret_count)
        *ret_count = n;
    return v;
}

static bool leap(int64_t y) {
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(int64_t year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && leap(year) ? 29 : days[month - 1];
}

/* Days since 1970-01-01. Counts years from March, so that the leap day is a year's last. */
static int64_t civil_days(int64_t year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

struct fields {
    int year, month, day;
    int64_t time_us;
    int64_t offset_s;
};

static void read_date(struct reader *r, struct fields *f) {
    f->year = number(r, 4, YEAR_DIGITS_MAX, NULL);
    expect(r, '-');
    f->month = number(r, 2, 2, NULL);
    expect(r, '-');
    f->day = number(r, 2, 2, NULL);
}

static int64_t read_fraction(struct reader *r, int most) {
    int count;
    int64_t v = number(r, 1, most, &count);
    for (; count < 6; count++)
        v *= 10;
    for (; count > 6; count--)
        v /= 10;
    return v;
}

static void read_time(struct reader *r, bool seconds_optional, int fraction_most,
                      struct fields *f) {
    int hour = number(r, 2, 2, NULL);
    expect(r, ':');
    int minute = number(r, 2, 2, NULL);
    int second = 0;
    int64_t fraction = 0;
    if (!seconds_optional || at(r, ':')) {
        expect(r, ':');
        second = number(r, 2, 2, NULL);
        if (at(r, '.')) {
            r->p++;
            fraction = read_fraction(r, fraction_most);
        }
    }
    if (hour > 23 || minute > 59 || second > 59)
        r->failed = true;
    f->time_us = ((int64_t)hour * 3600 + minute * 60 + second) * 1000000 + fraction;
}

static void read_offset(struct reader *r, struct fields *f) {
    bool negative = at(r, '-');
    if (!negative && !at(r, '+')) {
        r->failed = true;
        return;
    }
    r->p++;
    int part[3] = {0};
    part[0] = number(r, 2, 2, NULL);
    for (int i = 1; i < 3 && at(r, ':'); i++) {
        r->p++;
        part[i] = number(r, 2, 2, NULL);
    }
    if (part[0] > 15 || part[1] > 59 || part[2] > 59)
        r->failed = true;
    f->offset_s = part[0] * 3600 + part[1] * 60 + part[2];
    if (negative)
        f->offset_s = -f->offset_s;
}

static bool finish(struct reader *r, const struct fields *f, struct pg_moment *ret) {
    bool bc = false;
    if (r->end - r->p == 3 && memcmp(r->p, " BC", 3) == 0) {
        bc = true;
        r->p = r->end;
    }
    if (r->failed || r->p != r->end || f->year < 1 || f->month < 1 || f->month > 12)
        return false;
    int64_t year = bc ? 1 - (int64_t)f->year : f->year;
    if (f->day < 1 || f->day > month_days(year, f->month))
        return false;
    int64_t time_ms = f->time_us / 1000; /* never negative, so this is the floor */
    ret->ms = civil_days(year, f->month, f->day) * DAY_MS + time_ms - f->offset_s * 1000;
    ret->micros = (int)(f->time_us % 1000);
    return true;
}

static struct reader reader_over(struct span s) {
    return (struct reader){s.ptr, s.ptr + s.len, false};
}

bool pg_text_is_infinity(struct span text) {
    return span_is(text, "infinity") || span_is(text, "-infinity");
}

bool pg_text_date(struct span text, struct pg_moment *ret) {
    struct reader r = reader_over(text);
    struct fields f = {0};
    read_date(&r, &f);
    return finish(&r, &f, ret);
}

bool pg_text_timestamp(struct span text, bool zone, struct pg_moment *ret) {
    struct reader r = reader_over(text);
    struct fields f = {0};
    read_date(&r, &f);
    expect(&r, ' ');
    read_time(&r, false, 6, &f);
    if (zone)
        read_offset(&r, &f);
    return finish(&r, &f, ret);
}

bool pg_text_iso(struct span text, struct pg_moment *ret) {
    struct reader r = reader_over(text);
    struct fields f = {0};
    read_date(&r, &f);
    bool has_time = at(&r, 'T') || (at(&r, ' ') && r.end - r.p > 1 && r.p[1] != 'B');
    if (has_time) {
        r.p++;
        read_time(&r, true, 9, &f);
        if (at(&r, 'Z'))
            r.p++;
        else if (at(&r, '+') || at(&r, '-'))
            read_offset(&r, &f);
    }
    return finish(&r, &f, ret);
}

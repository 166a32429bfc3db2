/*
 * Is everything as it should be? `checkHealth` of the reference: issues in words, worst first.
 * Pure.
 */
#ifndef BANYAN_ADMIN_HEALTH_H
#define BANYAN_ADMIN_HEALTH_H

#include "admin/picture.h"

enum health { HEALTH_OK, HEALTH_WARN, HEALTH_BAD };
const char *health_name(enum health h);

/* Thresholds of the reference. */
#define HEALTH_LAG_US INT64_C(60000000)
#define HEALTH_LAG_CHANGES 10000

struct health_issue {
    enum health severity;
    const char *module;
    char words[ERR_TEXT_MAX];
};

#define HEALTH_ISSUES_MAX 100

struct health_report {
    enum health worst;
    struct health_issue issues[HEALTH_ISSUES_MAX];
    size_t count; /* more than HEALTH_ISSUES_MAX: the rest is left out */
};

void health_check(const struct picture *p, struct health_report *ret);

/* The first sentences of the page: where things stand, and whether the way back is open. */
void health_words(const struct picture *p, const struct health_report *report, struct buf *out);

#endif

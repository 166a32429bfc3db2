/*
 * Templates for MongoDB: a value of the configuration with parameters in it, made into BSON. Pure.
 *
 * Only a whole text ":name" is a parameter; "::x" is the text ":x"; {$regex: {contains: ":q"}}
 * (starts, ends) looks for the characters of q. Where MongoDB would read a text as an expression
 * ("$field"), a parameter's value is put into $literal, so that it stays a value.
 */
#ifndef BANYAN_OPERATION_TEMPLATE_H
#define BANYAN_OPERATION_TEMPLATE_H

#include "base/buf.h"
#include "operation/param.h"

/* What a template is for: conditions, or values that are computed. */
enum template_use {
    TEMPLATE_FILTER,
    TEMPLATE_EXPRESSION,
    TEMPLATE_PIPELINE,
    TEMPLATE_GEO_NEAR,    /* in $geoNear: its query is a filter */
    TEMPLATE_GRAPH_LOOKUP /* in $graphLookup: restrictSearchWithMatch is one */
};

/* Called with the place of a mistake. */
struct template_mistake {
    struct conf_at at;
    char text[256];
};

/* Every parameter is known, nothing in it writes or runs code, no regular expression
 * holds one but escaped. False: *ret has the mistake. `used` (by number) is added to. */
bool template_check(const struct conf_value *value, enum template_use use,
                    const struct conf_operation *o, bool *used,
                    struct template_mistake *ret) must_check;

/* Appends the BSON document (or array) of a value that was checked. ERR_LIMIT: too big. */
int template_write(const struct conf_value *value, enum template_use use, const struct params *p,
                   struct buf *out, struct err *err) must_check;

/* A number of the template, or of the parameter it names; false: neither, or below 0. */
bool template_number(const struct conf_value *value, const struct params *p, int64_t *ret);

#endif

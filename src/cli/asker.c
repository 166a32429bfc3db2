#include "cli/asker.h"

#include "base/clock.h"
#include "flagfile/json_tree.h"

#include <string.h>
#include <time.h>

static int read_time(const char *text, int64_t *ret_us, struct err *err) {
    struct tm t = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &t);
    if (!end || *end)
        return err_set(err, ERR_USAGE, "option --at wants a time such as 2027-01-31T22:30:00Z");
    *ret_us = (int64_t)timegm(&t) * 1000000;
    return 0;
}

/* As JSON where it is JSON ("17" in quotes is text), else text. */
static void read_value(struct arena *arena, const char *text, struct flags_value *ret) {
    static const struct tree_limits limits = {FLAGS_TEXT_MAX, 10000, ""};
    struct tree_input in = {"value", text, strlen(text), &limits};
    const struct tree_node *node = NULL;
    struct flags_value v = {.type = FLAGS_STRING, .text = span_of(text)};
    *ret = v;
    if (json_tree_parse(&in, arena, &node, NULL) < 0 || tree_is_null(node))
        return;
    if (node->kind != TREE_SCALAR)
        v.type = FLAGS_JSON;
    else if (tree_is_bool(node, &v.boolean))
        v = (struct flags_value){.type = FLAGS_BOOL, .boolean = v.boolean};
    else if (tree_is_number(node, &v.number))
        v.type = FLAGS_NUMBER;
    else
        v.text = node->text;
    *ret = v;
}

static int read_attributes(struct arena *arena, const struct option_list *list,
                           struct flags_attribute *ret, size_t *ret_count, struct err *err) {
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i], *equals = strchr(text, '=');
        if (!equals || equals == text)
            return err_set(err, ERR_USAGE, "an attribute is NAME=VALUE, not '%s'", text);
        ret[i].name = span_make(text, (size_t)(equals - text));
        read_value(arena, equals + 1, &ret[i].value);
    }
    *ret_count = list->count;
    return 0;
}

int asker_read(const struct asker_given *given, struct arena *arena, struct asker *ret,
               struct err *err) {
    struct flags_context *c = &ret->context;
    *c = (struct flags_context){.user = span_of(given->user ? given->user : ""),
                                .tenant = span_of(given->tenant ? given->tenant : ""),
                                .user_attributes = ret->user_attributes,
                                .tenant_attributes = ret->tenant_attributes,
                                .now_us = clock_wall_us(),
                                .random = (uint64_t)clock_mono_us() | 1};
    int rc = given->at ? read_time(given->at, &c->now_us, err) : 0;
    if (rc == 0)
        rc = read_attributes(arena, &given->attributes, ret->user_attributes,
                             &c->user_attribute_count, err);
    if (rc == 0)
        rc = read_attributes(arena, &given->tenant_attributes, ret->tenant_attributes,
                             &c->tenant_attribute_count, err);
    return rc;
}

#include "cli/options.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static bool matches(const struct option_spec *o, const char *word, size_t len) {
    return (strlen(o->name) == len && strncmp(o->name, word, len) == 0) ||
           (o->shorthand && strlen(o->shorthand) == len && strncmp(o->shorthand, word, len) == 0);
}

static const struct option_spec *find(const struct option_table *tables, size_t count,
                                      const char *word, size_t len, void **ret_values) {
    for (size_t t = 0; t < count; t++)
        for (const struct option_spec *o = tables[t].specs; o->name; o++)
            if (matches(o, word, len)) {
                *ret_values = tables[t].values;
                return o;
            }
    return NULL;
}

static int unknown(const struct option_table *tables, size_t count, const char *word,
                   struct err *err) {
    const char *best = NULL;
    struct span name = span_make(word, strcspn(word, "="));
    /* half of a short name changed is another name */
    size_t best_distance = name.len < 5 ? 2 : name.len < 9 ? 3 : 4;
    for (size_t t = 0; t < count; t++)
        for (const struct option_spec *o = tables[t].specs; o->name; o++) {
            size_t d = text_distance(name, span_of(o->name));
            if (d < best_distance) {
                best_distance = d;
                best = o->name;
            }
        }
    if (best)
        return err_set(err, ERR_USAGE, "unknown option '%s', did you mean '%s'?", word, best);
    return err_set(err, ERR_USAGE, "unknown option '%s'; see `banyan help`", word);
}

static int read_number(const struct option_spec *o, const char *value, int64_t *ret,
                       struct err *err) {
    int64_t v = 0;
    const char *p = value;
    bool fits = *p != '\0';
    for (; fits && *p >= '0' && *p <= '9'; p++)
        fits = !__builtin_mul_overflow(v, 10, &v) && !__builtin_add_overflow(v, *p - '0', &v);
    if (!fits || *p)
        return err_set(err, ERR_USAGE, "option %s wants a number from 0 to %lld, not '%s'", o->name,
                       (long long)INT64_MAX, value);
    *ret = v;
    return 0;
}

static int add_to_list(const struct option_spec *o, const char *value, struct option_list *list,
                       struct err *err) {
    if (list->count == OPTION_LIST_MAX)
        return err_set(err, ERR_USAGE, "option %s is given more than %d times", o->name,
                       OPTION_LIST_MAX);
    list->items[list->count++] = value;
    return 0;
}

static int set(const struct option_spec *o, const char *value, void *values, struct err *err) {
    int64_t number = 0;
    int rc = o->kind == OPTION_NUMBER ? read_number(o, value, &number, err) : 0;
    if (rc < 0 || !values)
        return rc;
    void *target = (char *)values + o->offset;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)target = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)target = value;
        return 0;
    case OPTION_NUMBER:
        *(int64_t *)target = number;
        return 0;
    case OPTION_LIST:
        return add_to_list(o, value, target, err);
    }
    return 0;
}

/* Length of the option's name in a word; what is behind it, if anything, is its value. */
static size_t name_len(const char *word) {
    if (strncmp(word, "--", 2) == 0)
        return strcspn(word, "=");
    return 2; /* -cFILE */
}

/* The value of an option at argv[*i]; *i moves over it. A word that looks like an option is more
 * likely one whose value was forgotten: --name=-value says it is meant. */
static int take_value(const struct option_spec *o, size_t len, int argc, char **argv, int *i,
                      const char **ret_value, struct err *err) {
    const char *rest = argv[*i] + len;
    if (*rest) {
        *ret_value = rest + (*rest == '=');
        return 0;
    }
    if (*i + 1 >= argc || (argv[*i + 1][0] == '-' && argv[*i + 1][1]))
        return err_set(err, ERR_USAGE, "option %s wants a value: %s %s", o->name, o->name,
                       o->argument);
    *ret_value = argv[++*i];
    return 0;
}

/* One option at argv[*i]; *i moves over its value. */
static int take(const struct option_table *tables, size_t count, int argc, char **argv, int *i,
                struct err *err) {
    void *values = NULL;
    const char *word = argv[*i];
    size_t len = name_len(word);
    const struct option_spec *o = find(tables, count, word, len, &values);
    if (!o)
        return unknown(tables, count, word, err);
    if (o->kind == OPTION_FLAG && word[len])
        return err_set(err, ERR_USAGE, "option %s takes no value, so '%s' is wrong", o->name, word);
    const char *value = NULL;
    int rc = o->kind == OPTION_FLAG ? 0 : take_value(o, len, argc, argv, i, &value, err);
    return rc < 0 ? rc : set(o, value, values, err);
}

int options_parse(const struct option_table *tables, size_t table_count, int argc, char **argv,
                  size_t *ret_count, struct err *err) {
    size_t kept = 0;
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            int rc = take(tables, table_count, argc, argv, &i, err);
            if (rc < 0)
                return rc;
        } else {
            argv[kept++] = argv[i];
        }
    }
    *ret_count = kept;
    return 0;
}

void options_help(const struct option_spec *specs, struct buf *out) {
    for (const struct option_spec *o = specs; o->name; o++) {
        size_t start = out->len;
        buf_printf(out, "  %s%s%s", o->shorthand ? o->shorthand : "", o->shorthand ? ", " : "",
                   o->name);
        if (o->kind != OPTION_FLAG)
            buf_printf(out, " %s", o->argument);
        while (out->len - start < 26 && buf_ok(out))
            buf_add_char(out, ' ');
        buf_printf(out, " %s\n", o->help);
    }
}

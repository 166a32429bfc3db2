/*
 * Command line options: one table gives the parser and the help, so the two cannot differ. Pure.
 */
#ifndef BANYAN_CLI_OPTIONS_H
#define BANYAN_CLI_OPTIONS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER, OPTION_LIST };

/* An option that may be given more than once. */
#define OPTION_LIST_MAX 100
struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t count;
};

struct option_spec {
    const char *name;      /* "--state"; NULL ends a table */
    const char *shorthand; /* "-c", or NULL */
    enum option_kind kind;
    const char *argument; /* "FILE", for the help */
    size_t offset; /* of a bool, const char *, int64_t or option_list in the struct of values */
    const char *help;
};

#define OPTIONS_END                                                                                \
    { NULL, NULL, OPTION_FLAG, NULL, 0, NULL }

/* Of every command that changes something. */
#define OPTION_WHY(struct_name)                                                                    \
    {                                                                                              \
        "--why", NULL, OPTION_TEXT, "TEXT", offsetof(struct struct_name, why),                     \
            "the reason, for the audit log (needed)"                                               \
    }

/* A table, and the values of what is not given. Both are constant; whoever parses copies the
 * defaults. */
struct option_set {
    const struct option_spec *specs;
    const void *defaults;
    size_t size; /* of the struct of values */
};

/* A table, and where its values go; `values` NULL: the words are checked and taken, and that is
 * all. */
struct option_table {
    const struct option_spec *specs;
    void *values;
};

/* Takes the options of the tables out of argv (they may stand anywhere; "--" ends them); what is
 * left is moved to the front and counted in *ret_count. `--name=value` and `--name value` are the
 * same, as are `-c value` and `-cvalue`; of an option given twice the last value counts. ERR_USAGE
 * names the word that is wrong, and one that looks like it. Values of options before that word are
 * set even then. */
int options_parse(const struct option_table *tables, size_t table_count, int argc, char **argv,
                  size_t *ret_count, struct err *err) must_check;

/* The lines of a help text. */
void options_help(const struct option_spec *specs, struct buf *out);

#endif

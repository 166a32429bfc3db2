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

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER };

struct option_spec {
    const char *name;      /* "--state"; NULL ends a table */
    const char *shorthand; /* "-c", or NULL */
    enum option_kind kind;
    const char *argument; /* "FILE", for the help */
    void *target;         /* bool *, const char **, int64_t * */
    const char *help;
};

/* Takes the options of the tables out of argv (they may stand anywhere; "--" ends them); what is
 * left is moved to the front and counted in *ret_count. `--name=value` and `--name value` are the
 * same, as are `-c value` and `-cvalue`; of an option given twice the last value counts. ERR_USAGE
 * names the word that is wrong, and one that looks like it. Targets of options before that word are
 * set even then. */
int options_parse(const struct option_spec *const *tables, size_t table_count, int argc,
                  char **argv, size_t *ret_count, struct err *err) must_check;

/* The lines of a help text. */
void options_help(const struct option_spec *table, struct buf *out);

#endif

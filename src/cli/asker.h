/*
 * Who asks, as the command line says it: for `flags eval` and `routes explain`.
 */
#ifndef BANYAN_CLI_ASKER_H
#define BANYAN_CLI_ASKER_H

#include "base/arena.h"
#include "cli/options.h"
#include "flags/flags.h"

struct asker_given {
    const char *user, *tenant, *at;
    struct option_list attributes, tenant_attributes;
};

/* Rows of a table of options; `struct_name` has an asker_given called `asker`. */
#define ASKER_OPTIONS(struct_name)                                                                 \
    {"--user", NULL, OPTION_TEXT, "ID", offsetof(struct struct_name, asker.user), "who asks"},     \
        {"--tenant", NULL, OPTION_TEXT, "ID", offsetof(struct struct_name, asker.tenant),          \
         "for whom"},                                                                              \
        {"--attribute",                                                                            \
         NULL,                                                                                     \
         OPTION_LIST,                                                                              \
         "NAME=VALUE",                                                                             \
         offsetof(struct struct_name, asker.attributes),                                           \
         "of the user; a number, true, false, or text; may be repeated"},                          \
        {"--tenant-attribute",                                                                     \
         NULL,                                                                                     \
         OPTION_LIST,                                                                              \
         "NAME=VALUE",                                                                             \
         offsetof(struct struct_name, asker.tenant_attributes),                                    \
         "of the tenant"},                                                                         \
    {                                                                                              \
        "--at", NULL, OPTION_TEXT, "TIME", offsetof(struct struct_name, asker.at),                 \
            "as if it were 2027-01-31T22:30:00Z"                                                   \
    }

struct asker {
    struct flags_attribute user_attributes[OPTION_LIST_MAX], tenant_attributes[OPTION_LIST_MAX];
    struct flags_context context; /* points into this struct and the arena */
};

int asker_read(const struct asker_given *given, struct arena *arena, struct asker *ret,
               struct err *err) must_check;

#endif

/*
 * The table of keys: parser, checks, `config show` and docs/configuration.md come from it.
 * Private to conf/.
 */
#ifndef BANYAN_CONF_KEYS_H
#define BANYAN_CONF_KEYS_H

#include "conf/conf.h"

enum key_type {
    KEY_TEXT,
    KEY_SECRET_URI, /* shown with its password replaced */
    KEY_INTEGER,
    KEY_DURATION,   /* kept in microseconds */
    KEY_BOOL,
    KEY_CHOICE,     /* kept as the index of the word */
    KEY_SECTION,    /* a map of keys that follow in the table */
    KEY_STRUCTURE,  /* modules: read by code of its own; documented here */
    KEY_LATER       /* in the contract, not built in this version: refused by name */
};

struct key {
    const char *path; /* "source.snapshot.threads"; "*" stands for a name */
    enum key_type type;
    size_t offset;    /* in struct conf; unused for KEY_SECTION, _STRUCTURE, _LATER */
    const char *fallback; /* default as text; NULL: none */
    bool needed;
    int64_t least, most;  /* KEY_INTEGER, KEY_DURATION (microseconds) */
    const char *choices;  /* KEY_CHOICE: "a|b|c" */
    const char *help;
};

extern const struct key conf_keys[];
extern const size_t conf_key_count;

#endif

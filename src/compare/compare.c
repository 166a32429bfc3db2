#include "compare/compare.h"

#include <string.h>
#include <xxhash.h>

static const char *const mode_names[] = {"exact", "mapped", "reference"};
static const char *const kind_names[] = {"missing", "extra", "mismatch", "type_difference"};
static const char *const rule_names[] = {
#define RULE_NAME(id, text) text,
    COMPARE_RULES(RULE_NAME)
#undef RULE_NAME
};

bool compare_mode_parse(const char *text, enum compare_mode *ret) {
    for (enum compare_mode mode = COMPARE_EXACT; mode <= COMPARE_REFERENCE; mode++) {
        if (strcmp(text, mode_names[mode]) == 0) {
            *ret = mode;
            return true;
        }
    }
    return false;
}

const char *compare_kind_name(enum compare_kind kind) {
    return kind_names[kind];
}

const char *compare_rule_name(enum compare_rule rule) {
    return rule_names[rule];
}

/* Each hash is the seed of the next: where one text ends and the other begins counts. */
uint64_t compare_fingerprint(struct span operation, struct span shape, enum compare_kind kind) {
    uint64_t h = XXH64(operation.ptr, operation.len, (uint64_t)kind + 1);
    return XXH64(shape.ptr, shape.len, h);
}

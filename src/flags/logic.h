/*
 * JSONLogic as flagd has it: operators, and what one evaluation of a targeting gives. Private to
 * flags/. Pure; recursion and steps are bounded (LOGIC_STEPS_MAX), memory is the caller's scratch.
 */
#ifndef BANYAN_FLAGS_LOGIC_H
#define BANYAN_FLAGS_LOGIC_H

#include "base/text.h"
#include "flags/blob.h"

/* id, name in JSON, fewest and most arguments (0: no limit) */
#define LOGIC_OPS(X)                                                                               \
    X(LOGIC_LITERAL, NULL, 0, 0)                                                                   \
    X(LOGIC_LIST, NULL, 0, 0)                                                                      \
    X(LOGIC_VAR, "var", 0, 2)                                                                      \
    X(LOGIC_MISSING, "missing", 0, 0)                                                              \
    X(LOGIC_MISSING_SOME, "missing_some", 2, 2)                                                    \
    X(LOGIC_IF, "if", 0, 0)                                                                        \
    X(LOGIC_TERNARY, "?:", 0, 0)                                                                   \
    X(LOGIC_EQUAL, "==", 2, 2)                                                                     \
    X(LOGIC_SAME, "===", 2, 2)                                                                     \
    X(LOGIC_UNEQUAL, "!=", 2, 2)                                                                   \
    X(LOGIC_NOT_SAME, "!==", 2, 2)                                                                 \
    X(LOGIC_NOT, "!", 1, 1)                                                                        \
    X(LOGIC_TRUTH, "!!", 1, 1)                                                                     \
    X(LOGIC_OR, "or", 1, 0)                                                                        \
    X(LOGIC_AND, "and", 1, 0)                                                                      \
    X(LOGIC_LESS, "<", 2, 3)                                                                       \
    X(LOGIC_AT_MOST, "<=", 2, 3)                                                                   \
    X(LOGIC_GREATER, ">", 2, 2)                                                                    \
    X(LOGIC_AT_LEAST, ">=", 2, 2)                                                                  \
    X(LOGIC_MAX, "max", 1, 0)                                                                      \
    X(LOGIC_MIN, "min", 1, 0)                                                                      \
    X(LOGIC_ADD, "+", 1, 0)                                                                        \
    X(LOGIC_SUBTRACT, "-", 1, 2)                                                                   \
    X(LOGIC_MULTIPLY, "*", 1, 0)                                                                   \
    X(LOGIC_DIVIDE, "/", 2, 2)                                                                     \
    X(LOGIC_MODULO, "%", 2, 2)                                                                     \
    X(LOGIC_MAP, "map", 2, 2)                                                                      \
    X(LOGIC_FILTER, "filter", 2, 2)                                                                \
    X(LOGIC_REDUCE, "reduce", 3, 3)                                                                \
    X(LOGIC_ALL, "all", 2, 2)                                                                      \
    X(LOGIC_NONE, "none", 2, 2)                                                                    \
    X(LOGIC_SOME, "some", 2, 2)                                                                    \
    X(LOGIC_MERGE, "merge", 0, 0)                                                                  \
    X(LOGIC_IN, "in", 2, 2)                                                                        \
    X(LOGIC_CAT, "cat", 0, 0)                                                                      \
    X(LOGIC_SUBSTR, "substr", 2, 3)                                                                \
    X(LOGIC_FRACTIONAL, "fractional", 1, 0)                                                        \
    X(LOGIC_SEM_VER, "sem_ver", 3, 3)                                                              \
    X(LOGIC_STARTS_WITH, "starts_with", 2, 2)                                                      \
    X(LOGIC_ENDS_WITH, "ends_with", 2, 2)

enum logic_op {
#define LOGIC_ENUM(id, name, fewest, most) id,
    LOGIC_OPS(LOGIC_ENUM)
#undef LOGIC_ENUM
        LOGIC_OP_COUNT
};

enum { LOGIC_STEPS_MAX = 200000, LOGIC_SCRATCH = 16384, LOGIC_TEXT_DEPTH_MAX = 100 };

/* Whether the operator may have so many arguments. */
bool logic_takes(enum logic_op op, uint32_t arguments);

/* A value while evaluating. JSON text is an object or a list that nobody took apart yet. */
enum logic_type { LOGIC_NULL, LOGIC_BOOL, LOGIC_NUMBER, LOGIC_STRING, LOGIC_ITEMS, LOGIC_JSON };

struct logic_value {
    enum logic_type type;
    bool boolean;
    double number;
    struct span text;
    const struct logic_value *items;
    size_t count;
};

/* What `var` sees: the context, or an item of map, filter, all, none, some, or reduce's two. */
struct logic_scope {
    const struct logic_value *item; /* NULL: the context */
    const struct logic_value *accumulator;
};

struct logic_run {
    const struct flags_set *set;
    const struct flags_context *context;
    struct span flag_name;
    const struct blob_node *nodes;
    struct logic_scope scope;
    char *scratch;
    size_t scratch_len, scratch_used;
    unsigned steps;
    unsigned text_depth;    /* lists in lists, while they are written as text */
    enum flags_error error; /* the first; later operations give null */
    const char *detail;
    int32_t variant; /* for evaluate.c */
};

/* `logic`: the offset of a blob_logic. Steps already made are in `run`. */
struct logic_value logic_evaluate(struct logic_run *run, uint32_t logic);

struct logic_value logic_node(struct logic_run *run, const struct blob_node *node);

/* As JSONLogic sees it: 0, "", null and an empty list are false. */
bool logic_truth(struct logic_run *run, const struct logic_value *v);

/* NULL, and an error in `run`, when the scratch is used up. */
void *logic_alloc(struct logic_run *run, size_t size);

/* Latches the first error; gives null. */
struct logic_value logic_fail(struct logic_run *run, enum flags_error error, const char *detail);

/* Counts work; false, and an error in `run`, when there was too much. */
bool logic_step(struct logic_run *run, size_t steps);

/* A list, taken apart; anything else stays. */
struct logic_value logic_open_list(struct logic_run *run, struct logic_value v);

/* As JavaScript writes it; lists with commas between. */
struct span logic_text(struct logic_run *run, const struct logic_value *v);

/* As JavaScript's Number(): NaN where it is none. */
double logic_number(struct logic_run *run, const struct logic_value *v);

/* The value at a path such as "a.b.0" in the scope. */
struct logic_value logic_lookup(struct logic_run *run, struct span path);

/* The first attribute of that name; NULL: none. */
const struct flags_attribute *logic_attribute(const struct flags_attribute *attributes,
                                              size_t count, struct span name);

/* Operators that have a file of their own. */
struct logic_value logic_fractional(struct logic_run *run, const struct blob_node *node);
struct logic_value logic_list_op(struct logic_run *run, const struct blob_node *node);
struct logic_value logic_text_op(struct logic_run *run, const struct blob_node *node);
bool logic_sem_ver(struct span value, struct span op, struct span target);
bool logic_equal(struct logic_run *run, const struct logic_value *a, const struct logic_value *b,
                 bool strict);

/* The shortest digits that read back as `v`: 12, 0.1, 1e+21. */
struct logic_digits {
    char text[TEXT_DOUBLE_MAX];
};
struct logic_digits logic_digits_of(double v);

static inline const struct blob_node *logic_argument(const struct logic_run *run,
                                                     const struct blob_node *node, uint32_t i) {
    return run->nodes + node->first + i;
}

#endif

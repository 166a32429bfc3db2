/*
 * Errors: the caller's memory, filled by whoever fails first.
 *
 * A fallible function returns 0 or a negative code from ERR_CODES and fills the `struct err` that
 * is its last argument (NULL is allowed). Each level that knows more puts one phrase in front
 * (err_prefix): "copy orders: column total: not a number". Text is lower case, says the failure
 * first and the way out last, and has no full stop. Library code never logs an error it returns.
 * Any thread; no locks.
 */
#ifndef BANYAN_BASE_ERR_H
#define BANYAN_BASE_ERR_H

#include "base/compiler.h"

#include <stdarg.h>
#include <stdbool.h>

/* name, number, exit code of the program (shared design, section 1), meaning */
#define ERR_CODES(X)                                                                               \
    X(ERR_NO, -1, 1, "a check or validation failed: the answer is no")                             \
    X(ERR_USAGE, -2, 2, "wrong command line")                                                      \
    X(ERR_CONF, -3, 2, "wrong configuration, or one that does not fit the database")               \
    X(ERR_UNREACHABLE, -4, 3, "a system is out of reach or answered with an error")                \
    X(ERR_STATE, -5, 3, "the state file cannot be read or written, or does not fit")               \
    X(ERR_INTERNAL, -6, 4, "a mistake in Banyan")                                                  \
    X(ERR_WIRE, -7, 3, "a server sent bytes that are not its protocol")                            \
    X(ERR_VALUE, -8, 3, "a value cannot be converted")                                             \
    X(ERR_LIMIT, -9, 3, "a stated limit was passed")                                               \
    X(ERR_STOPPED, -10, 0, "asked to stop")                                                        \
    X(ERR_TARGET, -11, 3, "the target refused a command for good")                                 \
    X(ERR_BUSY, -12, 3, "another process holds the pipeline")                                      \
    X(ERR_ACCESS, -13, 3, "a server does not let us in")

enum err_code {
#define ERR_ENUM(name, number, exit_code, help) name = (number),
    ERR_CODES(ERR_ENUM)
#undef ERR_ENUM
};

#define ERR_TEXT_MAX 1024

struct err {
    int code;       /* 0: no error */
    bool retriable; /* the same call may succeed later, unchanged */
    char text[ERR_TEXT_MAX];
};

/* Sets code and text, clears `retriable`; returns `code`, so that a function can end with it. */
int err_set(struct err *err, int code, const char *fmt, ...) printf_like(3, 4);

/* Same, and marks the error as one that may pass. */
int err_set_retriable(struct err *err, int code, const char *fmt, ...) printf_like(3, 4);

/* Puts "<phrase>: " in front of the text; returns the code already there. */
int err_prefix(struct err *err, const char *fmt, ...) printf_like(2, 3);

/* Exit code of the program for an error code; 0 for 0. */
int err_exit_code(int code);

/* "ERR_NO" and so on; "ERR_?" for an unknown number. Static text. */
const char *err_code_name(int code);

#endif

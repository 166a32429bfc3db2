#include "base/err.h"

#include <stdio.h>
#include <string.h>

static int set(struct err *err, int code, bool retriable, const char *fmt, va_list args) {
    if (err) {
        err->code = code;
        err->retriable = retriable;
        (void)vsnprintf(err->text, sizeof err->text, fmt, args);
    }
    return code;
}

int err_set(struct err *err, int code, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int rc = set(err, code, false, fmt, args);
    va_end(args);
    return rc;
}

int err_set_retriable(struct err *err, int code, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int rc = set(err, code, true, fmt, args);
    va_end(args);
    return rc;
}

int err_prefix(struct err *err, const char *fmt, ...) {
    if (!err)
        return ERR_INTERNAL;
    char phrase[ERR_TEXT_MAX / 2];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(phrase, sizeof phrase, fmt, args);
    va_end(args);
    size_t len = strlen(phrase);
    size_t keep = strnlen(err->text, sizeof err->text - len - 3);
    memmove(err->text + len + 2, err->text, keep);
    err->text[len + 2 + keep] = '\0';
    memcpy(err->text, phrase, len);
    memcpy(err->text + len, ": ", 2);
    return err->code;
}

int err_exit_code(int code) {
    switch (code) {
#define ERR_EXIT(name, number, exit_code, help)                                                    \
    case number:                                                                                   \
        return exit_code;
        ERR_CODES(ERR_EXIT)
#undef ERR_EXIT
    case 0:
        return 0;
    default:
        return 4;
    }
}

const char *err_code_name(int code) {
    switch (code) {
#define ERR_NAME(name, number, exit_code, help)                                                    \
    case number:                                                                                   \
        return #name;
        ERR_CODES(ERR_NAME)
#undef ERR_NAME
    default:
        return "ERR_?";
    }
}

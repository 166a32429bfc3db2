/*
 * Banyan's operations for programs in C: named reads that SQL or MongoDB answers, as the module's
 * setting or flag says.
 *
 *   struct banyan *b;
 *   struct banyan_error error;
 *   struct banyan_answer *answer;
 *   if (banyan_open("banyan.yml", NULL, &b, &error) < 0) ...             error.text
 *   if (banyan_call(b, "get_product", "{\"params\": {\"id\": 7}}", &answer, &error) < 0) ...
 *   puts(banyan_answer_json(answer));                                     {"id":7,"name":"..."}
 *   banyan_answer_free(answer);
 *   banyan_close(b);
 *
 * Link with `pkg-config --cflags --libs banyan`. A struct banyan may be used by any number of
 * threads at the same time, but for banyan_close. Sessions are opened when they are needed, at most
 * 16 a side. What people set and the flags are taken up within 200 ms, from the files that the
 * daemon and the command line write; no daemon has to run. libmongoc's log is silenced (a program
 * that uses libmongoc itself sets a handler of its own after banyan_open). The program's locale is
 * neither used nor changed. A process that runs out of memory ends.
 */
#ifndef BANYAN_H
#define BANYAN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BANYAN_API __attribute__((visibility("default")))
#else
#define BANYAN_API
#endif

/* What functions return: 0, or one of these. */
enum banyan_code {
    BANYAN_NO_OPERATION = -1, /* there is no operation of that name */
    BANYAN_BAD_REQUEST = -2,  /* the request is wrong: the text names the parameter */
    BANYAN_BAD_CONFIG = -3,   /* the configuration is: the text names file, line and column */
    BANYAN_STATE = -4,        /* the state file or the published flags cannot be read */
    BANYAN_INTERNAL = -5
};

struct banyan_error {
    int code;
    char text[1024]; /* one line, without passwords */
};

struct banyan;        /* a configuration with its sessions */
struct banyan_answer; /* what a call was answered with; the caller's */

/* Reads and checks the configuration; connects to nothing. `state_file` NULL: the one that the
 * configuration names. Relative paths count from the folder that the process runs in. `error` may
 * be NULL. */
BANYAN_API int banyan_open(const char *config_file, const char *state_file, struct banyan **ret,
                           struct banyan_error *error);

/* Closes all sessions. No call may be under way. Waits for a statement that is being cancelled: 10
 * s where PostgreSQL is out of reach. NULL is fine. */
BANYAN_API void banyan_close(struct banyan *b);

/*
 * Calls an operation and waits for its answer, until its deadline at most. `request` is JSON as for
 * POST /v1/operations/NAME, or NULL:
 *
 *   {"params": {...}, "user": "u1", "tenant": "t1", "attributes": {"user": {}, "tenant": {}},
 *    "numbers": "plain"|"string", "side": "sql"|"mongodb"}
 *
 * 0: there is an answer, which may be that there is no row, or that both sides failed
 * (banyan_answer_status).
 */
BANYAN_API int banyan_call(struct banyan *b, const char *operation, const char *request,
                           struct banyan_answer **ret, struct banyan_error *error);

/* 200: rows; 404: there is no such row; 502, 504: the side that answers failed, or was too late,
 * and no other could stand in. */
BANYAN_API int banyan_answer_status(const struct banyan_answer *a);
/* Of 200 the rows: an object where the operation returns one, else an array; else {"error": ...}.
 * Ends in NUL. Valid as long as the answer. */
BANYAN_API const char *banyan_answer_json(const struct banyan_answer *a);
BANYAN_API size_t banyan_answer_length(const struct banyan_answer *a); /* without the NUL */
/* "sql" or "mongodb": who answered. */
BANYAN_API const char *banyan_answer_side(const struct banyan_answer *a);
/* Why another side answered than the one whose turn it was: "connect", "timeout", "5xx", "404",
 * "breaker". NULL: it did not. */
BANYAN_API const char *banyan_answer_fallback(const struct banyan_answer *a);
BANYAN_API void banyan_answer_free(struct banyan_answer *a); /* NULL is fine */

/* "0.1.0" */
BANYAN_API const char *banyan_version(void);

#ifdef __cplusplus
}
#endif

#endif

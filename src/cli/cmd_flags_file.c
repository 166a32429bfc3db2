/* Files of flags: check and import. */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "flagfile/flagfile.h"
#include "flags/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct given {
    const char *format, *output;
};

static const struct given defaults = {0};

#define FORMAT                                                                                     \
    {                                                                                              \
        "--format", NULL, OPTION_TEXT, "NAME", offsetof(struct given, format),                     \
            "feature-flags, flagd, unleash or launchdarkly (default: found out)"                   \
    }

static const struct option_spec check_options[] = {FORMAT, OPTIONS_END};
const struct option_set cmd_flags_check_options = {check_options, &defaults, sizeof defaults};

static const struct option_spec import_options[] = {
    FORMAT,
    {"--output", "-o", OPTION_TEXT, "FILE", offsetof(struct given, output),
     "where to write feature-flags.yml (default: standard output)"},
    OPTIONS_END};
const struct option_set cmd_flags_import_options = {import_options, &defaults, sizeof defaults};

/* Reads it, and compiles it as the daemon would. */
static int load(const struct given *given, const char *path, struct flagfile **ret_file,
                struct err *err) {
    _cleanup_(buf_release) struct buf blob = {.max = FLAGS_BLOB_MAX};
    enum flagfile_format format = FLAGFILE_ANY;
    struct flagfile *file = NULL;
    if (given->format && !flagfile_format_of(given->format, &format))
        return err_set(err, ERR_USAGE,
                       "option --format is feature-flags, flagd, unleash or launchdarkly, not '%s'",
                       given->format);
    int rc = flagfile_load(path, format, &file, err);
    if (rc == 0)
        rc = flags_compile(&file->model, &blob, err);
    if (rc < 0)
        flagfile_free(file);
    else
        *ret_file = file;
    return rc;
}

int cmd_flags_check(struct cli *cli, int argc, char **argv, struct err *err) {
    _cleanup_(flagfile_freep) struct flagfile *file = NULL;
    _cleanup_(buf_release) struct buf out = {.max = 1024 * (size_t)1024};
    int64_t now = clock_wall_us();
    if (argc != 1)
        return err_set(err, ERR_USAGE, "flags check wants the name of a file");
    int rc = load(cli->given, argv[0], &file, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < file->model.flag_count; i++) {
        const struct flags_flag *f = &file->model.flags[i];
        if (flagfile_expired(f, now))
            (void)fprintf(stderr, "banyan: warning: %s:%u:%u: flag '%.200s' has expired\n", argv[0],
                          f->place.line, f->place.column, f->name.ptr);
    }
    buf_printf(&out, cli->json ? "{\"format\":\"%s\",\"flags\":%zu}\n" : "good: %s, %zu flags\n",
               flagfile_format_name(file->format), file->model.flag_count);
    return cli_print(&out, err);
}

/* Never over a file that is there: it may be the one in use. */
static int write_new(const char *path, struct span text, struct err *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set(err, ERR_STATE, "cannot make %s: %s", path, strerrordesc_np(errno));
    int rc = 0;
    while (rc == 0 && text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            rc = err_set(err, ERR_STATE, "cannot write %s: %s", path, strerrordesc_np(errno));
        size_t step = n > 0 ? (size_t)n : 0;
        text = span_make(text.ptr + step, text.len - step);
    }
    if (rc == 0 && fsync(fd) < 0)
        rc = err_set(err, ERR_STATE, "cannot write %s: %s", path, strerrordesc_np(errno));
    (void)close(fd);
    if (rc < 0)
        (void)unlink(path);
    return rc;
}

int cmd_flags_import(struct cli *cli, int argc, char **argv, struct err *err) {
    const struct given *given = cli->given;
    _cleanup_(flagfile_freep) struct flagfile *file = NULL;
    _cleanup_(buf_release) struct buf out = {.max = FLAGFILE_MAX};
    _cleanup_(buf_release) struct buf notes = {.max = 16 * (size_t)1024 * 1024};
    if (argc != 1)
        return err_set(err, ERR_USAGE, "flags import wants the name of a file");
    int rc = load(given, argv[0], &file, err);
    if (rc == 0)
        rc = flagfile_write(&file->model, &out, &notes, err);
    if (rc < 0)
        return rc;
    if (!cli->quiet && notes.len > 0)
        (void)fprintf(stderr, "%s", buf_text(&notes));
    return given->output ? write_new(given->output, buf_span(&out), err) : cli_print(&out, err);
}

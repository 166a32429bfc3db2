/*
 * Any bytes as a configuration: refused with a place, or a struct that shows as YAML that reads
 * back to the same. Redaction, on the same bytes: it ends, and what follows "password=" or stands
 * before the last "@" of a URI never shows.
 */
#include "base/mem.h"
#include "conf/conf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 loses a small array when a quoted scalar of many pieces does not end. Ours are
 * still seen: nothing of Banyan's is called from inside it. */
const char *__lsan_default_suppressions(void) {
    return "leak:libfyaml.so\n";
}

enum { OUT_MAX = 64 << 20 };

/* Reading files named by random bytes could block or leave the sandbox of the fuzzer. */
static int names_file(const unsigned char *data, size_t size) {
    return memmem(data, size, "file:", 5) != NULL;
}

static void show_again(const struct conf *conf) {
    _cleanup_(buf_release) struct buf once = {.max = OUT_MAX};
    _cleanup_(buf_release) struct buf twice = {.max = OUT_MAX};
    conf_show(conf, true, &once);
    if (!buf_ok(&once))
        return;
    buf_clear(&once);
    conf_show(conf, false, &once);
    struct err err = {0};
    struct conf *again = NULL;
    /* A URI that is hidden whole is no URI any more. */
    if (once.len > CONF_FILE_MAX || conf_parse("show", once.data, once.len, &again, &err) < 0) {
        if (once.len <= CONF_FILE_MAX && !strstr(err.text, "'uri' is not a") &&
            !strstr(err.text, "at most") && !strstr(err.text, "more than")) {
            (void)fprintf(stderr, "%s\n%s", err.text, buf_text(&once));
            abort();
        }
        return;
    }
    conf_show(again, false, &twice);
    if (twice.len != once.len || memcmp(once.data, twice.data, once.len) != 0)
        abort();
    conf_free(again);
}

static void redact(const unsigned char *data, size_t size) {
    static const char secret[] = "S3cr3tS3cr3t";
    static const char *const before[] = {
        "",          "postgresql://u:",   "mongodb://u:",
        "password=", "host=a password='", "mongodb://h/?password="};
    static const char *const after[] = {"", "@h/db", "@h:1,i/?w=1", "", "' user=b", "&w=1"};
    _cleanup_(mem_freep) char *text = mem_strndup((const char *)data, size);
    if (strstr(text, secret))
        return; /* the input itself shows it, anywhere */
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        _cleanup_(buf_release) struct buf out = {.max = OUT_MAX};
        /* Without our framing there is no secret to look for. */
        _cleanup_(mem_freep) char *uri =
            mem_printf("%s%s%s%s", before[i], i ? secret : "", text, after[i]);
        conf_redact_uri(uri, &out);
        if (i && strstr(buf_text(&out), secret))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    struct conf *conf = NULL;
    struct err err = {0};
    redact(data, size);
    if (names_file(data, size))
        return 0;
    if (conf_parse("fuzz.yml", (const char *)data, size, &conf, &err) < 0) {
        if (strncmp(err.text, "fuzz.yml:", 9) != 0)
            abort();
        return 0;
    }
    show_again(conf);
    conf_free(conf);
    return 0;
}

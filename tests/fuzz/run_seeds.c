/*
 * The plain main of a fuzzer: run_seeds DIRECTORY runs every file in it through
 * LLVMFuzzerTestOneInput, as a TAP test each: the seed, its truncated forms, and mutations from a
 * fixed generator. Inputs live in heap blocks of their exact size, so that a sanitizer sees the
 * first byte read beyond the end. No seeds is a failure, not a success without work.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED_BYTES_MAX = 1 << 20, TRUNCATIONS_MAX = 512, MUTATIONS = 200 };

static uint64_t next_random(uint64_t *state) {
    /* splitmix64: the same sequence on every machine. */
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void run_copy(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_truncated(const uint8_t *data, size_t size) {
    size_t step = size / TRUNCATIONS_MAX + 1;
    for (size_t len = 0; len < size; len += step)
        run_copy(data, len);
}

static void run_mutated(const uint8_t *data, size_t size) {
    static const uint8_t interesting[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff, ' ', '"', '\\', '{', '}'};
    uint64_t state = size;
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    for (int i = 0; size > 0 && i < MUTATIONS; i++) {
        memcpy(copy, data, size);
        for (uint64_t n = 1 + next_random(&state) % 4; n > 0; n--) {
            uint64_t random = next_random(&state);
            uint8_t value = random & 1 ? interesting[(random >> 8) % sizeof interesting]
                                       : (uint8_t)(random >> 16);
            copy[(random >> 24) % size] = value;
        }
        run_copy(copy, size);
    }
    free(copy);
}

/* The file's bytes, to be freed; NULL with errno set. */
static uint8_t *read_seed(const char *path, size_t *ret_size) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    uint8_t *data = malloc(SEED_BYTES_MAX);
    if (!data)
        abort();
    *ret_size = fread(data, 1, SEED_BYTES_MAX, file);
    bool failed = ferror(file) || !feof(file);
    fclose(file);
    if (failed) {
        free(data);
        errno = EFBIG;
        return NULL;
    }
    return data;
}

static bool run_seed(const char *directory, const char *name) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return false;
    size_t size;
    uint8_t *data = read_seed(path, &size);
    if (!data) {
        printf("# %s: %s\n", path, strerror(errno));
        return false;
    }
    run_copy(data, size);
    run_truncated(data, size);
    run_mutated(data, size);
    free(data);
    return true;
}

static int is_seed(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv) {
    struct dirent **entries;
    int count = argc == 2 ? scandir(argv[1], &entries, is_seed, alphasort) : -1;
    if (count <= 0) {
        printf("Bail out! no seeds in %s\n", argc == 2 ? argv[1] : "(no directory given)");
        return 1;
    }
    int failed = 0;
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        bool ok = run_seed(argv[1], entries[i]->d_name);
        printf("%sok %d - %s\n", ok ? "" : "not ", i + 1, entries[i]->d_name);
        fflush(stdout);
        failed += !ok;
        free(entries[i]);
    }
    free(entries);
    return failed > 0;
}

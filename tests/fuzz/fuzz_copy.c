/* COPY lines: first byte chooses the number of columns. Values lie inside the line. */
#include "db/pg.h"

#include <stdint.h>
#include <stdlib.h>

#define COLUMNS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct span columns[COLUMNS_MAX];
    size_t count = data[0] % (COLUMNS_MAX + 1);
    size_t len = size - 1;
    char *line = malloc(len ? len : 1);
    if (!line)
        abort();
    if (len)
        memcpy(line, data + 1, len);
    if (pg_copy_split(line, len, columns, count))
        for (size_t i = 0; i < count; i++)
            if (columns[i].ptr &&
                (columns[i].ptr < line || columns[i].ptr + columns[i].len > line + len))
                abort();
    free(line);
    return 0;
}

/* Bodies that were packed for the way. */
#include "parallel/answer.h"

#define ZLIB_CONST
#include <zlib.h>

#define ROOM 32768
#define GZIP_OR_ZLIB (15 + 32)
#define RAW (-15)

/* One stream, or several gzip ones in a row. */
static bool inflate_with(int window, struct span body, struct buf *out, bool *ret_too_large) {
    z_stream z = {.next_in = (const unsigned char *)body.ptr, .avail_in = (unsigned)body.len};
    int code = inflateInit2(&z, window);
    if (code != Z_OK)
        return false;
    do {
        char *to = buf_reserve(out, ROOM);
        if (!to) {
            *ret_too_large = true;
            break;
        }
        z.next_out = (unsigned char *)to;
        z.avail_out = ROOM;
        code = inflate(&z, Z_NO_FLUSH);
        out->len += ROOM - z.avail_out;
        if (code == Z_STREAM_END && z.avail_in > 0 && window > 0)
            code = inflateReset(&z);
    } while (code == Z_OK && (z.avail_in > 0 || z.avail_out == 0));
    bool whole = code == Z_STREAM_END && z.avail_in == 0;
    inflateEnd(&z);
    return whole && !*ret_too_large;
}

bool answer_inflate(struct span body, struct buf *out, bool *ret_too_large) {
    *ret_too_large = false;
    if (body.len == 0 || body.len > UINT32_MAX)
        return false;
    if (inflate_with(GZIP_OR_ZLIB, body, out, ret_too_large))
        return true;
    if (*ret_too_large)
        return false;
    out->len = 0;
    return inflate_with(RAW, body, out, ret_too_large);
}

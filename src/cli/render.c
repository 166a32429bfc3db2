#include "cli/render.h"

#include <inttypes.h>
#include <time.h>

void render_clean(struct buf *out, const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        /* C1 controls are two bytes in UTF-8: C2 80 to C2 9F */
        bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
        buf_add_char(out, *p < 0x20 || *p == 0x7f || c1 ? '?' : (char)*p);
        p += c1;
    }
}

void render_time(struct buf *out, int64_t wall_us) {
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm t;
    char text[32];
    if (gmtime_r(&seconds, &t) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &t))
        buf_add_text(out, text);
}

void render_age(struct buf *out, int64_t us) {
    int64_t seconds = us > 0 ? us / 1000000 : 0;
    if (seconds < 120)
        buf_printf(out, "%" PRId64 " s", seconds);
    else if (seconds < 7200)
        buf_printf(out, "%" PRId64 " min", seconds / 60);
    else if (seconds < 172800)
        buf_printf(out, "%" PRId64 " h", seconds / 3600);
    else
        buf_printf(out, "%" PRId64 " d", seconds / 86400);
}

/* UTF-8 checks. Pure, any thread. */
#ifndef BANYAN_BASE_UTF8_H
#define BANYAN_BASE_UTF8_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* Length in bytes (1 to 4) of the well-formed character that `s` begins with; 0 if there is none
 * (overlong forms, surrogates and values over U+10FFFF are not well-formed: RFC 3629). */
size_t utf8_char_len(struct span s);

bool utf8_valid(struct span s);

/* Writes the character (at most U+10FFFF) and returns how many bytes it has. */
size_t utf8_put(uint32_t c, char out[4]);

#endif

/* Writes JSON strings into a buffer. Pure, any thread. */
#ifndef BANYAN_BASE_JSON_TEXT_H
#define BANYAN_BASE_JSON_TEXT_H

#include "base/buf.h"
#include "base/span.h"

/* A quoted JSON string; bytes that are not UTF-8 become U+FFFD, so the output is always valid. */
void json_text_string(struct buf *b, struct span s);

#endif

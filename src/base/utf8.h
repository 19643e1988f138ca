#pragma once
/* utf8.h — UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, ≤ U+10FFFF.
 * Pure. */
#include "base/slice.h"
bool utf8_is_valid(slice s);
bool utf8_is_ascii(slice s);           /* only 1–127: NUL is not text */
/* Decodes the code point at s[*at] and moves *at behind it; -1 (and one byte on) when
 * it is malformed. */
int32_t utf8_next(slice s, size_t *at);
size_t utf8_encode(uint32_t cp, char out[4]); /* bytes written; 0 for an invalid code point */

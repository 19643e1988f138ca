#pragma once
/* base64.h — RFC 4648 4, whole strings (SASL, basic auth). The MIME decoder that
 * forgives is in mime/. Pure. */
#include "base/buf.h"
void base64_encode(struct buf *out, slice in);
/* Strict: padding required, no blanks, no trailing bits. False leaves the bytes
 * decoded so far in out. */
bool base64_decode(struct buf *out, slice in);
void hex_encode(struct buf *out, slice in); /* lower case */

#pragma once
/* utf7.h — modified UTF-7, the way mailbox names travel (RFC 3501 5.1.3).
 *
 * Strict: printable ASCII stands for itself and is never in base64, "&-" is "&", no
 * control characters, no unpaired surrogates, no bits left over; so every name has one
 * form and decode(encode(x)) = x. Pure, any thread. */
#include "base/arena.h"
#include "base/buf.h"

bool utf7_decode(struct arena *a, slice wire, slice *out_utf8);
void utf7_encode(struct buf *out, slice utf8); /* what is no UTF-8 becomes U+FFFD */

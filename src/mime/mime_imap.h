#pragma once
/* mime_imap.h — ENVELOPE, BODY and BODYSTRUCTURE in IMAP wire form.
 *
 * RFC 3501 7.4.2 and 9, RFC 9051 7.5.2. Strings are quoted when they are 7-bit without
 * CR, LF and NUL, literals otherwise. Iterative over the tree. Bounded: at most
 * LIMIT_ADDRESSES addresses a field. Test buf.full. Pure. */
#include "base/buf.h"
#include "mime/mime_parse.h"

void mime_imap_envelope(struct buf *b, const struct mime_summary *s);
/* BODY has no extension data. */
void mime_imap_body(struct buf *b, const struct mime_part *root);
void mime_imap_bodystructure(struct buf *b, const struct mime_part *root);
void mime_imap_string(struct buf *b, slice s);  /* quoted or literal */
void mime_imap_nstring(struct buf *b, slice s); /* NIL when absent (p is NULL) */

#pragma once
/* mime_write.h — header fields and small messages of our own: welcome mail, bounces,
 * reports.
 *
 * RFC 5322 2.1.1 (lines ≤ 78 where it can be), RFC 2047, RFC 2231. Input is UTF-8; CR,
 * LF and NUL in it become blanks: a value can never start a new field. Output has CRLF
 * lines. Test buf.full. Pure. */
#include "base/buf.h"
#include "mime/mime_header.h"

/* Name: text — encoded words where it is not ASCII. */
void mime_write_text(struct buf *b, const char *name, slice utf8);
/* Name: value, folded at blanks, never encoded: for ids, tokens, Received. */
void mime_write_raw(struct buf *b, const char *name, slice value);
/* Name: "Display" <a@b>, … */
void mime_write_addresses(struct buf *b, const char *name, const struct mime_addr *list,
			  size_t n);
void mime_write_date(struct buf *b, const char *name, const struct mime_date *d);
/* Name: <id@host> <id@host> */
void mime_write_msgids(struct buf *b, const char *name, const slice *ids, size_t n);
/* Name: value; p=v; p*=utf-8''v */
void mime_write_content(struct buf *b, const char *name, slice value,
			const struct mime_param *params);
/* "--boundary" lines of a multipart, with the line end before that belongs to them. */
void mime_write_delimiter(struct buf *b, slice boundary, bool last);
/* RFC 2047 encoded words for a text, folded with CRLF SP; column is where the line
 * stands. */
void mime_words_encode(struct buf *b, slice utf8, size_t column);

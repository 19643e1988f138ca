#pragma once
/* mime_decode.h — transfer encodings and charsets, over chunks.
 *
 * RFC 2045 6.7 (quoted-printable), 6.8 (base64), RFC 2231, iconv for charsets. The
 * decoders forgive: bytes that do not belong are skipped (base64) or kept as they are
 * (quoted-printable). State is small and in the caller's storage; the result does not
 * depend on where chunks are cut. Output goes to a buf; test buf.full. Any thread. */
#include "base/buf.h"
#include "base/slice.h"

enum mime_encoding {
	MIME_ENC_7BIT, MIME_ENC_8BIT, MIME_ENC_BINARY, /* the three that change nothing */
	MIME_ENC_BASE64, MIME_ENC_QP,
	MIME_ENC_UNKNOWN /* x-uuencode and the like: not decoded */
};
enum mime_encoding mime_encoding_of(slice token); /* empty: 7bit */

struct mime_decoder {
	enum mime_encoding enc;
	uint32_t acc;        /* base64: bits not yet given out */
	uint8_t nbits;
	uint8_t nheld; /* quoted-printable: 1 behind "=", 2 behind "=" and held */
	char held;
	struct {
		uint32_t n;      /* blanks so far: dropped if the line ends there */
		char c[1024];
	} blanks;
};
void mime_decoder_init(struct mime_decoder *d, enum mime_encoding enc);
void mime_decoder_feed(struct mime_decoder *d, slice in, struct buf *out);
void mime_decoder_finish(struct mime_decoder *d, struct buf *out);

/* Encoders: whole slices. base64 in lines of 76 with CRLF behind each. */
void mime_base64_encode(struct buf *out, slice in);
/* Text lines (CRLF or LF in, CRLF out), lines ≤ 76, "From " and "." at a line's start
 * escaped. */
void mime_qp_encode(struct buf *out, slice text);

/* Charset to UTF-8, incremental. What is no character becomes U+FFFD. us-ascii and
 * unknown names read UTF-8. */
struct mime_charset;
bool mime_charset_is_known(slice name);
/* Never NULL. *out_known (may be NULL) tells whether the name was understood. */
struct mime_charset *mime_charset_new(slice name, bool *out_known);
void mime_charset_feed(struct mime_charset *c, slice in, struct buf *out);
/* An unfinished character becomes U+FFFD; the converter is ready for the next text. */
void mime_charset_finish(struct mime_charset *c, struct buf *out);
void mime_charset_free(struct mime_charset *c);

/* The open converters of a text that may switch between charsets at every word. Opening
 * one costs up to 100 us (glibc loads and drops its modules), so each is opened once and
 * no more than MIME_CHARSETS are: a text with more is read as UTF-8 from there on
 * (HAZARDS 16). */
#define MIME_CHARSETS	 16
#define MIME_CHARSET_NAME 64 /* longer names are no charset */
struct mime_charsets {
	unsigned n;
	struct mime_charset *utf8;
	struct {
		struct mime_charset *cs;
		size_t name_n;
		char name[MIME_CHARSET_NAME];
	} slot[MIME_CHARSETS];
};
void mime_charsets_init(struct mime_charsets *cs);
void mime_charsets_done(struct mime_charsets *cs);
/* Never NULL; cs keeps it. Call mime_charset_finish before another one is asked for. */
struct mime_charset *mime_charsets_get(struct mime_charsets *cs, slice name);

/* Transfer encodings.  RFC 2045 6.7 and 6.8. */
#include "mime/mime_decode.h"

enum mime_encoding mime_encoding_of(slice token)
{
	static const struct {
		slice name;
		enum mime_encoding enc;
	} names[] = { { S("7bit"), MIME_ENC_7BIT },
		      { S("8bit"), MIME_ENC_8BIT },
		      { S("binary"), MIME_ENC_BINARY },
		      { S("base64"), MIME_ENC_BASE64 },
		      { S("quoted-printable"), MIME_ENC_QP } };

	if (!token.n)
		return MIME_ENC_7BIT; /* RFC 2045 6.1 */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_ieq(token, names[i].name))
			return names[i].enc;
	return MIME_ENC_UNKNOWN;
}

void mime_decoder_init(struct mime_decoder *d, enum mime_encoding enc)
{
	d->enc = enc;
	d->acc = 0;
	d->nbits = 0;
	d->nheld = 0;
	d->blanks.n = 0;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (is_digit(c))
		return c - '0' + 52;
	if (c == '+' || c == '-') /* the URL alphabet is seen too */
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

static void base64_feed(struct mime_decoder *d, slice in, struct buf *out)
{
	char tmp[1024];
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		int v = base64_value(in.p[i]);

		if (in.p[i] == '=') {
			/* The end of a unit; some senders join several encoded pieces. */
			d->nbits = 0;
			d->acc = 0;
		}
		if (v < 0)
			continue; /* RFC 2045 6.8: other characters are ignored */
		d->acc = (d->acc << 6 | (uint32_t)v) & 0xffffff;
		d->nbits = (uint8_t)(d->nbits + 6);
		if (d->nbits < 8)
			continue;
		d->nbits = (uint8_t)(d->nbits - 8);
		tmp[n++] = (char)(d->acc >> d->nbits & 0xff);
		if (n == sizeof(tmp)) {
			buf_add(out, (slice){ tmp, n });
			n = 0;
		}
	}
	buf_add(out, (slice){ tmp, n });
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void flush_blanks(struct mime_decoder *d, struct buf *out)
{
	buf_add(out, (slice){ d->blanks.c, d->blanks.n });
	d->blanks.n = 0;
}

/* A character that is no part of an escape. */
static void qp_plain(struct mime_decoder *d, char c, struct buf *out)
{
	if (c == ' ' || c == '\t') {
		if (d->blanks.n == sizeof(d->blanks.c))
			flush_blanks(d, out);
		d->blanks.c[d->blanks.n++] = c;
		return;
	}
	if (c == '\n') {
		/* RFC 2045 6.7 (3): blanks at the end of a line were added in
		 * transport. The CR is kept. */
		bool cr = d->blanks.n && d->blanks.c[d->blanks.n - 1] == '\r';

		d->blanks.n = 0;
		if (cr)
			buf_addc(out, '\r');
		buf_addc(out, '\n');
		return;
	}
	if (c == '\r') { /* may be the line's end: waits with the blanks before it */
		if (d->blanks.n == sizeof(d->blanks.c))
			flush_blanks(d, out);
		d->blanks.c[d->blanks.n++] = c;
		return;
	}
	flush_blanks(d, out);
	buf_addc(out, c);
}

/* One character behind a "=". */
static void qp_escape(struct mime_decoder *d, char c, struct buf *out)
{
	char first = d->held;
	int hi, lo;

	if (d->nheld == 1) {
		if (c == '\n') { /* soft line break */
			d->nheld = 0;
			flush_blanks(d, out);
			return;
		}
		if (hex_value(c) >= 0 || c == '\r' || c == ' ' || c == '\t') {
			d->held = c;
			d->nheld = 2;
			return;
		}
		qp_plain(d, '=', out);
		if (c != '=') {
			d->nheld = 0;
			qp_plain(d, c, out);
		}
		return;
	}
	hi = hex_value(first);
	lo = hi >= 0 ? hex_value(c) : -1;
	if (lo >= 0) {
		d->nheld = 0;
		flush_blanks(d, out);
		buf_addc(out, (char)(hi << 4 | lo));
		return;
	}
	if (hi < 0 && c == '\n') { /* "=", blanks, line end: padding in transport */
		d->nheld = 0;
		flush_blanks(d, out);
		return;
	}
	if (hi < 0 && (c == ' ' || c == '\t' || c == '\r')) {
		d->held = c; /* still blank */
		return;
	}
	/* RFC 2045 6.7: not an escape; kept as it is. */
	d->nheld = 0;
	qp_plain(d, '=', out);
	qp_plain(d, first, out);
	if (c == '=')
		d->nheld = 1;
	else
		qp_plain(d, c, out);
}

static void qp_feed(struct mime_decoder *d, slice in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (d->nheld) {
			qp_escape(d, c, out);
		} else if (c == '=') {
			d->nheld = 1;
		} else {
			qp_plain(d, c, out);
		}
	}
}

void mime_decoder_feed(struct mime_decoder *d, slice in, struct buf *out)
{
	if (d->enc == MIME_ENC_BASE64)
		base64_feed(d, in, out);
	else if (d->enc == MIME_ENC_QP)
		qp_feed(d, in, out);
	else
		buf_add(out, in);
}

void mime_decoder_finish(struct mime_decoder *d, struct buf *out)
{
	if (d->enc != MIME_ENC_QP)
		return;
	if (d->nheld == 2 && hex_value(d->held) >= 0) { /* cut in an escape */
		d->nheld = 0;
		qp_plain(d, '=', out);
		qp_plain(d, d->held, out);
	} else if (!d->nheld) {
		d->blanks.n = 0;
	}
	flush_blanks(d, out);
	d->nheld = 0;
}

void mime_base64_encode(struct buf *out, slice in)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)in.p;
	size_t column = 0;

	for (size_t i = 0; i < in.n; i += 3) {
		size_t n = in.n - i;
		uint32_t v = (uint32_t)p[i] << 16 |
			     (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (n > 2 ? p[i + 2] : 0u);

		buf_addc(out, set[v >> 18]);
		buf_addc(out, set[v >> 12 & 63]);
		buf_addc(out, n > 1 ? set[v >> 6 & 63] : '=');
		buf_addc(out, n > 2 ? set[v & 63] : '=');
		column += 4;
		if (column == 76) {
			buf_adds(out, "\r\n");
			column = 0;
		}
	}
	if (column)
		buf_adds(out, "\r\n");
}

/* One line without its end. */
static void qp_line(struct buf *out, slice line)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t column = 0;

	for (size_t i = 0; i < line.n; i++) {
		unsigned char c = (unsigned char)line.p[i];
		bool last = i + 1 == line.n;
		bool plain = (c > ' ' && c < 0x7f && c != '=') ||
			     ((c == ' ' || c == '\t') && !last);

		if (column == 0 &&
		    (c == '.' ||
		     (c == 'F' && slice_starts(slice_from(line, i), SL("From ")))))
			plain = false;
		if (column + (plain ? 1 : 3) > (last ? 76u : 75u)) {
			buf_adds(out, "=\r\n");
			column = 0;
			if (c == '.' || c == 'F')
				plain = false;
		}
		if (plain) {
			buf_addc(out, (char)c);
			column++;
		} else {
			buf_addc(out, '=');
			buf_addc(out, hex[c >> 4]);
			buf_addc(out, hex[c & 15]);
			column += 3;
		}
	}
}

void mime_qp_encode(struct buf *out, slice text)
{
	while (text.n) {
		size_t lf = slice_chr(text, '\n', 0);
		slice line = slice_sub(text, 0, lf);

		if (lf < text.n && line.n && line.p[line.n - 1] == '\r')
			line.n--;
		qp_line(out, line);
		if (lf < text.n)
			buf_adds(out, "\r\n");
		text = slice_from(text, lf + 1);
	}
}

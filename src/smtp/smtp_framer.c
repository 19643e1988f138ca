#include "smtp/smtp_framer.h"

/* Moves behind the CRLF that ends a bad line. False when it has not come. */
static bool discard(struct smtp_framer *f, slice in)
{
	while (f->scanned < in.n) {
		if (f->was_cr && in.p[f->scanned] == '\n') {
			f->at = ++f->scanned;
			f->is_discarding = false;
			return true;
		}
		size_t cr = slice_chr(in, '\r', f->scanned);
		f->was_cr = cr < in.n;
		f->scanned = f->was_cr ? cr + 1 : in.n;
	}
	f->at = f->scanned;
	return false;
}

static enum smtp_line bad_line(struct smtp_framer *f, slice in, size_t end,
			       enum smtp_line why)
{
	f->is_discarding = true;
	f->was_cr = end > f->at && in.p[end - 1] == '\r';
	f->at = f->scanned = end;
	return why;
}

enum smtp_line smtp_framer_line(struct smtp_framer *f, slice in, size_t max, slice *out)
{
	if (f->is_discarding && !discard(f, in))
		return SMTP_LINE_MORE;
	size_t lf = slice_chr(in, '\n', f->scanned);
	size_t n = lf - f->at + (lf < in.n);
	if (n > max)
		return bad_line(f, in, f->at + max, SMTP_LINE_TOO_LONG);
	if (lf == in.n) {
		f->scanned = in.n;
		return SMTP_LINE_MORE;
	}
	/* RFC 5321 2.3.8: CR and LF only together, as CRLF. */
	if (n < 2 || in.p[lf - 1] != '\r')
		return bad_line(f, in, lf + 1, SMTP_LINE_BARE);
	slice line = slice_sub(in, f->at, n - 2);
	f->at = f->scanned = lf + 1;
	if (slice_chr(line, '\r', 0) < line.n || slice_chr(line, '\0', 0) < line.n)
		return SMTP_LINE_BARE;
	*out = line;
	return SMTP_LINE_OK;
}

/* --- DATA --------------------------------------------------------------------------------------------------- */

static enum smtp_dots behind(enum smtp_dots state, char c)
{
	switch (state) {
	case DOTS_LINE_START:
		return c == '.' ? DOTS_DOT : c == '\r' ? DOTS_CR : DOTS_TEXT;
	case DOTS_CR:
		return c == '\n' ? DOTS_LINE_START : c == '\r' ? DOTS_CR : DOTS_TEXT;
	case DOTS_DOT:
		return c == '\r' ? DOTS_DOT_CR : DOTS_TEXT;
	case DOTS_DOT_CR: /* LF is the end and never comes here */
		return c == '\r' ? DOTS_CR : DOTS_TEXT;
	case DOTS_TEXT:
		break;
	}
	return c == '\r' ? DOTS_CR : DOTS_TEXT;
}

void smtp_framer_data_begin(struct smtp_framer *f)
{
	f->dots = DOTS_LINE_START;
	f->n_dots = 0;
	f->scanned = f->at = 0;
}

/* True when the end mark was found; scanned is behind it. */
static bool find_end(struct smtp_framer *f, slice in)
{
	size_t i = f->scanned;
	enum smtp_dots st = f->dots;
	for (; i < in.n; i++) {
		if (st == DOTS_TEXT) {
			i = slice_chr(in, '\r', i);
			if (i == in.n)
				break;
		} else if (st == DOTS_DOT_CR && in.p[i] == '\n') {
			f->scanned = i + 1;
			return true;
		}
		st = behind(st, in.p[i]);
		if (st == DOTS_DOT)
			f->n_dots++;
	}
	f->scanned = i;
	f->dots = st;
	return false;
}

enum smtp_body smtp_framer_data(struct smtp_framer *f, slice in, size_t want, slice *out,
				size_t *used)
{
	*used = 0;
	if (find_end(f, in)) {
		*used = f->scanned;
		*out = slice_sub(in, 0, f->scanned - 3); /* without ".CRLF" */
		f->at = f->scanned = 0;
		f->dots = DOTS_LINE_START;
		return SMTP_BODY_LAST;
	}
	if (in.n < want)
		return SMTP_BODY_MORE;
	/* What may turn out to be the end mark stays behind. */
	size_t kept = f->dots == DOTS_DOT ? 1 : f->dots == DOTS_DOT_CR ? 2 : 0;
	*used = in.n - kept;
	*out = slice_sub(in, 0, *used);
	f->scanned = kept;
	return *used > 0 ? SMTP_BODY_CHUNK : SMTP_BODY_MORE;
}

bool smtp_unstuff(enum smtp_dots *state, slice *in, slice *out_piece)
{
	enum smtp_dots st = *state;
	if (in->n > 0 && st == DOTS_LINE_START && in->p[0] == '.') {
		*in = slice_from(*in, 1);
		st = DOTS_TEXT;
	}
	/* The byte behind a removed dot is text even when it is a dot itself. */
	size_t i = 0;
	for (; i < in->n; i++) {
		if (st == DOTS_TEXT) {
			i = slice_chr(*in, '\r', i);
			if (i == in->n)
				break;
		} else if (st == DOTS_LINE_START && in->p[i] == '.') {
			break;
		}
		st = behind(st, in->p[i]);
	}
	*state = st;
	*out_piece = slice_sub(*in, 0, i);
	*in = slice_from(*in, i);
	return out_piece->n > 0;
}

/* --- BDAT --------------------------------------------------------------------------------------------------- */

enum smtp_body smtp_framer_bdat(struct smtp_framer *f, slice in, size_t want, slice *out,
				size_t *used)
{
	*used = 0;
	if (in.n >= f->bdat_left) {
		*used = (size_t)f->bdat_left;
		*out = slice_sub(in, 0, *used);
		f->bdat_left = 0;
		f->at = f->scanned = 0;
		return SMTP_BODY_LAST;
	}
	if (in.n < want)
		return SMTP_BODY_MORE;
	*used = in.n;
	*out = in;
	f->bdat_left -= in.n;
	f->at = f->scanned = 0;
	return SMTP_BODY_CHUNK;
}

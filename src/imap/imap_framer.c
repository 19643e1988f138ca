#include "imap/imap_framer.h"
#include "imap/imap_parse.h"

void imap_framer_init(struct imap_framer *f)
{
	memset(f, 0, sizeof(*f));
	buf_init(&f->gather, 2 * (LIMIT_IMAP_LINE + LIMIT_IMAP_LITERAL));
}

void imap_framer_done(struct imap_framer *f)
{
	buf_done(&f->gather);
}

void imap_framer_reset(struct imap_framer *f)
{
	if (f->gather.p) {
		size_t max = f->gather.max;

		buf_done(&f->gather);
		buf_init(&f->gather, max);
	}
	f->tag_n = f->tail_n = 0;
	f->why = IMAP_REFUSED_NOT;
	f->is_discard = false;
}

slice imap_line_tag(slice line)
{
	size_t n = 0;

	while (n < line.n && imap_is_astring_char(line.p[n]) && line.p[n] != '+')
		n++;
	return slice_sub(line, 0, n < line.n && line.p[n] != ' ' ? 0 : n);
}

slice imap_framer_tag(const struct imap_framer *f)
{
	return slice_make(f->tag, f->tag_n);
}

static size_t line_max(const struct imap_framer *f)
{
	return f->is_logged_in ? LIMIT_IMAP_LINE : LIMIT_IMAP_LINE_PREAUTH;
}

static size_t literal_max(const struct imap_framer *f)
{
	return f->is_logged_in ? LIMIT_IMAP_LITERAL : LIMIT_IMAP_LITERAL_PREAUTH;
}

/* The command is refused for this reason; its tag is kept while the rest of it is
 * skipped. */
static void refuse(struct imap_framer *f, enum imap_refusal why, slice line)
{
	slice tag = imap_line_tag(f->gather.n ? buf_slice(&f->gather) : line);

	if (f->why != IMAP_REFUSED_NOT)
		return;
	f->why = why;
	if (tag.n <= sizeof(f->tag)) {
		memcpy(f->tag, tag.p, tag.n);
		f->tag_n = (uint8_t)tag.n;
	}
}

/* Does the literal at `at` of the line (behind what is gathered) hold APPEND's message?
 * tag SP "APPEND" SP mailbox … : the first literal may be the mailbox's name, every other
 * one is the message (RFC 3501 6.3.11). */
static bool is_message(const struct imap_framer *f, slice line, size_t at)
{
	slice first = f->gather.n ? buf_slice(&f->gather) : line;
	slice tag = imap_line_tag(first);
	slice rest = slice_from(first, tag.n);

	if (!f->is_logged_in || tag.n == 0 || !slice_istarts(rest, SL(" APPEND ")))
		return false;
	return f->gather.n || at != tag.n + 8;
}

static void remember_tail(struct imap_framer *f, slice part)
{
	size_t keep;

	if (part.n >= sizeof(f->tail)) {
		memcpy(f->tail, part.p + part.n - sizeof(f->tail), sizeof(f->tail));
		f->tail_n = sizeof(f->tail);
		return;
	}
	keep = sizeof(f->tail) - part.n < f->tail_n ? sizeof(f->tail) - part.n
						    : f->tail_n;
	memmove(f->tail, f->tail + f->tail_n - keep, keep);
	memcpy(f->tail + keep, part.p, part.n);
	f->tail_n = (uint8_t)(keep + part.n);
}

static slice without_cr(slice line)
{
	return line.n && line.p[line.n - 1] == '\r' ? slice_sub(line, 0, line.n - 1)
						    : line;
}

/* The rest of a refused command: a literal that needs no go-ahead follows, or it is
 * over. */
static enum imap_unit refused_line_end(struct imap_framer *f, slice end)
{
	size_t at;
	uint32_t n;

	f->tail_n = 0;
	switch (imap_literal_at_end(end, &at, &n)) {
	case IMAP_LITERAL_NONSYNC:
		f->left = n;
		f->st = IMAP_FR_SKIP_LITERAL;
		return IMAP_UNIT_MORE;
	case IMAP_LITERAL_ABSURD:
		return IMAP_UNIT_ABSURD;
	case IMAP_LITERAL_NONE:
	case IMAP_LITERAL_SYNC:
		break;
	}
	f->st = IMAP_FR_LINE;
	return IMAP_UNIT_REFUSED;
}

static void gather(struct imap_framer *f, slice line, bool newline)
{
	buf_add(&f->gather, line);
	if (newline)
		buf_add(&f->gather, SL("\r\n"));
}

/* A complete line of a command. */
static enum imap_unit command_line(struct imap_framer *f, slice line, slice *out)
{
	size_t at = 0;
	uint32_t n = 0;
	enum imap_literal lit = imap_literal_at_end(line, &at, &n);

	if (lit == IMAP_LITERAL_ABSURD)
		return IMAP_UNIT_ABSURD;
	if (f->gather.n + line.n > line_max(f) + literal_max(f)) {
		refuse(f, IMAP_REFUSED_LINE, line);
		return refused_line_end(f, line);
	}
	if (lit == IMAP_LITERAL_NONE || is_message(f, line, at)) {
		*out = line;
		if (f->gather.n) {
			gather(f, line, false);
			*out = buf_slice(&f->gather);
		}
		return lit == IMAP_LITERAL_NONE ? IMAP_UNIT_COMMAND : IMAP_UNIT_APPEND;
	}
	if (n > literal_max(f) ||
	    f->gather.n + line.n + n > line_max(f) + literal_max(f)) {
		refuse(f, IMAP_REFUSED_LITERAL, line);
		return refused_line_end(f, line);
	}
	gather(f, line, true);
	f->st = IMAP_FR_LITERAL;
	f->left = n;
	return lit == IMAP_LITERAL_SYNC ? IMAP_UNIT_CONTINUE : IMAP_UNIT_MORE;
}

static enum imap_unit line_step(struct imap_framer *f, slice in, size_t *at, bool *stop,
				slice *out)
{
	slice rest = slice_from(in, *at), line;
	size_t lf = slice_chr(rest, '\n', f->scanned < rest.n ? f->scanned : rest.n);

	if (lf >= rest.n) {
		f->scanned = rest.n;
		*stop = true;
		if (rest.n > line_max(f)) {
			refuse(f, IMAP_REFUSED_LINE, rest);
			remember_tail(f, rest);
			*at = in.n;
			f->scanned = 0;
			f->st = IMAP_FR_SKIP_LINE;
		}
		return IMAP_UNIT_MORE;
	}
	f->scanned = 0;
	*at += lf + 1;
	line = without_cr(slice_sub(rest, 0, lf));
	if (f->is_raw && line.n <= line_max(f)) {
		*out = line;
		return IMAP_UNIT_LINE;
	}
	if (line.n > line_max(f)) {
		refuse(f, IMAP_REFUSED_LINE, line);
		return refused_line_end(f, line);
	}
	return command_line(f, line, out);
}

static enum imap_unit message_step(struct imap_framer *f, slice in, size_t *at,
				   bool *stop, slice *out)
{
	slice rest = slice_from(in, *at);
	size_t take = rest.n < f->left ? rest.n : f->left;

	if (f->is_discard) {
		*at += take;
		f->left -= (uint32_t)take;
		if (f->left == 0)
			f->st = IMAP_FR_MESSAGE_END;
		*stop = *at >= in.n;
		return IMAP_UNIT_MORE;
	}
	if (take < f->left &&
	    take < LIMIT_READ_CHUNK /
			    2) { /* small pieces are collected: a job is not free */
		*stop = true;
		return IMAP_UNIT_MORE;
	}
	if (take > LIMIT_READ_CHUNK)
		take = LIMIT_READ_CHUNK;
	*out = slice_sub(rest, 0, take);
	*at += take;
	f->left -= (uint32_t)take;
	if (f->left)
		return IMAP_UNIT_CHUNK;
	rest = slice_from(rest, take);
	if (slice_starts(rest, SL("\r\n")) || slice_starts(rest, SL("\n"))) {
		*at += rest.p[0] == '\r' ? 2 : 1;
		f->st = IMAP_FR_LINE;
		return IMAP_UNIT_LAST;
	}
	f->st = IMAP_FR_MESSAGE_END;
	return IMAP_UNIT_CHUNK;
}

/* Behind the message: only the line end (MULTIAPPEND and CATENATE are not announced). */
static enum imap_unit message_end_step(struct imap_framer *f, slice in, size_t *at,
				       bool *stop, slice *out)
{
	slice rest = slice_from(in, *at);
	bool is_end = slice_starts(rest, SL("\r\n")) || slice_starts(rest, SL("\n"));

	if (rest.n == 0 || (rest.n == 1 && rest.p[0] == '\r')) {
		*stop = true;
		return IMAP_UNIT_MORE;
	}
	if (is_end) {
		*at += rest.p[0] == '\r' ? 2 : 1;
		f->st = IMAP_FR_LINE;
		*out = SL("");
		return IMAP_UNIT_LAST;
	}
	if (f->why == IMAP_REFUSED_NOT)
		f->why = IMAP_REFUSED_MULTIAPPEND;
	f->st = IMAP_FR_SKIP_LINE;
	return IMAP_UNIT_MORE;
}

static enum imap_unit skip_step(struct imap_framer *f, slice in, size_t *at, bool *stop)
{
	slice rest = slice_from(in, *at);
	size_t lf;

	if (f->st == IMAP_FR_SKIP_LITERAL) {
		size_t take = rest.n < f->left ? rest.n : f->left;

		*at += take;
		f->left -= (uint32_t)take;
		if (f->left == 0)
			f->st = IMAP_FR_SKIP_LINE;
		*stop = f->left != 0;
		return IMAP_UNIT_MORE;
	}
	lf = slice_chr(rest, '\n', 0);
	remember_tail(f, slice_sub(rest, 0, lf));
	if (lf >= rest.n) {
		*at = in.n;
		*stop = true;
		return IMAP_UNIT_MORE;
	}
	*at += lf + 1;
	return refused_line_end(f, without_cr(slice_make(f->tail, f->tail_n)));
}

static void literal_step(struct imap_framer *f, slice in, size_t *at, bool *stop)
{
	slice take = slice_sub(in, *at, f->left);

	buf_add(&f->gather, take);
	*at += take.n;
	f->left -= (uint32_t)take.n;
	if (f->left == 0)
		f->st = IMAP_FR_LINE;
	*stop = f->left != 0;
}

enum imap_unit imap_framer_feed(struct imap_framer *f, slice in, size_t *used, slice *out)
{
	enum imap_unit u = IMAP_UNIT_MORE;
	size_t at = 0;
	bool stop = false;

	while (u == IMAP_UNIT_MORE && !stop) {
		switch (f->st) {
		case IMAP_FR_LINE:
			u = line_step(f, in, &at, &stop, out);
			break;
		case IMAP_FR_LITERAL:
			literal_step(f, in, &at, &stop);
			break;
		case IMAP_FR_MESSAGE:
			u = message_step(f, in, &at, &stop, out);
			break;
		case IMAP_FR_MESSAGE_END:
			u = message_end_step(f, in, &at, &stop, out);
			break;
		case IMAP_FR_SKIP_LITERAL:
		case IMAP_FR_SKIP_LINE:
			u = skip_step(f, in, &at, &stop);
			break;
		}
	}
	*used = at;
	return u;
}

void imap_framer_message(struct imap_framer *f, uint32_t n, bool discard)
{
	f->left = n;
	f->is_discard = discard;
	f->st = n ? IMAP_FR_MESSAGE : IMAP_FR_MESSAGE_END;
}

/* smtp_frame.c — the loop's part: which octets make the next unit, and who runs it.
 *
 * Pipelined commands (RFC 2920) are one unit as long as each can be framed without the
 * answer to the one before: MAIL, RCPT… and DATA, or MAIL, RCPT… and a whole small
 * BDAT with its octets, cost one job and one send. DATA, AUTH and STARTTLS change what
 * the next octets mean, so a unit ends behind them. */
#include "smtp/smtp_session.h"

static enum frame bye(struct smtp_session *ss, const char *line, const char *why)
{
	ss->unit.kind = SMTP_UNIT_BYE;
	ss->unit.bye = line;
	ss->unit.why = why;
	return FRAME_HERE;
}

/* --- command lines ---------------------------------------------------------------------------------------------- */

static size_t line_max(const struct smtp_session *ss, slice in)
{
	bool is_auth = ss->mode == SMTP_MODE_AUTH ||
		       slice_istarts(slice_from(in, ss->framer.at), SL("AUTH "));
	return is_auth ? LIMIT_SMTP_AUTH_LINE
		       : LIMIT_SMTP_LINE; /* RFC 4954 4, 5321 4.5.3.1.4 */
}

/* Who runs one command. MAIL and RCPT begin here, too: most addresses are remembered, and they say when one is not
 * (SMTP_DB). */
static enum frame where(const struct smtp_session *ss, const struct smtp_cmd_def *def)
{
	if ((def->flags & SMTP_CMD_CRYPTO) && ss->is_submission && ss->s.is_tls)
		return FRAME_CRYPTO;
	return FRAME_HERE;
}

static enum frame stronger(enum frame a, enum frame b)
{
	return a == FRAME_CRYPTO || b == FRAME_CRYPTO ? FRAME_CRYPTO
	       : a == FRAME_DB || b == FRAME_DB	      ? FRAME_DB
						      : FRAME_HERE;
}

static enum frame close_group(struct smtp_session *ss, slice in, size_t *used,
			      enum frame frame)
{
	*used = ss->framer.at;
	ss->unit.kind = SMTP_UNIT_LINES;
	ss->unit.in = slice_sub(in, 0, ss->framer.at);
	ss->unit.next = 0;
	ss->unit.is_here = (frame & ~FRAME_PIPE) == FRAME_HERE;
	smtp_framer_consumed(&ss->framer, *used);
	return frame;
}

/* The line that was just taken is BDAT with `size` octets behind it. False: they are
 * awaited. */
static bool take_bdat(struct smtp_session *ss, slice in, uint64_t size)
{
	struct smtp_framer *f = &ss->framer;
	ss->bdat_size = size;
	if (size <= in.n - f->at ||
	    size <= LIMIT_READ_CHUNK -
			    (f->at < LIMIT_READ_CHUNK ? f->at : LIMIT_READ_CHUNK)) {
		ss->need = f->at + (size_t)size;
		if (in.n < ss->need)
			return false;
		ss->unit.body = slice_sub(in, f->at, (size_t)size);
		ss->unit.has_body = true;
		f->at = f->scanned = ss->need;
		ss->need = 0;
		return true;
	}
	f->bdat_left = size;
	ss->mode = SMTP_MODE_CHUNK;
	ss->body_us = session_mono_us(&ss->s);
	ss->body_octets = 0;
	return true;
}

static void add_item(struct smtp_unit *u, slice in, slice line, enum smtp_line r)
{
	u->item[u->n++] = (struct smtp_item){
		.off = r == SMTP_LINE_OK ? (uint32_t)(line.p - in.p) : 0,
		.n = r == SMTP_LINE_OK ? (uint16_t)line.n : 0,
		.line = (uint8_t)r,
	};
}

/* A line without end is no sign of life: it has as long as silence has. */
static bool is_endless(struct smtp_session *ss)
{
	int64_t now = session_mono_us(&ss->s);
	if (!ss->framer.is_discarding || ss->unit.n > 0)
		ss->drop_us = 0;
	else if (!ss->drop_us)
		ss->drop_us = now;
	return ss->drop_us && (now - ss->drop_us) / 1000 > LIMIT_SMTP_TIMEOUT;
}

static enum frame frame_lines(struct smtp_session *ss, slice in, size_t *used)
{
	struct smtp_unit *u = &ss->unit;
	enum frame frame = FRAME_HERE, pipe = FRAME_PIPE;
	bool is_whole = false;
	if (ss->need > 0) { /* a BDAT waits for its octets */
		if (in.n < ss->need)
			return FRAME_MORE;
		take_bdat(ss, in, ss->bdat_size);
		return close_group(ss, in, used, FRAME_DB | FRAME_PIPE);
	}
	u->n = 0;
	u->has_body = false;
	while (!is_whole && u->n < SMTP_GROUP) {
		slice line = SL(""), verb, rest;
		enum smtp_line r =
			smtp_framer_line(&ss->framer, in, line_max(ss, in), &line);
		if (r == SMTP_LINE_MORE)
			break;
		add_item(u, in, line, r);
		if (ss->mode == SMTP_MODE_AUTH)
			return close_group(ss, in, used, FRAME_CRYPTO);
		smtp_parse_verb(line, &verb, &rest);
		const struct smtp_cmd_def *def = r == SMTP_LINE_OK ? smtp_cmd_find(verb)
								   : NULL;
		if (!def)
			continue;
		uint64_t size;
		bool has_size = false, is_last;
		if (def == &smtp_cmd_bdat)
			(void)smtp_parse_bdat(rest, &size, &has_size, &is_last);
		if (has_size && size < UINT64_MAX) {
			if (!take_bdat(ss, in, size))
				return FRAME_MORE;
			frame = FRAME_DB;
			is_whole = true;
		}
		is_whole |= (def->flags & SMTP_CMD_ENDS) != 0;
		frame = stronger(frame, where(ss, def));
		if (def->flags & SMTP_CMD_ALONE)
			pipe = 0;
	}
	if (is_endless(ss)) {
		*used = in.n;
		return bye(ss, "421 4.4.2 Too slow, closing\r\n", "slow line");
	}
	if (u->n == 0) { /* a partial line, or the rest of one that is being dropped */
		*used = ss->framer.at;
		smtp_framer_consumed(&ss->framer, *used);
		return FRAME_MORE;
	}
	return close_group(ss, in, used, frame | pipe);
}

/* --- text and chunks -------------------------------------------------------------------------------------------- */

/* LIMIT_SMTP_DATA_TIME and LIMIT_SMTP_DATA_RATE: whoever sends a message drop by drop
 * gives its slot back. */
static bool is_too_slow(const struct smtp_session *ss)
{
	int64_t now = session_mono_us(&ss->s), s = (now - ss->body_us) / 1000000;
	if (ss->txn.is_open && (now - ss->txn.began_us) / 1000 > LIMIT_SMTP_DATA_TIME)
		return true;
	return s > 60 && ss->body_octets < (uint64_t)(s - 60) * LIMIT_SMTP_DATA_RATE;
}

static enum frame frame_body(struct smtp_session *ss, slice in, size_t *used)
{
	struct smtp_unit *u = &ss->unit;
	bool is_text = ss->mode == SMTP_MODE_TEXT;
	enum smtp_body r = is_text ? smtp_framer_data(&ss->framer, in, LIMIT_READ_CHUNK,
						      &u->body, used)
				   : smtp_framer_bdat(&ss->framer, in, LIMIT_READ_CHUNK,
						      &u->body, used);
	ss->body_octets += *used;
	if (r != SMTP_BODY_LAST) {
		ss->body_octets +=
			in.n - *used; /* for the rate: what waits has come, too */
		bool is_slow = is_too_slow(ss);
		ss->body_octets -= in.n - *used;
		if (is_slow)
			return bye(ss, "421 4.4.2 Too slow, closing\r\n", "slow data");
	}
	if (r == SMTP_BODY_MORE)
		return FRAME_MORE;
	u->kind = is_text ? SMTP_UNIT_TEXT : SMTP_UNIT_CHUNK;
	u->is_last = r == SMTP_BODY_LAST;
	u->is_plain = u->is_last && ss->framer.n_dots == 1;
	u->in = u->body;
	if (u->is_last)
		ss->mode = SMTP_MODE_LINES;
	/* Text that is refused already is dropped here. */
	if (!u->is_last && (!ss->txn.is_open || ss->txn.failed != ST_OK))
		return FRAME_MORE;
	return FRAME_DB | FRAME_PIPE;
}

enum frame smtp_frame(struct session *s, slice in, size_t *used)
{
	struct smtp_session *ss = smtp_session_of(s);
	*used = 0;
	if (in.n == 0 && ss->need == 0)
		return FRAME_MORE;
	if (ss->mode == SMTP_MODE_TEXT || ss->mode == SMTP_MODE_CHUNK)
		return frame_body(ss, in, used);
	return frame_lines(ss, in, used);
}

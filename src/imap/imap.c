/* imap.c — the service: units from the framer in, steps of commands out (work/session.h).
 *
 * RFC 3501 3 (states), 5.4 (autologout), 7.1.5 (BYE). The commands are in imap_cmd_*.c,
 * found through imap_cmds.c. */
#include "imap/imap.h"
#include "imap/imap_cmds.h"
#include "imap/imap_search.h"
#include "base/alloc.h"

static struct imap *of(struct session *s)
{
	return (struct imap *)s; /* first member */
}

static struct session *imap_open(void *ctx, struct out *o)
{
	struct imap *im = mem_new(sizeof(*im));

	(void)o;
	im->ctx = ctx;
	im->state = IMAP_NOT_AUTH;
	imap_framer_init(&im->fr);
	arena_init(&im->held);
	return &im->s;
}

static void imap_greet(struct session *s, struct out *o)
{
	struct imap *im = of(s);

	session_timeout(s, LIMIT_IMAP_TIMEOUT_PREAUTH);
	out_adds(o, "* OK [CAPABILITY ");
	out_add(o, imap_capabilities(im));
	out_adds(o, "] ");
	imap_write_text(o, im->ctx->hostname);
	out_adds(o, " ready\r\n");
}

static void imap_closed(struct session *s)
{
	struct imap *im = of(s);

	imap_append_free(im);
	imap_scan_free(im);
	imap_box_close(im);
	imap_framer_done(&im->fr);
	arena_release(&im->held);
	mem_free((char *)im->user.p);
	mem_free((char *)im->idle_tag.p);
	mem_free(im);
}

/* --- finding out where a unit runs --- */

/* A browser was led here: nothing is answered that it could show (ALPACA, HAZARDS 26). */
static bool is_http(slice line)
{
	static const slice verbs[] = { S("GET /"),     S("POST /"),    S("HEAD /"),
				       S("PUT /"),     S("DELETE /"),  S("PATCH /"),
				       S("OPTIONS /"), S("OPTIONS *"), S("CONNECT "),
				       S("TRACE /") };

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (slice_istarts(line, verbs[i]))
			return true;
	return slice_iends(line, SL(" HTTP/1.1")) || slice_iends(line, SL(" HTTP/1.0"));
}

/* Name (and UID before it) of the command in a line; def stays NULL when there is
 * none. */
struct named {
	const struct imap_cmd_def *def;
	slice tag;
	bool uid;
	size_t at; /* behind the name */
};
static slice word_at(slice line, size_t at)
{
	size_t n = at;

	while (n < line.n && imap_is_atom_char(line.p[n]))
		n++;
	return slice_sub(line, at, n - at);
}

static struct named name_of(slice line)
{
	struct named r = { .tag = imap_line_tag(line) };
	size_t at = r.tag.n + 1;
	slice word;

	if (r.tag.n == 0 || at >= line.n || line.p[r.tag.n] != ' ')
		return r;
	word = word_at(line, at);
	if (slice_ieq(word, SL("UID")) && at + word.n < line.n &&
	    line.p[at + word.n] == ' ') {
		r.uid = true;
		at += word.n + 1;
		word = word_at(line, at);
	}
	r.def = imap_cmd_find(word, r.uid);
	r.at = at + word.n;
	return r;
}

static enum frame command_frame(struct imap *im)
{
	struct named nm = name_of(im->input);
	unsigned flags = nm.def ? nm.def->flags : CMD_HERE;
	bool pipe = flags & CMD_PIPE && !im->no_pipe;

	if (im->state == IMAP_NOT_AUTH && is_http(im->input)) {
		im->todo = IMAP_DO_HTTP;
		return FRAME_HERE;
	}
	if (!pipe)
		im->no_pipe = flags & CMD_NAMES;
	if (flags & CMD_CRYPTO)
		return FRAME_CRYPTO;
	if (flags & CMD_HERE ||
	    (flags & CMD_CLEAN && (!im->box || !imap_box_has_news(im->box))) ||
	    (nm.def && !(nm.def->states & im->state)))
		return FRAME_HERE;
	im->on_db = true;
	return pipe ? FRAME_DB | FRAME_PIPE : FRAME_DB;
}

/* Octets now and then, of a line or a literal without end, are no way to stay. */
static bool is_late(struct imap *im)
{
	int64_t now = session_mono_us(&im->s);

	if (!im->began_us)
		im->began_us = now;
	return im->state == IMAP_NOT_AUTH &&
	       now - im->began_us > (int64_t)LIMIT_PREAUTH_TIME * 1000;
}

static enum frame imap_frame(struct session *s, slice in, size_t *used)
{
	struct imap *im = of(s);

	if (is_late(im)) {
		*used = in.n;
		im->todo = IMAP_DO_LATE;
		return FRAME_HERE;
	}
	im->on_db = false;
	im->fr.is_raw = im->sasl.state != SASL_NONE || im->is_idling;
	im->fr.is_logged_in = im->state != IMAP_NOT_AUTH;
	im->todo = IMAP_DO_UNIT;
	im->input = SL("");
	im->unit = imap_framer_feed(&im->fr, in, used, &im->input);
	switch (im->unit) {
	case IMAP_UNIT_MORE:
		return FRAME_MORE;
	case IMAP_UNIT_COMMAND:
		return command_frame(im);
	case IMAP_UNIT_LINE:
		if (im->sasl.state != SASL_NONE)
			return FRAME_CRYPTO;
		im->on_db = im->box && imap_box_has_news(im->box);
		return im->on_db ? FRAME_DB : FRAME_HERE;
	case IMAP_UNIT_APPEND:
	case IMAP_UNIT_CHUNK:
	case IMAP_UNIT_LAST:
		im->on_db = true;
		if (im->no_pipe) {
			im->no_pipe = false;
			return FRAME_DB;
		}
		return FRAME_DB | FRAME_PIPE;
	case IMAP_UNIT_CONTINUE:
	case IMAP_UNIT_REFUSED:
	case IMAP_UNIT_ABSURD:
		break;
	}
	return FRAME_HERE;
}

/* --- running --- */

struct imap_cmd *imap_cmd_new(struct imap *im, const struct imap_cmd_def *def, slice tag)
{
	struct imap_cmd *c = ARENA_NEW(&im->s.arena, struct imap_cmd);

	c->def = def;
	c->tag = tag;
	im->cmd = c;
	return c;
}

/* HAZARDS 21: whoever does not log in gets no session for ever. */
static bool is_loitering(struct imap *im)
{
	return im->state == IMAP_NOT_AUTH &&
	       ++im->preauth_commands > LIMIT_IMAP_PREAUTH_COMMANDS;
}

static enum step start_command(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct named nm = name_of(im->input);
	struct imap_parse p = imap_parse_init(im->input, &im->s.arena);

	c->def = nm.def;
	c->tag = nm.tag;
	c->uid = nm.uid;
	c->line = im->input;
	if (is_loitering(im)) {
		out_adds(o, "* BYE Too many commands without a login\r\n");
		return STEP_CLOSE;
	}
	if (nm.tag.n == 0 || im->input.n == nm.tag.n) {
		p.at = nm.tag.n;
		imap_parse_fail(&p, nm.tag.n ? "a command expected behind the tag"
					     : "a tag expected");
		return imap_bad_parse(im, c, &p);
	}
	if (!nm.def)
		return imap_bad(im, c, "Unknown command");
	if (!(nm.def->states & im->state))
		return imap_bad(im, c,
				im->state == IMAP_NOT_AUTH ? "Log in first"
				: nm.def->states == IMAP_SELECTED
					? "Select a mailbox first"
					: "Not in this state");
	p.at = nm.at;
	if ((nm.def->parse && !nm.def->parse(&p, c)) || !imap_parse_end(&p))
		return imap_bad_parse(im, c, &p);
	return STEP_WAIT; /* nothing yet: run it */
}

static void write_tagged(const struct imap_cmd *c, struct out *o)
{
	out_add(o, c->tag.n ? c->tag : SL("*"));
	out_addc(o, ' ');
	out_add(o, c->result);
	out_adds(o, "\r\n");
}

static enum step too_many_errors(struct imap *im, struct out *o)
{
	struct log_line l;

	imap_log(im, &l, LOG_LEVEL_WARN, "imap.error");
	log_cstr(&l, "reason", "too many bad commands");
	log_end(&l);
	out_adds(o, "* BYE Too many bad commands\r\n");
	return STEP_CLOSE;
}

/* The command has run: what changed is told, then its tagged line. */
static enum step end_command(struct imap *im, struct imap_cmd *c, struct out *o)
{
	bool seqs = c->def && c->def->flags & CMD_USES_SEQS && !c->uid;

	if (c->last == STEP_DONE && im->box && im->on_db && c->def) {
		enum step st = imap_box_sync(im, c, !seqs, o);

		if (st == STEP_MORE)
			return st;
		if (st == STEP_CLOSE) {
			imap_box_close(im);
			im->state = IMAP_AUTH;
			c->last = STEP_CLOSE;
		}
	}
	if (slice_istarts(c->result, SL("BAD")) && im->errors >= LIMIT_IMAP_ERRORS) {
		write_tagged(c, o);
		return too_many_errors(im, o);
	}
	if (slice_starts(c->result, SL("OK")))
		im->errors = 0;
	if (c->result.n)
		write_tagged(c, o);
	return c->last;
}

static void write_fail(struct imap *im, const struct imap_cmd *c)
{
	out_done(&im->s.fail);
	out_add(&im->s.fail, c->tag);
	out_adds(&im->s.fail,
		 " NO [UNAVAILABLE] Not saved: the server could not write it\r\n");
}

/* Calls the command until it has ended or must be called again. */
static enum step run_command(struct imap *im, struct imap_cmd *c, struct out *o)
{
	if (!c->ended) {
		enum step st = c->phase == 0 && im->unit == IMAP_UNIT_COMMAND && !c->def
				       ? start_command(im, c, o)
				       : STEP_WAIT;

		if (st == STEP_WAIT)
			st = c->def->run(im, c, o);
		if (st == STEP_COMMIT || st == STEP_COMMIT_MORE)
			write_fail(im, c);
		if (st == STEP_WAIT || st == STEP_MORE || st == STEP_COMMIT_MORE)
			return st;
		c->ended = true;
		c->last = st;
	}
	return end_command(im, c, o);
}

static enum step run_refused(struct imap *im, struct out *o)
{
	enum imap_refusal why = im->fr.why;
	slice tag = why == IMAP_REFUSED_MULTIAPPEND ? imap_append_tag(im)
						    : imap_framer_tag(&im->fr);

	if (im->sasl.state != SASL_NONE)
		tag = im->held_tag;
	else if (im->is_idling)
		tag = im->idle_tag;
	out_add(o, tag.n ? tag : SL("*"));
	if (why ==
	    IMAP_REFUSED_LITERAL) /* RFC 7888 4: refused with NO or BAD, not read */
		out_adds(o, " NO [LIMIT] The literal is too long\r\n");
	else if (why == IMAP_REFUSED_MULTIAPPEND)
		out_adds(o, " BAD The command should end behind the message\r\n");
	else
		out_adds(o, " BAD The line is too long\r\n");
	imap_append_free(im);
	sasl_reset(&im->sasl);
	if (++im->errors >= LIMIT_IMAP_ERRORS)
		return too_many_errors(im, o);
	return STEP_DONE;
}

static enum step run_unit(struct imap *im, struct out *o)
{
	switch (im->unit) {
	case IMAP_UNIT_COMMAND:
		if (!im->cmd)
			imap_cmd_new(im, NULL, SL(""));
		return run_command(im, im->cmd, o);
	case IMAP_UNIT_LINE:
		if (im->cmd)
			return run_command(im, im->cmd, o);
		if (im->sasl.state != SASL_NONE) {
			enum step st = imap_authenticate_line(im, o);

			return im->cmd ? run_command(im, im->cmd, o) : st;
		}
		imap_idle_line(im, imap_cmd_new(im, &imap_cmd_idle, im->idle_tag), o);
		im->cmd->ended = true;
		return run_command(im, im->cmd, o);
	case IMAP_UNIT_CONTINUE:
		out_adds(o, "+ Go ahead\r\n");
		return STEP_DONE;
	case IMAP_UNIT_APPEND:
		return imap_append_begin(im, o);
	case IMAP_UNIT_CHUNK:
		return imap_append_chunk(im);
	case IMAP_UNIT_LAST:
		if (!im->cmd)
			imap_cmd_new(im, &imap_cmd_append, SL(""));
		return run_command(im, im->cmd, o);
	case IMAP_UNIT_REFUSED:
		return run_refused(im, o);
	case IMAP_UNIT_ABSURD:
		out_adds(o, "* BYE The literal's length is absurd\r\n");
		return STEP_CLOSE;
	case IMAP_UNIT_MORE:
		break;
	}
	return STEP_DONE;
}

static enum step run_timeout(struct imap *im, struct out *o)
{
	struct log_line l;

	if (im->is_idling) { /* so that NATs keep the connection, and a dead one is noticed */
		out_adds(o, "* OK Still here\r\n");
		session_timeout(&im->s, LIMIT_IMAP_IDLE_NOTE);
		return STEP_DONE;
	}
	imap_log(im, &l, LOG_LEVEL_INFO, "imap.timeout");
	log_end(&l);
	out_adds(o, "* BYE Autologout: idle for too long\r\n"); /* RFC 3501 5.4 */
	return STEP_CLOSE;
}

static enum step run_wake(struct imap *im, struct out *o)
{
	enum step st;

	if (!im->cmd)
		imap_cmd_new(im, &imap_cmd_idle, SL(""));
	st = imap_box_sync(im, im->cmd, true, o);
	if (st == STEP_CLOSE)
		imap_box_close(im);
	return st;
}

static enum step imap_run(struct session *s, struct out *o)
{
	struct imap *im = of(s);
	enum step st = STEP_DONE;

	switch (im->todo) {
	case IMAP_DO_UNIT:
		st = run_unit(im, o);
		break;
	case IMAP_DO_WAKE:
		st = run_wake(im, o);
		break;
	case IMAP_DO_TIMEOUT:
		st = run_timeout(im, o);
		break;
	case IMAP_DO_HTTP:
		st = STEP_CLOSE;
		break;
	case IMAP_DO_LATE:
		out_adds(o, "* BYE Too long without a login\r\n");
		st = STEP_CLOSE;
		break;
	case IMAP_DO_NOTHING:
		break;
	}
	if (st != STEP_MORE && st != STEP_WAIT && st != STEP_COMMIT_MORE) {
		im->cmd = NULL;
		im->todo = IMAP_DO_NOTHING;
		if (im->unit == IMAP_UNIT_COMMAND || im->unit == IMAP_UNIT_LINE ||
		    im->unit == IMAP_UNIT_LAST || im->unit == IMAP_UNIT_REFUSED)
			imap_framer_reset(&im->fr);
	}
	return st;
}

static enum frame imap_event(struct session *s, enum event ev, struct out *o)
{
	struct imap *im = of(s);

	im->on_db = false;
	switch (ev) {
	case EVENT_TIMEOUT:
		im->todo = IMAP_DO_TIMEOUT;
		return FRAME_HERE;
	case EVENT_WAKE:
		if (!im->is_idling || !im->box || !imap_box_has_news(im->box))
			return FRAME_MORE;
		im->todo = IMAP_DO_WAKE;
		im->on_db = true;
		return FRAME_DB;
	case EVENT_SHUTDOWN:
		out_adds(o, "* BYE The server closes this session; log in again\r\n");
		return FRAME_MORE;
	case EVENT_SECURED: /* RFC 3501 6.2.1: what was known before is forgotten */
		im->errors = 0;
		imap_framer_reset(&im->fr);
		break;
	}
	return FRAME_MORE;
}

const struct service imap_service = {
	.name = "imap",
	.alpn = S("imap"),
	.input_max = LIMIT_READ_CHUNK + LIMIT_IMAP_LINE_PREAUTH,
	.open = imap_open,
	.greet = imap_greet,
	.frame = imap_frame,
	.run = imap_run,
	.event = imap_event,
	.close = imap_closed,
	.busy = S("* BYE [UNAVAILABLE] Too many connections\r\n"),
};

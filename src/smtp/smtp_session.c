#include "smtp/smtp_session.h"
#include "base/alloc.h"
#include "smtp/smtp_write.h"
#include "store/store.h"

#define HELD_MAX (256u << 10) /* SMTP_GROUP answers are far below */

/* --- state ---------------------------------------------------------------------------------------------------------- */

enum smtp_state smtp_state(const struct smtp_session *ss)
{
	if (!ss->txn.is_open)
		return ss->has_hello ? SMTP_READY : SMTP_START;
	return ss->txn.has_bdat ? SMTP_BDAT : ss->txn.n_rcpt > 0 ? SMTP_RCPT : SMTP_MAIL;
}

void smtp_txn_reset(struct smtp_session *ss)
{
	intake_free(ss->txn.intake);
	arena_release(&ss->txn.mem);
	ss->txn = (struct smtp_txn){ .is_open = false };
	arena_init(&ss->txn.mem);
}

/* --- answers and log ------------------------------------------------------------------------------------------------ */

void smtp_reply(struct smtp_session *ss, unsigned code, const char *enhanced,
		const char *text)
{
	smtp_write_reply(&ss->held, code, enhanced, text);
	if (code >= 500)
		ss->errors++;
}

void smtp_reply_err(struct smtp_session *ss, const struct err *e)
{
	if (e->code == ERR_DISK_FULL)
		smtp_reply(ss, 452, "4.3.1",
			   "Insufficient system storage, try again later");
	else if (e->code == ERR_OVERQUOTA)
		smtp_reply(ss, 452, "4.2.2", "Mailbox full, try again later");
	else if (e->code == ERR_LIMIT)
		smtp_reply(ss, 452, "4.3.1",
			   "A limit of this system has been reached, try again later");
	else
		smtp_reply(ss, 451, "4.3.0", "Temporary failure, try again later");
}

/* RFC 5321 4.3.2: 452 is among the answers to MAIL, RCPT and DATA. */
bool smtp_disk_asked(struct smtp_session *ss, bool *out_full)
{
	struct err e = { 0 };
	struct log_line l;

	*out_full = false;
	if (store_disk_room_cached(ss->ctx->store))
		return true;
	if (ss->unit.is_here)
		return false;
	if (store_disk_room(ss->ctx->store, &e) == ST_OK)
		return true;
	smtp_log(ss, &l, LOG_LEVEL_WARN, "smtp.disk-full");
	log_err(&l, &e);
	log_end(&l);
	smtp_reply_err(ss, &e);
	*out_full = true;
	return true;
}

void smtp_log(const struct smtp_session *ss, struct log_line *l, enum log_level level,
	      const char *event)
{
	log_begin(l, level, event);
	log_cstr(l, "session", ss->s.id);
	log_cstr(l, "peer", ss->s.peer->addr);
	if (ss->user)
		log_cstr(l, "user", ss->user);
}

void smtp_log_refused(const struct smtp_session *ss, const char *event, const char *key,
		      slice value, const char *reason)
{
	struct log_line l;
	smtp_log(ss, &l, LOG_LEVEL_INFO, event);
	log_str(&l, key, value);
	log_cstr(&l, "reason", reason);
	log_end(&l);
}

/* --- one command ------------------------------------------------------------------------------------------------------ */

/* Verbs of other times: known, not implemented (RFC 5321 4.2.4, F.2, F.6; 1985). */
static bool is_old_verb(slice verb)
{
	static const slice old[] = { S("TURN"), S("SEND"), S("SOML"), S("SAML"),
				     S("ETRN"), S("ATRN"), S("BURL") };
	for (size_t i = 0; i < sizeof old / sizeof *old; i++)
		if (slice_ieq(verb, old[i]))
			return true;
	return false;
}

/* A browser made to talk to us (HAZARDS 26). */
static bool is_http(slice verb)
{
	static const slice http[] = { S("GET"),	   S("POST"),	 S("PUT"),
				      S("HEAD"),   S("OPTIONS"), S("CONNECT"),
				      S("DELETE"), S("PATCH"),	 S("TRACE") };
	for (size_t i = 0; i < sizeof http / sizeof *http; i++)
		if (slice_eq(verb, http[i]))
			return true;
	return false;
}

static enum smtp_act unknown(struct smtp_session *ss, slice verb)
{
	if (is_http(verb)) {
		smtp_log_refused(ss, "smtp.closed", "", SL(""), "HTTP request");
		smtp_reply(ss, 421, "4.7.0", "This is not a web server");
		return SMTP_CLOSE;
	}
	if (is_old_verb(verb))
		smtp_reply(ss, 502, "5.5.1", "Command not implemented");
	else
		smtp_reply(ss, 500, "5.5.1", "Command not recognized");
	return SMTP_NEXT;
}

static void syntax_error(struct smtp_session *ss, const struct smtp_cmd *c,
			 enum smtp_syntax r)
{
	const char *text = r == SMTP_SYNTAX_UNKNOWN ? "Parameter not recognized"
			   : r == SMTP_SYNTAX_PARAM ? "Syntax error in parameters"
			   : r == SMTP_SYNTAX_PATH  ? "Syntax error in address"
						    : "Syntax error in arguments";
	bool is_rcpt = c->def == &smtp_cmd_rcpt;
	if (r == SMTP_SYNTAX_UNKNOWN)
		smtp_reply(ss, 555, "5.5.4", text); /* RFC 5321 4.1.1.11 */
	else
		smtp_reply(ss, 501,
			   r != SMTP_SYNTAX_PATH ? "5.5.4"
			   : is_rcpt		 ? "5.1.3"
						 : "5.1.7",
			   text);
	if (c->def == &smtp_cmd_mail)
		smtp_log_refused(ss, "smtp.mail.refused", "argument", c->rest, text);
	else if (is_rcpt)
		smtp_log_refused(ss, "smtp.rcpt.refused", "argument", c->rest, text);
	if (is_rcpt && ss->txn.is_open)
		ss->txn.has_refused_rcpt = true;
}

static enum smtp_act run_line(struct smtp_session *ss, enum smtp_line what, slice line)
{
	struct smtp_cmd c = { 0 };
	slice verb;
	if (ss->mode == SMTP_MODE_AUTH)
		return smtp_auth_line(ss, what, line);
	if (what != SMTP_LINE_OK) {
		smtp_reply(ss, 500, "5.5.2",
			   what == SMTP_LINE_TOO_LONG
				   ? "Line too long"
				   : "Lines end with CRLF and hold no CR, LF or NUL");
		return SMTP_NEXT;
	}
	smtp_parse_verb(line, &verb, &c.rest);
	c.def = smtp_cmd_find(verb);
	if (!c.def)
		return unknown(ss, verb);
	if ((c.def->flags & SMTP_CMD_JUNK) &&
	    !(c.def == &smtp_cmd_ehlo && !ss->has_hello))
		ss->junk++;
	enum smtp_syntax r = c.def->parse(ss, &c);
	if (r != SMTP_SYNTAX_OK && c.def != &smtp_cmd_bdat) {
		syntax_error(ss, &c, r);
		return SMTP_NEXT;
	}
	if (!(c.def->states & smtp_state(ss))) {
		smtp_reply(ss, 503, "5.5.1", c.def->sequence);
		return SMTP_NEXT;
	}
	return c.def->run(ss, &c);
}

/* HAZARDS 21: errors and commands that lead nowhere are counted, and there is an end
 * to them. */
static bool has_had_enough(struct smtp_session *ss)
{
	if (ss->errors < LIMIT_SMTP_ERRORS && ss->junk <= LIMIT_SMTP_JUNK)
		return false;
	const char *why = ss->errors >= LIMIT_SMTP_ERRORS
				  ? "too many errors"
				  : "too many commands without mail";
	smtp_log_refused(ss, "smtp.closed", "", SL(""), why);
	smtp_reply(ss, 421, "4.7.0",
		   ss->errors >= LIMIT_SMTP_ERRORS ? "Too many errors"
						   : "Too many commands without mail");
	return true;
}

static enum smtp_act run_lines(struct smtp_session *ss)
{
	struct smtp_unit *u = &ss->unit;
	enum smtp_act act = SMTP_NEXT;
	for (; u->next < u->n; u->next++) {
		const struct smtp_item *it = &u->item[u->next];
		if (ss->txn.is_delivering)
			act = smtp_deliver(ss);
		else if (has_had_enough(ss))
			act = SMTP_CLOSE;
		else
			act = run_line(ss, (enum smtp_line)it->line,
				       slice_sub(u->in, it->off, it->n));
		if (act != SMTP_NEXT)
			break;
	}
	return act;
}

static enum smtp_act run_bye(struct smtp_session *ss)
{
	smtp_log_refused(ss, "smtp.closed", "", SL(""), ss->unit.why);
	buf_adds(&ss->held, ss->unit.bye);
	return SMTP_CLOSE;
}

static enum step smtp_run(struct session *s, struct out *o)
{
	struct smtp_session *ss = smtp_session_of(s);
	enum smtp_act act = SMTP_NEXT;
	switch (ss->unit.kind) {
	case SMTP_UNIT_LINES:
		act = run_lines(ss);
		break;
	case SMTP_UNIT_TEXT:
		act = smtp_run_text(ss);
		break;
	case SMTP_UNIT_CHUNK:
		act = smtp_run_chunk(ss);
		break;
	case SMTP_UNIT_BYE:
		act = run_bye(ss);
		break;
	}
	if (act == SMTP_WAIT)
		return STEP_WAIT; /* nothing written: it is all in held */
	if (act == SMTP_DB) {
		ss->unit.is_here = false;
		return STEP_DB;
	}
	if (ss->held.n > 0)
		out_buf(o, &ss->held);
	switch (act) {
	case SMTP_COMMIT:
		return STEP_COMMIT;
	case SMTP_TLS:
		return STEP_TLS;
	case SMTP_CLOSE:
		return STEP_CLOSE;
	case SMTP_NEXT:
	case SMTP_WAIT:
	case SMTP_DB:
		break;
	}
	return STEP_DONE;
}

/* --- events and lifetime ------------------------------------------------------------------------------------------------ */

/* RFC 3207 4.2: whatever was known before TLS is forgotten. */
static void forget(struct smtp_session *ss)
{
	smtp_txn_reset(ss);
	smtp_auth_forget(ss);
	ss->has_hello = ss->is_esmtp = ss->hello_is_name = false;
	ss->hello[0] = 0;
	ss->mode = SMTP_MODE_LINES;
	ss->framer = (struct smtp_framer){ 0 };
	ss->need = 0;
}

static enum frame smtp_event(struct session *s, enum event ev, struct out *o)
{
	struct smtp_session *ss = smtp_session_of(s);
	(void)o;
	switch (ev) {
	case EVENT_TIMEOUT: /* RFC 5321 4.5.3.2.7 */
		ss->unit.bye = "421 4.4.2 Timeout, closing\r\n";
		ss->unit.why = "timeout";
		break;
	case EVENT_SHUTDOWN: /* RFC 5321 3.8. A message that has not come whole is not taken: the client sends it again. */
		ss->unit.bye = "421 4.3.2 Shutting down, closing\r\n";
		ss->unit.why = "shutdown";
		break;
	case EVENT_SECURED:
		forget(ss);
		return FRAME_MORE;
	case EVENT_WAKE:
		return FRAME_MORE;
	}
	ss->unit.kind = SMTP_UNIT_BYE;
	return FRAME_HERE;
}

static struct session *open_session(void *ctx, bool is_submission)
{
	struct smtp_session *ss = mem_new(sizeof *ss);
	ss->ctx = ctx;
	ss->is_submission = is_submission;
	arena_init(&ss->txn.mem);
	arena_init(&ss->auth_mem);
	buf_init(&ss->held, HELD_MAX);
	return &ss->s;
}

static struct session *open_mx(void *ctx, struct out *o)
{
	(void)o;
	return open_session(ctx, false);
}

static struct session *open_submission(void *ctx, struct out *o)
{
	(void)o;
	return open_session(ctx, true);
}

static void smtp_greet(struct session *s, struct out *o)
{
	session_timeout(s, LIMIT_SMTP_TIMEOUT);
	out_adds(o, "220 ");
	out_add(o, smtp_session_of(s)->ctx->config->hostname);
	out_adds(o, " ESMTP Facteur\r\n");
}

static void smtp_close(struct session *s)
{
	struct smtp_session *ss = smtp_session_of(s);
	smtp_txn_reset(ss);
	smtp_auth_forget(ss);
	buf_done(&ss->held);
	mem_free(ss);
}

const struct service smtp_service_mx = {
	.name = "smtp",
	.input_max = LIMIT_READ_CHUNK,
	.open = open_mx,
	.greet = smtp_greet,
	.frame = smtp_frame,
	.run = smtp_run,
	.event = smtp_event,
	.close = smtp_close,
	.busy = S("421 4.7.0 Too many connections, try again later\r\n"),
};

const struct service smtp_service_submission = {
	.name = "submission",
	.input_max = LIMIT_READ_CHUNK,
	.open = open_submission,
	.greet = smtp_greet,
	.frame = smtp_frame,
	.run = smtp_run,
	.event = smtp_event,
	.close = smtp_close,
	.busy = S("421 4.7.0 Too many connections, try again later\r\n"),
};

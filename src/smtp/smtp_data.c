/* smtp_data.c — DATA and BDAT, and the octets behind them.  RFC 5321 4.1.1.4, 4.5.2;
 * RFC 3030 2. */
#include "base/alloc.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_write.h"

/* Nobody gave a reason to take a message: 503, or 554 when the recipients were all
 * refused (RFC 5321 3.3). */
static void reply_no_rcpt(struct smtp_session *ss)
{
	if (ss->txn.is_open && ss->txn.has_refused_rcpt)
		smtp_reply(ss, 554, "5.5.1", "No valid recipients");
	else
		smtp_reply(ss, 503, "5.5.1",
			   ss->txn.is_open ? "RCPT first" : "MAIL and RCPT first");
}

static void begin_body(struct smtp_session *ss)
{
	ss->body_us = session_mono_us(&ss->s);
	ss->body_octets = 0;
	if (!ss->txn.began_us)
		ss->txn.began_us = ss->body_us;
}

/* What goes wrong inside is kept and told at the end: the message is read to its true
 * end in every case. */
static void take(struct smtp_session *ss, slice bytes)
{
	struct smtp_txn *t = &ss->txn;
	if (!t->intake)
		t->intake = intake_new(ss->ctx->store, INTAKE_STRIP_TRACE,
				       smtp_max_message(ss));
	if (t->failed == ST_OK && bytes.n > 0)
		t->failed = intake_write(t->intake, bytes, &t->why);
}

/* --- DATA --------------------------------------------------------------------------------------------------------- */

static enum smtp_act run_data(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)c;
	if (smtp_state(ss) == SMTP_BDAT) { /* RFC 3030 2 */
		smtp_txn_reset(ss);
		smtp_reply(ss, 503, "5.5.1", "DATA and BDAT do not mix");
		return SMTP_NEXT;
	}
	if (smtp_state(ss) != SMTP_RCPT) {
		reply_no_rcpt(ss);
		return SMTP_NEXT;
	}
	bool is_full;
	if (!smtp_disk_asked(ss, &is_full))
		return SMTP_DB;
	if (is_full) {
		smtp_txn_reset(ss);
		return SMTP_NEXT;
	}
	begin_body(ss);
	ss->txn.dots = DOTS_LINE_START;
	smtp_framer_data_begin(&ss->framer);
	ss->mode = SMTP_MODE_TEXT;
	smtp_reply(ss, 354, NULL, "End with CRLF.CRLF");
	return SMTP_NEXT;
}

const struct smtp_cmd_def smtp_cmd_data = {
	.name = S("DATA"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_ENDS,
	.parse = smtp_parse_nothing,
	.run = run_data,
	.rfc = "RFC 5321 4.1.1.4",
};

enum smtp_act smtp_run_text(struct smtp_session *ss)
{
	slice in = ss->unit.body, piece;
	if (ss->txn.is_delivering)
		return smtp_deliver(ss);
	if (ss->unit.is_plain) /* nearly always */
		take(ss, in);
	else
		while (smtp_unstuff(&ss->txn.dots, &in, &piece))
			take(ss, piece);
	if (!ss->unit.is_last)
		return SMTP_NEXT;
	take(ss, SL(""));
	return smtp_deliver(ss);
}

/* --- BDAT --------------------------------------------------------------------------------------------------------- */

static enum smtp_syntax parse_bdat(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)ss;
	return smtp_parse_bdat(c->rest, &c->size, &c->has_size, &c->is_last);
}

/* RFC 3030 2: the answer comes when the octets are in, whatever it is; after a failure
 * the transaction is over. */
static enum smtp_act end_chunk(struct smtp_session *ss)
{
	struct smtp_txn *t = &ss->txn;
	switch (ss->bdat) {
	case BDAT_SYNTAX:
		smtp_txn_reset(ss);
		smtp_reply(ss, 501, "5.5.4", "Syntax: BDAT size [LAST]");
		return SMTP_NEXT;
	case BDAT_SEQUENCE:
	case BDAT_NO_RCPT:
		reply_no_rcpt(ss);
		return SMTP_NEXT;
	case BDAT_TAKEN:
		break;
	}
	if (ss->bdat_is_last || t->failed != ST_OK)
		return smtp_deliver(ss); /* it knows how to refuse, too */
	smtp_reply(ss, 250, "2.0.0", "Chunk taken");
	return SMTP_NEXT;
}

static enum smtp_act run_bdat(struct smtp_session *ss, struct smtp_cmd *c)
{
	enum smtp_state state = smtp_state(ss);
	if (!c->has_size) { /* no octets follow that could be counted */
		smtp_txn_reset(ss);
		smtp_reply(ss, 501, "5.5.4", "Syntax: BDAT size [LAST]");
		return SMTP_NEXT;
	}
	if (c->size ==
	    UINT64_MAX) { /* they would never end, and must not be read as commands */
		smtp_log_refused(ss, "smtp.closed", "", SL(""), "BDAT size out of range");
		smtp_reply(ss, 552, "5.3.4", "Message size exceeds the limit, closing");
		return SMTP_CLOSE;
	}
	ss->bdat_is_last = c->is_last;
	ss->bdat = smtp_parse_bdat(c->rest, &c->size, &c->has_size, &c->is_last) !=
				   SMTP_SYNTAX_OK
			   ? BDAT_SYNTAX
		   : state == SMTP_START || state == SMTP_READY ? BDAT_SEQUENCE
		   : state == SMTP_MAIL				? BDAT_NO_RCPT
								: BDAT_TAKEN;
	/* HAZARDS 21: a message in crumbs */
	if (c->size < 1024 && !c->is_last)
		ss->junk++;
	if (ss->bdat == BDAT_TAKEN) {
		ss->txn.has_bdat = true;
		begin_body(ss);
		if (!c->is_last && c->size > smtp_max_message(ss) &&
		    ss->txn.failed == ST_OK)
			ss->txn.failed =
				err_set(&ss->txn.why, ERR_LIMIT, "message too large");
	}
	if (!ss->unit.has_body)
		return SMTP_NEXT; /* the answer comes with the last chunk unit */
	if (ss->bdat == BDAT_TAKEN)
		take(ss, ss->unit.body);
	return end_chunk(ss);
}

const struct smtp_cmd_def smtp_cmd_bdat = {
	.name = S("BDAT"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_ENDS,
	.parse = parse_bdat,
	.run = run_bdat,
	.rfc = "RFC 3030 2",
};

enum smtp_act smtp_run_chunk(struct smtp_session *ss)
{
	if (ss->txn.is_delivering)
		return smtp_deliver(ss);
	if (ss->bdat == BDAT_TAKEN)
		take(ss, ss->unit.body);
	return ss->unit.is_last ? end_chunk(ss) : SMTP_NEXT;
}

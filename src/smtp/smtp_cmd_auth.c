/* smtp_cmd_auth.c — AUTH PLAIN and LOGIN, on submission and under TLS only.  RFC 4954. */
#include "base/alloc.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_write.h"

static void exchange_over(struct smtp_session *ss)
{
	sasl_reset(&ss->sasl);
	arena_release(&ss->auth_mem);
	ss->mode = SMTP_MODE_LINES;
}

void smtp_auth_forget(struct smtp_session *ss)
{
	exchange_over(ss);
	mem_free(ss->user);
	ss->user = NULL;
	ss->account = 0;
}

static void refused(struct smtp_session *ss, slice user, const char *reason)
{
	smtp_log_refused(ss, "smtp.auth.refused", "login", user, reason);
}

/* RFC 4954 4: the session stays; after LIMIT_AUTH_TRIES it ends. */
static enum smtp_act failed(struct smtp_session *ss)
{
	if (++ss->auth_tries < LIMIT_AUTH_TRIES)
		return SMTP_NEXT;
	smtp_log_refused(ss, "smtp.closed", "", SL(""), "too many failed logins");
	smtp_reply(ss, 421, "4.7.0", "Too many failed logins");
	return SMTP_CLOSE;
}

static enum smtp_act logged_in(struct smtp_session *ss, const struct auth_user *u)
{
	struct log_line l;
	ss->account = u->account;
	ss->user = mem_new(u->address.n + 1);
	memcpy(ss->user, u->address.p, u->address.n);
	session_set_user(&ss->s, u->address, u->account);
	ss->s.key = u->account;
	if (session_over_user_limit(&ss->s)) {
		smtp_log_refused(ss, "smtp.closed", "", SL(""),
				 "too many connections of this user");
		smtp_reply(ss, 421, "4.7.0", "Too many connections of this user");
		return SMTP_CLOSE;
	}
	smtp_log(ss, &l, LOG_LEVEL_INFO, "smtp.auth");
	log_str(&l, "tls", session_tls_text(&ss->s));
	log_end(&l);
	smtp_reply(ss, 235, "2.7.0", "Authentication successful");
	return SMTP_NEXT;
}

static enum smtp_act check(struct smtp_session *ss, slice user, slice password)
{
	struct auth_user u;
	struct err e = { 0 };
	const char *reason = NULL;
	int64_t delay_ms = 0;
	enum status st = auth_password(ss->ctx->auth, user, password, ss->s.peer->net,
				       ss->s.peer->is_loopback, &ss->auth_mem, &u,
				       &delay_ms, &reason, &e);
	auth_wipe(password);
	if (st == ST_OK)
		return logged_in(ss, &u);
	ss->s.delay_ms = delay_ms;
	refused(ss, user, reason ? reason : e.text);
	if (e.code == ERR_AUTH)
		smtp_reply(ss, 535, "5.7.8", "Authentication credentials invalid");
	else if (e.code == ERR_DISABLED)
		smtp_reply(ss, 535, "5.7.13", "Account disabled");
	else
		smtp_reply(ss, 454, "4.7.0", "Temporary authentication failure");
	return failed(ss);
}

static enum smtp_act go_on(struct smtp_session *ss, enum sasl_result r, slice challenge,
			   slice user, slice password)
{
	enum smtp_act act = SMTP_NEXT;
	switch (r) {
	case SASL_CHALLENGE:
		ss->mode = SMTP_MODE_AUTH;
		buf_adds(&ss->held, "334 ");
		buf_add(&ss->held, challenge);
		buf_adds(&ss->held, "\r\n");
		return SMTP_NEXT;
	case SASL_CREDENTIALS:
		act = check(ss, user, password);
		break;
	case SASL_CANCELLED: /* RFC 4954 4: 501 */
		smtp_reply(ss, 501, "5.5.2", "Authentication cancelled");
		break;
	case SASL_BAD:
		refused(ss, SL(""), "malformed response");
		smtp_reply(ss, 501, "5.5.2", "Malformed authentication response");
		act = failed(ss);
		break;
	}
	exchange_over(ss);
	return act;
}

enum smtp_act smtp_auth_line(struct smtp_session *ss, enum smtp_line what, slice line)
{
	slice challenge = SL(""), user = SL(""), password = SL("");
	if (what != SMTP_LINE_OK) { /* RFC 4954 4: 500 5.5.6, and the exchange is over */
		exchange_over(ss);
		refused(ss, SL(""),
			what == SMTP_LINE_TOO_LONG ? "line too long"
						   : "bare CR, LF or NUL");
		if (what == SMTP_LINE_TOO_LONG)
			smtp_reply(ss, 500, "5.5.6",
				   "Authentication exchange line is too long");
		else
			smtp_reply(ss, 500, "5.5.2",
				   "Lines end with CRLF and hold no CR, LF or NUL");
		return failed(ss);
	}
	enum sasl_result r =
		sasl_step(&ss->sasl, line, &ss->auth_mem, &challenge, &user, &password);
	auth_wipe(line); /* decoded */
	return go_on(ss, r, challenge, user, password);
}

static enum smtp_syntax parse(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)ss;
	return smtp_parse_auth(c->rest, &c->word, &c->initial, &c->has_initial);
}

static enum smtp_act run(struct smtp_session *ss, struct smtp_cmd *c)
{
	slice challenge = SL(""), user = SL(""), password = SL("");
	if (!ss->is_submission) {
		refused(ss, SL(""), "no authentication on port 25");
		smtp_reply(ss, 502, "5.5.1",
			   "No authentication here; submission is on ports 587 and 465");
		return SMTP_NEXT;
	}
	if (!ss->s.is_tls) { /* RFC 4954 6 */
		refused(ss, SL(""), "AUTH before TLS");
		smtp_reply(ss, 538, "5.7.11", "Encryption required, use STARTTLS first");
		return SMTP_NEXT;
	}
	if (ss->account) { /* RFC 4954 4: once */
		smtp_reply(ss, 503, "5.5.1", "Authenticated already");
		return SMTP_NEXT;
	}
	if (!slice_ieq(c->word, SL("PLAIN")) && !slice_ieq(c->word, SL("LOGIN"))) {
		refused(ss, SL(""), "mechanism not supported");
		smtp_reply(ss, 504, "5.5.4", "Authentication mechanism not supported");
		return SMTP_NEXT;
	}
	enum sasl_result r = sasl_start(&ss->sasl, c->word,
					c->has_initial ? &c->initial : NULL,
					&ss->auth_mem, &challenge, &user, &password);
	auth_wipe(c->initial);
	return go_on(ss, r, challenge, user, password);
}

const struct smtp_cmd_def smtp_cmd_auth = {
	.name = S("AUTH"),
	.states = SMTP_READY,
	.flags = SMTP_CMD_ENDS | SMTP_CMD_CRYPTO | SMTP_CMD_ALONE,
	.sequence = "AUTH comes after EHLO and before MAIL",
	.parse = parse,
	.run = run,
	.rfc = "RFC 4954 4",
};

/* smtp_cmd_misc.c — the commands without much to them: RSET, NOOP, HELP, VRFY, EXPN,
 * QUIT, STARTTLS. */
#include "smtp/smtp_session.h"
#include "smtp/smtp_write.h"

static enum smtp_act run_rset(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)c;
	smtp_txn_reset(ss);
	smtp_reply(ss, 250, "2.0.0", "OK");
	return SMTP_NEXT;
}

const struct smtp_cmd_def smtp_cmd_rset = {
	.name = S("RSET"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_JUNK,
	.parse = smtp_parse_nothing,
	.run = run_rset,
	.rfc = "RFC 5321 4.1.1.5",
};

static enum smtp_act run_noop(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)c;
	smtp_reply(ss, 250, "2.0.0", "OK");
	return SMTP_NEXT;
}

const struct smtp_cmd_def smtp_cmd_noop = {
	.name = S("NOOP"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_JUNK,
	.parse = smtp_parse_anything,
	.run = run_noop,
	.rfc = "RFC 5321 4.1.1.9",
};

static enum smtp_act run_help(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)c;
	smtp_write_line(&ss->held, 214, false,
			SL("2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT HELP"));
	smtp_write_line(&ss->held, 214, true,
			SL("2.0.0 VRFY EXPN STARTTLS AUTH; see RFC 5321"));
	return SMTP_NEXT;
}

const struct smtp_cmd_def smtp_cmd_help = {
	.name = S("HELP"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_JUNK,
	.parse = smtp_parse_anything,
	.run = run_help,
	.rfc = "RFC 5321 4.1.1.8",
};

/* vrfy = "VRFY" SP String CRLF; the SMTPUTF8 parameter of RFC 6531 3.7.4.2 changes
 * nothing here. */
static enum smtp_syntax parse_string(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)ss;
	return c->rest.n > 0 ? SMTP_SYNTAX_OK : SMTP_SYNTAX_ARGUMENT;
}

/* RFC 5321 7.3: nothing is told about who is here. */
static enum smtp_act run_vrfy(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)c;
	smtp_reply(ss, 252, "2.1.5",
		   "Cannot verify, but will take mail and attempt delivery");
	return SMTP_NEXT;
}

const struct smtp_cmd_def smtp_cmd_vrfy = {
	.name = S("VRFY"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_JUNK,
	.parse = parse_string,
	.run = run_vrfy,
	.rfc = "RFC 5321 4.1.1.6, 7.3",
};

const struct smtp_cmd_def smtp_cmd_expn = {
	.name = S("EXPN"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_JUNK,
	.parse = parse_string,
	.run = run_vrfy,
	.rfc = "RFC 5321 4.1.1.7, 7.3",
};

static enum smtp_act run_quit(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)c;
	smtp_txn_reset(ss);
	smtp_reply(ss, 221, "2.0.0", "Bye");
	return SMTP_CLOSE;
}

const struct smtp_cmd_def smtp_cmd_quit = {
	.name = S("QUIT"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_ENDS | SMTP_CMD_ALONE,
	.parse = smtp_parse_nothing,
	.run = run_quit,
	.rfc = "RFC 5321 4.1.1.10",
};

/* RFC 3207 4: no argument, not under TLS. What comes in the clear behind it closes the
 * connection (work/session.h). */
static enum smtp_act run_starttls(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)c;
	if (ss->s.is_tls) {
		smtp_reply(ss, 503, "5.5.1", "TLS is active already");
		return SMTP_NEXT;
	}
	if (!ss->ctx->config->has_tls) {
		smtp_reply(ss, 502, "5.5.1", "Command not implemented");
		return SMTP_NEXT;
	}
	smtp_reply(ss, 220, "2.0.0", "Ready to start TLS");
	return SMTP_TLS;
}

const struct smtp_cmd_def smtp_cmd_starttls = {
	.name = S("STARTTLS"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_ENDS | SMTP_CMD_ALONE,
	.parse = smtp_parse_nothing,
	.run = run_starttls,
	.rfc = "RFC 3207 4",
};

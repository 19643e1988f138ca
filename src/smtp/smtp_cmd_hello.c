/* smtp_cmd_hello.c — EHLO and HELO.  RFC 5321 4.1.1.1, 4.1.4. */
#include "smtp/smtp_session.h"
#include "smtp/smtp_write.h"

static enum smtp_syntax parse(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)ss;
	return smtp_parse_hello(c->rest, &c->word, &c->is_name);
}

/* RFC 5321 4.1.4: a later EHLO is a RSET as well; the last name holds. */
static void begin(struct smtp_session *ss, const struct smtp_cmd *c, bool is_esmtp)
{
	smtp_txn_reset(ss);
	ss->has_hello = true;
	ss->is_esmtp = is_esmtp;
	ss->hello_is_name = c->is_name;
	memcpy(ss->hello, c->word.p, c->word.n); /* ≤ LIMIT_SMTP_DOMAIN by the grammar */
	ss->hello[c->word.n] = 0;
}

static enum smtp_act run_helo(struct smtp_session *ss, struct smtp_cmd *c)
{
	begin(ss, c, false);
	smtp_write_line(&ss->held, 250, true, ss->ctx->config->hostname);
	return SMTP_NEXT;
}

/* What is announced is what holds now: STARTTLS only before TLS (RFC 3207 4.2), AUTH
 * only under it and on submission. */
static enum smtp_act run_ehlo(struct smtp_session *ss, struct smtp_cmd *c)
{
	struct buf *b = &ss->held;
	begin(ss, c, true);
	smtp_write_line(b, 250, false, ss->ctx->config->hostname);
	smtp_write_line(b, 250, false, SL("PIPELINING"));
	buf_adds(b, "250-SIZE ");
	buf_addu(b, smtp_max_message(ss));
	buf_adds(b, "\r\n");
	if (!ss->s.is_tls && ss->ctx->config->has_tls)
		smtp_write_line(b, 250, false, SL("STARTTLS"));
	if (ss->is_submission && ss->s.is_tls)
		smtp_write_line(b, 250, false, SL("AUTH PLAIN LOGIN"));
	smtp_write_line(b, 250, false, SL("ENHANCEDSTATUSCODES"));
	smtp_write_line(b, 250, false, SL("8BITMIME"));
	smtp_write_line(b, 250, false, SL("SMTPUTF8"));
	smtp_write_line(b, 250, false, SL("CHUNKING"));
	smtp_write_line(b, 250, true, SL("HELP"));
	return SMTP_NEXT;
}

const struct smtp_cmd_def smtp_cmd_ehlo = {
	.name = S("EHLO"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_JUNK,
	.parse = parse,
	.run = run_ehlo,
	.rfc = "RFC 5321 4.1.1.1",
};

const struct smtp_cmd_def smtp_cmd_helo = {
	.name = S("HELO"),
	.states = SMTP_ANY,
	.flags = SMTP_CMD_JUNK,
	.parse = parse,
	.run = run_helo,
	.rfc = "RFC 5321 4.1.1.1",
};

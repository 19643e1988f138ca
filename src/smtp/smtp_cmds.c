/* smtp_cmds.c — the index of the protocol: every command, and the file that holds it. */
#include "smtp/smtp_session.h"

static const struct smtp_cmd_def *const commands[] = {
	&smtp_cmd_mail,			/* smtp_cmd_mail.c */
	&smtp_cmd_rcpt, &smtp_cmd_data, /* smtp_data.c */
	&smtp_cmd_bdat, &smtp_cmd_ehlo, /* smtp_cmd_hello.c */
	&smtp_cmd_helo, &smtp_cmd_rset, /* smtp_cmd_misc.c */
	&smtp_cmd_noop, &smtp_cmd_quit,	    &smtp_cmd_help, &smtp_cmd_vrfy,
	&smtp_cmd_expn, &smtp_cmd_starttls, &smtp_cmd_auth, /* smtp_cmd_auth.c */
};

const struct smtp_cmd_def *smtp_cmd_find(slice verb)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (slice_ieq(commands[i]->name, verb))
			return commands[i];
	return NULL;
}

/* RFC 5321 4.1.1: commands without an argument take none. */
enum smtp_syntax smtp_parse_nothing(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)ss;
	return c->rest.n == 0 ? SMTP_SYNTAX_OK : SMTP_SYNTAX_ARGUMENT;
}

enum smtp_syntax smtp_parse_anything(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)ss;
	(void)c;
	return SMTP_SYNTAX_OK;
}

/* pop3_cmd_pass.c — PASS.  RFC 1939 7: blanks are part of the password. */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	if (p->user_n == 0)
		return pop3_bad(p, o, "give USER first");
	p->mechanism = "USER";
	return pop3_login(p, slice_make(p->user, p->user_n), p->args.text, o);
}

const struct pop3_cmd_def pop3_cmd_pass = {
	.name = "PASS",
	.states = POP3_AUTHORIZATION,
	.flags = POP3_LOGIN,
	.grammar = POP3_TEXT,
	.where = FRAME_CRYPTO,
	.run = run,
	.rfc = "RFC 1939 7",
};

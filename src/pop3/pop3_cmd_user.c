/* pop3_cmd_user.c — USER. RFC 1939 7: any name is taken, so that nobody learns which
 * exist (13). */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	if (p->args.text.n > sizeof(p->user))
		return pop3_bad(p, o, "name too long");
	memcpy(p->user, p->args.text.p, p->args.text.n);
	p->user_n = p->args.text.n;
	out_adds(o, "+OK\r\n");
	return STEP_DONE;
}

const struct pop3_cmd_def pop3_cmd_user = {
	.name = "USER",
	.states = POP3_AUTHORIZATION,
	.flags = POP3_LOGIN,
	.grammar = POP3_WORD,
	.where = FRAME_HERE,
	.run = run,
	.rfc = "RFC 1939 7",
};

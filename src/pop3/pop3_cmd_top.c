/* pop3_cmd_top.c — TOP msg n. RFC 1939 7: the header, the blank line, n lines of the
 * body. */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	return pop3_send(p, true, o);
}

const struct pop3_cmd_def pop3_cmd_top = {
	.name = "TOP",
	.states = POP3_TRANSACTION,
	.grammar = POP3_MSG_LINES,
	.where = FRAME_DB,
	.run = run,
	.rfc = "RFC 1939 7",
};

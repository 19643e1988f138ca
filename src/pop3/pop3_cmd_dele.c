/* pop3_cmd_dele.c — DELE msg.  RFC 1939 5: only marked; it goes at QUIT. */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	struct pop3_message *m;
	struct err e;

	if (pop3_drop_find(&p->drop, p->args.msg, &m, &e) != ST_OK) {
		pop3_err(o, &e);
		return STEP_DONE;
	}
	m->deleted = true;
	p->drop.n_deleted++;
	p->drop.bytes_deleted += m->size;
	out_addf(o, "+OK message %u deleted\r\n", p->args.msg);
	return STEP_DONE;
}

const struct pop3_cmd_def pop3_cmd_dele = {
	.name = "DELE",
	.states = POP3_TRANSACTION,
	.grammar = POP3_MSG,
	.where = FRAME_HERE,
	.run = run,
	.rfc = "RFC 1939 5",
};

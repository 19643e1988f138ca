/* pop3_cmd_rset.c — RSET.  RFC 1939 5: nothing is marked as deleted any more. */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	struct pop3_drop *d = &p->drop;

	for (size_t i = 0; i < d->n; i++)
		d->msg[i].deleted = false;
	d->n_deleted = 0;
	d->bytes_deleted = 0;
	out_addf(o, "+OK %zu messages (%llu octets)\r\n", d->n,
		 (unsigned long long)d->bytes);
	return STEP_DONE;
}

const struct pop3_cmd_def pop3_cmd_rset = {
	.name = "RSET",
	.states = POP3_TRANSACTION,
	.grammar = POP3_NO_ARGS,
	.where = FRAME_HERE,
	.run = run,
	.rfc = "RFC 1939 5",
};

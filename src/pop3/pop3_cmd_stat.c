/* pop3_cmd_stat.c — STAT.  RFC 1939 5: messages marked as deleted are not counted. */
#include "pop3/pop3_session.h"

static enum step run(struct pop3_session *p, struct out *o)
{
	const struct pop3_drop *d = &p->drop;

	out_addf(o, "+OK %zu %llu\r\n", d->n - d->n_deleted,
		 (unsigned long long)(d->bytes - d->bytes_deleted));
	return STEP_DONE;
}

const struct pop3_cmd_def pop3_cmd_stat = {
	.name = "STAT",
	.states = POP3_TRANSACTION,
	.grammar = POP3_NO_ARGS,
	.where = FRAME_HERE,
	.run = run,
	.rfc = "RFC 1939 5",
};

/* pop3_scan.c — what LIST and UIDL share: one line for one message, or for each. */
#include "pop3/pop3_session.h"

static enum step one(struct pop3_session *p, struct out *o, pop3_line_fn line)
{
	struct pop3_message *m;
	struct err e;

	if (pop3_drop_find(&p->drop, p->args.msg, &m, &e) != ST_OK) {
		pop3_err(o, &e);
		return STEP_DONE;
	}
	out_adds(o, "+OK ");
	line(p, o, p->args.msg, m);
	return STEP_DONE;
}

enum step pop3_scan(struct pop3_session *p, struct out *o, pop3_line_fn line)
{
	const struct pop3_drop *d = &p->drop;

	if (p->args.has_msg)
		return one(p, o, line);
	if (p->at == 0)
		out_addf(o, "+OK %zu messages (%llu octets)\r\n", d->n - d->n_deleted,
			 (unsigned long long)(d->bytes - d->bytes_deleted));
	for (; p->at < d->n; p->at++) {
		if (o->bytes >= LIMIT_OUT_STEP)
			return STEP_MORE;
		if (!d->msg[p->at].deleted)
			line(p, o, (uint32_t)p->at + 1, &d->msg[p->at]);
	}
	out_adds(o, ".\r\n");
	return STEP_DONE;
}

/* pop3_cmd_uidl.c — UIDL [msg]. RFC 1939 7: 1 to 70 characters from 0x21 to 0x7E, never
 * given twice. UIDVALIDITY and UID are both never reused (DESIGN P3), so that what a
 * client has seen it knows for ever. */
#include "pop3/pop3_session.h"

static void line(struct pop3_session *p, struct out *o, uint32_t number,
		 const struct pop3_message *m)
{
	out_addf(o, "%u %u-%u\r\n", number, p->drop.view->uidvalidity, m->uid);
}

static enum step run(struct pop3_session *p, struct out *o)
{
	return pop3_scan(p, o, line);
}

const struct pop3_cmd_def pop3_cmd_uidl = {
	.name = "UIDL",
	.states = POP3_TRANSACTION,
	.grammar = POP3_OPT_MSG,
	.where = FRAME_DB,
	.run = run,
	.rfc = "RFC 1939 7",
};

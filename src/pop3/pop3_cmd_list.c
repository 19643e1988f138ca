/* pop3_cmd_list.c — LIST [msg]. RFC 1939 5: sizes in octets as stored, without the
 * byte-stuffing (11). */
#include "pop3/pop3_session.h"

static void line(struct pop3_session *p, struct out *o, uint32_t number,
		 const struct pop3_message *m)
{
	(void)p;
	out_addf(o, "%u %llu\r\n", number, (unsigned long long)m->size);
}

static enum step run(struct pop3_session *p, struct out *o)
{
	return pop3_scan(p, o, line);
}

const struct pop3_cmd_def pop3_cmd_list = {
	.name = "LIST",
	.states = POP3_TRANSACTION,
	.grammar = POP3_OPT_MSG,
	.where = FRAME_DB,
	.run = run,
	.rfc = "RFC 1939 5",
};

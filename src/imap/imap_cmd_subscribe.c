/* imap_cmd_subscribe.c — SUBSCRIBE and UNSUBSCRIBE.  RFC 3501 6.3.6, 6.3.7. */
#include "imap/imap_cmds.h"
#include "imap/imap_names.h"

static enum status subscribe(struct imap *im, struct store_txn *t,
			     const struct imap_names_arg *n, struct err *e)
{
	return store_mailbox_subscribe(t, im->account, n->name, true, e);
}

static enum status unsubscribe(struct imap *im, struct store_txn *t,
			       const struct imap_names_arg *n, struct err *e)
{
	return store_mailbox_subscribe(t, im->account, n->name, false, e);
}

static enum step run_subscribe(struct imap *im, struct imap_cmd *c, struct out *o)
{
	(void)o;
	return imap_names_change(im, c, "Subscribe completed", subscribe);
}

static enum step run_unsubscribe(struct imap *im, struct imap_cmd *c, struct out *o)
{
	(void)o;
	return imap_names_change(im, c, "Unsubscribe completed", unsubscribe);
}

const struct imap_cmd_def imap_cmd_subscribe = {
	.name = S("SUBSCRIBE"),
	.states = IMAP_INSIDE,
	.flags = CMD_NAMES,
	.parse = imap_names_parse,
	.run = run_subscribe,
	.rfc = "RFC 3501 6.3.6",
};
const struct imap_cmd_def imap_cmd_unsubscribe = {
	.name = S("UNSUBSCRIBE"),
	.states = IMAP_INSIDE,
	.flags = CMD_NAMES,
	.parse = imap_names_parse,
	.run = run_unsubscribe,
	.rfc = "RFC 3501 6.3.7",
};

/* imap_cmd_delete.c — DELETE.  RFC 3501 6.3.4. The selected mailbox is left before it
 * goes. */
#include "imap/imap_cmds.h"
#include "imap/imap_names.h"

static enum status change(struct imap *im, struct store_txn *t,
			  const struct imap_names_arg *n, struct err *e)
{
	return store_mailbox_delete(t, im->account, n->name, e);
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	const struct imap_names_arg *n = c->arg;
	struct store_mailbox m;
	struct err e;

	(void)o;
	if (im->box &&
	    store_mailbox_find(im->ctx->store, im->account, n->name, &im->s.arena, &m,
			       &e) == ST_OK &&
	    m.id == im->box->mbox && m.role != ROLE_INBOX) {
		imap_box_close(im);
		im->state = IMAP_AUTH;
	}
	return imap_names_change(im, c, "Delete completed", change);
}

const struct imap_cmd_def imap_cmd_delete = {
	.name = S("DELETE"),
	.states = IMAP_INSIDE,
	.flags = CMD_NAMES,
	.parse = imap_names_parse,
	.run = run,
	.rfc = "RFC 3501 6.3.4",
};

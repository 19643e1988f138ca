/* imap_cmd_rename.c — RENAME.  RFC 3501 6.3.5: names below move along; INBOX gives its
 * messages and stays. */
#include "imap/imap_cmds.h"
#include "imap/imap_names.h"

static enum status change(struct imap *im, struct store_txn *t,
			  const struct imap_names_arg *n, struct err *e)
{
	slice to = n->to;
	enum status st = imap_names_check(&to, e);

	return st == ST_OK ? store_mailbox_rename(t, im->account, n->name, to, e) : st;
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	(void)o;
	return imap_names_change(im, c, "Rename completed", change);
}

const struct imap_cmd_def imap_cmd_rename = {
	.name = S("RENAME"),
	.states = IMAP_INSIDE,
	.flags = CMD_NAMES,
	.parse = imap_names_parse_two,
	.run = run,
	.rfc = "RFC 3501 6.3.5",
};

/* imap_cmd_create.c — CREATE.  RFC 3501 6.3.3: missing superior names are made; INBOX is
 * there already. */
#include "imap/imap_cmds.h"
#include "imap/imap_names.h"

static enum status change(struct imap *im, struct store_txn *t,
			  const struct imap_names_arg *n, struct err *e)
{
	slice name = n->name;
	uint32_t id;
	enum status st = imap_names_check(&name, e);

	return st == ST_OK ? store_mailbox_create(t, im->account, name, ROLE_NONE, &id, e)
			   : st;
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	(void)o;
	return imap_names_change(im, c, "Create completed", change);
}

const struct imap_cmd_def imap_cmd_create = {
	.name = S("CREATE"),
	.states = IMAP_INSIDE,
	.flags = CMD_NAMES,
	.parse = imap_names_parse,
	.run = run,
	.rfc = "RFC 3501 6.3.3",
};

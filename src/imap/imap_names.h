#pragma once
/* imap_names.h — one transaction on the names of mailboxes: CREATE, DELETE, RENAME,
 * SUBSCRIBE, UNSUBSCRIBE. */
#include "imap/imap_session.h"

struct imap_names_arg {
	slice name, to;
};
bool imap_names_parse(struct imap_parse *p, struct imap_cmd *c);      /* SP mailbox; c->arg */
bool imap_names_parse_two(struct imap_parse *p, struct imap_cmd *c);  /* SP mailbox SP mailbox */
/* begin, change, commit: OK with text when durable. */
enum step imap_names_change(struct imap *im, struct imap_cmd *c, const char *ok_text,
			    enum status (*change)(struct imap *im, struct store_txn *t, const struct imap_names_arg *n,
						  struct err *e));
/* A name that CREATE and RENAME may make: no empty or overlong part, no wildcards, no
 * controls. */
enum status imap_names_check(slice *name, struct err *e) MUST_USE;

#pragma once
/* imap_copy.h — what COPY and MOVE share: arguments, destination, COPYUID (RFC 4315
 * 3). */
#include "imap/imap_session.h"

struct imap_copy {
	struct imap_seqset set;
	slice name;
	struct store_mailbox to;
	struct store_uids uids;
	size_t at;
	slice copyuid; /* "[COPYUID 5 1:3 7:9] ", or empty when nothing was copied */
};
bool imap_copy_parse(struct imap_parse *p, struct imap_cmd *c);
/* STEP_MORE: go on; otherwise the command has ended. */
enum step imap_copy_prepare(struct imap *im, struct imap_cmd *c);
slice imap_copyuid(struct arena *a, uint32_t uidvalidity, const struct store_uids *from, const struct store_uids *to);

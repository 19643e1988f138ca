#pragma once
/* mbox_sink.h — an export written as mboxrd, a file for each mailbox.
 *
 *	DIR/INBOX.mbox, DIR/Work/2026.mbox; of many accounts below DIR/ADDRESS/
 *
 * A part of a name that could not be a file's (a leading dot, '%', control characters) has
 * those octets as %XX, and a directory's has every dot so: DIR/a.mbox is a mailbox, never a
 * directory. NAME.mbox.facteur is the ledger: up to where the file is durable and
 * which UID was last. A run begins by cutting the file there, and goes on behind it. When
 * a mailbox is done its file is read again and counted. One thread. */
#include "transfer/export.h"

struct mbox_sink;
extern const struct export_sink mbox_sink_ops; /* its ctx is a struct mbox_sink * */
/* root: an open directory, the caller's. */
struct mbox_sink *mbox_sink_new(int root, bool many, const struct export_watch *w);
void mbox_sink_free(struct mbox_sink *s);

/* One part of a mailbox's name as a file's, and back (false: malformed). */
void mbox_part_write(struct buf *out, slice part);
bool mbox_part_read(slice file, struct buf *out);
/* The ledger, a line. */
struct mbox_ledger {
	uint32_t uidvalidity, uid;
	uint64_t offset, messages, bytes; /* bytes: with CRLF, as the store counts */
};
void mbox_ledger_write(struct buf *out, const struct mbox_ledger *l);
bool mbox_ledger_read(slice text, struct mbox_ledger *out);

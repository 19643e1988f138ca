#pragma once
/* maildir_sink.h — an export written as Maildir++, one a time or one for each account.
 *
 * The directory is its own ledger: a message is written to tmp/, a batch is made durable
 * with one sync of the file system, and only then moved to cur/ under a name with its UID
 * and UIDVALIDITY. So whatever is in cur/ is whole, and the next run goes on behind it.
 * Lines end in LF; the store's CRLF comes back from that exactly. One thread. */
#include "transfer/export.h"

struct maildir_sink;
extern const struct export_sink maildir_sink_ops; /* its ctx is a struct maildir_sink * */
/* root: an open directory, the caller's. many: a directory for each account. */
struct maildir_sink *maildir_sink_new(int root, bool many, const struct export_watch *w);
/* What belongs behind the last mailbox: subscriptions, special uses. */
enum status maildir_sink_finish(struct maildir_sink *s, struct err *e) MUST_USE;
void maildir_sink_free(struct maildir_sink *s);

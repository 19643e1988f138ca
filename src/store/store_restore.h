#pragma once
/* store_restore.h — what backup and restore need of the store (docs/adr/0011-backup.md).
 *
 * A store that is restored is another store than the one that went on after the backup was
 * made: clients have seen ids, UIDs and modseqs that it knows nothing of. store_after_restore
 * makes that impossible to confuse (DESIGN P3):
 *   - the epoch is raised: every email, thread and mailbox made from now on has another id
 *     than any that was made after the backup;
 *   - every mailbox gets a new UIDVALIDITY, above all that can have been given out, and its
 *     next UID jumps ahead;
 *   - modseqs jump ahead, and the change logs begin there: nobody is told of changes from a
 *     history that did not happen here;
 *   - numbers of accounts and of the queue jump ahead.
 * A client therefore fetches its mailboxes anew, and ends with exactly what is here. */
#include "store/store.h"

struct kv_snapshot;

#define STORE_EPOCH_MAX 255 /* mailbox ids have eight bits for it */

struct store_restored {
	uint32_t epoch, uidvalidity; /* the last one given out */
	uint64_t accounts, mailboxes;
};
/* epoch, uidvalidity: the highest that any other restore of this system has given out (0:
 * none is known); the new ones are above them and above those of the store. kv is open for
 * writing and has no struct store on it. Memory is bounded by the largest account's
 * mailboxes and change log; a store where it has failed half-way is not to be used: restore
 * again. ERR_LIMIT: no epoch or UIDVALIDITY is left. */
enum status store_after_restore(struct kv *kv, const struct clock *clock, uint32_t epoch,
				uint32_t uidvalidity, struct store_restored *out,
				struct err *e) MUST_USE;

struct store_facts {
	uint32_t epoch, uidvalidity; /* the last one given out */
	uint64_t accounts, messages;
};
enum status store_facts(struct store *s, struct store_facts *out, struct err *e) MUST_USE;
/* kv_snapshot_new of its kv. */
enum status store_snapshot(struct store *s, const char *rows_dir,
			   struct kv_snapshot **out, struct err *e) MUST_USE;

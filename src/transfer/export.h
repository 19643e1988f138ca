#pragma once
/* export.h — messages out of accounts, by a stream: both ends of the verb `export`.
 *
 * The store's side walks accounts, their mailboxes and messages; the other side says for
 * each mailbox which UIDs it has already, and writes the rest wherever its sink does. What
 * cannot be read is told and left out, and the rest goes on. Octets are those an IMAP
 * client is given (CRLF). Blocking; memory does not grow with the number of messages but
 * for 8 octets for each gap among those that are there already. */
#include "transfer/frame.h"
#include "transfer/message.h"

struct store;

struct export_range {
	uint32_t first, last;
};
struct export_ranges { /* ascending, apart */
	struct export_range *at;
	size_t n, cap;
};
/* uid behind all that are in it. */
void export_ranges_add(struct export_ranges *r, uint32_t uid);
void export_ranges_done(struct export_ranges *r);

struct export_box {
	slice name;       /* whole path, UTF-8 */
	slice role;       /* "sent", "trash"…; "inbox"; empty */
	bool exists;      /* false: only a name */
	bool subscribed;
	uint32_t uidvalidity, uidnext;
	uint64_t messages, bytes;
	const slice *keywords; /* of the account */
	size_t n_keywords;
};
struct export_box_end { /* as the store counts */
	uint64_t sent, sent_bytes;
	uint64_t had;     /* of those the other side had: still in the mailbox */
	uint64_t failed;  /* could not be read */
};
/* Where it goes. A failure of one ends the export; what was written before stays valid. */
struct export_sink {
	/* Totals of all that is coming; 0: not known. */
	void (*total)(void *ctx, uint64_t messages, uint64_t bytes);
	enum status (*account)(void *ctx, slice address, struct err *e);
	/* Fills have with the UIDs that are there already. ST_INVALID: this mailbox is refused,
	 * the others are not; *e says why. */
	enum status (*box_begin)(void *ctx, const struct export_box *box,
				 struct export_ranges *have, struct err *e);
	enum status (*message)(void *ctx, const struct transfer_message *m, struct err *e);
	enum status (*data)(void *ctx, slice octets, struct err *e);
	/* keep false: what came of the message is to be forgotten. */
	enum status (*end)(void *ctx, bool keep, struct err *e);
	enum status (*box_end)(void *ctx, const struct export_box_end *end, struct err *e);
	/* uid 0: the mailbox or account itself (then box may be empty). */
	void (*failed)(void *ctx, slice account, slice box, uint32_t uid, slice why);
};
/* The side that writes: until the store's last word. */
enum status export_receive(struct frame_conn *conn, const struct export_sink *sink,
			   void *ctx, struct err *e) MUST_USE;

/* The store's side: the verb. who: an address, a domain, or "all"; mailbox: one alone, or
 * empty. */
enum status export_serve(struct store *s, slice who, slice mailbox, int fd,
			 const _Atomic bool *stop, struct err *e) MUST_USE;

/* --- what sinks tell whoever started them ------------------------------------------- */
/* What became of a mailbox: told at its end. */
struct export_report {
	slice account, box;
	uint64_t written, written_bytes; /* now; octets with CRLF, as the store counts */
	uint64_t had;                    /* written by an earlier run */
	uint64_t gone;                   /* of those: no longer in the store */
	/* what the files say, read back: all messages of the mailbox */
	uint64_t verified, verified_bytes;
	uint64_t failed;
	bool is_complete;                /* the store's count and the files agree */
};
struct export_watch {
	void (*total)(void *ctx, uint64_t messages, uint64_t bytes);
	void (*progress)(void *ctx, uint64_t messages, uint64_t bytes); /* more, since the last call */
	void (*report)(void *ctx, const struct export_report *r);
	void (*failed)(void *ctx, slice account, slice box, uint32_t uid, slice why);
	void *ctx;
};

#pragma once
/* import.h — messages into an account, by a stream: both ends of the verb `import`.
 *
 * The side with the messages (a Maildir, an mbox, a backup) opens a conversation, names a
 * mailbox, sends messages and is told what became of them:
 *
 *	import_client_init(&c, conn, &events, ctx);
 *	import_box_begin(&c, &box, &e);
 *	    import_begin(&c, &head, &e); import_data(&c, octets, &e)…; import_end(&c, &e);
 *	import_box_end(&c, &report, &e);
 *	import_finish(&c, &e);
 *
 * The store's side gathers messages into transactions and acknowledges them when they are
 * durable. A message that the mailbox holds already, same octets and INTERNALDATE, is not
 * added again, each as often as it is there: so the same import may be run again after
 * whatever ended it. Lines may end in LF or CRLF; the store keeps CRLF. Blocking; memory
 * does not grow with the number of messages, but for 16 octets for each that the mailbox
 * held before. */
#include "transfer/frame.h"
#include "transfer/message.h"

struct store;

struct import_box {
	slice name;            /* whole path, UTF-8, '/' between the parts; made when absent */
	slice role;            /* "sent", "trash"…; empty: none. Only for a mailbox that is made */
	bool subscribed;
	/* To keep UIDs: of the place the messages come from; messages then name theirs,
	 * ascending. Refused (ERR_CANNOT) unless the mailbox has never held a message, or has
	 * this UIDVALIDITY already. 0: the store gives its own. */
	uint32_t uidvalidity;
	uint32_t uidnext;      /* 0: not known */
};
struct import_report { /* of one mailbox; octets as the store counts them (CRLF) */
	uint64_t added, added_bytes;
	uint64_t present, refused;
	/* read back from the store after the last commit, of those added */
	uint64_t verified, verified_bytes;
};
struct import_events { /* each may be NULL */
	/* The message was not taken, why says it; what follows is. */
	void (*refused)(void *ctx, uint64_t tag, const char *why);
	/* So many messages of this conversation are durable or answered. */
	void (*durable)(void *ctx, uint64_t messages);
};
struct import_client {
	struct frame_conn *conn;
	const struct import_events *events;
	void *ctx;
	struct buf head;
};
void import_client_init(struct import_client *c, struct frame_conn *conn,
			const struct import_events *events, void *ctx);
void import_client_done(struct import_client *c);
enum status import_box_begin(struct import_client *c, const struct import_box *box,
			     struct err *e) MUST_USE;
enum status import_begin(struct import_client *c, const struct transfer_message *head,
			 struct err *e) MUST_USE;
enum status import_data(struct import_client *c, slice octets, struct err *e) MUST_USE;
enum status import_end(struct import_client *c, struct err *e) MUST_USE;
/* Instead of import_end: the rest could not be read, the store forgets the message. */
enum status import_abort(struct import_client *c, const char *why, struct err *e) MUST_USE;
/* Waits until all of the mailbox is durable and counted. */
enum status import_box_end(struct import_client *c, struct import_report *out,
			   struct err *e) MUST_USE;
/* The end of the conversation; waits for the store's last word. */
enum status import_finish(struct import_client *c, struct err *e) MUST_USE;

/* The store's side: the verb, for an account that exists. */
enum status import_serve(struct store *s, uint32_t account, int fd,
			 const _Atomic bool *stop, struct err *e) MUST_USE;

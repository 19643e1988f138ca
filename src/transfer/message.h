#pragma once
/* message.h — the head of a message in a stream: what a mailbox knows of it beside its
 * octets.
 *
 * FRAME_MESSAGE with this head, then FRAME_DATA any number of times, then FRAME_END, whose
 * octets are empty, or the reason why the message is to be forgotten. Pure, any thread. */
#include "base/buf.h"

struct transfer_message {
	uint64_t tag;   /* the sender's own number for it */
	uint32_t uid;   /* 0: whatever comes next */
	uint32_t flags; /* enum store_flag */
	int64_t date;   /* INTERNALDATE, seconds */
	uint64_t size;  /* octets as they are sent; 0: not known */
	slice keywords; /* blank-separated; borrowed */
};
void transfer_message_write(struct buf *out, const struct transfer_message *m);
bool transfer_message_read(slice s, struct transfer_message *out);
/* May this be an IMAP keyword? RFC 3501 9 flag-keyword: an atom, and it begins with no
 * backslash; LIMIT_KEYWORD. */
bool transfer_is_keyword(slice s);

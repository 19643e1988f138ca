#pragma once
/* source.h — reading mailboxes of others and sending them to an import.
 *
 * What maildir_source.c and mbox_source.c share: one mailbox after the other, counting,
 * what was refused and by which name, and comparing the counts at the end. Without a
 * client (a dry run) everything is read and nothing sent. One thread. */
#include "transfer/import.h"

#define SOURCE_PIECE (256u << 10)

struct source_report { /* of one mailbox */
	slice box;
	uint64_t found, found_bytes;  /* octets with CRLF */
	uint64_t unreadable;          /* bad files: told through refused */
	uint64_t mended;              /* mixed line ends, which became CRLF */
	struct import_report store;   /* zero in a dry run */
	bool is_complete;             /* everything found is in the store */
};
struct source_watch {
	void (*total)(void *ctx, uint64_t messages); /* more, as they are counted */
	void (*progress)(void *ctx, uint64_t messages, uint64_t bytes); /* more */
	void (*refused)(void *ctx, slice box, slice name, const char *why);
	void (*report)(void *ctx, const struct source_report *r);
	void *ctx;
};
struct source {
	struct import_client *client; /* NULL: dry run */
	struct source_watch watch;
	bool keep_uids;
	slice only;                   /* import this mailbox alone; empty: all */

	/* of the mailbox in hand */
	struct source_report report;
	struct transfer_message head;
	uint64_t bytes;               /* of the message, with CRLF */
	bool cr, bare, crlf;
	uint64_t next_tag;
	struct source_name *name;     /* ring: tag → name, for refusals that come later */
};
void source_init(struct source *s, const struct source_watch *w);
void source_done(struct source *s);
/* For import_client_init: its ctx is the struct source *. */
extern const struct import_events source_events;

/* ST_INVALID: this mailbox is refused (and told); go on with the next. */
enum status source_box_begin(struct source *s, const struct import_box *box,
			     struct err *e) MUST_USE;
enum status source_box_end(struct source *s, struct err *e) MUST_USE;
/* head's tag is given here. name: what a refusal calls it. */
enum status source_begin(struct source *s, const struct transfer_message *head,
			 slice name, struct err *e) MUST_USE;
enum status source_data(struct source *s, slice octets, struct err *e) MUST_USE;
enum status source_end(struct source *s, struct err *e) MUST_USE;
/* Instead of source_end. */
enum status source_abort(struct source *s, const char *why, struct err *e) MUST_USE;
/* Something that is no message: told, counted. */
void source_bad(struct source *s, slice name, const char *why);

/* A Maildir++ below the directory root. */
enum status maildir_source(struct source *s, int root, struct err *e) MUST_USE;
/* An mbox, or a directory of them (name.mbox, Thunderbird's name.sbd). file: its name below
 * the directory root; empty: all of it. to: the mailbox; empty: after the file's name. */
enum status mbox_source(struct source *s, int root, slice file, slice to,
			struct err *e) MUST_USE;
/* Messages and octets (with CRLF) of an open mbox. */
enum status mbox_count(int fd, uint64_t *out_messages, uint64_t *out_bytes,
		       struct err *e) MUST_USE;
/* True when the directory looks like a Maildir. */
bool maildir_is_one(int root);

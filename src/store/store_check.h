#pragma once
/* store_check.h — facteur check: the whole store read and compared with itself.
 *
 * Runs beside a working server, from one thread of its own (it blocks on account locks). Everything
 * is read a page at a time, first without a lock; only a page in which something looks wrong is
 * read once more under the account's lock, and what is still wrong then is told and, when asked
 * for, mended in that transaction. Memory does not grow with the store but for 8 octets for each
 * expunged message that still waits, and a little for each damage found.
 *
 * What a repair takes out is written to a file in aside_dir first, as raw rows, and synced: nothing
 * is dropped without that (docs/adr/0009-check.md). */
#include "store/store.h"

enum store_check_fate {
	CHECK_LEFT,     /* told only: no repair was asked for */
	CHECK_REPAIRED, /* follows from what is left: nothing is lost */
	CHECK_LOST,     /* repaired, but something is gone: flags, a password, a text */
	CHECK_HELPLESS  /* a repair could do nothing about it */
};
struct store_check_finding {
	enum store_check_fate fate;
	const char *code;   /* a word that stays the same: "message-row", "body"… */
	uint32_t account;   /* 0: none */
	slice address;      /* empty: none, or not to be found out */
	slice mailbox;      /* whole path; empty: none */
	uint32_t uid;       /* 0: none */
	uint64_t email;     /* 0: none */
	slice subject, message_id;
	slice text;         /* a sentence without its full stop */
	const char *remedy; /* what repair does about it, or has done; NULL: nothing */
};
struct store_check_progress {
	const char *unit;    /* "messages", "bodies" */
	bool octets;         /* of bodies: that is what done and all count */
	uint64_t done, all;  /* all 0: not known */
	uint64_t found;
};
struct store_check_options {
	bool repair;
	bool quick;            /* bodies are not read */
	slice address;         /* of one account; empty: everything */
	const char *aside_dir; /* made when something is put aside; needed for repair */
	const _Atomic bool *stop; /* may be NULL */
	void (*found)(void *ctx, const struct store_check_finding *f);
	void (*progress)(void *ctx, const struct store_check_progress *p);
	void *ctx;
};
struct store_check_result {
	uint64_t accounts, mailboxes, messages, bodies;
	uint64_t found, repaired, lost, left; /* found = repaired + lost + left */
	uint64_t aside;                       /* rows put aside */
	char aside_file[256];                 /* empty: none */
	bool stopped;                         /* before the end */
};
/* A store whose row of the format is damaged or missing cannot be opened; this makes it again. Ids
 * go on in a new epoch, so that none is given twice. Nobody else has the store open. */
enum status store_repair_format(struct kv *kv, const struct clock *clock, uint32_t *out_epoch,
				struct err *e) MUST_USE;
/* An error is one of the walk itself (the disk, a stopped store): what was found until then stands. */
enum status store_check(struct store *s, const struct store_check_options *opt,
			struct store_check_result *out, struct err *e) MUST_USE;

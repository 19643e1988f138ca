#pragma once
/* store_check_int.h — what the files of the check share (store_check.h says how it goes about it).
 *
 * A unit of work is a function of (struct look *). look->t == NULL is the first look: check_fault()
 * only counts, and answers false. When it has counted anything, the same function runs again under
 * the account's lock with look->t: check_fault() tells, and answers true when it is to be mended;
 * what is put and deleted there is committed when the function returns ST_OK. */
#include "kv/kv.h"
#include "store/store_check.h"
#include "store/store_int.h"

#define CHECK_PAGE 128          /* rows of one unit: a lock is held for a few milliseconds */
#define CHECK_LIST_MAX 1000000u /* damage of one kind that is remembered at once */
#define CHECK_LATER ((enum store_check_fate)(CHECK_HELPLESS + 1)) /* told, decided at the end */
#define CHECK_GAP 1000000u      /* modseqs and email ids left out when the last one is not known */

struct check_row { /* copied into the page's arena */
	slice key, value;
};
struct check_page {
	struct arena *a;
	struct check_row *at;
	size_t n, max;
	size_t bytes;
};

struct check_box { /* a mailbox of the account at hand */
	uint32_t id;
	struct row_mbox row;
	slice path;
	bool has_row;   /* row could be read */
	bool in_name;   /* a row F leads here */
	bool recount;   /* a repair touched its messages */
};
struct check_place { /* a message whose row e or body is lost, until all has been walked */
	uint32_t account, mbox, uid; /* mbox 0: no mailbox is known to have it */
	uint64_t email;
	struct blob_id blob[2]; /* what it refers to: body, digest */
	unsigned n_blob;
};
struct aside;

struct check {
	struct store *s;
	const struct store_check_options *opt;
	struct store_check_result *res;
	struct aside *aside;
	char note[600]; /* the last finding, for the file of what is put aside */
	/* Findings of the transaction at hand: told when it has ended, for who is told may be slow, and
	 * what is told to be repaired then is. */
	struct store_check_finding *said;
	size_t n_said, cap_said;
	struct arena said_arena;
	struct check_page page;
	struct arena page_arena;
	const char *unit; /* of the progress */
	bool octets;
	uint64_t done, all, bytes; /* bytes: of all accounts, as they count them */
	uint32_t only;             /* the account that is asked about; 0: all */
	/* the account at hand; arena: until the next one */
	struct arena acct_arena;
	uint32_t account;
	slice address;
	struct row_account row;
	bool row_ok;
	struct check_box *box;
	size_t n_box;
	size_t n_keywords;
	uint64_t *gone;      /* emails of its rows X x, ascending */
	size_t n_gone, cap_gone;
	bool has_gone;
	uint64_t log_modseq; /* the row l that was read last */
	struct arena log_arena;
	slice log_row;
	uint64_t places, claims, threads; /* seen from the emails: rows m, T, t */
	uint64_t uses;       /* references seen from emails, queue and hand-offs, of all accounts */
	/* Emails whose places are not in order wait until every message row has been asked which
	 * email it has, and message rows that cannot be read until every email has been asked. */
	enum check_pass { CHECK_FIRST, CHECK_PLACES, CHECK_STRAYS } pass;
	uint64_t waiting, strays;
	struct check_place *told; /* what a message row has told of its email, and the reverse */
	size_t n_told, cap_told;
	/* damage that is dealt with at the end */
	struct check_place *lost;
	size_t n_lost, cap_lost;
	struct blob_id *bad;
	size_t n_bad, cap_bad;
	bool dropped; /* emails of the account at hand went for good: their threads have to know */
};
struct look {
	struct check *c;
	struct store_txn *t; /* NULL: the first look */
	bool sure;           /* what is found is told */
	bool silent;         /* there is something to commit that no finding stands for */
	uint64_t faults;
	uint64_t repaired, lost, left; /* of this transaction: counted when it is durable */
	/* what the last look at a page saw: rows m, T, t that belong to its emails, references */
	uint64_t places, claims, threads, uses, messages;
};
struct where { /* what a finding is about; zero fields are filled from the account at hand */
	const char *code;
	uint32_t mbox, uid;
	uint64_t email;
	slice subject, message_id;
	slice key; /* of the row, for what has no account */
};

typedef enum status (*check_fn)(struct look *l, void *ctx, struct err *e);
/* Runs fn without a lock; when it saw a fault, again in a transaction on ids. */
enum status check_unit(struct check *c, const uint32_t *ids, size_t n_ids, check_fn fn, void *ctx,
		       struct err *e) MUST_USE;
/* At once under the lock. */
enum status check_unit_locked(struct check *c, const uint32_t *ids, size_t n_ids, check_fn fn,
			      void *ctx, uint64_t *out_faults, struct err *e) MUST_USE;
/* A row that the engine cannot read is an empty one: nothing decodes from it. */
enum status check_get(const struct look *l, slice key, struct arena *a, slice *out,
		      struct err *e) MUST_USE;
bool check_has(const struct look *l, slice key, struct arena *a);
enum status check_scan(const struct look *l, struct skey from, struct skey to, kv_row_fn fn,
		       void *ctx, struct err *e) MUST_USE;

/* True: mend it. lost: mending loses something. remedy NULL: nothing can be done. */
bool check_fault(struct look *l, const struct where *w, enum store_check_fate fate,
		 const char *remedy, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void check_tell(struct check *c); /* no lock is held */
/* Subject and Message-ID from the digest of an email, when it can be read. */
void check_name_email(struct where *w, const struct row_email *r);
void check_tick(struct check *c, uint64_t n);
bool check_stopped(const struct check *c);
slice check_path(const struct check *c, uint32_t mbox);
struct check_box *check_box(const struct check *c, uint32_t mbox);

/* A page of rows in [*from, to): copied. Rows that the engine cannot read end the page early; *from
 * moves behind what was read. ST_NOT_FOUND at the end. */
enum status check_page_read(struct check *c, struct store_txn *t, slice from, slice to,
			    struct err *e) MUST_USE;
/* Walks every row with that prefix in pages, each a unit of its own. fn finds them in c->page. */
enum status check_walk(struct check *c, slice prefix, const uint32_t *ids, size_t n_ids,
		       check_fn fn, void *ctx, struct err *e) MUST_USE;

/* --- repair: into look->t ----------------------------------------------------------------- */
/* The row as it is goes to the file of what is put aside. */
enum status repair_aside(struct look *l, slice key, slice value, struct err *e) MUST_USE;
enum status repair_drop(struct look *l, slice key, slice value, struct err *e) MUST_USE; /* aside, then deleted */
enum status aside_note(struct check *c, slice text, struct err *e) MUST_USE;
enum status aside_sync(struct check *c, struct err *e) MUST_USE;
void aside_free(struct check *c);
void repair_recount(struct check *c, uint32_t mbox);
/* The account's hot row in this transaction, made again when it cannot be read. */
enum status repair_account(struct look *l, struct txn_account **out, struct err *e) MUST_USE;

/* A message that stands for one whose text is lost (store_repair_message.c). */
enum status repair_placeholder(struct look *l, struct where *w, const struct row_email *r,
			       const struct row_message *msg, uint32_t mbox, struct err *e) MUST_USE;
/* Row e made again from its body, or a placeholder. */
enum status repair_email(struct look *l, struct check_place *p, struct err *e) MUST_USE;
/* A message in INBOX from a body of which the account at hand has nothing else left. ST_NOT_FOUND: it is
 * none, or cannot be read. look->t NULL: only asked. */
enum status repair_body(struct look *l, const struct blob_id *blob, struct err *e) MUST_USE;
/* --- units ---------------------------------------------------------------------------------- */
enum status check_directory(struct check *c, struct err *e) MUST_USE;
enum status check_queue(struct check *c, struct err *e) MUST_USE;
enum status check_references(struct check *c, struct err *e) MUST_USE;
enum status check_bodies(struct check *c, struct err *e) MUST_USE;
enum status check_lost(struct check *c, struct err *e) MUST_USE;
/* Makes it the account at hand, with its mailboxes, and looks at nothing. */
enum status check_account_enter(struct check *c, uint32_t account, struct err *e) MUST_USE;
void check_account_forget(struct check *c);
bool check_account_gone(struct look *l, uint32_t account);
void check_account_name(struct check *c, uint32_t account);
/* of the account at hand */
enum status check_structure(struct check *c, struct err *e) MUST_USE;
enum status check_emails(struct check *c, struct err *e) MUST_USE;
enum status check_messages(struct check *c, struct err *e) MUST_USE;
enum status check_counts(struct check *c, bool *out_slow, struct err *e) MUST_USE;
/* Members of threads that are not there any more. */
enum status check_threads(struct check *c, struct err *e) MUST_USE;
/* Part of the structure; ta: under the lock. */
enum status check_keyword_names(struct look *l, struct txn_account *ta, struct err *e) MUST_USE;
enum status check_subscriptions(struct look *l, struct err *e) MUST_USE;
/* How many keywords there are by now. */
enum status check_keywords(struct look *l, struct err *e) MUST_USE;
/* Messages and mailboxes kept for undelete. */
enum status check_kept(struct check *c, struct err *e) MUST_USE;
/* The mailboxes that a repair has touched since, counted again. */
enum status check_recount(struct check *c, struct err *e) MUST_USE;
enum status check_indexes(struct check *c, struct err *e) MUST_USE;
/* Does the change log name this message at its modseq? */
enum status check_log_has(struct look *l, const struct row_message *m, uint32_t mbox, bool *out,
			  struct err *e) MUST_USE;
/* Does it say that the message was expunged? */
enum status check_log_expunged(struct look *l, uint32_t mbox, uint32_t uid, bool *out,
			       struct err *e) MUST_USE;
/* Is the email one that was expunged and waits for the sweep? */
enum status check_is_gone(struct look *l, uint64_t email, bool *out, struct err *e) MUST_USE;
void check_told_add(struct check *c, uint32_t mbox, uint32_t uid, uint64_t email);
void check_lost_add(struct check *c, uint32_t mbox, uint32_t uid, uint64_t email);
void check_bad_add(struct check *c, const struct blob_id *id);
uint64_t check_key_id(slice key); /* of rows A acct kind id */

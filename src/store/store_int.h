#pragma once
/* store_int.h — what the files of store/ share and nobody else sees.
 *
 * Hot rows. Each account that is worked on keeps its rows a, f and k in memory: a `struct
 * hot`. Whoever holds the account's lock takes it out of the cache, changes it in place
 * and puts it back before the commit is queued; an abort throws it away. It says what the
 * store will be when everything queued is durable, so only transactions may look at it; a
 * kv_lock_epoch that moved makes it void. Reads without a transaction ask the engine. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/limits.h"
#include "store/schema.h"
#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>

struct hot_mbox {
	uint32_t id;
	bool dirty, removed;
	struct row_mbox row; /* name: own heap */
};
struct hot {
	uint32_t account;
	uint64_t epoch;
	bool dirty;
	struct row_account row;
	struct hot_mbox **mbox;
	size_t n_mbox, cap_mbox;
	bool has_keywords;   /* loaded */
	size_t n_keywords;
	char *keyword[LIMIT_KEYWORDS]; /* NUL-terminated, own heap */
	uint64_t domains_gen; /* of the table of domains; 0: not looked up */
	int domain;           /* place in it, -1: no limits there */
	uint64_t used;       /* cache: when it was put back */
};

#define HOT_SETS 1024
#define HOT_WAYS 8
#define HOT_MAILBOXES 64 /* an account with more loaded is not kept */

struct resolve_slot {
	uint64_t gen;
	char *address; /* folded, own heap; NULL: empty */
	size_t n;
	enum store_resolution what;
	bool disabled;
	uint32_t account;
	char *own;     /* the account's own address */
	size_t n_own;
};
#define RESOLVE_SLOTS 8192
#define WATCH_BUCKETS 256
#define VIEW_BUCKETS 1024

struct watch_bucket {
	pthread_mutex_t lock;
	struct store_watch *head;
};
struct view_node;

/* A domain with limits, and what its accounts use: store_quota.c. */
struct domain_usage {
	slice name; /* own heap */
	uint64_t quota_bytes, quota_messages, bytes, messages;
	bool is_counted;
};

struct store {
	struct kv *kv;
	const struct clock *clock;
	struct row_format format;
	struct siphash_key msgid_key, table_key;
	_Atomic uint32_t last_uidvalidity;
	_Atomic uint64_t directory_gen;

	pthread_mutex_t hot_lock;
	struct hot *(*hot)[HOT_WAYS]; /* HOT_SETS of them */
	uint64_t hot_clock;
	struct row_directory directory; /* under lock 0 */
	uint64_t directory_epoch;
	bool has_directory;

	pthread_mutex_t resolve_lock;
	struct resolve_slot *resolve;

	struct watch_bucket watch[WATCH_BUCKETS];

	pthread_mutex_t view_lock;
	struct view_node *view[VIEW_BUCKETS];

	pthread_mutex_t policy_lock;
	struct row_policy policy;
	_Atomic bool has_limits; /* some quota may apply: nothing is asked otherwise */

	pthread_mutex_t domain_lock;
	struct domain_usage *domains;
	_Atomic size_t n_domains;
	_Atomic uint64_t domains_gen;
	_Atomic int64_t domains_counted_us;
	_Atomic bool domains_stale; /* accounts or limits have changed: count again */

	pthread_mutex_t retention_lock;
	struct retention *retention;
	_Atomic int64_t trusted_s; /* the time retention trusts: store_retention.c */
};

/* --- transactions ------------------------------------------------------------------- */
struct log_list { /* what a transaction did to one mailbox in one way */
	enum log_op op;
	uint32_t mbox;
	uint32_t *uid;
	size_t n, cap;
	bool sorted;
	struct log_list *next;
};
struct txn_account {
	uint32_t id;
	struct hot *hot;      /* NULL: not asked for yet */
	bool is_new, is_gone; /* made, removed by this transaction */
	uint64_t modseq;      /* taken by this transaction; 0: none yet */
	uint64_t bytes, messages; /* when the transaction first asked */
	struct log_list *log, **log_tail;
};
struct store_txn {
	struct store *s;
	struct kv_txn *kt;
	struct arena *a;
	struct txn_account **acct;
	size_t n, cap;
	bool has_directory_lock, directory_dirty, directory_changed;
	uint32_t uidvalidity; /* highest one taken; 0: none */
	size_t bytes;         /* of rows put, for LIMIT_TXN */
	struct err broken;    /* code != ERR_NONE: the commit fails with it */
};

enum status txn_get(struct store_txn *t, slice key, slice *out, struct err *e) MUST_USE;
void txn_put(struct store_txn *t, slice key, slice value);
void txn_put_buf(struct store_txn *t, slice key, const struct buf *b);
/* a row that says only that it is there: its version byte */
void txn_put_empty(struct store_txn *t, slice key);
void txn_del(struct store_txn *t, slice key);
/* Every reference to a blob is deleted by this: the collector looks then whether it was the last. */
void reference_remove(struct store_txn *t, const struct blob_id *blob, uint32_t account,
		      uint64_t email);
/* After something was written and the rest cannot be: the transaction can only fail now.
 */
enum status txn_break(struct store_txn *t, const struct err *why);

/* The hot rows of an account of this transaction. ERR_NO_ACCOUNT. */
enum status txn_account(struct store_txn *t, uint32_t account, struct txn_account **out,
			struct err *e) MUST_USE;
/* one that has no rows yet */
struct txn_account *txn_account_new(struct store_txn *t, uint32_t account);
/* lock 0 */
enum status txn_directory(struct store_txn *t, struct row_directory **out,
			  struct err *e) MUST_USE;
/* A mailbox that can hold messages; id 0: INBOX. ERR_NO_MAILBOX. */
enum status txn_mbox(struct store_txn *t, struct txn_account *ta, uint32_t mbox,
		     struct hot_mbox **out, struct err *e) MUST_USE;
/* The same, also those that only hold a name. */
enum status txn_mbox_any(struct store_txn *t, struct txn_account *ta, uint32_t mbox,
			 struct hot_mbox **out, struct err *e) MUST_USE;
/* A new mailbox row and its name row. The caller has checked that the name is free. */
struct hot_mbox *txn_mbox_new(struct store_txn *t, struct txn_account *ta,
			      uint32_t parent, slice name, enum store_role role,
			      bool exists);
/* The modseq of this transaction in this account: all its changes share it. */
uint64_t txn_modseq(struct txn_account *ta);
/* Notes a change for the log and the watchers; raises the mailbox's modseq. */
void txn_log(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
	     enum log_op op, uint32_t uid);
void txn_log_mailbox(struct store_txn *t, struct txn_account *ta, uint32_t mbox);
uint32_t txn_uidvalidity(struct store_txn *t);
/* Begins with all locks granted, blocking: admin jobs, sweep, hand-offs. */
enum status txn_begin_wait(struct store *s, const uint32_t *accounts, size_t n,
			   struct store_txn **out, struct err *e) MUST_USE;

/* --- hot rows ----------------------------------------------------------------------- */
struct hot *hot_new(uint32_t account);
void hot_free(struct hot *h);
struct hot *hot_take(struct store *s, uint32_t account); /* NULL: not there or void */
void hot_put_back(struct store *s, struct hot *h);
/* A copy of the account's counters, when they are there: with what is queued. */
bool hot_peek(struct store *s, uint32_t account, struct row_account *out);
void hot_drop_all(struct store *s);
struct hot_mbox *hot_find(const struct hot *h, uint32_t mbox);
/* copies the name */
struct hot_mbox *hot_add(struct hot *h, uint32_t mbox, const struct row_mbox *row);
void hot_rename(struct hot_mbox *m, slice name);

/* --- policy and quota: store_policy.c, store_quota.c, store_warning.c ---------------- */
enum status policy_open(struct store *s, struct err *e) MUST_USE;
void policy_close(struct store *s);
void policy_notes_limits(struct store_txn *t);
void quota_init(struct store *s);
void quota_done(struct store *s);
uint64_t quota_sum(uint64_t a, uint64_t b); /* or UINT64_MAX */
/* May so much come? Before anything is written. ERR_OVERQUOTA. */
enum status quota_check(struct store_txn *t, struct txn_account *ta, uint64_t bytes,
			uint64_t messages, enum store_quota how, struct err *e) MUST_USE;
/* A transaction ends: its domain learns the difference to what was there before. */
void quota_settle(struct store *s, struct hot *h, uint64_t bytes, uint64_t messages);
/* 95, 80 or 0: how full the account is, in percent of one of its limits */
unsigned quota_level(struct store *s, const struct row_account *r);
void quota_fill(struct store *s, const struct row_account *r, struct store_account *out);
/* Something came: files a warning into INBOX when 80 or 95 % were reached with it. */
void quota_warn(struct store_txn *t, struct txn_account *ta);

/* --- retention: store_retention.c --------------------------------------------------- */
enum status retention_open(struct store *s, struct err *e) MUST_USE;
void retention_close(struct store *s);
/* One step of the time that is trusted: the clock's wall seconds, and those that passed
 * since the last step by the monotonic clock. */
void retention_step(struct row_trusted_time *t, int64_t wall, int64_t elapsed);
/* Something is kept since `time`: the row Z that will find it. */
void kept_note(struct store_txn *t, enum kept_kind kind, uint32_t account, uint32_t mbox,
	       int64_t time);
/* The account's counters of what is kept. */
void held_give(struct txn_account *ta, uint64_t bytes, uint64_t messages);
void held_take(struct txn_account *ta, uint64_t bytes, uint64_t messages);
/* Takes an expunged message of a transaction out of its mailbox: store_expunge's step. */
enum status expunge_row(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
			const struct row_message *msg, struct err *e) MUST_USE;
/* email_remove, unless it was undeleted meanwhile. */
enum status email_remove_unless_placed(struct store_txn *t, uint32_t account,
				       uint64_t email, struct err *e) MUST_USE;
/* A kept mailbox comes back under its name, or one like it; its messages are there. */
enum status mbox_restore(struct store_txn *t, struct txn_account *ta, uint32_t id,
			 const struct row_kept_mbox *kept, struct err *e) MUST_USE;
/* A kept account comes back: locks 0 and its own. */
enum status account_restore(struct store_txn *t, uint32_t account, struct err *e) MUST_USE;
unsigned policy_keep_days(struct store *s);
bool policy_has_expiry(struct store *s);
void policy_notes_expiry(struct store_txn *t); /* under lock 0 */

/* --- publications ------------------------------------------------------------------- */
void store_watches_init(struct store *s);
void store_watches_done(struct store *s);
void watch_publish(struct store *s, uint32_t account, uint32_t mbox);

/* --- views -------------------------------------------------------------------------- */
void view_init(struct store *s);
void view_done(struct store *s);
/* The modseq of the oldest live view, those being made included; UINT64_MAX: none. */
uint64_t view_oldest(struct store *s, uint32_t account, uint32_t mbox);
/* May a live view, or one being made, show what was expunged from this mailbox at modseq?
 */
bool view_may_show(struct store *s, uint32_t account, uint32_t mbox, uint64_t modseq);
/* The mailboxes of an account that have views; in the arena. */
size_t view_mailboxes(struct store *s, uint32_t account, struct arena *a, uint32_t **out);

/* --- addresses: store_address.c ----------------------------------------------------- */
struct address {
	slice local, domain; /* folded; domain in A-labels, empty for a bare local part */
};
bool address_fold(struct arena *a, slice address, struct address *out);
bool domain_fold(struct arena *a, slice domain, slice *out);
slice address_join(struct arena *a, const struct address *addr);
enum status directory_login(struct store *s, struct store_txn *t, struct arena *a,
			    const struct address *addr, struct row_login *out,
			    struct err *e) MUST_USE; /* ST_NOT_FOUND */
void resolve_init(struct store *s);
void resolve_done(struct store *s);

/* --- messages ----------------------------------------------------------------------- */
/* What there is to know of a finished message, from an intake or a hand-off row. */
struct message_source {
	struct row_email email; /* blob, size, digest */
	slice message_id;
	slice digest;           /* for the references; may be empty */
};
void intake_source(const struct intake *in, struct message_source *out);
/* The transaction takes the bodies over, once. ST_INVALID before intake_end. */
enum status intake_attach(struct intake *in, struct store_txn *t, struct err *e) MUST_USE;
enum status add_message(struct store_txn *t, const struct message_source *src,
			const struct store_place *where, uint32_t *out_uid,
			struct err *e) MUST_USE;
/* The same without a look at the quota and without a warning. */
enum status add_unasked(struct store_txn *t, const struct message_source *src,
			const struct store_place *where, uint32_t *out_uid,
			struct err *e) MUST_USE;
/* Seconds; what rows m remember as the time of saving. Never before the trusted time, so
 * that a clock that stood still in 1970 makes nothing look old. */
int64_t saved_now(struct store *s);
void thread_of(struct store_txn *t, uint32_t account, const struct message_source *src,
	       uint64_t email,
	       struct row_email
		       *row); /* fills thread, msgid, root and writes the rows T and t */
uint64_t txn_email_id(struct store_txn *t, struct txn_account *ta);

struct message_list {
	struct row_message *at;
	size_t n;
};
/* Those of uids that exist, ascending, in the transaction's arena. */
enum status txn_messages(struct store_txn *t, uint32_t account, uint32_t mbox,
			 const struct store_uids *uids, struct message_list *out,
			 struct err *e) MUST_USE;
void txn_message_put(struct store_txn *t, uint32_t account, uint32_t mbox,
		     const struct row_message *m);
/* Counters of a mailbox and its account when a message comes (+1) or goes (-1). */
void count_message(struct txn_account *ta, struct hot_mbox *m,
		   const struct row_message *msg, int sign);
/* The message leaves the mailbox: its row becomes a row X. last: the email has no place
 * any more; moved: it went on to another. */
void expunge_message(struct store_txn *t, struct txn_account *ta, struct hot_mbox *m,
		     const struct row_message *msg, bool last, bool moved);
/* Takes (mbox, uid) out of the email's places. *out_last: no place is left. */
enum status place_remove(struct store_txn *t, uint32_t account,
			 const struct row_message *msg, uint32_t mbox, bool *out_last,
			 struct err *e) MUST_USE;
enum status places_of(struct store_txn *t, uint32_t account,
		      const struct row_message *msg, uint32_t mbox,
		      struct row_places *out, struct err *e) MUST_USE;
void places_put(struct store_txn *t, uint32_t account, uint64_t email,
		const struct row_places *p);
/* Removes an email that nothing shows any more, with its reference and thread rows. */
enum status email_remove(struct store_txn *t, uint32_t account, uint64_t email,
			 struct err *e) MUST_USE;

/* The digest of a blob that was parsed by an older version, or whose own is damaged. */
enum status email_digest_make(struct store *s, const struct row_email *r, struct arena *a,
			      slice *out, struct err *e) MUST_USE;

/* --- mailbox names ------------------------------------------------------------------ */
bool name_is_valid(slice name, struct err *e); /* canonical */
/* Walks the names; t may be NULL. out_found 0: not there. */
enum status name_find(struct store *s, struct kv_txn *kt, struct arena *a,
		      uint32_t account, slice name, uint32_t *out_found,
		      struct err *e) MUST_USE;
enum status name_child(struct store *s, struct kv_txn *kt, struct arena *a,
		       uint32_t account, uint32_t parent, slice component,
		       uint32_t *out_found, struct err *e) MUST_USE;
void name_put(struct store_txn *t, uint32_t account, uint32_t parent, slice component,
	      uint32_t mbox);
enum status move_all(struct store_txn *t, uint32_t account, uint32_t from, uint32_t to,
		     struct err *e) MUST_USE;
/* First component INBOX in any case becomes "INBOX"; a trailing separator goes. */
slice name_canonical(struct arena *a, slice name);
enum status damaged(struct err *e, const char *what); /* ERR_CORRUPT */

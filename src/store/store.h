#pragma once
/* store.h — accounts, mailboxes, messages: what the protocols may know of the store.
 *
 * Every handle is (account, mbox): nothing assumes the session's own account. Reads (no
 * transaction) see durable state only and may run on any worker thread. Changes:
 * store_begin → operations → store_commit (asynchronous) or store_commit_wait. After the
 * commit is durable the store publishes (account, mailbox, modseq) to its watchers. Rows
 * and keys: store/schema.h. Sources: RFC 3501, 4315, 6851, 6154, 7162, 8474 as named at
 * each function.
 *
 * Mailbox names here are whole paths in UTF-8 (NFC not enforced), separator '/', "INBOX"
 * upper case. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/done.h"
#include "store/intake.h"

struct kv;
struct store;
struct store_txn;
/* net/out.h has the same shape; the protocols adapt store_body to it */
struct out_source;

enum status store_open(struct kv *kv, const struct clock *clock, struct store **out,
		       struct err *e) MUST_USE;
void store_close(struct store *s); /* the kv stays open */

/* --- transactions ------------------------------------------------------------------- */
/* accounts: ascending, distinct, 1 ≤ n ≤ LIMIT_DELIVER_ACCOUNTS; 0 is the directory
 * (domains, logins, aliases, queue). They and *park live until the transaction ends or
 * the wait is over. ST_WAIT: see kv_begin. */
enum status store_begin(struct store *s, const uint32_t *accounts, size_t n,
			struct parked *park, struct store_txn **out,
			struct err *e) MUST_USE;
void store_unpark(struct store *s, struct parked *park);
void store_commit(struct store_txn *t, struct done *d); /* t is gone when it returns */
enum status store_commit_wait(struct store_txn *t, struct err *e) MUST_USE;
void store_abort(struct store_txn *t);
/* Gives disk back in the end (expunge, sweep): goes on where others are refused for want
 * of it. See kv_txn_frees. */
void store_txn_frees(struct store_txn *t);
/* ERR_DISK_FULL when there is less disk than is reserved; asks the system now and then.
 * cached: from what is remembered, for a thread that must not ask. */
enum status store_disk_room(struct store *s, struct err *e) MUST_USE;
bool store_disk_room_cached(struct store *s);

/* --- policy: what the configuration says of all accounts (docs/adr/0012) -------------- */
struct store_policy {
	/* limits of accounts that have none of their own; 0: none */
	uint64_t quota_bytes, quota_messages;
	/* octets a message whose recipient was accepted may go beyond the limit */
	uint64_t quota_grace;
	/* how long what is deleted can be brought back; 0: not at all */
	unsigned keep_days;
	/* 0: never */
	unsigned expire_trash_days, expire_junk_days;
	char language[3]; /* of mail the server writes: "en", "fr" */
};
/* Kept in the store, so that commands find it while no server runs. A new store has none:
 * no limits, nothing is kept or expires. It holds also when it could not be written. */
enum status store_policy_set(struct store *s, const struct store_policy *p,
			     struct err *e) MUST_USE;
void store_policy_get(struct store *s, struct store_policy *out);
/* For a command on a store that no server has opened yet: what a server without a
 * configuration would say, in memory. Any other store keeps what it has. */
#define STORE_KEEP_DAYS   7
#define STORE_QUOTA_GRACE (10u << 20)
void store_policy_assume(struct store *s);
bool store_language_is_known(slice language);

/* --- directory: domains, accounts, aliases ------------------------------------------ */
/* Addresses are folded: domain lower case (A-labels and U-labels both found, IDNA2008),
 * local part ASCII-lower-case. */
enum store_resolution { STORE_UNKNOWN_DOMAIN, STORE_UNKNOWN_USER, STORE_LOCAL };
struct store_recipient {
	enum store_resolution what;
	bool disabled;
	uint32_t account;
	slice address; /* the account's own address */
};
/* address without <>; "Postmaster" alone, postmaster@ and abuse@ of every domain resolve
 * to the admin account unless an account or alias has that name (RFC 5321 4.5.1, RFC 2142
 * 5). Quoted local parts compare unquoted (RFC 5321 4.1.2). */
enum status store_resolve(struct store *s, slice address, struct arena *a,
			  struct store_recipient *out, struct err *e) MUST_USE;
/* The same from what is remembered, for a thread that must not read: false when it is not known
 * without a read. */
bool store_resolve_cached(struct store *s, slice address, struct arena *a,
			  struct store_recipient *out) MUST_USE;
enum status store_domain_add(struct store *s, slice domain, struct err *e) MUST_USE;
/* not while it has accounts or aliases */
enum status store_domain_remove(struct store *s, slice domain, struct err *e) MUST_USE;
enum status store_domain_list(struct store *s, struct arena *a, slice **out,
			      size_t *out_n, struct err *e) MUST_USE;

struct store_account {
	uint32_t id;
	slice address;
	/* "{ARGON2ID}$argon2id$…", "{CRYPT}$6$…": auth/ reads and writes it */
	slice verifier;
	bool disabled, is_admin;
	int64_t created;  /* seconds */
	uint64_t bytes, messages;
	uint64_t quota_bytes, quota_messages; /* that apply; 0: none */
	bool has_own_quota;
	uint64_t held_bytes, held_messages;   /* kept for undelete, not in bytes */
	char language[3];                     /* empty: the policy's */
};
/* Makes INBOX, Drafts, Sent, Junk, Trash, Archive (RFC 6154) with it. Its domain must
 * exist. The first account made is admin. */
enum status store_account_add(struct store *s, slice address, slice verifier,
			      uint32_t *out_id, struct err *e) MUST_USE;
/* Many at once for bulk import: one transaction per batch of ≤ 500; what[i] says how each
 * went (err code, ERR_NONE: made). */
struct store_new_account {
	slice address, verifier;
	enum err_code result;
};
enum status store_account_add_many(struct store *s, struct store_new_account *list,
				   size_t n, struct err *e) MUST_USE;
/* exact account address; ERR_NO_ACCOUNT */
enum status store_account_get(struct store *s, slice address, struct arena *a,
			      struct store_account *out, struct err *e) MUST_USE;
enum status store_account_by_id(struct store *s, uint32_t id, struct arena *a,
				struct store_account *out, struct err *e) MUST_USE;
enum status store_account_rename(struct store *s, slice address, slice new_address,
				 struct err *e) MUST_USE;
enum status store_account_set_verifier(struct store *s, slice address, slice verifier,
				       struct err *e) MUST_USE;
enum status store_account_set_disabled(struct store *s, slice address, bool disabled,
				       struct err *e) MUST_USE;
/* With all its mail and its aliases, which are kept for undelete when the policy says so;
 * the id is never reused. purge: for good, at once. */
enum status store_account_remove(struct store *s, slice address, struct err *e) MUST_USE;
enum status store_account_purge(struct store *s, slice address, struct err *e) MUST_USE;
enum status store_account_list(struct store *s, struct arena *a,
			       struct store_account **out, size_t *out_n,
			       struct err *e) MUST_USE;
/* "en", "fr"; empty: as the policy says. ERR_SYNTAX. */
enum status store_account_set_language(struct store *s, slice address, slice language,
				       struct err *e) MUST_USE;
struct store_alias {
	slice address, target;
};
/* target: an account */
enum status store_alias_add(struct store *s, slice address, slice target,
			    struct err *e) MUST_USE;
enum status store_alias_remove(struct store *s, slice address, struct err *e) MUST_USE;
enum status store_alias_list(struct store *s, struct arena *a, struct store_alias **out,
			     size_t *out_n, struct err *e) MUST_USE;
/* May this account send as this address (its own, or an alias that leads to it)? */
bool store_may_send_as(struct store *s, uint32_t account, slice address);
/* From what is remembered: false when it is not known without a read. */
bool store_may_send_as_cached(struct store *s, uint32_t account, slice address, bool *out) MUST_USE;

/* --- mailboxes ---------------------------------------------------------------------- */
enum store_role {
	ROLE_NONE,
	ROLE_INBOX,
	ROLE_DRAFTS,
	ROLE_SENT,
	ROLE_JUNK,
	ROLE_TRASH,
	ROLE_ARCHIVE
};
const char *store_role_name(enum store_role role); /* "sent"…; "" for none */
struct store_mailbox {
	uint32_t id, parent; /* parent 0: top level */
	slice name;          /* whole path */
	enum store_role role;
	/* false: a name that only holds children or a subscription (RFC 3501 6.3.4,
	 * 6.3.9) */
	bool exists;
	bool subscribed, has_children;
	uint32_t uidvalidity, uidnext, messages, unseen, deleted, first_recent;
	uint64_t modseq, bytes;
	uint16_t expire; /* days + 1 after which its messages go; 0: what the policy says */
};
enum status store_mailbox_list(struct store *s, uint32_t account, struct arena *a,
			       struct store_mailbox **out, size_t *out_n,
			       struct err *e) MUST_USE; /* sorted by name, INBOX first */
/* ERR_NO_MAILBOX. "inbox" in any case finds INBOX (RFC 3501 5.1). */
enum status store_mailbox_find(struct store *s, uint32_t account, slice name,
			       struct arena *a, struct store_mailbox *out,
			       struct err *e) MUST_USE;
enum status store_mailbox_get(struct store *s, uint32_t account, uint32_t mbox,
			      struct arena *a, struct store_mailbox *out,
			      struct err *e) MUST_USE;
/* Makes missing parents (RFC 3501 6.3.3). Roles other than ROLE_NONE at most once an
 * account. */
enum status store_mailbox_create(struct store_txn *t, uint32_t account, slice name,
				 enum store_role role, uint32_t *out_id,
				 struct err *e) MUST_USE;
/* With children: the messages go, the name stays (\Noselect); \Noselect with children:
 * ERR_HAS_CHILDREN (RFC 3501 6.3.4). INBOX and role mailboxes of the account's making:
 * INBOX ERR_CANNOT, others may go. Messages are unlinked in a bounded way. */
enum status store_mailbox_delete(struct store_txn *t, uint32_t account, slice name,
				 struct err *e) MUST_USE;
/* Children move along. INBOX: its messages move to the new name (RFC 3501 6.3.5). */
enum status store_mailbox_rename(struct store_txn *t, uint32_t account, slice from,
				 slice to, struct err *e) MUST_USE;
enum status store_mailbox_subscribe(struct store_txn *t, uint32_t account, slice name,
				    bool on, struct err *e) MUST_USE;
/* UIDs of another server, kept: the next one given is uidnext (≥ the present one, ERR_CANNOT
 * otherwise; 0: as it is), under this UIDVALIDITY (0: as it is; only while the mailbox has
 * never held a message, ERR_CANNOT otherwise). */
enum status store_mailbox_uids(struct store_txn *t, uint32_t account, uint32_t mbox,
			       uint32_t uidvalidity, uint32_t uidnext,
			       struct err *e) MUST_USE;

/* days after which messages go, counted from when they came into it; 0: never; -1: what
 * the policy says for its role */
enum status store_mailbox_set_expiry(struct store *s, uint32_t account, slice name,
				     int days, struct err *e) MUST_USE;

/* --- retention and undelete (docs/adr/0012) ------------------------------------------- */
/* Expires what is due and clears what was kept for long enough: a bounded part of it. A
 * background job calls it as store_sweep, one at a time. */
enum status store_retention_run(struct store *s, size_t max, size_t *out_done,
				struct err *e) MUST_USE;
struct store_undelete { /* which; all empty: everything */
	slice mailbox;
	int64_t since;    /* deleted then or later, seconds */
	slice message_id; /* without <>: messages only */
};
struct store_deleted {
	bool is_mailbox;
	slice mailbox;
	int64_t deleted, internal_date;
	uint64_t messages, bytes;
	slice subject, message_id; /* of a message */
};
/* At most LIMIT_UNDELETE_LIST. */
enum status store_undelete_list(struct store *s, uint32_t account,
				const struct store_undelete *wanted, struct arena *a,
				struct store_deleted **out, size_t *out_n,
				struct err *e) MUST_USE;
/* In transactions of bounded size: after an error what was counted is back. */
enum status store_undelete(struct store *s, uint32_t account,
			   const struct store_undelete *wanted, size_t *out_messages,
			   size_t *out_mailboxes, struct err *e) MUST_USE;
struct store_removed {
	uint32_t id;
	slice address;
	int64_t removed;
	uint64_t bytes, messages;
};
enum status store_account_removed(struct store *s, struct arena *a,
				  struct store_removed **out, size_t *out_n,
				  struct err *e) MUST_USE;
/* The one removed last of that address, which must be free; aliases that are free come
 * back, too. */
enum status store_account_undelete(struct store *s, slice address,
				   struct err *e) MUST_USE;

/* --- messages: reading -------------------------------------------------------------- */
/* \Deleted belongs to the mailbox row, the others and keywords to the email */
enum store_flag {
	FLAG_SEEN = 1,
	FLAG_ANSWERED = 2,
	FLAG_FLAGGED = 4,
	FLAG_DRAFT = 8,
	FLAG_DELETED = 16
};
struct store_flags {
	uint32_t sys;
	uint64_t kw; /* bit i: keyword i of the account */
};
struct store_row { /* the ~40-byte row that SELECT and FETCH FLAGS scan */
	uint32_t uid;
	uint64_t email, modseq;
	struct store_flags flags;
	int64_t internal_date; /* seconds */
	uint64_t size;         /* RFC822.SIZE: prefix + blob */
	/* when it came into this mailbox, seconds (RFC 8514 3); 0: before that was kept */
	int64_t saved;
};
/* Rows with from ≤ uid ≤ to, ascending, without those that are damaged. fn returns false to
 * stop. */
typedef bool (*store_row_fn)(void *ctx, const struct store_row *row);
enum status store_rows(struct store *s, uint32_t account, uint32_t mbox, uint32_t from,
		       uint32_t to, store_row_fn fn, void *ctx, struct err *e) MUST_USE;
/* As store_rows; a damaged one is given at its place with its uid and email 0. */
enum status store_rows_all(struct store *s, uint32_t account, uint32_t mbox,
			   uint32_t from, uint32_t to, store_row_fn fn, void *ctx,
			   struct err *e) MUST_USE;
enum status store_row_get(struct store *s, uint32_t account, uint32_t mbox, uint32_t uid,
			  struct store_row *out,
			  struct err *e) MUST_USE; /* ERR_NO_MESSAGE */
/* As store_row_get; a message that was expunged meanwhile is given as it was then, as
 * long as a view shows it. */
enum status store_row_shown(struct store *s, uint32_t account, uint32_t mbox,
			    uint32_t uid, struct store_row *out, struct err *e) MUST_USE;
struct store_email {
	uint64_t id, thread;
	/* Return-Path, Delivered-To, Received: in front of the blob */
	slice prefix;
	struct blob_id blob;
	uint64_t blob_size;
	/* mime/mime_digest.h; offsets count from the blob; made again when its version is
	 * old */
	slice digest;
	slice preview;
	int64_t received;
};
/* Expunged emails stay readable here while a view that shows them is open. */
enum status store_email_get(struct store *s, uint32_t account, uint64_t email,
			    struct arena *a, struct store_email *out,
			    struct err *e) MUST_USE;
/* As store_email_get, without digest and preview, whose damage does not matter then: to read
 * the octets alone. */
enum status store_email_octets(struct store *s, uint32_t account, uint64_t email,
			       struct arena *a, struct store_email *out,
			       struct err *e) MUST_USE;
/* [off, off + n) of the message as the client sees it: prefix, then blob. Worker only. */
enum status store_email_read(struct store *s, const struct store_email *m, uint64_t off,
			     void *dst, size_t n, struct err *e) MUST_USE;
/* A reference-counted reader for output chains: read/ref/unref have the shape of struct
 * out_source_ops (net/out.h), which store/ may not include; prefix and blob as in
 * store_email_read. */
struct store_body;
struct store_body *store_body_new(struct store *s, const struct store_email *m);
enum status store_body_read(struct store_body *b, uint64_t off, void *dst, size_t n,
			    struct err *e) MUST_USE;
void store_body_ref(struct store_body *b);
void store_body_unref(struct store_body *b);

/* The account's keywords in bit order. */
enum status store_keywords(struct store *s, uint32_t account, struct arena *a,
			   slice **out, size_t *out_n, struct err *e) MUST_USE;
/* The bit of a keyword (ASCII case ignored), given out when new: ERR_LIMIT when
 * LIMIT_KEYWORDS are taken. */
enum status store_keyword_bit(struct store_txn *t, uint32_t account, slice keyword,
			      unsigned *out, struct err *e) MUST_USE;

/* --- quota: octets and messages of an account, and of a domain's accounts together ------ */
#define STORE_QUOTA_KEEP    (UINT64_MAX - 1) /* this limit stays as it is */
#define STORE_QUOTA_DEFAULT UINT64_MAX       /* no limit of its own: the policy's */
/* Limits; 0: none. ERR_NO_ACCOUNT. */
enum status store_quota_set(struct store *s, slice address, uint64_t bytes,
			    uint64_t messages, struct err *e) MUST_USE;
/* STORE_QUOTA_DEFAULT is none here. ERR_NO_DOMAIN. */
enum status store_quota_set_domain(struct store *s, slice domain, uint64_t bytes,
				   uint64_t messages, struct err *e) MUST_USE;
struct store_domain_quota {
	uint64_t bytes, messages, quota_bytes, quota_messages;
};
enum status store_quota_domain(struct store *s, slice domain,
			       struct store_domain_quota *out, struct err *e) MUST_USE;
/* Adds up again what the accounts of domains with limits use, when something has changed
 * that commits do not tell, or when forced. A background job calls it. */
enum status store_quota_refresh(struct store *s, bool force, struct err *e) MUST_USE;
/* Is there room for one more message of `size` octets (0: not known)? Asked before it is
 * sent; address is the account's own. */
enum store_room {
	STORE_ROOM,
	STORE_ROOM_NOT_NOW, /* full */
	STORE_ROOM_NEVER    /* larger than the limit itself */
};
enum status store_room(struct store *s, uint32_t account, slice address, uint64_t size,
		       enum store_room *out, struct err *e) MUST_USE;
/* From what is remembered: false when it is not known without a read. */
bool store_room_cached(struct store *s, uint32_t account, slice address, uint64_t size,
		       enum store_room *out) MUST_USE;

/* --- messages: changing ------------------------------------------------------------- */
/* One intake (a finished message) goes to any number of accounts of the transaction,
 * stored once (DESIGN §4). */
enum store_quota { /* what a limit means for a message that is there */
	STORE_QUOTA_NONE,    /* nothing: it was accepted before, or an administrator brings it */
	STORE_QUOTA_STRICT,  /* APPEND */
	STORE_QUOTA_DELIVER, /* its recipient was accepted: the grace applies */
	STORE_QUOTA_SHARED   /* and it has others, who shall not wait for one full account:
				it also comes when the limit was not reached before it */
};
struct store_place {
	uint32_t account, mbox; /* mbox 0: INBOX */
	slice prefix;           /* trace lines in front, CRLF ended; empty for APPEND */
	struct store_flags flags;
	int64_t internal_date;  /* seconds */
	enum store_quota quota; /* ERR_OVERQUOTA, and nothing is written */
	bool no_letter; /* about a limit that comes near: it would take a UID */
};
enum status store_add(struct store_txn *t, struct intake *in,
		      const struct store_place *where, uint32_t *out_uid,
		      struct err *e) MUST_USE;

/* UIDs ascending, distinct. Those that do not exist any more are left out silently. */
struct store_uids {
	uint32_t *uid;
	size_t n;
};
enum store_flag_op { FLAG_SET, FLAG_ADD, FLAG_REMOVE };
/* out: the rows as they are now, in uid order, only those that exist (changed or not); in
 * the transaction's arena. One modseq for the call; rows that do not change keep theirs.
 * ≤ LIMIT_STORE_CHUNK uids. */
enum status store_flags_change(struct store_txn *t, uint32_t account, uint32_t mbox,
			       const struct store_uids *uids, enum store_flag_op op,
			       struct store_flags flags, struct store_row **out,
			       size_t *out_n, struct err *e) MUST_USE;
/* COPY: source and destination uids pairwise (COPYUID, RFC 4315 3). Same account: no body
 * is stored twice. All or nothing. */
enum status store_copy(struct store_txn *t, uint32_t account, uint32_t from,
		       const struct store_uids *uids, uint32_t to,
		       struct store_uids *out_from, struct store_uids *out_to,
		       struct err *e) MUST_USE;
/* MOVE, RFC 6851: as copy, and the source rows are expunged in the same transaction;
 * EMAILID stays. ≤ LIMIT_STORE_CHUNK. */
enum status store_move(struct store_txn *t, uint32_t account, uint32_t from,
		       const struct store_uids *uids, uint32_t to,
		       struct store_uids *out_from, struct store_uids *out_to,
		       struct err *e) MUST_USE;
/* Expunges those of uids that exist, only those with \Deleted when asked. out: what went,
 * in the transaction's arena. */
enum status store_expunge(struct store_txn *t, uint32_t account, uint32_t mbox,
			  const struct store_uids *uids, bool only_deleted,
			  struct store_uids *out, struct err *e) MUST_USE;
/* \Recent (RFC 3501 2.3.2): gives this session the recent messages of the mailbox: uids ≥
 * *out_first; marks them taken. */
enum status store_take_recent(struct store_txn *t, uint32_t account, uint32_t mbox,
			      uint32_t *out_first, struct err *e) MUST_USE;

/* --- views and publications --------------------------------------------------------- */
/* The UIDs of a mailbox at a modseq: immutable, reference-counted, one per distinct
 * modseq shared by all sessions. While it is referenced, expunged emails that it shows
 * stay readable. */
struct store_view {
	uint32_t account, mbox, uidvalidity, uidnext;
	uint64_t modseq;
	size_t n;
	const uint32_t *uid; /* ascending */
};
enum status store_view_open(struct store *s, uint32_t account, uint32_t mbox,
			    const struct store_view **out, struct err *e)
	MUST_USE; /* the newest durable one; ERR_NO_MAILBOX when it was deleted */
const struct store_view *store_view_ref(const struct store_view *v);
void store_view_unref(struct store *s, const struct store_view *v);
/* between two views, uids ascending, in the arena; read once per publication, shared */
struct store_changes {
	/* changed: flags; rows are read by the caller */
	struct store_uids added, expunged, changed;
};
enum status store_changes_between(struct store *s, const struct store_view *from,
				  const struct store_view *to, struct arena *a,
				  struct store_changes *out, struct err *e) MUST_USE;

struct store_watch { /* embedded by the watcher */
	void (*fn)(struct store_watch *w); /* committer thread: only post */
	uint32_t account, mbox;            /* mbox 0: any of the account */
	struct store_watch *next, *prev;
};
void store_watch_add(struct store *s, struct store_watch *w);
/* fn does not run any more when it returns */
void store_watch_remove(struct store *s, struct store_watch *w);

/* --- outbound queue (delivery is a later issue) ------------------------------------- */
struct store_queue_entry {
	uint64_t id;
	int64_t queued, due;      /* seconds */
	uint32_t account;         /* who submitted it */
	slice sender;             /* empty: <> */
	slice *rcpt;
	size_t n_rcpt;
	uint64_t size;
	struct blob_id blob;
	slice prefix;             /* Received line in front */
	slice state;              /* "waiting" */
	bool body_8bit, smtputf8;
};
/* Same transaction as local deliveries of the message (needs lock id 0 among the
 * accounts). */
enum status store_queue_add(struct store_txn *t, struct intake *in,
			    const struct store_queue_entry *entry, uint64_t *out_id,
			    struct err *e) MUST_USE;
enum status store_queue_list(struct store *s, size_t max, struct arena *a,
			     struct store_queue_entry **out, size_t *out_n,
			     struct err *e) MUST_USE;

/* --- hand-offs: recipients beyond LIMIT_DELIVER_ACCOUNTS ---------------------------- */
enum status store_handoff_add(struct store_txn *t, struct intake *in,
			      const struct store_place *where, struct err *e) MUST_USE;
/* Files up to max waiting hand-offs, blocking (a background job calls it after such a
 * commit, and once at start-up). One that cannot be filed stays: the others are filed, and
 * then its error is returned. */
enum status store_handoff_run(struct store *s, size_t max, size_t *out_done,
			      struct err *e) MUST_USE;

/* --- sweep -------------------------------------------------------------------------- */
/* Clears what was unlinked: emails that no view shows any more, messages of deleted
 * mailboxes, removed accounts. Blocking, in transactions of bounded size; a slow-pool job
 * calls it now and then and once at start-up, and again at once while *out_done ≥ max.
 * Counts rows of work, not of the engine. */
enum status store_sweep(struct store *s, size_t max, size_t *out_done,
			struct err *e) MUST_USE;

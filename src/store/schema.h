#pragma once
/* schema.h — every key and every row of the store: the one place that knows the format on
 * disk.
 *
 * Keys are big-endian, so that byte order is number order; the account stands first.
 * Every row starts with a version byte; a reader that meets another version, or a row cut
 * short, answers false (ERR_CORRUPT), never reads beyond it (HAZARDS 11). Numbers are
 * fixed width where rows are scanned, LEB128 elsewhere. kv/ owns the prefixes 'B', 'b',
 * 'd', 'g', 'L' and 's'.
 *
 *	S f                  format, epoch, hash key: checked at open
 *	S d                  directory: next account id, admin, last queue id (lock 0)
 *	V uidvalidity        values given out; the sweep removes all but the highest
 *	D domain             A-label form, lower case
 *	U n domain 0 local   account or alias
 *	U i account          its address
 *	A acct a             account: the one hot row, written once a transaction
 *	A acct f mbox        mailbox: the other one
 *	A acct F parent name unique names; name is one component
 *	A acct b name        subscription, whole path (RFC 3501 6.3.9)
 *	A acct m mbox uid    message: what SELECT and FETCH FLAGS scan
 *	A acct e email       never rewritten: blob, prefix, digest, thread, first place
 *	A acct g email       places, when they differ from the one in e (copied, moved)
 *	A acct T hash        message-id → thread
 *	A acct t thread email members of a thread other than its first
 *	A acct l modseq part change log, one row a transaction (more when too long)
 *	A acct k bit         keyword
 *	A acct x time mbox uid  expunged and kept for undelete; time: since when it is kept
 *	A acct d mbox        deleted mailbox, kept whole for undelete: its rows m stay
 *	X acct x mbox uid    expunged: when no view shows it, the sweep keeps or clears it
 *	X acct f mbox        deleted mailbox whose messages are still to be cleared
 *	X acct l             the change log has grown beyond what is kept
 *	X acct z             removed account, likewise
 *	Y acct               removed account, kept whole for undelete
 *	Z time kind acct mbox  what is kept, in order of time: kind x (an hour of rows A x of an
 *	                     account, mbox 0), d (a mailbox), z (an account, mbox 0)
 *	S p                  policy: what the configuration says of quotas and retention
 *	S t                  the time retention trusts (store_retention.c)
 *	r hash acct email    a use of a blob; acct 0: queue, SCHEMA_HANDOFF: hand-off
 *	q id, Q due id       outbound queue: entry; order of work
 *	H acct random        hand-off
 *
 * Versions: rows D, a, f, m and those of X x have a version 2 (quotas, expiry, the time of
 * saving); version 1 is read as well, and what it does not tell is 0. All others are of
 * version 1.
 *
 * A delivery writes a, f, m, e, l, r, T: seven rows. Ids of emails carry the epoch in the
 * top 16 bits, of mailboxes in the top 8: a restore raises the epoch, so that no id is
 * given twice (DESIGN P3). A thread has the id of its first email. */
#include "base/arena.h"
#include "base/buf.h"
#include "kv/kv.h"
#include "store/store.h"

#define SCHEMA_FORMAT 1
#define SCHEMA_ROW 1                  /* the version byte of every row but */
#define SCHEMA_ROW_2 2                /* those that have learned something */
#define SCHEMA_HANDOFF 0xffffffffu    /* in references: held by a hand-off */
#define SCHEMA_NAME_MAX (LIMIT_KEY - 64)
#define SCHEMA_DIGEST_INLINE (16u << 10) /* longer ones are blobs */
#define SCHEMA_ROLES (ROLE_ARCHIVE + 1)

struct skey {
	size_t n;
	unsigned char b[72];
};
static inline slice skey_slice(const struct skey *k)
{
	return slice_make(k->b, k->n);
}
/* The first key behind every key that starts with k. */
void skey_next_prefix(struct skey *k);

struct skey key_format(void);
struct skey key_directory(void);
struct skey key_uidvalidity(uint32_t v);
slice key_domain(struct arena *a, slice domain);
/* local empty: prefix of the domain */
slice key_login(struct arena *a, slice domain, slice local);
struct skey key_login_prefix(void);
struct skey key_account_address(uint32_t account);
struct skey key_account_prefix(uint32_t account);
/* prefix of all rows of that type */
struct skey key_account_type(uint32_t account, char type);
struct skey key_account(uint32_t account);
struct skey key_mbox(uint32_t account, uint32_t mbox);
/* name empty: prefix of the parent */
slice key_name(struct arena *a, uint32_t account, uint32_t parent, slice name);
slice key_subscription(struct arena *a, uint32_t account, slice name);
struct skey key_message(uint32_t account, uint32_t mbox, uint32_t uid);
struct skey key_messages(uint32_t account, uint32_t mbox); /* prefix */
struct skey key_email(uint32_t account, uint64_t email);
struct skey key_places(uint32_t account, uint64_t email);
struct skey key_msgid(uint32_t account, uint64_t hash);
struct skey key_thread(uint32_t account, uint64_t thread, uint64_t email);
struct skey key_log(uint32_t account, uint64_t modseq, uint8_t part);
struct skey key_keyword(uint32_t account, uint8_t bit);
struct skey key_gone(uint32_t account, uint32_t mbox, uint32_t uid);
struct skey key_gone_mbox(uint32_t account, uint32_t mbox);
struct skey key_gone_log(uint32_t account);
struct skey key_gone_account(uint32_t account);
struct skey key_gone_prefix(void);
struct skey key_kept(uint32_t account, int64_t time, uint32_t mbox, uint32_t uid);
struct skey key_kept_prefix(uint32_t account);
bool key_kept_read(slice key, int64_t *time, uint32_t *mbox, uint32_t *uid);
struct skey key_kept_mbox(uint32_t account, uint32_t mbox);
struct skey key_kept_account(uint32_t account);
struct skey key_kept_account_prefix(void);
enum kept_kind { KEPT_MESSAGES = 'x', KEPT_MAILBOX = 'd', KEPT_ACCOUNT = 'z' };
struct kept_due {
	int64_t time;
	enum kept_kind kind;
	uint32_t account, mbox;
};
struct skey key_kept_due(const struct kept_due *k);
struct skey key_kept_due_from(int64_t time); /* the first of that time */
bool key_kept_due_read(slice key, struct kept_due *out);
struct skey key_policy(void);
struct skey key_trusted_time(void);
struct skey key_reference(const struct blob_id *blob, uint32_t account, uint64_t email);
struct skey key_queue(uint64_t id);
struct skey key_queue_prefix(void);
struct skey key_queue_due(int64_t due, uint64_t id);
struct skey key_handoff(uint32_t account, uint64_t random);
struct skey key_handoff_prefix(void);

/* --- rows: X_write appends to a buf; X_read borrows, false on damage ---------------- */
struct row_format {
	uint32_t format, epoch;
	int64_t created;
	uint64_t k0, k1; /* siphash key of message ids */
};
void row_format_write(struct buf *b, const struct row_format *r);
/* false also when only the version byte can be read */
bool row_format_read(slice s, struct row_format *r);

struct row_directory {
	uint32_t next_account, admin;
	uint64_t last_queue;
};
void row_directory_write(struct buf *b, const struct row_directory *r);
bool row_directory_read(slice s, struct row_directory *r);

struct row_domain {
	int64_t created;
	uint64_t quota_bytes, quota_messages; /* of all its accounts together; 0: none */
};
void row_domain_write(struct buf *b, const struct row_domain *r);
bool row_domain_read(slice s, struct row_domain *r);

struct row_policy {
	struct store_policy policy;
	bool has_limits; /* an account or a domain has, or had, limits of its own */
	bool has_expiry; /* a mailbox an expiry of its own */
};
void row_policy_write(struct buf *b, const struct row_policy *r);
bool row_policy_read(slice s, struct row_policy *r);

/* See store_retention.c. */
struct row_trusted_time {
	int64_t trusted;   /* never goes back */
	int64_t jump_to;   /* where the clock stood after a jump that is not believed yet; 0: none */
	int64_t jump_held; /* seconds of running since then */
	int64_t saved_since; /* rows m of version 1 count as saved then */
};
void row_trusted_time_write(struct buf *b, const struct row_trusted_time *r);
bool row_trusted_time_read(slice s, struct row_trusted_time *r);

struct row_login {
	bool is_alias, disabled;
	uint32_t account;
	int64_t created;
	slice verifier;
};
void row_login_write(struct buf *b, const struct row_login *r);
bool row_login_read(slice s, struct row_login *r);

struct row_account {
	uint64_t modseq, next_email, log_floor, bytes, messages;
	uint32_t next_mbox, n_mbox;
	uint32_t role[SCHEMA_ROLES]; /* mailbox of each role; 0: none */
	/* limits of its own, 0: none; otherwise the policy's */
	bool has_quota_bytes, has_quota_messages;
	uint64_t quota_bytes, quota_messages;
	uint64_t held_bytes, held_messages; /* kept for undelete: rows A x and mailboxes A d */
	uint8_t warned;   /* the highest of 80, 95 the owner was told of and has not fallen below */
	char language[3]; /* "en"; empty: the policy's */
};
void row_account_write(struct buf *b, const struct row_account *r);
bool row_account_read(slice s, struct row_account *r);

struct row_mbox {
	uint32_t parent, uidvalidity, uidnext, first_recent, messages, unseen, deleted;
	uint64_t modseq, bytes;
	uint8_t role;
	bool exists;
	slice name; /* one component */
	uint16_t expire;     /* days + 1 of its own; 0: what the policy says for its role */
	uint32_t expired_to; /* the expiry has left no message below this uid */
};
void row_mbox_write(struct buf *b, const struct row_mbox *r);
bool row_mbox_read(slice s, struct row_mbox *r);

#define ROW_MESSAGE_SIZE_1 43 /* version 1: without the time of saving */
#define ROW_MESSAGE_SIZE 51
struct row_message {
	struct store_row row; /* uid is in the key */
	bool placed;          /* the email has a row g */
};
void row_message_write(unsigned char out[ROW_MESSAGE_SIZE], const struct row_message *r);
bool row_message_read(slice s, uint32_t uid, struct row_message *r);
uint32_t key_message_uid(slice key); /* 0 when it is no such key */
uint32_t key_account_of(slice key);  /* of a key A or X */

enum { DIGEST_INLINE, DIGEST_BLOB };
struct row_email {
	int64_t received;
	/* reported: EMAILID to tell, 0 for its own (RFC 8474 5.1) */
	uint64_t thread, reported;
	uint32_t mbox, uid;        /* first place */
	struct blob_id blob;
	uint64_t blob_size;
	uint64_t msgid, root;      /* hashes whose T rows are this email's, 0: none */
	uint8_t digest_kind;
	struct blob_id digest_blob;
	uint64_t digest_size;
	slice prefix, preview, digest;
};
void row_email_write(struct buf *b, const struct row_email *r);
bool row_email_read(slice s, struct row_email *r);

struct place {
	uint32_t mbox, uid;
};
struct row_places {
	struct place *at;
	size_t n;
};
void row_places_write(struct buf *b, const struct row_places *r);
bool row_places_read(slice s, struct arena *a, struct row_places *r);

struct row_msgid {
	uint64_t thread, email; /* email: the one that wrote it and takes it along */
};
void row_msgid_write(struct buf *b, const struct row_msgid *r);
bool row_msgid_read(slice s, struct row_msgid *r);

struct row_gone {
	uint64_t modseq;
	int64_t time;
	bool last;  /* the email has no place any more */
	bool moved; /* it went to another mailbox: nothing to undelete */
	struct row_message msg;
};
void row_gone_write(struct buf *b, const struct row_gone *r);
bool row_gone_read(slice s, uint32_t uid, struct row_gone *r);

/* A deleted mailbox: its row, its path then, and the time. */
struct row_kept_mbox {
	int64_t time;
	slice path;
	struct row_mbox mbox;
};
void row_kept_mbox_write(struct buf *b, const struct row_kept_mbox *r);
bool row_kept_mbox_read(slice s, struct row_kept_mbox *r);

/* A removed account: its rows, and the aliases that led to it. */
struct row_kept_account {
	int64_t time;
	slice address, login, account; /* rows U n and A a as they were */
	slice aliases;                 /* addresses, each ended by a newline */
};
void row_kept_account_write(struct buf *b, const struct row_kept_account *r);
bool row_kept_account_read(slice s, struct row_kept_account *r);

/* The change log. A row is a list of entries; an entry's uids are runs. */
enum log_op { LOG_ADDED = 1, LOG_EXPUNGED, LOG_CHANGED, LOG_MAILBOX };
void row_log_start(struct buf *b);
/* ascending */
void row_log_entry(struct buf *b, enum log_op op, uint32_t mbox, const uint32_t *uid,
		   size_t n);
struct row_log {
	struct rd r;
	enum log_op op;
	uint32_t mbox;
	uint32_t runs; /* of this entry, not yet read */
	uint32_t at;
	bool bad;
};
bool row_log_read(slice s, struct row_log *r);
/* next entry; skips what was not read of the last; false: end or damage (bad) */
bool row_log_next(struct row_log *r);
/* next run of uids */
bool row_log_run(struct row_log *r, uint32_t *out_first, uint32_t *out_n);

void row_queue_write(struct buf *b, const struct store_queue_entry *r);
bool row_queue_read(slice s, struct arena *a, struct store_queue_entry *r);

struct row_handoff {
	struct store_place place;
	struct row_email email; /* received, blob, digest, prefix */
	slice message_id;
};
void row_handoff_write(struct buf *b, const struct row_handoff *r);
bool row_handoff_read(slice s, struct row_handoff *r);

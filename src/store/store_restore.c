/* store_restore.c — the store behind a restore, and the facts a backup notes. */
#include "store/store_restore.h"
#include "store/store_int.h"

/* Room for what may have been given out after the backup, of which nothing is known.
 * UIDVALIDITY: a value is the time or the last + 1, so it runs ahead of the clock by at most
 * one for each mailbox made; 2^20 of them between a backup and its restore are more than
 * LIMIT_MAILBOXES lets a hundred accounts have. 32 bits last for 2,000 restores. */
#define UIDVALIDITY_GAP (1u << 20)
/* UIDs may begin anew under a new UIDVALIDITY, but programs that recognise their mail by UID and
 * Message-ID (mbsync) are only right when no UID comes back with another message. */
#define UID_GAP	    (1u << 20)
#define MODSEQ_GAP  (1ull << 32) /* of 63 bits (RFC 7162 3.1) */
#define ACCOUNT_GAP 10000u
#define QUEUE_GAP   (1ull << 32)

#define ROWS_STEP \
	20000 /* of a transaction: one sync for many accounts, in bounded memory */

struct restore {
	struct kv *kv;
	size_t rows; /* written by the transaction at work */
	struct err *e;
	uint32_t next; /* UIDVALIDITY */
	uint64_t accounts, mailboxes;
};

/* --- accounts, one after the other ---------------------------------------------------- */
struct next_account {
	uint32_t id;
	bool found, bad;
};

static bool take_account(void *ctx, slice key, slice value)
{
	struct next_account *n = ctx;
	struct rd r = rd_init(slice_from(key, 2));

	(void)value;
	n->id = rd_u32(&r);
	n->bad = r.bad;
	n->found = true;
	return false;
}

/* The lowest account with an id ≥ from. */
static enum status account_from(struct kv *kv, uint32_t from, struct next_account *out,
				struct err *e)
{
	struct skey first = key_account_address(from), end = first;

	end.n = 2; /* "Ui" */
	skey_next_prefix(&end);
	struct kv_range r = { .from = skey_slice(&first), .to = skey_slice(&end) };

	*out = (struct next_account){ 0 };
	enum status st = kv_scan(kv, NULL, &r, take_account, out, e);

	return st == ST_OK && out->bad ? damaged(e, "address") : st;
}

/* --- one account ---------------------------------------------------------------------- */
struct mailboxes {
	struct restore *w;
	struct kv_txn *t;
	struct buf row;
	uint64_t modseq;
	const char *bad;
};

static bool take_mailbox(void *ctx, slice key, slice value)
{
	struct mailboxes *m = ctx;
	struct row_mbox r;

	if (!row_mbox_read(value, &r)) {
		m->bad = "mailbox";
		return false;
	}
	if (r.exists) {
		if (m->w->next == UINT32_MAX) {
			m->bad = "UIDVALIDITY";
			return false;
		}
		r.uidvalidity = m->w->next++;
		if (r.uidnext < UINT32_MAX / 2)
			r.uidnext += UID_GAP;
		m->w->mailboxes++;
	}
	if (r.modseq) /* a name that never held messages has none */
		r.modseq = m->modseq;
	buf_reset(&m->row);
	row_mbox_write(&m->row, &r);
	kv_put(m->t, key, buf_slice(&m->row));
	m->w->rows++;
	return true;
}

/* The history before is of no use to anybody: the floor lies above it. */
struct drop {
	struct restore *w;
	struct kv_txn *t;
};

static bool drop_row(void *ctx, slice key, slice value)
{
	struct drop *d = ctx;

	(void)value;
	kv_del(d->t, key);
	d->w->rows++;
	return true;
}

static enum status drop_log(struct restore *w, struct kv_txn *t, uint32_t account,
			    struct err *e)
{
	struct skey from = key_account_type(account, 'l'), to = from;

	skey_next_prefix(&to);
	struct kv_range range = { .from = skey_slice(&from), .to = skey_slice(&to) };

	struct drop d = { w, t };

	return kv_scan(w->kv, t, &range, drop_row, &d, e);
}

static enum status account_rows(struct restore *w, struct kv_txn *t, uint32_t account,
				struct err *e)
{
	struct row_account r;
	slice row;
	struct skey k = key_account(account);
	struct mailboxes m = { .w = w, .t = t };
	struct skey from = key_account_type(account, 'f'), to = from;
	enum status st = kv_get(w->kv, t, skey_slice(&k), kv_txn_arena(t), &row, e);

	if (st == ST_NOT_FOUND)
		return ST_OK; /* removed; the sweep is still to come */
	if (st != ST_OK)
		return st;
	if (!row_account_read(row, &r))
		return damaged(e, "account");
	r.modseq += MODSEQ_GAP;
	r.log_floor = r.modseq;
	m.modseq = r.modseq;
	buf_init(&m.row, LIMIT_VALUE);
	skey_next_prefix(&to);
	struct kv_range range = { .from = skey_slice(&from), .to = skey_slice(&to) };

	st = kv_scan(w->kv, t, &range, take_mailbox, &m, e);
	if (st == ST_OK && m.bad && w->next == UINT32_MAX)
		st = err_set(e, ERR_LIMIT, "no UIDVALIDITY is left to give out");
	else if (st == ST_OK && m.bad)
		st = damaged(e, m.bad);
	if (st == ST_OK) {
		buf_reset(&m.row);
		row_account_write(&m.row, &r);
		kv_put(t, skey_slice(&k), buf_slice(&m.row));
		w->accounts++;
		st = drop_log(w, t, account, e);
	}
	buf_done(&m.row);
	return st;
}

/* Accounts from *id on, until there are none or the transaction has enough; *id is then
 * the one to go on with, 0 at the end. */
static enum status some_accounts(struct restore *w, struct kv_txn *t, uint64_t *id)
{
	w->rows = 0;
	while (w->rows < ROWS_STEP) {
		struct next_account n = { 0 };
		enum status st = ST_OK;

		if (*id <= UINT32_MAX)
			st = account_from(w->kv, (uint32_t)*id, &n, w->e);
		if (st == ST_OK && !n.found)
			*id = 0;
		if (st != ST_OK || !n.found)
			return st;
		st = account_rows(w, t, n.id, w->e);
		if (st != ST_OK)
			return st;
		*id = (uint64_t)n.id + 1;
	}
	return ST_OK;
}

/* Nobody else is at work on the store: the directory's lock does for all accounts. */
static enum status each_account(struct restore *w)
{
	static const uint32_t directory = 0;
	uint64_t id = 1;

	while (id != 0) {
		struct kv_txn *t;
		enum status st = kv_begin(w->kv, &directory, 1, NULL, &t, w->e);

		if (st != ST_OK)
			return st;
		st = some_accounts(w, t, &id);
		if (st != ST_OK) {
			kv_abort(t);
			return st;
		}
		st = kv_commit_wait(t, w->e);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

/* --- what is there once --------------------------------------------------------------- */
static enum status read_format(struct kv *kv, struct arena *a, struct row_format *out,
			       struct err *e)
{
	slice row;
	struct skey k = key_format();
	enum status st = kv_get(kv, NULL, skey_slice(&k), a, &row, e);

	if (st == ST_NOT_FOUND)
		return damaged(e, "format");
	if (st == ST_OK && !row_format_read(row, out))
		return damaged(e, "format");
	return st;
}

static bool take_highest(void *ctx, slice key, slice value)
{
	struct rd r = rd_init(slice_from(key, 1));

	(void)value;
	*(uint32_t *)ctx = rd_u32(&r);
	return false;
}

static enum status highest_uidvalidity(struct kv *kv, uint32_t *out, struct err *e)
{
	struct kv_range r = { .from = SL("V"), .to = SL("W"), .reverse = true };

	*out = 0;
	return kv_scan(kv, NULL, &r, take_highest, out, e);
}

/* The last step: with it the store is another one. */
static enum status finish(struct restore *w, struct kv_txn *t, uint32_t epoch,
			  struct err *e)
{
	struct row_format f;
	struct row_directory d;
	slice row;
	AUTO_BUF b = { 0 };
	struct skey kf = key_format(), kd = key_directory(),
		    kv = key_uidvalidity(w->next - 1);
	static const char version[] = { SCHEMA_ROW };
	enum status st = read_format(w->kv, kv_txn_arena(t), &f, e);

	if (st == ST_OK)
		st = kv_get(w->kv, t, skey_slice(&kd), kv_txn_arena(t), &row, e);
	if (st == ST_NOT_FOUND || (st == ST_OK && !row_directory_read(row, &d)))
		return damaged(e, "directory");
	if (st != ST_OK)
		return st;
	f.epoch = epoch;
	d.last_queue += QUEUE_GAP;
	if (d.next_account <= LIMIT_ACCOUNTS - 2 * ACCOUNT_GAP)
		d.next_account += ACCOUNT_GAP;
	buf_init(&b, LIMIT_VALUE);
	row_format_write(&b, &f);
	kv_put(t, skey_slice(&kf), buf_slice(&b));
	buf_reset(&b);
	row_directory_write(&b, &d);
	kv_put(t, skey_slice(&kd), buf_slice(&b));
	kv_put(t, skey_slice(&kv), slice_make(version, 1));
	return ST_OK;
}

static enum status finish_in_txn(struct restore *w, uint32_t epoch)
{
	static const uint32_t directory = 0;
	struct kv_txn *t;
	enum status st = kv_begin(w->kv, &directory, 1, NULL, &t, w->e);

	if (st != ST_OK)
		return st;
	st = finish(w, t, epoch, w->e);
	if (st != ST_OK) {
		kv_abort(t);
		return st;
	}
	return kv_commit_wait(t, w->e);
}

static enum status first_uidvalidity(uint32_t last, uint32_t known, int64_t now,
				     uint32_t *out, struct err *e)
{
	uint64_t v = last > known ? last : known;

	if (now > (int64_t)v)
		v = (uint64_t)now;
	v += UIDVALIDITY_GAP;
	if (v >= UINT32_MAX)
		return err_set(e, ERR_LIMIT, "no UIDVALIDITY is left to give out");
	*out = (uint32_t)v;
	return ST_OK;
}

enum status store_after_restore(struct kv *kv, const struct clock *clock, uint32_t epoch,
				uint32_t uidvalidity, struct store_restored *out,
				struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct restore w = { .kv = kv, .e = e };
	struct row_format f = { 0 };
	uint32_t last;
	enum status st = read_format(kv, &a, &f, e);

	if (st == ST_OK)
		st = highest_uidvalidity(kv, &last, e);
	if (st == ST_OK)
		st = first_uidvalidity(last, uidvalidity, clock_now_s(clock), &w.next, e);
	if (st != ST_OK)
		return st;
	uint32_t next = (epoch > f.epoch ? epoch : f.epoch) + 1;

	if (next > STORE_EPOCH_MAX || next == 0)
		return err_set(e, ERR_LIMIT,
			       "this store has been restored %u times: no epoch is left",
			       STORE_EPOCH_MAX - 1);
	st = each_account(&w);
	if (st == ST_OK)
		st = finish_in_txn(&w, next);
	if (st == ST_OK)
		*out = (struct store_restored){ next, w.next - 1, w.accounts,
						w.mailboxes };
	return st;
}

/* --- facts ---------------------------------------------------------------------------- */
enum status store_facts(struct store *s, struct store_facts *out, struct err *e)
{
	struct store_facts f = { .epoch = s->format.epoch };
	uint64_t id = 1;
	enum status st = highest_uidvalidity(s->kv, &f.uidvalidity, e);

	while (st == ST_OK && id <= UINT32_MAX) {
		AUTO_ARENA a = { 0 };
		struct next_account n;
		struct row_account r;
		slice row;

		st = account_from(s->kv, (uint32_t)id, &n, e);
		if (st != ST_OK || !n.found)
			break;
		struct skey k = key_account(n.id);

		if (kv_get(s->kv, NULL, skey_slice(&k), &a, &row, NULL) == ST_OK &&
		    row_account_read(row, &r)) { /* a damaged one is backed up as it is */
			f.accounts++;
			f.messages += r.messages;
		}
		id = (uint64_t)n.id + 1;
	}
	if (st == ST_OK)
		*out = f;
	return st;
}

enum status store_snapshot(struct store *s, const char *rows_dir,
			   struct kv_snapshot **out, struct err *e)
{
	return kv_snapshot_new(s->kv, rows_dir, out, e);
}

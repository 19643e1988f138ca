/* store_changes.c — what happened to a mailbox between two modseqs: from the change log,
 * or from its rows. */
#include "store/store_view.h"

void uid_set_add(struct uid_set *s, uint32_t uid)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->uid = mem_grow(s->uid, s->cap, sizeof(uint32_t));
	}
	s->uid[s->n++] = uid;
}

static int uid_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void uid_set_sort(struct uid_set *s)
{
	size_t n = 0;
	bool sorted = true;

	for (size_t i = 1; i < s->n && sorted; i++)
		sorted = s->uid[i - 1] < s->uid[i];
	if (sorted)
		return;
	qsort(s->uid, s->n, sizeof(uint32_t), uid_compare);
	for (size_t i = 0; i < s->n; i++)
		if (n == 0 || s->uid[n - 1] != s->uid[i])
			s->uid[n++] = s->uid[i];
	s->n = n;
}

void uid_set_done(struct uid_set *s)
{
	mem_free(s->uid);
	*s = (struct uid_set){ 0 };
}

void uid_changes_done(struct uid_changes *c)
{
	uid_set_done(&c->added);
	uid_set_done(&c->expunged);
	uid_set_done(&c->changed);
}

bool uid_is_in(const uint32_t *uid, size_t n, uint32_t x)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (uid[mid] == x)
			return true;
		if (uid[mid] < x)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* --- change log --------------------------------------------------------------------- */
/* Beyond that a scan of the mailbox is cheaper than its history. */
#define LOG_ROWS_MAX 20000u

struct log_scan {
	uint32_t mbox;
	struct uid_changes *out;
	size_t rows;
	bool bad, too_long;
};

static struct uid_set *set_of(struct uid_changes *c, enum log_op op)
{
	switch (op) {
	case LOG_ADDED:
		return &c->added;
	case LOG_EXPUNGED:
		return &c->expunged;
	case LOG_CHANGED:
		return &c->changed;
	case LOG_MAILBOX:
		break;
	}
	return NULL;
}

static bool take_log(void *ctx, slice key, slice value)
{
	struct log_scan *sc = ctx;
	struct row_log r;
	uint32_t first, n;

	(void)key;
	if (++sc->rows > LOG_ROWS_MAX) {
		sc->too_long = true;
		return false;
	}
	if (!row_log_read(value, &r)) {
		sc->bad = true;
		return false;
	}
	while (row_log_next(&r)) {
		struct uid_set *set = r.mbox == sc->mbox ? set_of(sc->out, r.op) : NULL;

		while (set && row_log_run(&r, &first, &n))
			for (uint32_t i = 0; i < n; i++)
				uid_set_add(set, first + i);
	}
	sc->bad = r.bad;
	return !r.bad;
}

static enum status log_floor(struct store *s, uint32_t account, uint64_t *out,
			     struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice row;
	struct row_account r;
	struct skey k = key_account(account);

	arena_init(&a);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), &a, &row, e);

	if (st != ST_OK)
		return st == ST_NOT_FOUND
			       ? err_set(e, ERR_NO_ACCOUNT, "the account is gone")
			       : st;
	if (!row_account_read(row, &r))
		return damaged(e, "account");
	*out = r.log_floor;
	return ST_OK;
}

enum status changes_read(struct store *s, uint32_t account, uint32_t mbox, uint64_t from,
			 uint64_t to, struct uid_changes *out, bool *out_known,
			 struct err *e)
{
	struct log_scan sc = { .mbox = mbox, .out = out };
	struct skey kf = key_log(account, from + 1, 0), kt = key_log(account, to + 1, 0);
	struct kv_range r = { .from = skey_slice(&kf), .to = skey_slice(&kt) };
	uint64_t floor = 0;
	struct err why = { 0 };
	enum status st = kv_scan(s->kv, NULL, &r, take_log, &sc, &why);

	if (st == ST_OK) /* behind the scan: what was pruned meanwhile shows */
		st = log_floor(s, account, &floor, &why);
	if (why.code == ERR_CORRUPT) /* then nobody knows how far back it goes */
		floor = UINT64_MAX;
	else if (st != ST_OK && e)
		*e = why;
	if (why.code == ERR_CORRUPT)
		st = ST_OK;
	/* A damaged row only makes the log unusable here: the mailbox's rows tell it, too. */
	if (st != ST_OK || sc.bad || sc.too_long || floor > from) {
		uid_changes_done(out);
		*out_known = false;
		return st;
	}
	uid_set_sort(&out->added);
	uid_set_sort(&out->expunged);
	uid_set_sort(&out->changed);
	*out_known = true;
	return ST_OK;
}

/* --- rows --------------------------------------------------------------------------- */
struct uid_scan {
	uint64_t since;
	struct uid_set *out, *changed;
};

static bool take_uid(void *ctx, slice key, slice value)
{
	struct uid_scan *sc = ctx;
	struct row_message m;
	uint32_t uid = key_message_uid(key);

	if (!uid)
		return true;
	/* A damaged row keeps its UID in the view: a message that cannot be read is not one that
	 * was expunged, and a repair gives it back under the same UID. */
	bool readable = row_message_read(value, uid, &m);

	uid_set_add(sc->out, uid);
	if (sc->changed && readable && m.row.modseq > sc->since)
		uid_set_add(sc->changed, uid);
	return true;
}

enum status uids_scan(struct store *s, uint32_t account, uint32_t mbox, uint32_t uidnext,
		      uint64_t since, struct uid_set *out, struct uid_set *changed,
		      struct err *e)
{
	struct uid_scan sc = { since, out, changed };
	struct skey kf = key_messages(account, mbox),
		    kt = key_message(account, mbox, uidnext);
	struct kv_range r = { .from = skey_slice(&kf), .to = skey_slice(&kt) };

	return kv_scan(s->kv, NULL, &r, take_uid, &sc, e);
}

/* --- sets --------------------------------------------------------------------------- */
void changes_settle(struct uid_changes *c, const uint32_t *from, size_t n_from,
		    const uint32_t *to, size_t n_to)
{
	size_t n = 0;

	for (size_t i = 0; i < c->added.n; i++)
		if (uid_is_in(to, n_to, c->added.uid[i]) &&
		    !uid_is_in(from, n_from, c->added.uid[i]))
			c->added.uid[n++] = c->added.uid[i];
	c->added.n = n;
	n = 0;
	for (size_t i = 0; i < c->expunged.n; i++)
		if (uid_is_in(from, n_from, c->expunged.uid[i]) &&
		    !uid_is_in(to, n_to, c->expunged.uid[i]))
			c->expunged.uid[n++] = c->expunged.uid[i];
	c->expunged.n = n;
	n = 0;
	for (size_t i = 0; i < c->changed.n; i++)
		if (uid_is_in(from, n_from, c->changed.uid[i]) &&
		    uid_is_in(to, n_to, c->changed.uid[i]))
			c->changed.uid[n++] = c->changed.uid[i];
	c->changed.n = n;
}

void changes_compare(struct uid_changes *c, const uint32_t *from, size_t n_from,
		     const uint32_t *to, size_t n_to)
{
	size_t i = 0, j = 0;

	while (i < n_from || j < n_to) {
		if (j == n_to || (i < n_from && from[i] < to[j]))
			uid_set_add(&c->expunged, from[i++]);
		else if (i == n_from || to[j] < from[i])
			uid_set_add(&c->added, to[j++]);
		else
			i++, j++;
	}
}

static struct store_uids uids_copy(struct arena *a, const struct uid_set *s)
{
	struct store_uids out = { .uid = arena_array(a, s->n + 1, sizeof(uint32_t)),
				  .n = s->n };

	if (s->n)
		memcpy(out.uid, s->uid, s->n * sizeof(uint32_t));
	return out;
}

static void changes_give(struct arena *a, const struct uid_changes *c,
			 struct store_changes *out)
{
	out->added = uids_copy(a, &c->added);
	out->expunged = uids_copy(a, &c->expunged);
	out->changed = uids_copy(a, &c->changed);
}

static enum status changes_find(struct store *s, const struct store_view *from,
				const struct store_view *to, struct uid_changes *c,
				struct err *e)
{
	bool known;
	struct uid_set rows = { 0 };
	enum status st = changes_read(s, to->account, to->mbox, from->modseq, to->modseq,
				      c, &known, e);

	if (st == ST_OK && !known) {
		changes_compare(c, from->uid, from->n, to->uid, to->n);
		st = uids_scan(s, to->account, to->mbox, to->uidnext, from->modseq, &rows,
			       &c->changed, e);
		uid_set_done(&rows);
	}
	if (st == ST_OK)
		changes_settle(c, from->uid, from->n, to->uid, to->n);
	return st;
}

enum status store_changes_between(struct store *s, const struct store_view *from,
				  const struct store_view *to, struct arena *a,
				  struct store_changes *out, struct err *e)
{
	const struct view *v = (const struct view *)to;
	struct uid_changes c = { 0 };
	enum status st = ST_OK;

	if (from->account != to->account || from->mbox != to->mbox ||
	    from->modseq > to->modseq)
		return err_set(e, ERR_CANNOT, "these views do not follow each other");
	if (v->has_step && v->step_from == from->modseq) {
		changes_give(a, &v->step, out);
		return ST_OK;
	}
	if (from->modseq != to->modseq)
		st = changes_find(s, from, to, &c, e);
	if (st == ST_OK)
		changes_give(a, &c, out);
	uid_changes_done(&c);
	return st;
}

/* imap_box.c — the selected mailbox: opening, numbers, and telling the client what has
 * changed.
 *
 * RFC 3501 5.2, 5.5, 7.2.6, 7.3, 7.4. Changes are told at the end of commands and during
 * IDLE: EXPUNGE (from the highest number down, so that the others stay right), then
 * EXISTS and RECENT, then flags. */
#include "imap/imap_session.h"
#include "base/alloc.h"

/* --- transactions --- */

enum status imap_begin(struct imap *im, struct store_txn **out, struct err *e)
{
	return store_begin(im->ctx->store, &im->account, 1, session_park(&im->s), out, e);
}

enum { WAIT_NEW, WAIT_PARKED, WAIT_OVER };

static void commit_done(struct done *d, enum status st, const struct err *why)
{
	struct imap_wait *w = (struct imap_wait *)d; /* first member */
	struct parked *park = w->park;

	w->st = st;
	if (st != ST_OK && why)
		w->e = *why;
	if (atomic_exchange(&w->state, WAIT_OVER) == WAIT_PARKED)
		park->wake(park);
}

bool imap_commit(struct imap *im, struct imap_cmd *c, struct store_txn *t)
{
	struct imap_wait *w = &c->wait;

	w->d.fn = commit_done;
	w->park = session_park(&im->s);
	w->st = ST_OK;
	w->e = (struct err){ .code = ERR_NONE };
	atomic_store(&w->state, WAIT_NEW);
	store_commit(t, &w->d);
	return atomic_exchange(&w->state, WAIT_PARKED) == WAIT_OVER;
}

/* --- keywords --- */

static void write_keyword_names(const struct imap_flag_names *names, struct out *o)
{
	for (size_t i = 0; i < names->n; i++) {
		out_addc(o, ' ');
		out_add(o, names->kw[i]);
	}
}

/* RFC 3501 7.2.6, 7.1 (PERMANENTFLAGS): "\*" while new keywords can be made. */
void imap_write_permanent_flags(struct imap *im, const struct imap_flag_names *names,
				struct out *o)
{
	static const char sys[] = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

	out_adds(o, "* FLAGS (");
	out_adds(o, sys);
	write_keyword_names(names, o);
	out_adds(o, ")\r\n* OK [PERMANENTFLAGS (");
	if (im->box && !im->box->read_only) {
		out_adds(o, sys);
		write_keyword_names(names, o);
		if (names->n < LIMIT_KEYWORDS)
			out_adds(o, " \\*");
	}
	out_adds(o, im->box && im->box->read_only ? ")] Read-only\r\n" : ")] Kept\r\n");
	if (im->box)
		im->box->n_keywords = names->n;
}

enum status imap_names(struct imap *im, struct imap_cmd *c, struct out *o, struct err *e)
{
	slice *kw;
	size_t n;
	enum status st;

	if (c->has_names)
		return ST_OK;
	st = store_keywords(im->ctx->store, im->account, &im->s.arena, &kw, &n, e);
	if (st != ST_OK)
		return st;
	c->names = (struct imap_flag_names){ kw, n };
	c->has_names = true;
	if (im->box && o && n > im->box->n_keywords)
		imap_write_permanent_flags(im, &c->names, o);
	return ST_OK;
}

enum status imap_flags_bits(struct imap *im, struct imap_cmd *c, struct store_txn *t,
			    const struct imap_flags *f, struct store_flags *out,
			    struct err *e)
{
	struct store_flags got = { .sys = f->sys };

	for (size_t i = 0; i < f->n_kw; i++) {
		unsigned bit;
		enum status st = store_keyword_bit(t, im->account, f->kw[i], &bit, e);

		if (st != ST_OK)
			return st;
		got.kw |= (uint64_t)1 << bit;
		/* A keyword made by this transaction has no durable name yet: the client
		 * gave it. */
		if (c->has_names && bit >= c->names.n && bit < 64) {
			slice *kw = arena_array(&im->s.arena, bit + 1, sizeof(*kw));

			if (c->names.n)
				memcpy(kw, c->names.kw, c->names.n * sizeof(*kw));
			kw[bit] = f->kw[i];
			c->names = (struct imap_flag_names){ kw, bit + 1 };
		}
	}
	*out = got;
	return ST_OK;
}

/* --- opening and closing --- */

static void box_changed(struct store_watch *w)
{
	struct imap_box *b = (struct imap_box *)w; /* first member */

	atomic_store(&b->dirty, true);
	if (atomic_load(&b->idling))
		session_ref_wake(&b->ref);
}

enum status imap_box_open(struct imap *im, uint32_t mbox, bool read_only,
			  struct imap_box **out, struct err *e)
{
	struct imap_box *b = mem_new(sizeof(*b));
	enum status st;

	b->watch.fn = box_changed;
	b->watch.account = b->account = im->account;
	b->watch.mbox = b->mbox = mbox;
	b->ref = session_get_ref(&im->s);
	b->read_only = read_only;
	store_watch_add(im->ctx->store,
			&b->watch); /* before the view: nothing falls between */
	st = store_view_open(im->ctx->store, im->account, mbox, &b->base, e);
	if (st != ST_OK) {
		store_watch_remove(im->ctx->store, &b->watch);
		mem_free(b);
		return st;
	}
	b->uidvalidity = b->base->uidvalidity;
	imap_view_move(&b->view, b->base->uid, b->base->n, NULL, 0);
	*out = b;
	return ST_OK;
}

void imap_box_close(struct imap *im)
{
	struct imap_box *b = im->box;

	if (!b)
		return;
	im->box = NULL;
	store_watch_remove(im->ctx->store, &b->watch);
	store_view_unref(im->ctx->store, b->base);
	imap_view_done(&b->view);
	mem_free(b->told);
	mem_free(b);
}

bool imap_box_is_recent(const struct imap_box *b, uint32_t uid)
{
	return uid >= b->recent_from;
}

uint32_t imap_box_recents(const struct imap_box *b)
{
	return (uint32_t)(imap_view_count(&b->view) -
			  imap_view_below(&b->view, b->recent_from));
}

/* Messages that came while the session watched are \Recent to every session that saw them
 * come, and taken with the next write or selection (RFC 3501 2.3.2: "if it is not
 * possible to determine … SHOULD be considered recent"). */
void imap_box_take_recent(struct imap *im, struct store_txn *t)
{
	struct imap_box *b = im->box;
	uint32_t first;

	if (!b || b->read_only || b->recent_taken >= b->base->uidnext)
		return;
	if (store_take_recent(t, im->account, b->mbox, &first, NULL) == ST_OK)
		b->recent_taken = b->base->uidnext;
}

/* --- numbers --- */

static bool seq_uids(const struct imap_view *v, const struct imap_seqset *r,
		     struct arena *a, struct store_uids *out)
{
	size_t total = 0;

	for (size_t i = 0; i < r->n; i++)
		total += r->range[i].hi - r->range[i].lo + 1;
	out->uid = arena_array(a, total ? total : 1, sizeof(*out->uid));
	out->n = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (v->n_gone == 0) {
			size_t n = r->range[i].hi - r->range[i].lo + 1;

			memcpy(out->uid + out->n, v->uid + r->range[i].lo - 1,
			       n * sizeof(*out->uid));
			out->n += n;
			continue;
		}
		for (uint32_t k = r->range[i].lo; k <= r->range[i].hi; k++)
			out->uid[out->n++] = imap_view_uid(v, k);
	}
	return true;
}

static void uid_uids(const struct imap_view *v, const struct imap_seqset *r,
		     struct arena *a, struct store_uids *out)
{
	size_t total = 0;

	for (size_t i = 0; i < r->n; i++)
		total += imap_view_below(v, r->range[i].hi) -
			 imap_view_below(v, r->range[i].lo) + 1;
	out->uid = arena_array(a, total ? total : 1, sizeof(*out->uid));
	out->n = 0;
	for (size_t k = 0; k < r->n; k++) {
		size_t i = imap_lower_bound(v->uid, v->n, r->range[k].lo);
		size_t j = imap_lower_bound(v->gone, v->n_gone, r->range[k].lo);

		for (;;) {
			uint32_t x = i < v->n ? v->uid[i] : 0,
				 y = j < v->n_gone ? v->gone[j] : 0;
			uint32_t next = !x || (y && y < x) ? y : x;

			if (next == 0 || next > r->range[k].hi)
				break;
			out->uid[out->n++] = next;
			if (next == x)
				i++;
			else
				j++;
		}
	}
}

bool imap_box_uids(struct imap *im, struct arena *a, const struct imap_seqset *set,
		   bool uid, struct store_uids *out)
{
	const struct imap_view *v = &im->box->view;
	uint32_t count = (uint32_t)imap_view_count(v);
	struct imap_seqset r =
		imap_seqset_resolve(a, set, uid ? imap_view_last(v) : count);

	if (uid) { /* RFC 3501 6.4.8: UIDs that do not exist are ignored */
		uid_uids(v, &r, a, out);
		return true;
	}
	if (imap_seqset_highest(set) > count)
		return false;
	for (size_t i = 0; i < r.n;
	     i++) { /* "7:*" with 5 messages is 5:7: what is in use of it */
		if (r.range[i].lo > count)
			return false;
		if (r.range[i].hi > count)
			r.range[i].hi = count;
	}
	return seq_uids(v, &r, a, out);
}

/* --- what the client was told already --- */

enum {
	TOLD_MAX = 512
}; /* beyond it the client hears of its own changes again, which is allowed */

void imap_box_told(struct imap_box *b, const struct store_row *rows, size_t n)
{
	uint64_t modseq = 0;
	size_t pos = 0;

	for (size_t i = 0; i < n; i++)
		if (rows[i].modseq > modseq)
			modseq = rows[i].modseq;
	for (size_t i = 0; i < n && b->n_told < TOLD_MAX; i++) {
		struct imap_told *last = i ? &b->told[b->n_told - 1] : NULL;

		if (i == 0)
			pos = imap_lower_bound(b->view.uid, b->view.n, rows[i].uid);
		else
			pos++;
		if (last && pos < b->view.n && b->view.uid[pos] == rows[i].uid) {
			last->hi =
				rows[i].uid; /* the next one in the mailbox: one range */
			continue;
		}
		pos = imap_lower_bound(b->view.uid, b->view.n, rows[i].uid);
		if (b->n_told == b->cap_told) {
			b->cap_told = b->cap_told ? b->cap_told * 2 : 8;
			b->told = mem_grow(b->told, b->cap_told, sizeof(*b->told));
		}
		b->told[b->n_told++] =
			(struct imap_told){ rows[i].uid, rows[i].uid, modseq };
	}
}

static bool was_told(const struct imap_box *b, const struct store_row *row)
{
	for (size_t i = 0; i < b->n_told; i++)
		if (row->uid >= b->told[i].lo && row->uid <= b->told[i].hi &&
		    row->modseq <= b->told[i].modseq)
			return true;
	return false;
}

/* What lies before the base is known to be told. */
static void drop_told(struct imap_box *b)
{
	size_t kept = 0;

	for (size_t i = 0; i < b->n_told; i++)
		if (b->told[i].modseq > b->base->modseq)
			b->told[kept++] = b->told[i];
	b->n_told = kept;
	if (kept == 0) { /* an idle connection owns no buffers */
		mem_free(b->told);
		b->told = NULL;
		b->cap_told = 0;
	}
}

/* --- telling --- */

void imap_write_flags_row(struct imap *im, struct imap_cmd *c, uint32_t seq,
			  const struct store_row *row, bool uid, struct out *o)
{
	char line[64 + IMAP_FLAGS_SHORT];
	size_t n = 2;
	bool recent = imap_box_is_recent(im->box, row->uid);

	memcpy(line, "* ", 2);
	n += imap_digits(line + n, seq);
	memcpy(line + n, " FETCH (", 8);
	n += 8;
	if (uid) {
		memcpy(line + n, "UID ", 4);
		n += 4 + imap_digits(line + n + 4, row->uid);
		line[n++] = ' ';
	}
	memcpy(line + n, "FLAGS ", 6);
	n += 6;
	if (row->flags.kw) {
		out_add(o, slice_make(line, n));
		imap_write_flags(o, row->flags.sys, row->flags.kw, recent, &c->names);
		n = 0;
	} else {
		n += imap_flags_short(line + n, row->flags.sys, recent);
	}
	memcpy(line + n, ")\r\n", 3);
	out_add(o, slice_make(line, n + 3));
}

struct tell {
	struct imap *im;
	struct imap_cmd *c;
	struct out *o;
};

static bool tell_row(void *ctx, const struct store_row *row)
{
	struct tell *t = ctx;
	struct imap_sync *y = &t->c->sync;
	uint32_t seq;

	while (y->at < y->ch.changed.n && y->ch.changed.uid[y->at] < row->uid)
		y->at++; /* gone meanwhile: told later */
	if (y->at >= y->ch.changed.n || t->o->bytes >= LIMIT_OUT_STEP)
		return false;
	if (y->ch.changed.uid[y->at] != row->uid)
		return true;
	y->at++;
	seq = imap_view_seq(&t->im->box->view, row->uid);
	if (seq && !was_told(t->im->box, row))
		imap_write_flags_row(t->im, t->c, seq, row, t->c->uid, t->o);
	return true;
}

/* Flags that changed: one scan where they stand close together, single rows where they do
 * not. */
static enum step tell_flags(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct imap_sync *y = &c->sync;
	struct tell t = { im, c, o };
	struct err e;

	while (y->at < y->ch.changed.n) {
		size_t left = y->ch.changed.n - y->at;
		uint32_t first = y->ch.changed.uid[y->at],
			 last = y->ch.changed.uid[y->ch.changed.n - 1];
		struct store_row row;

		if (o->bytes >= LIMIT_OUT_STEP)
			return STEP_MORE;
		if ((last - first) / 32 < left) {
			size_t before = y->at;

			if (store_rows(im->ctx->store, im->account, im->box->mbox, first,
				       last, tell_row, &t, &e) != ST_OK)
				return STEP_DONE;
			if (o->bytes < LIMIT_OUT_STEP || y->at == before)
				y->at = y->ch.changed.n;
			continue;
		}
		y->at++;
		if (store_row_get(im->ctx->store, im->account, im->box->mbox, first, &row,
				  &e) != ST_OK)
			continue;
		if (imap_view_seq(&im->box->view, first) && !was_told(im->box, &row))
			imap_write_flags_row(im, c, imap_view_seq(&im->box->view, first),
					     &row, c->uid, o);
	}
	return STEP_DONE;
}

static void tell_expunged(struct imap_box *b, struct out *o)
{
	size_t below = b->view.n;

	for (size_t j = b->view.n_gone; j > 0; j--) {
		below = imap_lower_bound(b->view.uid, below, b->view.gone[j - 1]);
		out_adds(o, "* ");
		out_addu(o, below + j);
		out_adds(o, " EXPUNGE\r\n");
	}
	imap_view_forget(&b->view);
}

static void tell_counts(struct imap_box *b, struct out *o)
{
	out_adds(o, "* ");
	out_addu(o, imap_view_count(&b->view));
	out_adds(o, " EXISTS\r\n* ");
	out_addu(o, imap_box_recents(b));
	out_adds(o, " RECENT\r\n");
}

bool imap_box_has_news(const struct imap_box *b)
{
	return atomic_load(&((struct imap_box *)b)->dirty) || b->view.n_gone;
}

/* Moves to the newest state and reads what lies between. */
static enum status move_on(struct imap *im, struct imap_cmd *c, struct err *e)
{
	struct imap_box *b = im->box;
	const struct store_view *next;
	enum status st;

	if (!atomic_exchange(&b->dirty, false))
		return ST_OK;
	st = store_view_open(im->ctx->store, b->account, b->mbox, &next, e);
	if (st != ST_OK)
		return st;
	if (next == b->base || next->modseq == b->base->modseq) {
		store_view_unref(im->ctx->store, next);
		return ST_OK;
	}
	st = store_changes_between(im->ctx->store, b->base, next, &im->s.arena,
				   &c->sync.ch, e);
	if (st != ST_OK) {
		store_view_unref(im->ctx->store, next);
		return st;
	}
	imap_view_move(&b->view, next->uid, next->n, c->sync.ch.expunged.uid,
		       c->sync.ch.expunged.n);
	store_view_unref(im->ctx->store, b->base);
	b->base = next;
	return ST_OK;
}

enum step imap_box_sync(struct imap *im, struct imap_cmd *c, bool may_expunge,
			struct out *o)
{
	struct imap_box *b = im->box;
	struct imap_sync *y = &c->sync;
	struct err e = { .code = ERR_NONE };

	if (!y->begun) {
		enum status st = move_on(im, c, &e);

		if (e.code == ERR_NO_MAILBOX) { /* RFC 2180 3.3 */
			out_adds(o, "* BYE The selected mailbox was deleted\r\n");
			return STEP_CLOSE;
		}
		if (st != ST_OK) { /* told next time */
			atomic_store(&b->dirty, true);
			return STEP_DONE;
		}
		y->begun = true;
		if (may_expunge && b->view.n_gone)
			tell_expunged(b, o);
		if (y->ch.added.n)
			tell_counts(b, o);
	}
	if (y->at < y->ch.changed.n && imap_names(im, c, o, &e) == ST_OK &&
	    tell_flags(im, c, o) == STEP_MORE)
		return STEP_MORE;
	drop_told(b);
	return STEP_DONE;
}

/* imap_cmd_search.c — SEARCH and UID SEARCH.  RFC 3501 6.4.4, 6.4.8, 7.2.5.
 *
 * Works in slices of about ten milliseconds: a search over a whole archive never holds a
 * worker. */
#include "imap/imap_cmds.h"
#include "imap/imap_search.h"

enum { BATCH_ROWS = 256, WORK_STEP = 10000, ROWS_STEP = 20000 };
struct search {
	struct imap_search ask;
	int cost;
	uint32_t next, last; /* UIDs still to look at */
	size_t hint;
	struct err err;
	struct store_row rows[BATCH_ROWS];
	size_t n_rows, i;
	uint64_t used;
};

static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct search *x = ARENA_NEW(p->a, struct search);

	c->arg = x;
	return imap_parse_sp(p) && imap_search_parse(p, &x->ask);
}

/* Sets and keywords get their meaning in the mailbox. False: a message number that is not
 * in use. */
static bool resolve(struct imap *im, struct imap_cmd *c, struct imap_key *k)
{
	const struct imap_view *v = &im->box->view;
	uint32_t count = (uint32_t)imap_view_count(v);

	if (k->kind == IMAP_KEY_SEQ) {
		if (imap_seqset_highest(&k->set) > count)
			return false;
		k->resolved = imap_seqset_resolve(&im->s.arena, &k->set, count);
	} else if (k->kind == IMAP_KEY_UID) {
		k->resolved =
			imap_seqset_resolve(&im->s.arena, &k->set, imap_view_last(v));
	} else if (k->kind == IMAP_KEY_KEYWORD || k->kind == IMAP_KEY_UNKEYWORD) {
		for (size_t i = 0; i < c->names.n && i < 64; i++)
			if (slice_ieq(c->names.kw[i], k->text))
				k->kw_bit = (int)i;
	}
	for (struct imap_key *kid = k->kids; kid; kid = kid->next)
		if (!resolve(im, c, kid))
			return false;
	return true;
}

/* Sets at the top bound what is scanned. */
static void bound(struct imap *im, struct search *x)
{
	const struct imap_view *v = &im->box->view;

	x->next = 1;
	x->last = imap_view_last(v);
	for (const struct imap_key *k = x->ask.key->kids; k; k = k->next) {
		uint32_t lo, hi;

		if (k->kind != IMAP_KEY_UID && k->kind != IMAP_KEY_SEQ)
			continue;
		if (k->resolved.n == 0) {
			x->last = 0;
			return;
		}
		lo = k->resolved.range[0].lo;
		hi = k->resolved.range[k->resolved.n - 1].hi;
		if (k->kind == IMAP_KEY_SEQ) {
			lo = imap_view_uid(v, lo);
			hi = hi > imap_view_count(v) ? UINT32_MAX : imap_view_uid(v, hi);
		}
		if (lo == 0)
			lo = UINT32_MAX;
		x->next = lo > x->next ? lo : x->next;
		x->last = hi < x->last ? hi : x->last;
	}
}

static void found(struct out *o, uint32_t n)
{
	char text[16] = " ";
	size_t len = 1 + imap_digits(text + 1, n);

	out_add(o, slice_make(text, len));
}

struct scan {
	struct imap *im;
	struct imap_cmd *c;
	struct out *o;
};

/* Keys of the row alone are answered inside the scan. */
static bool scan_row(void *ctx, const struct store_row *row)
{
	struct scan *s = ctx;
	struct search *x = s->c->arg;
	struct imap_match m = { .im = s->im, .row = row };

	if (x->cost == IMAP_COST_ROW) {
		if (s->o->bytes >= LIMIT_OUT_STEP || x->used > ROWS_STEP)
			return false;
		x->next = row->uid + 1;
		m.seq = imap_view_seq_from(&s->im->box->view, row->uid, &x->hint);
		if (m.seq && imap_match_key(&m, x->ask.key))
			found(s->o, s->c->uid ? row->uid : m.seq);
		x->used += m.used + 1;
		return row->uid < UINT32_MAX;
	}
	if (x->n_rows == BATCH_ROWS)
		return false;
	x->rows[x->n_rows++] = *row;
	x->next = row->uid + 1;
	return row->uid < UINT32_MAX;
}

/* False: the budget ended inside it. */
static bool match_message(struct imap *im, struct imap_cmd *c, struct search *x,
			  const struct store_row *row, struct arena *tmp, struct out *o)
{
	struct imap_match m = { .im = im, .row = row, .tmp = tmp, .budget = WORK_STEP };
	bool match;

	m.seq = imap_view_seq_from(&im->box->view, row->uid, &x->hint);
	match = m.seq && imap_match_key(&m, x->ask.key);
	x->used += m.used;
	if (m.is_yielding)
		return false;
	if (match && m.err.code == ERR_NONE)
		found(o, c->uid ? row->uid : m.seq);
	/* A message that went meanwhile is no error; one that cannot be read is told
	 * of. */
	if (m.err.code != ERR_NONE && m.err.code != ERR_NO_MESSAGE &&
	    x->err.code == ERR_NONE)
		x->err = m.err;
	return true;
}

static enum step work(struct imap *im, struct imap_cmd *c, struct search *x,
		      struct out *o, struct err *e)
{
	struct scan s = { im, c, o };
	struct arena tmp;
	enum step st = STEP_DONE;

	arena_init(&tmp);
	x->used = 0;
	while (st == STEP_DONE && (x->next <= x->last || x->i < x->n_rows)) {
		if (x->i == x->n_rows) {
			uint32_t before = x->next;

			x->i = x->n_rows = 0;
			if (store_rows(im->ctx->store, im->account, im->box->mbox,
				       x->next, x->last, scan_row, &s, e) != ST_OK)
				st = STEP_CLOSE;
			else if (o->bytes >= LIMIT_OUT_STEP || x->used > ROWS_STEP)
				st = STEP_MORE;
			else if (x->n_rows < BATCH_ROWS || x->next == before)
				x->last = 0; /* the scan came to its end */
			continue;
		}
		if (match_message(im, c, x, &x->rows[x->i], &tmp, o))
			x->i++;
		arena_reset(&tmp);
		if (x->used > WORK_STEP)
			st = STEP_MORE;
	}
	arena_release(&tmp);
	return st;
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct search *x = c->arg;
	struct err e = { .code = ERR_NONE };
	enum step st;

	if (c->phase == 0) {
		if (x->ask.bad_charset) { /* RFC 3501 6.4.4, 7.1 */
			err_set(&e, ERR_BAD_CHARSET, "Unknown charset");
			return imap_no(im, c, &e);
		}
		if (imap_names(im, c, o, &e) != ST_OK)
			return imap_no(im, c, &e);
		if (!resolve(im, c, x->ask.key))
			return imap_bad(im, c, "There is no message with such a number");
		x->cost = imap_key_cost(x->ask.key);
		bound(im, x);
		out_adds(o, "* SEARCH");
		c->phase = 1;
	}
	st = work(im, c, x, o, &e);
	if (st == STEP_MORE)
		return st;
	imap_scan_free(im);
	out_adds(o, "\r\n");
	if (st == STEP_CLOSE)
		return imap_no(im, c, &e);
	if (x->err.code != ERR_NONE)
		return imap_no(im, c, &x->err);
	return imap_ok(im, c, "Search completed");
}

const struct imap_cmd_def imap_cmd_search = {
	.name = S("SEARCH"),
	.states = IMAP_SELECTED,
	.flags = CMD_USES_SEQS | CMD_UID,
	.parse = parse,
	.run = run,
	.rfc = "RFC 3501 6.4.4",
};

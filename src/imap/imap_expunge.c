#include "imap/imap_expunge.h"

struct expunge {
	struct imap *im;
	const struct store_uids *among;
	uint32_t *uid; /* with \Deleted, ascending */
	size_t n, cap, at;
};
enum { COLLECT = 0, BEGIN, DURABLE };

static bool collect_row(void *ctx, const struct store_row *row)
{
	struct expunge *x = ctx;

	if (!(row->flags.sys & FLAG_DELETED) ||
	    !imap_view_seq(&x->im->box->view, row->uid))
		return true;
	if (x->among) {
		size_t i = imap_lower_bound(x->among->uid, x->among->n, row->uid);

		if (i >= x->among->n || x->among->uid[i] != row->uid)
			return true;
	}
	if (x->n == x->cap) {
		uint32_t *more = arena_array(&x->im->s.arena, x->cap ? x->cap * 2 : 64,
					     sizeof(*more));

		if (x->n)
			memcpy(more, x->uid, x->n * sizeof(*more));
		x->cap = x->cap ? x->cap * 2 : 64;
		x->uid = more;
	}
	x->uid[x->n++] = row->uid;
	return true;
}

static enum step expunge_chunk(struct imap *im, struct imap_cmd *c, struct expunge *x,
			       struct err *e)
{
	size_t n = x->n - x->at < LIMIT_STORE_CHUNK ? x->n - x->at : LIMIT_STORE_CHUNK;
	struct store_uids part = { x->uid + x->at, n }, gone;
	struct store_txn *t;
	enum status st = imap_begin(im, &t, e);

	if (st == ST_WAIT)
		return STEP_WAIT;
	if (st != ST_OK)
		return STEP_CLOSE;
	st = store_expunge(t, im->account, im->box->mbox, &part, true, &gone, e);
	if (st != ST_OK) {
		store_abort(t);
		return STEP_CLOSE;
	}
	imap_box_take_recent(im, t);
	x->at += n;
	c->phase = DURABLE;
	return imap_commit(im, c, t) ? STEP_DONE : STEP_WAIT;
}

enum step imap_expunge(struct imap *im, struct imap_cmd *c,
		       const struct store_uids *among, struct err *e)
{
	struct expunge *x = c->arg;

	if (c->phase == COLLECT) {
		c->arg = x = ARENA_NEW(&im->s.arena, struct expunge);
		x->im = im;
		x->among = among;
		if (store_rows(im->ctx->store, im->account, im->box->mbox, 1, UINT32_MAX,
			       collect_row, x, e) != ST_OK)
			return STEP_CLOSE;
		c->phase = BEGIN;
	}
	for (;;) {
		enum step st;

		if (c->phase == DURABLE) {
			atomic_store(&im->box->dirty, true);
			if (c->wait.st != ST_OK) {
				*e = c->wait.e;
				return STEP_CLOSE;
			}
			c->phase = BEGIN;
		}
		if (x->at >= x->n)
			return STEP_DONE;
		st = expunge_chunk(im, c, x, e);
		if (st != STEP_DONE)
			return st;
	}
}

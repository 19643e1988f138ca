/* imap_cmd_fetch.c — FETCH and UID FETCH.  RFC 3501 6.4.5, 6.4.8, 7.4.2.
 *
 * Items of the row alone are written straight from one scan of the mailbox; others batch
 * by batch, where \Seen is set in a transaction of its own, durable before the batch is
 * shown. Yields after LIMIT_OUT_STEP. */
#include "imap/imap_cmds.h"
#include "imap/imap_fetch.h"
#include "base/cleanup.h"

enum { BATCH_ROWS = 128, SCAN_ROWS = 8192, SCAN_GAP = 64 };
enum { START, NEXT, SEEN_DURABLE };
struct fetch {
	struct imap_fetch ask;
	struct store_uids uids;
	size_t at; /* of uids: the next one */
	size_t hint;
	bool missing;	/* some were expunged meanwhile */
	struct err err; /* the first message that could not be read */
	struct store_row rows[BATCH_ROWS];
	bool now_seen[BATCH_ROWS];
	size_t n_rows;
	uint64_t n_bytes;
};

static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct fetch *x = ARENA_NEW(p->a, struct fetch);

	c->arg = x;
	return imap_parse_sp(p) && imap_fetch_parse(p, &x->ask);
}

/* --- items of the row --- */

static void write_row_item(struct imap *im, struct imap_cmd *c, enum imap_fetch_kind kind,
			   const struct store_row *row, struct out *o)
{
	bool recent = imap_box_is_recent(im->box, row->uid);
	char text[IMAP_FLAGS_SHORT + 32];
	size_t n;

	if (kind == IMAP_FETCH_UID) {
		memcpy(text, "UID ", 4);
		n = 4 + imap_digits(text + 4, row->uid);
	} else if (kind == IMAP_FETCH_FLAGS && row->flags.kw) {
		out_add(o, SL("FLAGS "));
		imap_write_flags(o, row->flags.sys, row->flags.kw, recent, &c->names);
		return;
	} else if (kind == IMAP_FETCH_FLAGS) {
		memcpy(text, "FLAGS ", 6);
		n = 6 + imap_flags_short(text + 6, row->flags.sys, recent);
	} else if (kind == IMAP_FETCH_INTERNALDATE) {
		memcpy(text, "INTERNALDATE ", 13);
		imap_date_time(text + 13, row->internal_date);
		n = 13 + 28;
	} else {
		memcpy(text, "RFC822.SIZE ", 12);
		n = 12 + imap_digits(text + 12, row->size);
	}
	out_add(o, slice_make(text, n));
}

static void write_head(struct out *o, uint32_t seq)
{
	char text[32] = "* ";
	size_t n = 2 + imap_digits(text + 2, seq);

	memcpy(text + n, " FETCH (", 8);
	out_add(o, slice_make(text, n + 8));
}

/* The scan meets rows the client does not know yet, and misses those that went. True:
 * this row was asked for. */
static bool is_asked(struct fetch *x, uint32_t uid)
{
	while (x->at < x->uids.n && x->uids.uid[x->at] < uid) {
		x->at++;
		x->missing = true;
	}
	return x->at < x->uids.n && x->uids.uid[x->at] == uid;
}

struct scan {
	struct imap *im;
	struct imap_cmd *c;
	struct out *o;
};

static bool show_row(void *ctx, const struct store_row *row)
{
	struct scan *s = ctx;
	struct fetch *x = s->c->arg;
	uint32_t seq;

	if (!is_asked(x, row->uid))
		return x->at < x->uids.n;
	if (s->o->bytes >= LIMIT_OUT_STEP)
		return false;
	seq = imap_view_seq_from(&s->im->box->view, row->uid, &x->hint);
	x->at++;
	if (x->ask.first->kind == IMAP_FETCH_FLAGS &&
	    !x->ask.first->next) { /* the usual one: in one piece */
		imap_write_flags_row(s->im, s->c, seq, row, s->c->uid, s->o);
		return true;
	}
	write_head(s->o, seq);
	if (s->c->uid && !x->ask.has_uid) {
		write_row_item(s->im, s->c, IMAP_FETCH_UID, row, s->o);
		out_addc(s->o, ' ');
	}
	for (const struct imap_fetch_item *it = x->ask.first; it; it = it->next) {
		write_row_item(s->im, s->c, it->kind, row, s->o);
		if (it->next)
			out_addc(s->o, ' ');
	}
	out_add(s->o, SL(")\r\n"));
	return true;
}

/* A set with wide gaps is scanned piece by piece: where the one at hand ends. */
static size_t piece_end(const struct fetch *x)
{
	size_t end = x->at + 1,
	       max = x->at + SCAN_ROWS < x->uids.n ? x->at + SCAN_ROWS : x->uids.n;

	while (end < max && x->uids.uid[end] - x->uids.uid[end - 1] <= SCAN_GAP)
		end++;
	return end;
}

static enum status scan_piece(struct imap *im, struct fetch *x, size_t end,
			      store_row_fn fn, void *ctx, struct err *e)
{
	return store_rows(im->ctx->store, im->account, im->box->mbox, x->uids.uid[x->at],
			  x->uids.uid[end - 1], fn, ctx, e);
}

static enum step show_rows(struct imap *im, struct imap_cmd *c, struct out *o,
			   struct err *e)
{
	struct scan s = { im, c, o };
	struct fetch *x = c->arg;

	while (x->at < x->uids.n) {
		size_t end = piece_end(x);

		if (scan_piece(im, x, end, show_row, &s, e) != ST_OK)
			return STEP_CLOSE;
		if (o->bytes >= LIMIT_OUT_STEP)
			return STEP_MORE;
		if (x->at < end) { /* the rest of the piece is gone */
			x->missing = true;
			x->at = end;
		}
	}
	return STEP_DONE;
}

/* --- items of the message: batches --- */

static bool collect_row(void *ctx, const struct store_row *row)
{
	struct fetch *x = ctx;

	if (!is_asked(x, row->uid))
		return x->at < x->uids.n;
	if (x->n_rows == BATCH_ROWS || (x->n_rows && x->n_bytes >= LIMIT_OUT_STEP))
		return false;
	x->now_seen[x->n_rows] = false;
	x->rows[x->n_rows++] = *row;
	x->n_bytes += row->size;
	x->at++;
	return true;
}

static enum status collect(struct imap *im, struct fetch *x, struct err *e)
{
	x->n_rows = 0;
	x->n_bytes = 0;
	while (x->at < x->uids.n && x->n_rows < BATCH_ROWS &&
	       x->n_bytes < LIMIT_OUT_STEP) {
		size_t end = piece_end(x);
		enum status st = scan_piece(im, x, end, collect_row, x, e);

		if (st != ST_OK)
			return st;
		if (x->at < end && x->n_rows < BATCH_ROWS &&
		    x->n_bytes < LIMIT_OUT_STEP) {
			x->missing = true;
			x->at = end;
		}
	}
	return ST_OK;
}

/* RFC 3501 6.4.5: \Seen is set by what is shown. STEP_DONE: nothing to do; STEP_MORE:
 * durable already. */
static enum step set_seen(struct imap *im, struct imap_cmd *c, struct fetch *x,
			  struct err *e)
{
	uint32_t uid[BATCH_ROWS];
	struct store_uids uids = { uid, 0 };
	struct store_row *rows;
	struct store_txn *t;
	size_t n, k = 0;
	enum status st;

	for (size_t i = 0; i < x->n_rows; i++)
		if (!(x->rows[i].flags.sys & FLAG_SEEN))
			uid[uids.n++] = x->rows[i].uid;
	if (uids.n == 0)
		return STEP_DONE;
	st = imap_begin(im, &t, e);
	if (st == ST_WAIT)
		return STEP_WAIT;
	if (st != ST_OK)
		return STEP_CLOSE;
	st = store_flags_change(t, im->account, im->box->mbox, &uids, FLAG_ADD,
				(struct store_flags){ .sys = FLAG_SEEN }, &rows, &n, e);
	if (st != ST_OK) {
		store_abort(t);
		return STEP_CLOSE;
	}
	for (size_t i = 0; i < x->n_rows && k < n; i++) {
		if (x->rows[i].uid != rows[k].uid)
			continue;
		x->rows[i].flags = rows[k++].flags;
		x->now_seen[i] = true;
	}
	imap_box_told(im->box, rows, n);
	imap_box_take_recent(im, t);
	c->phase = SEEN_DURABLE;
	return imap_commit(im, c, t) ? STEP_MORE : STEP_WAIT;
}

static void note_error(struct imap *im, struct fetch *x, const struct store_row *row,
		       const struct err *e)
{
	struct log_line l;

	imap_log(im, &l, LOG_LEVEL_ERROR, "imap.error");
	log_cstr(&l, "command", "FETCH");
	log_int(&l, "uid", row->uid);
	log_err(&l, e);
	log_end(&l);
	if (x->err.code == ERR_NONE)
		x->err = *e;
}

/* One message. What cannot be read is left out, and said at the end (DESIGN P5). */
static void show_message(struct imap *im, struct imap_cmd *c, struct fetch *x, size_t i,
			 struct arena *tmp, struct out *o)
{
	const struct store_row *row = &x->rows[i];
	struct store_email m;
	struct out line;
	struct err e = { .code = ERR_NONE };
	bool first = true;
	enum status st =
		store_email_get(im->ctx->store, im->account, row->email, tmp, &m, &e);

	out_init(&line);
	write_head(&line, imap_view_seq_from(&im->box->view, row->uid, &x->hint));
	if (c->uid && !x->ask.has_uid) {
		write_row_item(im, c, IMAP_FETCH_UID, row, &line);
		first = false;
	}
	for (const struct imap_fetch_item *it = x->ask.first; it && st == ST_OK;
	     it = it->next) {
		if (!first)
			out_addc(&line, ' ');
		first = false;
		if (it->kind >= IMAP_FETCH_ENVELOPE)
			st = imap_fetch_email_item(im, it, &m, tmp, &line, &e);
		else
			write_row_item(im, c, it->kind, row, &line);
	}
	if (st != ST_OK) {
		note_error(im, x, row, &e);
		out_done(&line);
		return;
	}
	if (x->now_seen[i] && !x->ask.has_flags) {
		out_addc(&line, ' ');
		write_row_item(im, c, IMAP_FETCH_FLAGS, row, &line);
	}
	out_add(&line, SL(")\r\n"));
	out_move(o, &line);
}

static void show_batch(struct imap *im, struct imap_cmd *c, struct fetch *x,
		       struct out *o)
{
	struct arena tmp;

	arena_init(&tmp);
	for (size_t i = 0; i < x->n_rows; i++) {
		show_message(im, c, x, i, &tmp, o);
		arena_reset(&tmp);
	}
	arena_release(&tmp);
}

static enum step show_messages(struct imap *im, struct imap_cmd *c, struct fetch *x,
			       struct out *o, struct err *e)
{
	bool seen = x->ask.sets_seen && !im->box->read_only;

	if (c->phase == SEEN_DURABLE) {
		if (c->wait.st != ST_OK) {
			im->box->n_told = 0; /* it did not happen */
			*e = c->wait.e;
			return STEP_CLOSE;
		}
		c->phase = NEXT;
		show_batch(im, c, x, o);
		x->n_rows = 0;
		if (x->at < x->uids.n)
			return STEP_MORE; /* nothing may be unwritten when the next batch has to wait */
	}
	while (x->at < x->uids.n || x->n_rows) {
		enum step st = STEP_DONE;

		if (x->n_rows == 0 && collect(im, x, e) != ST_OK)
			return STEP_CLOSE;
		if (seen)
			st = set_seen(im, c, x, e);
		if (st == STEP_MORE)
			return show_messages(im, c, x, o, e);
		if (st != STEP_DONE)
			return st;
		show_batch(im, c, x, o);
		x->n_rows = 0;
		if (x->at < x->uids.n && (seen || o->bytes >= LIMIT_OUT_STEP))
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* --- the command --- */

static enum step finish(struct imap *im, struct imap_cmd *c, struct fetch *x)
{
	if (x->err.code != ERR_NONE)
		return imap_no(im, c, &x->err);
	if (x->missing && !c->uid) /* RFC 2180 4.1.2, RFC 5530 3 */
		return imap_no_text(
			im, c,
			"[EXPUNGEISSUED] Some of the messages are no longer there");
	return imap_ok(im, c, "Fetch completed");
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct fetch *x = c->arg;
	struct err e = { .code = ERR_NONE };
	enum step st;

	if (c->phase == START) {
		if (!imap_box_uids(im, &im->s.arena, &x->ask.set, c->uid, &x->uids))
			return imap_bad(im, c, "There is no message with such a number");
		if ((x->ask.has_flags || x->ask.sets_seen) &&
		    imap_names(im, c, x->ask.sets_seen ? NULL : o, &e) != ST_OK)
			return imap_no(im, c, &e);
		c->phase = NEXT;
	}
	st = x->ask.needs_email ? show_messages(im, c, x, o, &e)
				: show_rows(im, c, o, &e);
	if (st == STEP_CLOSE)
		return imap_no(im, c, &e);
	return st == STEP_DONE ? finish(im, c, x) : st;
}

const struct imap_cmd_def imap_cmd_fetch = {
	.name = S("FETCH"),
	.states = IMAP_SELECTED,
	.flags = CMD_USES_SEQS | CMD_UID,
	.parse = parse,
	.run = run,
	.rfc = "RFC 3501 6.4.5",
};

/* imap_cmd_select.c — SELECT and EXAMINE.  RFC 3501 6.3.1, 6.3.2, 2.3.2 (\Recent). */
#include "imap/imap_cmds.h"

struct select {
	slice name;
	bool examine;
	struct store_mailbox box;
	struct imap_box *open; /* not yet the selected one */
	uint32_t recent_from;
	bool untaken; /* nothing can be written: they stay recent for whoever comes next */
};
enum { FIND, DURABLE, SHOW };

static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct select *x = ARENA_NEW(p->a, struct select);

	c->arg = x;
	x->examine = slice_ieq(c->def->name, SL("EXAMINE"));
	return imap_parse_sp(p) && imap_parse_mailbox(p, &x->name);
}

/* Mail can be read when the disk is full or the store has stopped: then nobody takes the
 * recent messages (RFC 3501 2.3.2: what cannot be determined is recent). */
static enum step not_taken(struct imap *im, struct imap_cmd *c, struct select *x,
			   const struct err *e)
{
	if (e->code != ERR_DISK_FULL && e->code != ERR_STOPPED)
		return imap_no(im, c, e);
	x->untaken = true;
	x->recent_from = x->box.first_recent;
	c->phase = SHOW;
	return STEP_MORE;
}

/* The messages that no session has seen become this one's, durably, before it is told. */
static enum step take_recent(struct imap *im, struct imap_cmd *c, struct select *x)
{
	struct store_txn *t;
	struct err e;
	enum status st = imap_begin(im, &t, &e);

	if (st == ST_WAIT)
		return STEP_WAIT;
	if (st != ST_OK)
		return not_taken(im, c, x, &e);
	st = store_take_recent(t, im->account, x->box.id, &x->recent_from, &e);
	if (st != ST_OK) {
		store_abort(t);
		return imap_no(im, c, &e);
	}
	c->phase = DURABLE;
	return imap_commit(im, c, t) ? STEP_MORE : STEP_WAIT;
}

struct unseen {
	uint32_t uid;
};
static bool first_unseen(void *ctx, const struct store_row *row)
{
	struct unseen *u = ctx;

	if (row->flags.sys & FLAG_SEEN)
		return true;
	u->uid = row->uid;
	return false;
}

static void write_number(struct out *o, const char *before, uint64_t v,
			 const char *behind)
{
	out_adds(o, before);
	out_addu(o, v);
	out_adds(o, behind);
}

static void write_unseen(struct imap *im, struct imap_box *b, struct out *o)
{
	struct unseen u = { 0 };
	uint32_t seq;

	if (store_rows(im->ctx->store, im->account, b->mbox, 1, UINT32_MAX, first_unseen,
		       &u, NULL) != ST_OK ||
	    !u.uid)
		return;
	seq = imap_view_seq(&b->view, u.uid);
	if (seq)
		write_number(o, "* OK [UNSEEN ", seq, "] First unseen\r\n");
}

static void log_select(struct imap *im, const struct select *x)
{
	struct log_line l;

	imap_log(im, &l, LOG_LEVEL_INFO, "imap.select");
	log_str(&l, "mailbox", x->box.name);
	log_int(&l, "messages", (int64_t)imap_view_count(&im->box->view));
	log_end(&l);
}

static enum step show(struct imap *im, struct imap_cmd *c, struct select *x,
		      struct out *o)
{
	struct imap_box *b;
	struct err e;

	if (imap_box_open(im, x->box.id, x->examine, &b, &e) != ST_OK)
		return imap_no(im, c, &e);
	im->box = b;
	im->state = IMAP_SELECTED;
	b->recent_from = x->recent_from;
	b->recent_taken = x->examine || x->untaken ? 0 : b->base->uidnext;
	if (imap_names(im, c, NULL, &e) != ST_OK) {
		imap_box_close(im);
		im->state = IMAP_AUTH;
		return imap_no(im, c, &e);
	}
	imap_write_permanent_flags(im, &c->names, o);
	write_number(o, "* ", imap_view_count(&b->view), " EXISTS\r\n");
	write_number(o, "* ", imap_box_recents(b), " RECENT\r\n");
	if (x->box.unseen)
		write_unseen(im, b, o);
	write_number(o, "* OK [UIDVALIDITY ", b->uidvalidity, "] Valid\r\n");
	write_number(o, "* OK [UIDNEXT ", b->base->uidnext, "] Predicted\r\n");
	log_select(im, x);
	return imap_ok(im, c,
		       x->examine ? "[READ-ONLY] Examine completed"
				  : "[READ-WRITE] Select completed");
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct select *x = c->arg;
	struct err e;

	if (c->phase == FIND) {
		/* RFC 3501 6.3.1: the mailbox at hand is closed whatever comes of it. */
		imap_box_close(im);
		im->state = IMAP_AUTH;
		if (store_mailbox_find(im->ctx->store, im->account, x->name, &im->s.arena,
				       &x->box, &e) != ST_OK)
			return imap_no(im, c, &e);
		if (!x->box.exists)
			return imap_no_text(
				im, c,
				"[NONEXISTENT] A name without a mailbox (\\Noselect)");
		x->recent_from = x->box.first_recent;
		c->phase = SHOW;
		if (!x->examine && x->box.first_recent < x->box.uidnext) {
			enum step st;

			c->phase = FIND;
			st = take_recent(im, c, x);
			if (st != STEP_MORE)
				return st;
		}
	}
	if (c->phase == DURABLE && c->wait.st != ST_OK) {
		enum step st = not_taken(im, c, x, &c->wait.e);

		if (st != STEP_MORE)
			return st;
	}
	return show(im, c, x, o);
}

const struct imap_cmd_def imap_cmd_select = {
	.name = S("SELECT"),
	.states = IMAP_INSIDE,
	.parse = parse,
	.run = run,
	.rfc = "RFC 3501 6.3.1",
};
const struct imap_cmd_def imap_cmd_examine = {
	.name = S("EXAMINE"),
	.states = IMAP_INSIDE,
	.parse = parse,
	.run = run,
	.rfc = "RFC 3501 6.3.2",
};

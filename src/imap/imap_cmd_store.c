/* imap_cmd_store.c — STORE and UID STORE.  RFC 3501 6.4.6, 6.4.8.
 *
 * In chunks of LIMIT_STORE_CHUNK, each a transaction; its untagged FETCHes leave when it
 * is durable. */
#include "imap/imap_cmds.h"

struct store_arg {
	struct imap_seqset set;
	enum store_flag_op op;
	bool silent;
	struct imap_flags flags;
	struct store_uids uids;
	size_t at;
	bool missing; /* some were expunged meanwhile */
};

/* store = "STORE" SP sequence-set SP (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list /
 * (flag *(SP flag))) */
static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct store_arg *x = ARENA_NEW(p->a, struct store_arg);

	c->arg = x;
	if (!imap_parse_sp(p) || !imap_seqset_parse(p, &x->set) || !imap_parse_sp(p))
		return false;
	x->op = imap_parse_accept(p, '+')   ? FLAG_ADD
		: imap_parse_accept(p, '-') ? FLAG_REMOVE
					    : FLAG_SET;
	x->silent = imap_parse_word(p, "FLAGS.SILENT");
	if (!x->silent && !imap_parse_word(p, "FLAGS"))
		return imap_parse_fail(p, "FLAGS or FLAGS.SILENT expected");
	return imap_parse_sp(p) && imap_parse_flags(p, &x->flags);
}

static void tell_rows(struct imap *im, struct imap_cmd *c, const struct store_row *rows,
		      size_t n, struct out *o)
{
	size_t hint = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t seq = imap_view_seq_from(&im->box->view, rows[i].uid, &hint);

		if (seq)
			imap_write_flags_row(im, c, seq, &rows[i], c->uid, o);
	}
}

static enum status change_chunk(struct imap *im, struct imap_cmd *c, struct store_txn *t,
				struct out *o, struct err *e)
{
	struct store_arg *x = c->arg;
	size_t n = x->uids.n - x->at < LIMIT_STORE_CHUNK ? x->uids.n - x->at
							 : LIMIT_STORE_CHUNK,
	       n_rows;
	struct store_uids part = { x->uids.uid + x->at, n };
	struct store_flags flags;
	struct store_row *rows;
	enum status st = imap_flags_bits(im, c, t, &x->flags, &flags, e);

	if (st == ST_OK)
		st = store_flags_change(t, im->account, im->box->mbox, &part, x->op,
					flags, &rows, &n_rows, e);
	if (st != ST_OK)
		return st;
	imap_box_take_recent(im, t);
	x->at += n;
	x->missing |= n_rows < n;
	if (c->names.n > im->box->n_keywords) /* RFC 3501 7.2.6: before they are seen */
		imap_write_permanent_flags(im, &c->names, o);
	if (!x->silent)
		tell_rows(im, c, rows, n_rows, o);
	imap_box_told(im->box, rows, n_rows);
	return ST_OK;
}

static enum step finish(struct imap *im, struct imap_cmd *c)
{
	struct store_arg *x = c->arg;

	if (x->missing && !c->uid) /* RFC 2180 4.2, RFC 5530 3 */
		return imap_no_text(
			im, c,
			"[EXPUNGEISSUED] Some of the messages are no longer there");
	return imap_ok(im, c, "Store completed");
}

static enum step prepare(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct store_arg *x = c->arg;
	struct err e;

	if (im->box->read_only)
		return imap_no_text(im, c,
				    "[READ-ONLY] The mailbox was opened with EXAMINE");
	if (!imap_box_uids(im, &im->s.arena, &x->set, c->uid, &x->uids))
		return imap_bad(im, c, "There is no message with such a number");
	if (imap_names(im, c, x->uids.n ? NULL : o, &e) != ST_OK)
		return imap_no(im, c, &e);
	c->phase = 1;
	return x->uids.n ? STEP_MORE : finish(im, c);
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct store_arg *x = c->arg;
	struct store_txn *t;
	struct err e = { .code = ERR_NONE };
	enum status st;

	if (c->phase == 0) {
		enum step step = prepare(im, c, o);

		if (step != STEP_MORE)
			return step;
	}
	st = imap_begin(im, &t, &e);
	if (st == ST_WAIT)
		return STEP_WAIT;
	if (st != ST_OK)
		return imap_no(im, c, &e);
	st = change_chunk(im, c, t, o, &e);
	if (st != ST_OK) {
		store_abort(t);
		return imap_no(im, c, &e);
	}
	store_commit(t, session_ticket(&im->s));
	if (x->at < x->uids.n)
		return STEP_COMMIT_MORE;
	finish(im, c);
	return STEP_COMMIT;
}

const struct imap_cmd_def imap_cmd_store = {
	.name = S("STORE"),
	.states = IMAP_SELECTED,
	.flags = CMD_PIPE | CMD_USES_SEQS | CMD_UID,
	.parse = parse,
	.run = run,
	.rfc = "RFC 3501 6.4.6",
};

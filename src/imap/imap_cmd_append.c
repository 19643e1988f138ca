/* imap_cmd_append.c — APPEND.  RFC 3501 6.3.11, RFC 4315 3 (APPENDUID), RFC 7888.
 *
 * The message is never held: its mailbox is looked at when the literal is announced (a
 * refusal then saves the client the upload), its octets go through an intake as they
 * come, and it is filed when the command is complete. */
#include "imap/imap_cmds.h"
#include "base/alloc.h"

struct imap_append { /* heap: lives from the announcement to the answer */
	struct arena mem;
	slice tag;
	struct imap_flags flags;
	bool has_date;
	int64_t date;
	uint32_t mbox, uidvalidity;
	struct intake *in;
	slice refusal; /* "NO …" or "BAD …": the rest is dropped, then this is answered */
	bool is_ended;
};

void imap_append_free(struct imap *im)
{
	struct imap_append *x = im->append;

	if (!x)
		return;
	im->append = NULL;
	intake_free(x->in);
	arena_release(&x->mem);
	mem_free(x);
}

slice imap_append_tag(const struct imap *im)
{
	return im->append ? im->append->tag : SL("");
}

struct append_args {
	slice name;
	struct imap_flags flags;
	bool has_date;
	int64_t date;
	uint32_t n;
	bool sync;
};

/* append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal ; at is behind
 * the name */
static bool parse_announced(struct imap_parse *p, struct append_args *x)
{
	size_t at;
	enum imap_literal lit;

	if (!imap_parse_sp(p) || !imap_parse_mailbox(p, &x->name) || !imap_parse_sp(p))
		return false;
	if (imap_parse_peek(p, '(') &&
	    (!imap_parse_flag_list(p, &x->flags) || !imap_parse_sp(p)))
		return false;
	if (imap_parse_peek(p, '"')) {
		if (!imap_parse_date_time(p, &x->date) || !imap_parse_sp(p))
			return false;
		x->has_date = true;
	}
	lit = imap_literal_at_end(p->s, &at, &x->n);
	x->sync = lit == IMAP_LITERAL_SYNC;
	return (lit != IMAP_LITERAL_NONE && at == p->at) ||
	       imap_parse_fail(p, "flags, a date or the message expected");
}

/* RFC 9208 4.3.1 */
static enum status find_room(struct imap *im, uint32_t size, struct err *e)
{
	enum store_room room;
	enum status st =
		store_room(im->ctx->store, im->account, im->user, size, &room, e);

	if (st != ST_OK || room == STORE_ROOM)
		return st;
	return err_set(e, ERR_OVERQUOTA,
		       room == STORE_ROOM_NEVER
			       ? "The message is larger than your mailbox may ever be"
			       : "Your mailbox is full");
}

static enum status find_place(struct imap *im, const struct append_args *x,
			      struct store_mailbox *m, struct err *e)
{
	uint64_t max = im->ctx->max_message ? im->ctx->max_message : LIMIT_MESSAGE;
	enum status st;

	if (x->n > max)
		return err_set(e, ERR_LIMIT, "The message is above %llu octets",
			       (unsigned long long)max);
	if (x->n == 0)
		return err_set(e, ERR_CANNOT, "An empty message is not kept");
	st = store_mailbox_find(im->ctx->store, im->account, x->name, &im->s.arena, m, e);
	if (st == ST_OK && !m->exists)
		return err_set(e, ERR_NO_MAILBOX, "A name without a mailbox");
	if (st == ST_OK)
		st = store_disk_room(im->ctx->store, e);
	return st == ST_OK ? find_room(im, x->n, e) : st;
}

static struct imap_append *start(slice tag, const struct append_args *x,
				 const struct store_mailbox *m)
{
	struct imap_append *ap = mem_new(sizeof(*ap));

	arena_init(&ap->mem);
	ap->tag = arena_dup(&ap->mem, tag);
	ap->flags = x->flags;
	ap->flags.kw = x->flags.n_kw ? arena_array(&ap->mem, x->flags.n_kw, sizeof(slice))
				     : NULL;
	for (size_t i = 0; i < x->flags.n_kw; i++)
		ap->flags.kw[i] = arena_dup(&ap->mem, x->flags.kw[i]);
	ap->has_date = x->has_date;
	ap->date = x->date;
	ap->mbox = m->id;
	ap->uidvalidity = m->uidvalidity;
	return ap;
}

/* IMAP_UNIT_APPEND: the literal is announced. */
enum step imap_append_begin(struct imap *im, struct out *o)
{
	slice tag = imap_line_tag(im->input), refusal = SL("");
	struct imap_parse p = imap_parse_init(im->input, &im->s.arena);
	struct append_args x = { 0 };
	struct store_mailbox m = { 0 };
	struct err e = { .code = ERR_NONE };
	size_t at;

	imap_append_free(im);
	p.at = tag.n + SL(" APPEND").n;
	x.sync = imap_literal_at_end(im->input, &at, &x.n) == IMAP_LITERAL_SYNC;
	if (!parse_announced(&p, &x)) {
		im->errors++;
		refusal =
			arena_fmt(&im->s.arena, "BAD octet %zu: %s", p.why_at + 1, p.why);
	} else if (find_place(im, &x, &m, &e) != ST_OK) {
		refusal = imap_no_line(&im->s.arena, &e, true);
	}
	if (refusal.n && x.sync) { /* no go-ahead: the client keeps its message */
		out_add(o, tag);
		out_addc(o, ' ');
		out_add(o, refusal);
		out_adds(o, "\r\n");
		imap_framer_reset(&im->fr);
		return STEP_DONE;
	}
	im->append = start(tag, &x, &m);
	im->append->refusal = arena_dup(&im->append->mem, refusal);
	if (!refusal.n)
		im->append->in = intake_new(im->ctx->store, 0,
					    im->ctx->max_message ? im->ctx->max_message
								 : LIMIT_MESSAGE);
	imap_framer_reset(&im->fr);
	imap_framer_message(&im->fr, x.n, refusal.n > 0);
	if (x.sync)
		out_adds(o, "+ Go ahead\r\n");
	return STEP_DONE;
}

static void refuse(struct imap *im, const struct err *e)
{
	im->append->refusal =
		arena_dup(&im->append->mem, imap_no_line(&im->s.arena, e, true));
	im->fr.is_discard = true;
}

/* IMAP_UNIT_CHUNK: octets of the message. */
enum step imap_append_chunk(struct imap *im)
{
	struct err e;

	if (!im->append->refusal.n &&
	    intake_write(im->append->in, im->input, &e) != ST_OK)
		refuse(im, &e);
	return STEP_DONE;
}

static enum status finish_intake(struct imap *im, struct imap_append *ap, struct err *e)
{
	enum status st;

	if (ap->is_ended)
		return ST_OK;
	st = im->input.n ? intake_write(ap->in, im->input, e) : ST_OK;
	if (st == ST_OK)
		st = intake_end(ap->in, e);
	if (st != ST_OK)
		return st;
	ap->is_ended = true;
	if (intake_get(ap->in)->had_nul) /* RFC 3501 9: CHAR8 is any octet but NUL */
		return err_set(e, ERR_CANNOT, "The message holds NUL octets");
	return ST_OK;
}

static enum status file(struct imap *im, struct imap_cmd *c, struct store_txn *t,
			uint32_t *uid, struct err *e)
{
	struct imap_append *ap = im->append;
	struct store_place place = { .account = im->account,
				     .mbox = ap->mbox,
				     .quota = STORE_QUOTA_STRICT };
	enum status st = imap_flags_bits(im, c, t, &ap->flags, &place.flags, e);

	place.internal_date = ap->has_date ? ap->date : session_now_us(&im->s) / 1000000;
	if (st == ST_OK)
		st = store_add(t, ap->in, &place, uid, e);
	if (st == ST_OK && im->box && im->box->mbox == ap->mbox)
		imap_box_take_recent(im, t);
	return st;
}

static enum step answer(struct imap *im, struct imap_cmd *c, slice line)
{
	c->result = arena_dup(&im->s.arena, line);
	imap_append_free(im);
	return STEP_DONE;
}

static void log_append(const struct imap *im, const struct imap_append *ap, uint32_t uid)
{
	struct log_line l;

	imap_log(im, &l, LOG_LEVEL_INFO, "imap.append");
	log_int(&l, "mbox", ap->mbox);
	log_int(&l, "uid", uid);
	log_int(&l, "size", (int64_t)intake_get(ap->in)->size);
	log_end(&l);
}

/* IMAP_UNIT_LAST: the command is complete. Into the selected mailbox the answer waits for
 * the commit here, so that EXISTS can stand before the tagged line (RFC 3501 6.3.11);
 * elsewhere it is held by the ticket while the next command runs. */
static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct imap_append *ap = im->append;
	struct store_txn *t;
	struct err e = { .code = ERR_NONE };
	enum status st;
	uint32_t uid;

	(void)o;
	if (c->phase == 1) { /* durable, or not */
		slice line = c->wait.st == ST_OK
				     ? c->result
				     : imap_no_line(&im->s.arena, &c->wait.e, true);

		atomic_store(&im->box->dirty, true);
		return answer(im, c, line);
	}
	c->tag = arena_dup(&im->s.arena, ap->tag);
	if (ap->refusal.n)
		return answer(im, c, ap->refusal);
	if (finish_intake(im, ap, &e) != ST_OK)
		return answer(im, c, imap_no_line(&im->s.arena, &e, true));
	st = imap_begin(im, &t, &e);
	if (st == ST_WAIT)
		return STEP_WAIT;
	if (st == ST_OK) {
		st = file(im, c, t, &uid, &e);
		if (st != ST_OK)
			store_abort(t);
	}
	if (st != ST_OK)
		return answer(im, c, imap_no_line(&im->s.arena, &e, true));
	log_append(im, ap, uid);
	c->result = arena_fmt(&im->s.arena, "OK [APPENDUID %u %u] Append completed",
			      ap->uidvalidity, uid);
	if (im->box && im->box->mbox == ap->mbox) {
		c->phase = 1;
		return imap_commit(im, c, t) ? run(im, c, o) : STEP_WAIT;
	}
	store_commit(t, session_ticket(&im->s));
	imap_append_free(im);
	return STEP_COMMIT;
}

/* Reached as a command only without a literal. */
static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct append_args *x = ARENA_NEW(p->a, struct append_args);

	(void)c;
	return parse_announced(p, x) && imap_parse_fail(p, "a literal expected");
}

const struct imap_cmd_def imap_cmd_append = {
	.name = S("APPEND"),
	.states = IMAP_INSIDE,
	.parse = parse,
	.run = run,
	.rfc = "RFC 3501 6.3.11",
};

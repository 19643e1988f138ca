#include "imap/imap_copy.h"

/* copy = "COPY" SP sequence-set SP mailbox */
bool imap_copy_parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct imap_copy *x = ARENA_NEW(p->a, struct imap_copy);

	c->arg = x;
	return imap_parse_sp(p) && imap_seqset_parse(p, &x->set) && imap_parse_sp(p) &&
	       imap_parse_mailbox(p, &x->name);
}

enum step imap_copy_prepare(struct imap *im, struct imap_cmd *c)
{
	struct imap_copy *x = c->arg;
	struct err e = { .code = ERR_NONE };
	enum status st;

	if (!imap_box_uids(im, &im->s.arena, &x->set, c->uid, &x->uids))
		return imap_bad(im, c, "There is no message with such a number");
	st = store_mailbox_find(im->ctx->store, im->account, x->name, &im->s.arena,
				&x->to, &e);
	if (st == ST_OK && !x->to.exists)
		st = err_set(&e, ERR_NO_MAILBOX, "A name without a mailbox");
	if (st != ST_OK)
		return imap_no_try_create(im, c, &e);
	return STEP_MORE;
}

slice imap_copyuid(struct arena *a, uint32_t uidvalidity, const struct store_uids *from,
		   const struct store_uids *to)
{
	struct buf b;
	slice r;

	if (from->n == 0)
		return SL("");
	buf_init(&b, 64 + from->n * 24);
	buf_adds(&b, "[COPYUID ");
	buf_addu(&b, uidvalidity);
	buf_addc(&b, ' ');
	imap_seqset_write_numbers(&b, from->uid, from->n);
	buf_addc(&b, ' ');
	imap_seqset_write_numbers(&b, to->uid, to->n);
	buf_adds(&b, "] ");
	r = arena_dup(a, buf_slice(&b));
	buf_done(&b);
	return r;
}

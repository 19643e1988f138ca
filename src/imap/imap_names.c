#include "imap/imap_names.h"

bool imap_names_parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct imap_names_arg *n = ARENA_NEW(p->a, struct imap_names_arg);

	c->arg = n;
	return imap_parse_sp(p) && imap_parse_mailbox(p, &n->name);
}

bool imap_names_parse_two(struct imap_parse *p, struct imap_cmd *c)
{
	struct imap_names_arg *n;

	if (!imap_names_parse(p, c))
		return false;
	n = c->arg;
	return imap_parse_sp(p) && imap_parse_mailbox(p, &n->to);
}

enum step imap_names_change(struct imap *im, struct imap_cmd *c, const char *ok_text,
			    enum status (*change)(struct imap *im, struct store_txn *t,
						  const struct imap_names_arg *n,
						  struct err *e))
{
	struct store_txn *t;
	struct err e = { .code = ERR_NONE };
	enum status st = imap_begin(im, &t, &e);

	if (st == ST_WAIT)
		return STEP_WAIT;
	if (st != ST_OK)
		return imap_no(im, c, &e);
	st = change(im, t, c->arg, &e);
	if (st != ST_OK) {
		store_abort(t);
		return imap_no(im, c, &e);
	}
	store_commit(t, session_ticket(&im->s));
	imap_ok(im, c, ok_text);
	return STEP_COMMIT;
}

enum status imap_names_check(slice *name, struct err *e)
{
	slice rest, part;
	size_t depth = 0;

	/* RFC 3501 6.3.3: a separator at the end declares that names under it will be
	 * made. */
	if (name->n > 1 && name->p[name->n - 1] == '/')
		name->n--;
	if (name->n == 0 || name->n > LIMIT_MAILBOX_NAME)
		return err_set(e, ERR_CANNOT, "A mailbox name has 1 to %d octets",
			       LIMIT_MAILBOX_NAME);
	for (size_t i = 0; i < name->n; i++)
		if (name->p[i] == '*' || name->p[i] == '%')
			return err_set(e, ERR_CANNOT,
				       "Mailbox names here have no * and no %%");
	if (name->p[name->n - 1] == '/')
		return err_set(e, ERR_CANNOT, "A part of the mailbox name is empty");
	for (rest = *name; rest.n;) {
		part = slice_cut(&rest, '/');
		if (part.n == 0)
			return err_set(e, ERR_CANNOT,
				       "A part of the mailbox name is empty");
		if (++depth > LIMIT_MAILBOX_DEPTH)
			return err_set(e, ERR_LIMIT,
				       "Mailbox names have at most %d levels",
				       LIMIT_MAILBOX_DEPTH);
	}
	return ST_OK;
}

/* pop3_drop.c — the maildrop: INBOX at login, numbered (RFC 1939 4). */
#include "pop3/pop3_session.h"
#include "base/alloc.h"

struct fill {
	struct pop3_drop *d;
	size_t at; /* in the view */
};

/* Rows are read behind the view: what is not in it is newer, what is missing was expunged
 * between the two. */
static bool take(void *ctx, const struct store_row *row)
{
	struct fill *f = ctx;
	struct pop3_drop *d = f->d;

	while (f->at < d->view->n && d->view->uid[f->at] < row->uid)
		f->at++;
	if (f->at == d->view->n)
		return false;
	if (d->view->uid[f->at] != row->uid)
		return true;
	d->msg[d->n++] = (struct pop3_message){ .email = row->email,
						.size = row->size,
						.uid = row->uid };
	d->bytes += row->size;
	return true;
}

enum status pop3_drop_open(struct store *s, uint32_t account, struct pop3_drop *out,
			   struct err *e)
{
	struct pop3_drop d = { .account = account };
	struct fill f = { .d = &d };
	struct store_mailbox inbox;
	struct arena mem;
	enum status st;

	arena_init(&mem);
	st = store_mailbox_find(s, account, SL("INBOX"), &mem, &inbox, e);
	if (st == ST_OK)
		st = store_view_open(s, account, inbox.id, &d.view, e);
	arena_release(&mem);
	if (st != ST_OK)
		return st;
	d.msg = mem_array(d.view->n + 1, sizeof(*d.msg));
	if (d.view->n > 0)
		st = store_rows(s, account, inbox.id, d.view->uid[0],
				d.view->uid[d.view->n - 1], take, &f, e);
	if (st == ST_OK)
		*out = d;
	else
		pop3_drop_close(s, &d);
	return st;
}

void pop3_drop_close(struct store *s, struct pop3_drop *d)
{
	if (d->view)
		store_view_unref(s, d->view);
	mem_free(d->msg);
	*d = (struct pop3_drop){ 0 };
}

enum status pop3_drop_find(struct pop3_drop *d, uint32_t number,
			   struct pop3_message **out, struct err *e)
{
	if (number == 0 || number > d->n)
		return err_set(e, ERR_NO_MESSAGE,
			       "no such message, only %zu messages in the maildrop",
			       d->n);
	if (d->msg[number - 1].deleted)
		return err_set(e, ERR_NO_MESSAGE, "message %u is deleted", number);
	*out = &d->msg[number - 1];
	return ST_OK;
}

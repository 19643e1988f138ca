/* store_name.c — mailbox names: whole paths for the protocols, one row a component here.
 */
#include "base/utf8.h"
#include "store/store_int.h"

slice name_canonical(struct arena *a, slice name)
{
	size_t cut;

	while (name.n > 1 && name.p[name.n - 1] == '/')
		name.n--;
	cut = slice_chr(name, '/', 0);
	if (cut != 5 || !slice_ieq(slice_sub(name, 0, 5), SL("INBOX"))) /* RFC 3501 5.1 */
		return name;
	slice copy = arena_dup(a, name);

	memcpy((char *)copy.p, "INBOX", 5);
	return copy;
}

static bool component_is_valid(slice c)
{
	for (size_t i = 0; i < c.n; i++)
		if ((unsigned char)c.p[i] < 0x20 || c.p[i] == 0x7f)
			return false;
	return c.n > 0;
}

bool name_is_valid(slice name, struct err *e)
{
	size_t depth = 0;

	if (name.n > LIMIT_MAILBOX_NAME || name.n > SCHEMA_NAME_MAX) {
		(void)err_set(e, ERR_LIMIT, "the mailbox name is too long");
		return false;
	}
	if (name.n == 0 || !utf8_is_valid(name) || name.p[name.n - 1] == '/') {
		(void)err_set(e, ERR_CANNOT, "this is not a mailbox name");
		return false;
	}
	while (name.n) {
		slice c = slice_cut(&name, '/');

		if (!component_is_valid(c)) {
			(void)err_set(
				e, ERR_CANNOT,
				"a mailbox name has no empty parts and no control characters");
			return false;
		}
		if (++depth > LIMIT_MAILBOX_DEPTH) {
			(void)err_set(e, ERR_LIMIT,
				      "mailboxes do not nest deeper than %d",
				      LIMIT_MAILBOX_DEPTH);
			return false;
		}
	}
	return true;
}

enum status name_child(struct store *s, struct kv_txn *kt, struct arena *a,
		       uint32_t account, uint32_t parent, slice component,
		       uint32_t *out_found, struct err *e)
{
	slice row;
	enum status st =
		kv_get(s->kv, kt, key_name(a, account, parent, component), a, &row, e);

	if (st == ST_NOT_FOUND) {
		*out_found = 0;
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	struct rd r = rd_init(row);

	if (rd_u8(&r) != SCHEMA_ROW)
		return damaged(e, "name");
	*out_found = rd_u32(&r);
	return r.bad || !*out_found ? damaged(e, "name") : ST_OK;
}

void name_put(struct store_txn *t, uint32_t account, uint32_t parent, slice component,
	      uint32_t mbox)
{
	AUTO_BUF b = { 0 };

	buf_init(&b, 16);
	buf_put_u8(&b, SCHEMA_ROW);
	buf_put_u32(&b, mbox);
	txn_put_buf(t, key_name(t->a, account, parent, component), &b);
}

enum status name_find(struct store *s, struct kv_txn *kt, struct arena *a,
		      uint32_t account, slice name, uint32_t *out_found, struct err *e)
{
	uint32_t at = 0;

	if (name.n == 0 || name.n > SCHEMA_NAME_MAX) {
		*out_found = 0;
		return ST_OK;
	}
	do {
		slice c = slice_cut(&name, '/');
		enum status st = name_child(s, kt, a, account, at, c, &at, e);

		if (st != ST_OK)
			return st;
	} while (at && name.n);
	*out_found = at;
	return ST_OK;
}

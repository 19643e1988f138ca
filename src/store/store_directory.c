/* store_directory.c — domains and aliases. Every change is one blocking transaction under
 * lock 0: admin jobs only. */
#include "store/store_int.h"

static const uint32_t directory_lock[] = { 0 };

enum status directory_login(struct store *s, struct store_txn *t, struct arena *a,
			    const struct address *addr, struct row_login *out,
			    struct err *e)
{
	slice row;
	enum status st = kv_get(s->kv, t ? t->kt : NULL,
				key_login(a, addr->domain, addr->local), a, &row, e);

	if (st != ST_OK)
		return st;
	return row_login_read(row, out) ? ST_OK : damaged(e, "login");
}

/* --- domains ------------------------------------------------------------------------ */
static enum status domain_name(struct arena *a, slice domain, slice *out, struct err *e)
{
	if (!domain_fold(a, domain, out))
		return err_set(e, ERR_SYNTAX, "'%.*s' is not a domain name", FMT(domain));
	return ST_OK;
}

static enum status domain_add(struct store_txn *t, slice domain, struct err *e)
{
	slice name, row;
	AUTO_BUF b = { 0 };
	enum status st = domain_name(t->a, domain, &name, e);

	if (st != ST_OK)
		return st;
	slice key = key_domain(t->a, name);

	st = txn_get(t, key, &row, e);
	if (st == ST_OK)
		return err_set(e, ERR_EXISTS, "domain %.*s is already there", FMT(name));
	if (st != ST_NOT_FOUND)
		return st;
	buf_init(&b, LIMIT_VALUE);
	row_domain_write(&b, &(struct row_domain){ .created = clock_now_s(t->s->clock) });
	txn_put_buf(t, key, &b);
	t->directory_changed = true;
	return ST_OK;
}

static bool any_row(void *ctx, slice key, slice value)
{
	(void)key;
	(void)value;
	*(bool *)ctx = true;
	return false;
}

static slice prefix_end(struct arena *a, slice prefix)
{
	slice end = arena_dup(a, prefix);

	((char *)end.p)[end.n - 1]++; /* prefixes end in 0 or a letter: no carry */
	return end;
}

static enum status domain_remove(struct store_txn *t, slice domain, struct err *e)
{
	slice name, row;
	bool used = false;
	enum status st = domain_name(t->a, domain, &name, e);

	if (st != ST_OK)
		return st;
	slice key = key_domain(t->a, name);

	st = txn_get(t, key, &row, e);
	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_DOMAIN, "there is no domain %.*s", FMT(name));
	if (st != ST_OK)
		return st;
	struct kv_range r = { .from = key_login(t->a, name, slice_make("", 0)) };

	r.to = prefix_end(t->a, r.from);
	st = kv_scan(t->s->kv, t->kt, &r, any_row, &used, e);
	if (st != ST_OK)
		return st;
	if (used)
		return err_set(e, ERR_CANNOT, "domain %.*s still has accounts or aliases",
			       FMT(name));
	txn_del(t, key);
	t->directory_changed = true;
	return ST_OK;
}

static enum status finish(struct store_txn *t, enum status st, struct err *e)
{
	if (st != ST_OK) {
		store_abort(t);
		return st;
	}
	return store_commit_wait(t, e);
}

enum status store_domain_add(struct store *s, slice domain, struct err *e)
{
	struct store_txn *t;
	enum status st = txn_begin_wait(s, directory_lock, 1, &t, e);

	return st == ST_OK ? finish(t, domain_add(t, domain, e), e) : st;
}

enum status store_domain_remove(struct store *s, slice domain, struct err *e)
{
	struct store_txn *t;
	enum status st = txn_begin_wait(s, directory_lock, 1, &t, e);

	return st == ST_OK ? finish(t, domain_remove(t, domain, e), e) : st;
}

struct slice_list {
	struct arena *a;
	slice *at;
	size_t n, cap;
};

static void list_add(struct slice_list *l, slice s)
{
	if (l->n == l->cap) {
		slice *old = l->at;

		l->cap = l->cap ? l->cap * 2 : 16;
		l->at = arena_array(l->a, l->cap, sizeof(slice));
		if (l->n)
			memcpy(l->at, old, l->n * sizeof(slice));
	}
	l->at[l->n++] = s;
}

static bool take_domain(void *ctx, slice key, slice value)
{
	struct slice_list *l = ctx;

	(void)value;
	list_add(l, arena_dup(l->a, slice_from(key, 1)));
	return true;
}

enum status store_domain_list(struct store *s, struct arena *a, slice **out,
			      size_t *out_n, struct err *e)
{
	struct slice_list l = { .a = a };
	struct kv_range r = { .from = SL("D"), .to = SL("E") };
	enum status st = kv_scan(s->kv, NULL, &r, take_domain, &l, e);

	if (st != ST_OK)
		return st;
	*out = l.at;
	*out_n = l.n;
	return ST_OK;
}

/* --- aliases ------------------------------------------------------------------------ */
static enum status address_of(struct store_txn *t, slice text, struct address *out,
			      struct err *e)
{
	slice row;

	if (!address_fold(t->a, text, out) || out->domain.n == 0)
		return err_set(e, ERR_SYNTAX, "'%.*s' is not an address", FMT(text));
	enum status st = txn_get(t, key_domain(t->a, out->domain), &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_DOMAIN, "there is no domain %.*s here",
			       FMT(out->domain));
	return st;
}

static enum status alias_add(struct store_txn *t, slice address, slice target,
			     struct err *e)
{
	struct address from, to;
	struct row_login login;
	AUTO_BUF b = { 0 };
	enum status st = address_of(t, address, &from, e);

	if (st != ST_OK)
		return st;
	st = directory_login(t->s, t, t->a, &from, &login, e);
	if (st == ST_OK)
		return err_set(e, ERR_EXISTS, "%.*s is already there",
			       FMT(address_join(t->a, &from)));
	if (st != ST_NOT_FOUND)
		return st;
	if (!address_fold(t->a, target, &to))
		return err_set(e, ERR_SYNTAX, "'%.*s' is not an address", FMT(target));
	st = directory_login(t->s, t, t->a, &to, &login, e);
	if (st == ST_NOT_FOUND || (st == ST_OK && login.is_alias))
		return err_set(e, ERR_NO_ACCOUNT, "there is no account %.*s",
			       FMT(target));
	if (st != ST_OK)
		return st;
	struct row_login alias = {
		.is_alias = true,
		.account = login.account,
		.created = clock_now_s(t->s->clock),
		.verifier = slice_make("", 0),
	};

	buf_init(&b, LIMIT_VALUE);
	row_login_write(&b, &alias);
	txn_put_buf(t, key_login(t->a, from.domain, from.local), &b);
	t->directory_changed = true;
	return ST_OK;
}

enum status store_alias_add(struct store *s, slice address, slice target, struct err *e)
{
	struct store_txn *t;
	enum status st = txn_begin_wait(s, directory_lock, 1, &t, e);

	return st == ST_OK ? finish(t, alias_add(t, address, target, e), e) : st;
}

static enum status alias_remove(struct store_txn *t, slice address, struct err *e)
{
	struct address addr;
	struct row_login login;
	enum status st = ST_NOT_FOUND;

	if (address_fold(t->a, address, &addr))
		st = directory_login(t->s, t, t->a, &addr, &login, e);
	if (st == ST_NOT_FOUND || (st == ST_OK && !login.is_alias))
		return err_set(e, ERR_NO_ACCOUNT, "there is no alias %.*s", FMT(address));
	if (st != ST_OK)
		return st;
	txn_del(t, key_login(t->a, addr.domain, addr.local));
	t->directory_changed = true;
	return ST_OK;
}

enum status store_alias_remove(struct store *s, slice address, struct err *e)
{
	struct store_txn *t;
	enum status st = txn_begin_wait(s, directory_lock, 1, &t, e);

	return st == ST_OK ? finish(t, alias_remove(t, address, e), e) : st;
}

struct alias_row {
	struct store_alias alias;
	uint32_t account;
};
struct alias_scan {
	struct arena *a;
	struct alias_row *at;
	size_t n, cap;
};

static bool take_alias(void *ctx, slice key, slice value)
{
	struct alias_scan *l = ctx;
	struct row_login login;
	slice rest = slice_from(key, 2);
	struct address addr = { .domain = slice_cut(&rest, 0) };

	addr.local = rest;
	if (!row_login_read(value, &login) || !login.is_alias)
		return true; /* a damaged one hides none of the others */
	if (l->n == l->cap) {
		struct alias_row *old = l->at;

		l->cap = l->cap ? l->cap * 2 : 16;
		l->at = arena_array(l->a, l->cap, sizeof(*l->at));
		if (l->n)
			memcpy(l->at, old, l->n * sizeof(*l->at));
	}
	l->at[l->n].alias.address = address_join(l->a, &addr);
	l->at[l->n++].account = login.account;
	return true;
}

enum status store_alias_list(struct store *s, struct arena *a, struct store_alias **out,
			     size_t *out_n, struct err *e)
{
	struct alias_scan l = { .a = a };
	struct skey from = key_login_prefix(), to = from;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
	enum status st = kv_scan(s->kv, NULL, &r, take_alias, &l, e);

	if (st != ST_OK)
		return st;
	struct store_alias *list = arena_array(a, l.n + 1, sizeof(*list));

	for (size_t i = 0; i < l.n; i++) {
		struct skey k = key_account_address(l.at[i].account);

		list[i] = l.at[i].alias;
		st = kv_get(s->kv, NULL, skey_slice(&k), a, &list[i].target, e);
		if (st != ST_OK && st != ST_NOT_FOUND)
			return st;
	}
	*out = list;
	*out_n = l.n;
	return ST_OK;
}

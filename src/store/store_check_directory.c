/* store_check_directory.c — rows that belong to no account: S, D, U, V. Under lock 0. */
#include "store/store_check_int.h"

static const uint32_t directory_lock[] = { 0 };

/* --- S d -------------------------------------------------------------------------------- */
struct edge { /* the first or last key of a range */
	slice key;
	struct arena *a;
};

static bool take_key(void *ctx, slice key, slice value)
{
	struct edge *g = ctx;

	(void)value;
	g->key = arena_dup(g->a, key);
	return false;
}

static slice edge_key(struct look *l, slice from, slice to, bool last)
{
	struct edge g = { .a = l->c->page.a };
	struct kv_range r = { .from = from, .to = to, .reverse = last };

	if (kv_scan(l->c->s->kv, l->t ? l->t->kt : NULL, &r, take_key, &g, NULL) != ST_OK)
		return slice_make("", 0);
	return g.key;
}

static uint32_t key_u32(slice key, size_t at)
{
	struct rd r = rd_init(slice_from(key, at));

	return rd_u32(&r);
}

static uint64_t key_u64(slice key, size_t at)
{
	struct rd r = rd_init(slice_from(key, at));

	return rd_u64(&r);
}

static uint32_t highest_account(struct look *l)
{
	uint32_t i = key_u32(edge_key(l, SL("Ui"), SL("Uj"), true), 2);
	uint32_t a = key_u32(edge_key(l, SL("A"), SL("B"), true), 1);
	uint32_t x = key_u32(edge_key(l, SL("X"), SL("Y"), true), 1);

	a = a > x ? a : x;
	return a > i ? a : i;
}

#define ACCOUNT_GAP 1000u /* ids left out when the last one is not known */

static enum status numbers_look(struct look *l, void *ctx, struct err *e)
{
	struct where w = { .code = "directory" };
	struct skey k = key_directory();
	struct store *s = l->c->s;
	struct row_directory r;
	slice raw;
	enum status st = check_get(l, skey_slice(&k), l->c->page.a, &raw, e);

	(void)ctx;
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	bool there = st == ST_OK, readable = there && row_directory_read(raw, &r);
	uint32_t account = highest_account(l);
	uint64_t queue = key_u64(edge_key(l, SL("q"), SL("r"), true), 1);
	uint32_t first = key_u32(edge_key(l, SL("Ui"), SL("Uj"), false), 2);

	if (!readable) {
		if (!check_fault(l, &w, CHECK_REPAIRED,
				 "made again; look who is the administrator",
				 "the row of the next account's number %s",
				 there ? "cannot be read" : "is missing"))
			return ST_OK;
		if (there && (st = repair_aside(l, skey_slice(&k), raw, e)) != ST_OK)
			return st;
		if (!s->has_directory || s->directory_epoch != kv_lock_epoch(s->kv, 0)) {
			s->directory = (struct row_directory){ account + ACCOUNT_GAP,
							       first, queue + CHECK_GAP };
			s->directory_epoch = kv_lock_epoch(s->kv, 0);
			s->has_directory = true;
		}
		l->t->directory_dirty = true;
		return ST_OK;
	}
	struct row_directory now = r;

	if (r.next_account <= account &&
	    check_fault(l, &w, CHECK_REPAIRED, "raised above all that are there",
			"the next account would get the number %u, which is taken",
			r.next_account))
		now.next_account = account + 1;
	if (r.last_queue < queue &&
	    check_fault(l, &w, CHECK_REPAIRED, "raised above all that are there",
			"the next message in the queue would get a number that is taken"))
		now.last_queue = queue;
	struct skey ka = key_account_address(r.admin);

	if (first && !check_has(l, skey_slice(&ka), l->c->page.a) &&
	    check_fault(l, &w, CHECK_REPAIRED, "the first account is, again",
			"the account of the administrator is not there"))
		now.admin = first;
	if (memcmp(&now, &r, sizeof(now)) == 0)
		return ST_OK;
	struct row_directory *d;

	st = txn_directory(l->t, &d, e);
	if (st != ST_OK)
		return st;
	*d = now;
	l->t->directory_dirty = true;
	return ST_OK;
}

/* --- D ----------------------------------------------------------------------------------- */
static void domain_put(struct look *l, slice key)
{
	AUTO_BUF b = { 0 };

	buf_init(&b, 64);
	row_domain_write(&b,
			 &(struct row_domain){ .created = clock_now_s(l->c->s->clock) });
	txn_put_buf(l->t, key, &b);
	l->t->directory_changed = true;
}

static enum status domains_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		const struct check_row *row = &l->c->page.at[i];
		struct where w = { .code = "domain" };
		slice name = slice_from(row->key, 1), folded;
		struct row_domain d;
		bool good_name = domain_fold(l->c->page.a, name, &folded) &&
				 slice_eq(name, folded);

		if (good_name && row_domain_read(row->value, &d))
			continue;
		if (!check_fault(l, &w, good_name ? CHECK_LOST : CHECK_REPAIRED,
				 good_name
					 ? "written again; its quota has to be set again"
					 : "taken out",
				 "the row of the domain %.*s cannot be read", FMT(name)))
			continue;
		st = repair_drop(l, row->key, row->value, e);
		if (st == ST_OK && good_name)
			domain_put(l, row->key);
	}
	return st;
}

/* --- U n --------------------------------------------------------------------------------- */
struct login {
	const struct check_row *row;
	struct address addr;
	slice text;
	struct row_login login;
};

struct find_id {
	struct arena *a;
	slice address;
	uint32_t account;
};

static bool take_address(void *ctx, slice key, slice value)
{
	struct find_id *f = ctx;

	if (!slice_eq(value, f->address))
		return true;
	f->account = key_u32(key, 2);
	return false;
}

/* The account whose address this is, from the other index; 0: none. */
static uint32_t account_of(struct look *l, slice address)
{
	struct find_id f = { .a = l->c->page.a, .address = address };
	struct kv_range r = { .from = SL("Ui"), .to = SL("Uj") };

	if (kv_scan(l->c->s->kv, l->t ? l->t->kt : NULL, &r, take_address, &f, NULL) !=
	    ST_OK)
		return 0;
	return f.account;
}

/* A verifier that is where it would be in a whole row. */
static slice verifier_saved(slice raw)
{
	struct rd r = rd_init(slice_from(raw, 14));
	slice v = rd_bytes(&r);

	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= 0x20 || (unsigned char)v.p[i] >= 0x7f)
			return slice_make("", 0);
	return r.bad || rd_left(&r) || v.n == 0 || v.p[0] != '{' ? slice_make("", 0) : v;
}

static void login_write(struct look *l, slice key, const struct row_login *r)
{
	AUTO_BUF b = { 0 };

	buf_init(&b, LIMIT_VALUE);
	row_login_write(&b, r);
	txn_put_buf(l->t, key, &b);
	l->t->directory_changed = true;
}

static enum status login_bad(struct look *l, struct login *u, struct err *e)
{
	struct where w = { .code = "login" };
	uint32_t account = account_of(l, u->text);
	slice verifier = verifier_saved(u->row->value);
	bool whole = account && verifier.n;

	if (!check_fault(l, &w, whole ? CHECK_REPAIRED : CHECK_LOST,
			 whole	   ? "written again"
			 : account ? "written again without a password: set one"
				   : "taken out: it was an alias, make it again",
			 "the login %.*s cannot be read", FMT(u->text)))
		return ST_OK;
	enum status st = repair_drop(l, u->row->key, u->row->value, e);

	if (st == ST_OK && account)
		login_write(l, u->row->key,
			    &(struct row_login){ .account = account,
						 .created = clock_now_s(l->c->s->clock),
						 .verifier = verifier });
	l->t->directory_changed = true;
	return st;
}

static enum status login_target(struct look *l, struct login *u, struct err *e)
{
	struct where w = { .code = u->login.is_alias ? "alias" : "login" };
	struct skey k = key_account_address(u->login.account),
		    ka = key_account(u->login.account);
	slice own;
	enum status st = check_get(l, skey_slice(&k), l->c->page.a, &own, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	bool there = st == ST_OK;

	if (u->login.is_alias) {
		if (there)
			return ST_OK;
		if (check_has(l, skey_slice(&ka), l->c->page.a))
			return ST_OK; /* the account's own address is mended below */
		if (!check_fault(l, &w, CHECK_REPAIRED, "taken out",
				 "the alias %.*s leads to an account that is not there",
				 FMT(u->text)))
			return ST_OK;
		l->t->directory_changed = true;
		return repair_drop(l, u->row->key, u->row->value, e);
	}
	if (there && slice_eq(own, u->text))
		return ST_OK;
	struct address other;
	struct row_login login = u->login;

	/* Which of the two rows is wrong? An account that is there and has this address tells. */
	login.account = account_of(l, u->text);
	struct skey kb = key_account(login.account);

	if (login.account && login.account != u->login.account &&
	    check_has(l, skey_slice(&kb), l->c->page.a)) {
		if (check_fault(l, &w, CHECK_REPAIRED, "written again",
				"the login %.*s leads to another account", FMT(u->text)))
			login_write(l, u->row->key, &login);
		return ST_OK;
	}
	if (there && address_fold(l->c->page.a, own, &other) &&
	    !slice_eq(address_join(l->c->page.a, &other), u->text) &&
	    directory_login(l->c->s, l->t, l->c->page.a, &other, &login, NULL) == ST_OK &&
	    !login.is_alias && login.account == u->login.account) {
		if (!check_fault(l, &w, CHECK_REPAIRED, "taken out",
				 "the account of %.*s also has the login %.*s", FMT(own),
				 FMT(u->text)))
			return ST_OK;
		l->t->directory_changed = true;
		return repair_drop(l, u->row->key, u->row->value, e);
	}
	if (!check_fault(l, &w, CHECK_REPAIRED, "written again",
			 "the account of %.*s does not know its address", FMT(u->text)))
		return ST_OK;
	if (there && (st = repair_aside(l, skey_slice(&k), own, e)) != ST_OK)
		return st;
	txn_put(l->t, skey_slice(&k), u->text);
	l->t->directory_changed = true;
	return ST_OK;
}

static enum status logins_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		struct login u = { .row = &l->c->page.at[i] };
		slice rest = slice_from(u.row->key, 2), raw;

		u.addr.domain = slice_cut(&rest, 0);
		u.addr.local = rest;
		u.text = address_join(l->c->page.a, &u.addr);
		slice domain = key_domain(l->c->page.a, u.addr.domain);

		if (!row_login_read(u.row->value, &u.login) || u.login.account == 0) {
			st = login_bad(l, &u, e);
			continue;
		}
		st = check_get(l, domain, l->c->page.a, &raw, e);
		if (st == ST_NOT_FOUND) {
			st = ST_OK;
			if (check_fault(l, &(struct where){ .code = "domain" },
					CHECK_REPAIRED, "made again",
					"%.*s is in a domain that is not there",
					FMT(u.text)))
				domain_put(l, domain);
		}
		if (st == ST_OK)
			st = login_target(l, &u, e);
	}
	return st;
}

/* --- U i --------------------------------------------------------------------------------- */
static enum status addresses_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++) {
		const struct check_row *row = &l->c->page.at[i];
		struct where w = { .code = "login" };
		uint32_t account = key_u32(row->key, 2);
		struct address addr;
		slice raw;

		if (row->key.n != 6 || !account ||
		    !address_fold(l->c->page.a, row->value, &addr) || !addr.domain.n) {
			/* When a login leads to the account, the row has been written anew. */
			if (check_fault(l, &w, CHECK_REPAIRED, "taken out",
					"the address of account %u cannot be read",
					account))
				st = repair_drop(l, row->key, row->value, e);
			continue;
		}
		st = check_get(l, key_login(l->c->page.a, addr.domain, addr.local),
			       l->c->page.a, &raw, e);
		if (st != ST_NOT_FOUND)
			continue;
		st = ST_OK;
		if (check_fault(l, &w, CHECK_LOST,
				"written again without a password: set one",
				"the login %.*s is missing", FMT(row->value)))
			login_write(l, key_login(l->c->page.a, addr.domain, addr.local),
				    &(struct row_login){
					    .account = account,
					    .created = clock_now_s(l->c->s->clock),
					    .verifier = slice_make("", 0) });
	}
	return st;
}

/* --- accounts nobody can log in to -------------------------------------------------------- */
struct orphan {
	uint32_t account;
};

static enum status orphan_look(struct look *l, void *ctx, struct err *e)
{
	const struct orphan *o = ctx;
	struct where w = { .code = "login" };
	struct skey k = key_account_address(o->account);
	slice domain = slice_from(edge_key(l, SL("D"), SL("E"), false), 1);

	(void)e;
	if (check_has(l, skey_slice(&k), l->c->page.a) ||
	    check_account_gone(l, o->account))
		return ST_OK;
	slice local = arena_fmt(l->c->page.a, "recovered-%u", o->account);

	if (!check_fault(
		    l, &w, domain.n ? CHECK_LOST : CHECK_HELPLESS,
		    "kept as recovered-NUMBER in the first domain, disabled: rename it, "
		    "set a password, enable it",
		    "account %u has mail and no address", o->account))
		return ST_OK;
	struct address addr = { local, domain };

	login_write(l, key_login(l->t->a, domain, local),
		    &(struct row_login){ .account = o->account,
					 .disabled = true,
					 .created = clock_now_s(l->c->s->clock),
					 .verifier = slice_make("", 0) });
	txn_put(l->t, skey_slice(&k), address_join(l->t->a, &addr));
	return ST_OK;
}

static enum status orphans_look(struct check *c, struct err *e)
{
	enum status st = ST_OK;

	for (uint64_t at = 1; at <= UINT32_MAX && st == ST_OK; at++) {
		struct look l = { .c = c };
		struct skey from = key_account_prefix((uint32_t)at);

		arena_reset(&c->page_arena);
		slice key = edge_key(&l, skey_slice(&from), SL("B"), false);
		struct orphan o = { key.n >= 5 ? key_u32(key, 1) : 0 };

		if (!o.account)
			break;
		const uint32_t ids[] = { 0, o.account };

		st = check_unit(c, ids, 2, orphan_look, &o, e);
		at = o.account;
	}
	return st;
}

enum status check_directory(struct check *c, struct err *e)
{
	enum status st = check_unit(c, directory_lock, 1, numbers_look, NULL, e);

	if (st == ST_OK)
		st = check_walk(c, SL("D"), directory_lock, 1, domains_page, NULL, e);
	if (st == ST_OK)
		st = check_walk(c, SL("Un"), directory_lock, 1, logins_page, NULL, e);
	if (st == ST_OK)
		st = check_walk(c, SL("Ui"), directory_lock, 1, addresses_page, NULL, e);
	return st == ST_OK ? orphans_look(c, e) : st;
}

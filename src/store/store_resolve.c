/* store_resolve.c — whose address is it: asked for every RCPT, so answers are remembered
 * until the directory changes. */
#include "store/store_int.h"

void resolve_init(struct store *s)
{
	pthread_mutex_init(&s->resolve_lock, NULL);
	s->resolve = mem_array(RESOLVE_SLOTS, sizeof(*s->resolve));
}

static void slot_clear(struct resolve_slot *r)
{
	mem_free(r->address);
	mem_free(r->own);
	*r = (struct resolve_slot){ 0 };
}

void resolve_done(struct store *s)
{
	for (size_t i = 0; i < RESOLVE_SLOTS; i++)
		slot_clear(&s->resolve[i]);
	mem_free(s->resolve);
	pthread_mutex_destroy(&s->resolve_lock);
}

static struct resolve_slot *slot_of(struct store *s, slice folded)
{
	return &s->resolve[siphash(&s->table_key, folded) % RESOLVE_SLOTS];
}

static bool cache_find(struct store *s, slice folded, uint64_t gen, struct arena *a,
		       struct store_recipient *out)
{
	bool found = false;

	pthread_mutex_lock(&s->resolve_lock);
	struct resolve_slot *r = slot_of(s, folded);

	if (r->address && r->gen == gen &&
	    slice_eq(slice_make(r->address, r->n), folded)) {
		*out = (struct store_recipient){
			r->what,
			r->disabled,
			r->account,
			arena_dup(a, slice_make(r->own, r->n_own)),
		};
		found = true;
	}
	pthread_mutex_unlock(&s->resolve_lock);
	return found;
}

static char *heap_dup(slice s)
{
	char *p = mem_new(s.n + 1);

	if (s.n)
		memcpy(p, s.p, s.n);
	return p;
}

static void cache_add(struct store *s, slice folded, uint64_t gen,
		      const struct store_recipient *v)
{
	pthread_mutex_lock(&s->resolve_lock);
	struct resolve_slot *r = slot_of(s, folded);

	slot_clear(r);
	*r = (struct resolve_slot){
		.gen = gen,
		.address = heap_dup(folded),
		.n = folded.n,
		.what = v->what,
		.disabled = v->disabled,
		.account = v->account,
		.own = heap_dup(v->address),
		.n_own = v->address.n,
	};
	pthread_mutex_unlock(&s->resolve_lock);
}

static bool is_role_name(slice local)
{
	return slice_eq(local, SL("postmaster")) || slice_eq(local, SL("abuse"));
}

static enum status domain_known(struct store *s, struct arena *a, slice domain, bool *out,
				struct err *e)
{
	slice row;
	enum status st = kv_get(s->kv, NULL, key_domain(a, domain), a, &row, e);

	*out = st == ST_OK;
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status admin_of(struct store *s, struct arena *a, uint32_t *out,
			    struct err *e)
{
	slice row;
	struct row_directory d;
	struct skey k = key_directory();
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), a, &row, e);

	if (st != ST_OK)
		return st;
	if (!row_directory_read(row, &d))
		return damaged(e, "directory");
	*out = d.admin;
	return ST_OK;
}

/* The account behind an id: its address and whether it is disabled. ST_NOT_FOUND when it
 * is gone. */
static enum status account_named(struct store *s, struct arena *a, uint32_t account,
				 struct store_recipient *out, struct err *e)
{
	slice own;
	struct address addr;
	struct row_login login;
	struct skey k = key_account_address(account);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), a, &own, e);

	if (st != ST_OK)
		return st;
	if (!address_fold(a, own, &addr))
		return damaged(e, "address");
	st = directory_login(s, NULL, a, &addr, &login, e);
	if (st != ST_OK)
		return st;
	*out = (struct store_recipient){ STORE_LOCAL, login.disabled, account, own };
	return ST_OK;
}

static enum status resolve_local(struct store *s, struct arena *a,
				 const struct address *addr, struct store_recipient *out,
				 struct err *e)
{
	struct row_login login;
	uint32_t account = 0;
	enum status st = addr->domain.n ? directory_login(s, NULL, a, addr, &login, e)
					: ST_NOT_FOUND;

	if (st == ST_OK) {
		account = login.account;
	} else if (st == ST_NOT_FOUND && is_role_name(addr->local)) {
		st = admin_of(s, a, &account, e);
		if (st != ST_OK)
			return st;
	} else {
		return st;
	}
	return account ? account_named(s, a, account, out, e) : ST_NOT_FOUND;
}

static enum status resolve_read(struct store *s, struct arena *a,
				const struct address *addr, struct store_recipient *out,
				struct err *e)
{
	bool known =
		slice_eq(addr->local, SL("postmaster")); /* alone: RFC 5321 4.1.1.3 */
	enum status st = addr->domain.n ? domain_known(s, a, addr->domain, &known, e)
					: ST_OK;

	if (st != ST_OK)
		return st;
	if (!known) {
		*out = (struct store_recipient){ .what = STORE_UNKNOWN_DOMAIN };
		return ST_OK;
	}
	st = resolve_local(s, a, addr, out, e);
	if (st == ST_NOT_FOUND) {
		*out = (struct store_recipient){ .what = STORE_UNKNOWN_USER };
		st = ST_OK;
	}
	return st;
}

enum status store_resolve(struct store *s, slice address, struct arena *a,
			  struct store_recipient *out, struct err *e)
{
	struct address addr;
	struct store_recipient r = { 0 };
	/* before the reads: what changes meanwhile voids the answer */
	uint64_t gen = atomic_load(&s->directory_gen);

	if (!address_fold(a, address, &addr)) {
		*out = (struct store_recipient){ .what = STORE_UNKNOWN_DOMAIN };
		slice domain = slice_from(address, slice_rchr(address, '@')), folded;
		bool known = false;

		/* A local part that cannot be, at a domain of ours. */
		if (domain.n > 1 && domain_fold(a, slice_from(domain, 1), &folded)) {
			enum status st = domain_known(s, a, folded, &known, e);

			if (st != ST_OK)
				return st;
		}
		if (known)
			out->what = STORE_UNKNOWN_USER;
		return ST_OK;
	}
	slice folded = address_join(a, &addr);

	if (cache_find(s, folded, gen, a, out))
		return ST_OK;
	enum status st = resolve_read(s, a, &addr, &r, e);

	if (st != ST_OK)
		return st;
	cache_add(s, folded, gen, &r);
	*out = r;
	return ST_OK;
}

bool store_resolve_cached(struct store *s, slice address, struct arena *a,
			  struct store_recipient *out)
{
	struct address addr;
	uint64_t gen = atomic_load(&s->directory_gen);

	return address_fold(a, address, &addr) &&
	       cache_find(s, address_join(a, &addr), gen, a, out);
}

static bool may_send(uint32_t account, slice address, const struct store_recipient *r)
{
	return account && slice_chr(address, '@', 0) < address.n &&
	       r->what == STORE_LOCAL && r->account == account;
}

bool store_may_send_as(struct store *s, uint32_t account, slice address)
{
	AUTO_ARENA a = { 0 };
	struct store_recipient r;

	arena_init(&a);
	return store_resolve(s, address, &a, &r, NULL) == ST_OK &&
	       may_send(account, address, &r);
}

bool store_may_send_as_cached(struct store *s, uint32_t account, slice address, bool *out)
{
	AUTO_ARENA a = { 0 };
	struct store_recipient r;

	arena_init(&a);
	if (!store_resolve_cached(s, address, &a, &r))
		return false;
	*out = may_send(account, address, &r);
	return true;
}

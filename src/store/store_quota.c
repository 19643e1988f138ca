/* store_quota.c — limits in octets and messages, of an account and of a domain's accounts
 * together. docs/adr/0012-quota-and-retention.md; RFC 9208 5.1, 5.2 for what is counted.
 *
 * An account's usage is in its hot row and exact. A domain's is added up from its accounts
 * and kept in memory; commits add what they change, and a pass now and then counts again
 * (a commit that failed, an account renamed). No row is shared by accounts. */
#include "store/store_int.h"

#define RECOUNT_US (3600ll * 1000000)

struct limits {
	uint64_t bytes, messages; /* 0: none */
};

static struct limits limits_of(struct store *s, const struct row_account *r)
{
	struct store_policy p;

	store_policy_get(s, &p);
	return (struct limits){
		r->has_quota_bytes ? r->quota_bytes : p.quota_bytes,
		r->has_quota_messages ? r->quota_messages : p.quota_messages,
	};
}

uint64_t quota_sum(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return CHECKED_ADD(a, b, &sum) ? sum : UINT64_MAX;
}

/* Would `more` on top of `used` be beyond the limit and its margin? */
static bool is_over(uint64_t used, uint64_t more, uint64_t limit, uint64_t margin)
{
	return limit && quota_sum(used, more) > quota_sum(limit, margin);
}

static bool is_beyond(const struct limits *l, const struct limits *used, uint64_t bytes,
		      uint64_t messages, const struct limits *margin)
{
	return is_over(used->bytes, bytes, l->bytes, margin->bytes) ||
	       is_over(used->messages, messages, l->messages, margin->messages);
}

/* Nothing more fits, however small. */
static bool is_full(const struct limits *l, const struct limits *used)
{
	return (l->bytes && used->bytes >= l->bytes) ||
	       (l->messages && used->messages >= l->messages);
}

static enum status say_full(const struct limits *l, const struct limits *used,
			    const char *whose, struct err *e)
{
	if (l->messages && used->messages >= l->messages)
		return err_set(e, ERR_OVERQUOTA, "%s is full: %llu of %llu messages",
			       whose, (unsigned long long)used->messages,
			       (unsigned long long)l->messages);
	return err_set(e, ERR_OVERQUOTA, "%s is full: %llu KB of %llu KB are used", whose,
		       (unsigned long long)(used->bytes >> 10),
		       (unsigned long long)(l->bytes >> 10));
}

/* --- domains ------------------------------------------------------------------------ */
void quota_init(struct store *s)
{
	pthread_mutex_init(&s->domain_lock, NULL);
	atomic_store(&s->domains_stale, true);
}

static void domains_free(struct domain_usage *d, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mem_free((char *)d[i].name.p);
	mem_free(d);
}

void quota_done(struct store *s)
{
	domains_free(s->domains, s->n_domains);
	pthread_mutex_destroy(&s->domain_lock);
}

/* domain_lock is held. */
static struct domain_usage *domain_find(struct store *s, slice name)
{
	for (size_t i = 0; i < s->n_domains; i++)
		if (slice_eq(s->domains[i].name, name))
			return &s->domains[i];
	return NULL;
}

/* The place of the account's domain in the table, remembered in its hot row. */
static enum status domain_of(struct store *s, struct hot *h, struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice text;
	struct address addr;
	struct skey k = key_account_address(h->account);
	uint64_t gen = atomic_load(&s->domains_gen);

	if (h->domains_gen == gen)
		return ST_OK;
	arena_init(&a);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), &a, &text, e);

	h->domain = -1;
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (st == ST_OK && address_fold(&a, text, &addr)) {
		pthread_mutex_lock(&s->domain_lock);
		struct domain_usage *d = domain_find(s, addr.domain);

		if (d && gen == atomic_load(&s->domains_gen))
			h->domain = (int)(d - s->domains);
		pthread_mutex_unlock(&s->domain_lock);
	}
	h->domains_gen = gen;
	return ST_OK;
}

static bool domain_copy(struct store *s, const struct hot *h, struct domain_usage *out)
{
	bool found = false;

	pthread_mutex_lock(&s->domain_lock);
	if (h->domain >= 0 && h->domains_gen == atomic_load(&s->domains_gen) &&
	    s->domains[h->domain].is_counted) {
		*out = s->domains[h->domain];
		found = true;
	}
	pthread_mutex_unlock(&s->domain_lock);
	return found;
}

void quota_settle(struct store *s, struct hot *h, uint64_t bytes, uint64_t messages)
{
	if (!atomic_load(&s->n_domains) ||
	    (h->row.bytes == bytes && h->row.messages == messages) ||
	    domain_of(s, h, NULL) != ST_OK)
		return;
	pthread_mutex_lock(&s->domain_lock);
	if (h->domain >= 0 && h->domains_gen == atomic_load(&s->domains_gen)) {
		struct domain_usage *d = &s->domains[h->domain];

		d->bytes += h->row.bytes - bytes; /* wraps back for less */
		d->messages += h->row.messages - messages;
	}
	pthread_mutex_unlock(&s->domain_lock);
}

struct count_scan {
	struct arena *a;
	uint32_t *id;
	size_t n, cap;
};

static bool take_login(void *ctx, slice key, slice value)
{
	struct count_scan *c = ctx;
	struct row_login login;

	(void)key;
	if (!row_login_read(value, &login) || login.is_alias)
		return true;
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 256;
		c->id = mem_grow(c->id, c->cap, sizeof(*c->id));
	}
	c->id[c->n++] = login.account;
	return true;
}

/* What the accounts of a domain use: a pass over their rows, one after the other. */
static enum status domain_count(struct store *s, slice name, struct limits *out,
				struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct count_scan c = { .a = &a };
	struct row_account r;
	slice row;

	arena_init(&a);
	struct kv_range range = { .from = key_login(&a, name, slice_make("", 0)) };
	slice end = arena_dup(&a, range.from);

	((char *)end.p)[end.n - 1]++; /* ends in 0 */
	range.to = end;
	enum status st = kv_scan(s->kv, NULL, &range, take_login, &c, e);

	*out = (struct limits){ 0, 0 };
	for (size_t i = 0; i < c.n && st == ST_OK; i++) {
		struct skey k = key_account(c.id[i]);

		arena_reset(&a);
		st = kv_get(s->kv, NULL, skey_slice(&k), &a, &row, e);
		if (st == ST_OK && row_account_read(row, &r)) {
			out->bytes = quota_sum(out->bytes, r.bytes);
			out->messages = quota_sum(out->messages, r.messages);
		} else if (st == ST_NOT_FOUND || st == ST_OK) {
			st = ST_OK; /* just removed, or damaged: check tells */
		}
	}
	mem_free(c.id);
	return st;
}

struct domain_scan {
	struct domain_usage *at;
	size_t n;
};

static bool take_domain(void *ctx, slice key, slice value)
{
	struct domain_scan *l = ctx;
	struct row_domain r;
	slice name = slice_from(key, 1);

	if (!row_domain_read(value, &r) || (!r.quota_bytes && !r.quota_messages))
		return true;
	char *copy = mem_new(name.n + 1);

	memcpy(copy, name.p, name.n);
	l->at = mem_grow(l->at, l->n + 1, sizeof(*l->at));
	l->at[l->n++] = (struct domain_usage){ .name = slice_make(copy, name.n),
					       .quota_bytes = r.quota_bytes,
					       .quota_messages = r.quota_messages };
	return true;
}

static void domains_take(struct store *s, struct domain_scan *l)
{
	pthread_mutex_lock(&s->domain_lock);
	struct domain_usage *old = s->domains;
	size_t n_old = s->n_domains;

	s->domains = l->at;
	atomic_store(&s->n_domains, l->n);
	atomic_fetch_add(&s->domains_gen, 1);
	pthread_mutex_unlock(&s->domain_lock);
	domains_free(old, n_old);
}

enum status store_quota_refresh(struct store *s, bool force, struct err *e)
{
	struct domain_scan l = { 0 };
	struct kv_range r = { .from = SL("D"), .to = SL("E") };

	int64_t now = clock_mono_us(s->clock);
	bool is_stale = atomic_exchange(&s->domains_stale, false);

	if (!force && !is_stale &&
	    (!atomic_load(&s->n_domains) || now - s->domains_counted_us < RECOUNT_US))
		return ST_OK;
	s->domains_counted_us = now;
	enum status st = kv_scan(s->kv, NULL, &r, take_domain, &l, e);

	for (size_t i = 0; i < l.n && st == ST_OK; i++) {
		struct limits used;

		st = domain_count(s, l.at[i].name, &used, e);
		l.at[i].bytes = used.bytes;
		l.at[i].messages = used.messages;
		l.at[i].is_counted = true;
	}
	if (st != ST_OK) {
		domains_free(l.at, l.n);
		atomic_store(&s->domains_stale, true);
		return st;
	}
	domains_take(s, &l);
	return ST_OK;
}

/* --- in a transaction --------------------------------------------------------------- */
static bool allows(const struct limits *l, const struct limits *used, uint64_t bytes,
		   uint64_t messages, enum store_quota how, const struct limits *margin)
{
	static const struct limits none = { 0, 0 };

	switch (how) {
	case STORE_QUOTA_NONE:
		return true;
	case STORE_QUOTA_STRICT:
		return !is_beyond(l, used, bytes, messages, &none);
	case STORE_QUOTA_SHARED:
		if (!is_full(l, used))
			return true;
		break;
	case STORE_QUOTA_DELIVER:
		break;
	}
	return !is_beyond(l, used, bytes, messages, margin);
}

enum status quota_check(struct store_txn *t, struct txn_account *ta, uint64_t bytes,
			uint64_t messages, enum store_quota how, struct err *e)
{
	struct store *s = t->s;
	struct store_policy p;
	struct domain_usage d;

	if (how == STORE_QUOTA_NONE || !atomic_load(&s->has_limits))
		return ST_OK;
	store_policy_get(s, &p);
	struct limits margin = { p.quota_grace,
				 p.quota_grace ? LIMIT_QUOTA_GRACE_MESSAGES : 0 };
	struct limits l = limits_of(s, &ta->hot->row);
	struct limits used = { ta->hot->row.bytes, ta->hot->row.messages };

	if (!allows(&l, &used, bytes, messages, how, &margin))
		return say_full(&l, &used, "the account", e);
	if (!atomic_load(&s->n_domains))
		return ST_OK;
	enum status st = domain_of(s, ta->hot, e);

	if (st != ST_OK || !domain_copy(s, ta->hot, &d))
		return st;
	l = (struct limits){ d.quota_bytes, d.quota_messages };
	used = (struct limits){ d.bytes, d.messages };
	if (!allows(&l, &used, bytes, messages, how, &margin))
		return say_full(&l, &used, "the domain", e);
	return ST_OK;
}

/* --- before a message comes --------------------------------------------------------- */
static enum store_room room_in(const struct limits *l, const struct limits *used,
			       uint64_t size)
{
	static const struct limits none = { 0, 0 };

	if (l->bytes && size > l->bytes)
		return STORE_ROOM_NEVER;
	return is_full(l, used) || is_beyond(l, used, size, 1, &none) ? STORE_ROOM_NOT_NOW
								      : STORE_ROOM;
}

static enum store_room room_of(struct store *s, const struct row_account *r,
			       slice address, uint64_t size)
{
	struct limits l = limits_of(s, r), used = { r->bytes, r->messages };
	enum store_room room = room_in(&l, &used, size);
	slice name = slice_from(address, slice_rchr(address, '@'));

	if (room != STORE_ROOM || !atomic_load(&s->n_domains) || name.n < 2)
		return room;
	pthread_mutex_lock(&s->domain_lock);
	struct domain_usage *d = domain_find(s, slice_from(name, 1));

	if (d && d->is_counted) {
		l = (struct limits){ d->quota_bytes, d->quota_messages };
		used = (struct limits){ d->bytes, d->messages };
		room = room_in(&l, &used, size);
	}
	pthread_mutex_unlock(&s->domain_lock);
	return room;
}

bool store_room_cached(struct store *s, uint32_t account, slice address, uint64_t size,
		       enum store_room *out)
{
	struct row_account r;

	*out = STORE_ROOM;
	if (!atomic_load(&s->has_limits))
		return true;
	if (!hot_peek(s, account, &r))
		return false;
	*out = room_of(s, &r, address, size);
	return true;
}

enum status store_room(struct store *s, uint32_t account, slice address, uint64_t size,
		       enum store_room *out, struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice row;
	struct row_account r;
	struct skey k = key_account(account);

	if (store_room_cached(s, account, address, size, out))
		return ST_OK;
	arena_init(&a);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), &a, &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_ACCOUNT, "the account is gone");
	if (st != ST_OK)
		return st;
	if (!row_account_read(row, &r))
		return damaged(e, "account");
	*out = room_of(s, &r, address, size);
	return ST_OK;
}

/* --- setting ------------------------------------------------------------------------ */
static enum status finish(struct store_txn *t, enum status st, struct err *e)
{
	if (st != ST_OK) {
		store_abort(t);
		return st;
	}
	return store_commit_wait(t, e);
}

static void limit_take(uint64_t value, bool *own, uint64_t *limit)
{
	if (value == STORE_QUOTA_KEEP)
		return;
	*own = value != STORE_QUOTA_DEFAULT;
	*limit = *own ? value : 0;
}

static enum status set_account(struct store_txn *t, uint32_t account, uint64_t bytes,
			       uint64_t messages, struct err *e)
{
	struct txn_account *ta;
	enum status st = txn_account(t, account, &ta, e);

	if (st != ST_OK)
		return st;
	struct row_account *r = &ta->hot->row;

	limit_take(bytes, &r->has_quota_bytes, &r->quota_bytes);
	limit_take(messages, &r->has_quota_messages, &r->quota_messages);
	ta->hot->dirty = true;
	policy_notes_limits(t);
	return ST_OK;
}

enum status store_quota_set(struct store *s, slice address, uint64_t bytes,
			    uint64_t messages, struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct store_account acct;
	struct store_txn *t;

	arena_init(&a);
	enum status st = store_account_get(s, address, &a, &acct, e);
	const uint32_t ids[] = { 0, st == ST_OK ? acct.id : 1 };

	if (st == ST_OK)
		st = txn_begin_wait(s, ids, 2, &t, e);
	return st == ST_OK ? finish(t, set_account(t, acct.id, bytes, messages, e), e)
			   : st;
}

static enum status domain_row(struct store *s, struct store_txn *t, struct arena *a,
			      slice domain, slice *out_key, struct row_domain *out,
			      struct err *e)
{
	slice name, row;

	if (!domain_fold(a, domain, &name))
		return err_set(e, ERR_SYNTAX, "'%.*s' is not a domain name", FMT(domain));
	*out_key = key_domain(a, name);
	enum status st = kv_get(s->kv, t ? t->kt : NULL, *out_key, a, &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_DOMAIN, "there is no domain %.*s", FMT(name));
	if (st != ST_OK)
		return st;
	return row_domain_read(row, out) ? ST_OK : damaged(e, "domain");
}

static enum status set_domain(struct store_txn *t, slice domain, uint64_t bytes,
			      uint64_t messages, struct err *e)
{
	slice key;
	struct row_domain r;
	AUTO_BUF b = { 0 };
	enum status st = domain_row(t->s, t, t->a, domain, &key, &r, e);

	if (st != ST_OK)
		return st;
	if (bytes != STORE_QUOTA_KEEP)
		r.quota_bytes = bytes == STORE_QUOTA_DEFAULT ? 0 : bytes;
	if (messages != STORE_QUOTA_KEEP)
		r.quota_messages = messages == STORE_QUOTA_DEFAULT ? 0 : messages;
	buf_init(&b, LIMIT_VALUE);
	row_domain_write(&b, &r);
	txn_put_buf(t, key, &b);
	policy_notes_limits(t);
	return ST_OK;
}

enum status store_quota_set_domain(struct store *s, slice domain, uint64_t bytes,
				   uint64_t messages, struct err *e)
{
	static const uint32_t lock[] = { 0 };
	struct store_txn *t;
	enum status st = txn_begin_wait(s, lock, 1, &t, e);

	if (st == ST_OK)
		st = finish(t, set_domain(t, domain, bytes, messages, e), e);
	return st == ST_OK ? store_quota_refresh(s, true, e) : st;
}

enum status store_quota_domain(struct store *s, slice domain,
			       struct store_domain_quota *out, struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice key;
	struct row_domain r;
	struct limits used;

	arena_init(&a);
	enum status st = domain_row(s, NULL, &a, domain, &key, &r, e);

	if (st == ST_OK)
		st = domain_count(s, slice_from(key, 1), &used, e);
	if (st == ST_OK)
		*out = (struct store_domain_quota){ used.bytes, used.messages,
						    r.quota_bytes, r.quota_messages };
	return st;
}

void quota_fill(struct store *s, const struct row_account *r, struct store_account *out)
{
	struct limits l = limits_of(s, r);

	out->quota_bytes = l.bytes;
	out->quota_messages = l.messages;
	out->has_own_quota = r->has_quota_bytes || r->has_quota_messages;
	out->held_bytes = r->held_bytes;
	out->held_messages = r->held_messages;
	memcpy(out->language, r->language, sizeof(out->language));
}

/* --- how full ----------------------------------------------------------------------- */
static bool reaches(uint64_t used, uint64_t limit, unsigned percent)
{
	return limit &&
	       (unsigned __int128)used * 100 >= (unsigned __int128)limit * percent;
}

unsigned quota_level(struct store *s, const struct row_account *r)
{
	static const unsigned levels[] = { 95, 80 };

	if (!atomic_load(&s->has_limits))
		return 0;
	struct limits l = limits_of(s, r);

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (reaches(r->bytes, l.bytes, levels[i]) ||
		    reaches(r->messages, l.messages, levels[i]))
			return levels[i];
	return 0;
}

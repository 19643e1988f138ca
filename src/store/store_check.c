/* store_check.c — the walk: units, pages, accounts one after the other. */
#include "store/store_check_int.h"

/* --- pages -------------------------------------------------------------------------- */
#define PAGE_BYTES (4u << 20)

static bool take_page(void *ctx, slice key, slice value)
{
	struct check_page *p = ctx;

	if (p->n == p->max || (p->n && p->bytes + value.n > PAGE_BYTES))
		return false;
	p->at[p->n++] =
		(struct check_row){ arena_dup(p->a, key), arena_dup(p->a, value) };
	p->bytes += key.n + value.n;
	return true;
}

enum status check_page_read(struct check *c, struct store_txn *t, slice from, slice to,
			    struct err *e)
{
	struct check_page *p = &c->page;
	struct kv_range r = { .from = from, .to = to };

	p->n = p->bytes = 0;
	return kv_scan(c->s->kv, t ? t->kt : NULL, &r, take_page, p, e);
}

struct walk {
	struct check *c;
	slice from, to;
	check_fn fn;
	void *ctx;
};

/* The same range again, in the transaction: rows may have come and gone meanwhile. */
static enum status walk_again(struct look *l, void *ctx, struct err *e)
{
	struct walk *w = ctx;

	if (l->t) {
		enum status st = check_page_read(w->c, l->t, w->from, w->to, e);

		if (st != ST_OK)
			return st;
	}
	return w->fn(l, w->ctx, e);
}

static slice after(struct arena *a, slice key)
{
	return arena_join(a, key, slice_make("", 1));
}

static slice prefix_end(struct arena *a, slice prefix)
{
	slice end = arena_dup(a, prefix);
	unsigned char *p = (unsigned char *)(uintptr_t)end.p;

	while (end.n && p[end.n - 1] == 0xff)
		end.n--;
	if (end.n)
		p[end.n - 1]++;
	return end;
}

enum status check_walk(struct check *c, slice prefix, const uint32_t *ids, size_t n_ids,
		       check_fn fn, void *ctx, struct err *e)
{
	AUTO_ARENA keys = { 0 };
	slice from = prefix, to;
	enum status st = ST_OK;

	arena_init(&keys);
	to = prefix_end(&keys, prefix);
	while (st == ST_OK && !check_stopped(c)) {
		struct err why = { 0 };

		arena_reset(&c->page_arena);
		c->page.at =
			arena_array(&c->page_arena, CHECK_PAGE, sizeof(struct check_row));
		enum status read = check_page_read(c, NULL, from, to, &why);

		if (read != ST_OK && c->page.n == 0) {
			struct look l = { .c = c, .sure = true };
			struct where w = { .code = "engine" };

			if (why.code == ERR_STOPPED)
				return err_set(e, why.code, "%s", why.text);
			check_fault(&l, &w, CHECK_HELPLESS, NULL,
				    "rows of kind '%c' cannot be read any further: %s",
				    prefix.n > 5 ? prefix.p[5] : prefix.p[0], why.text);
			c->res->left += l.left;
			check_tell(c);
			return ST_OK;
		}
		if (c->page.n == 0)
			return ST_OK;
		bool last = read == ST_OK && c->page.n < CHECK_PAGE &&
			    c->page.bytes < PAGE_BYTES;
		AUTO_ARENA range = { 0 };
		arena_init(&range);
		slice end = after(&range, c->page.at[c->page.n - 1].key);
		struct walk w = { c, from, end, fn, ctx };

		st = check_unit(c, ids, n_ids, walk_again, &w, e);
		if (last)
			break;
		arena_reset(&keys);
		from = arena_dup(&keys, end);
		to = prefix_end(&keys, prefix);
	}
	return st;
}

/* --- units -------------------------------------------------------------------------- */
static void look_count(struct check *c, const struct look *l)
{
	c->places += l->places;
	c->claims += l->claims;
	c->threads += l->threads;
	c->uses += l->uses;
	c->res->messages += l->messages;
}

enum status check_unit_locked(struct check *c, const uint32_t *ids, size_t n_ids,
			      check_fn fn, void *ctx, uint64_t *out_faults, struct err *e)
{
	struct look l = { .c = c, .sure = true };
	struct err why = { 0 };
	enum status st = txn_begin_wait(c->s, ids, n_ids, &l.t, e);

	if (st != ST_OK)
		return st;
	st = fn(&l, ctx, &why);
	if (st != ST_OK && why.code == ERR_NO_ACCOUNT) { /* removed meanwhile */
		store_abort(l.t);
		c->n_said = 0;
		return ST_OK;
	}
	if (st != ST_OK && e)
		*e = why;
	bool changes = st == ST_OK && c->opt->repair && (l.silent || l.repaired + l.lost);

	if (changes)
		st = aside_sync(c, e);
	if (changes && st == ST_OK)
		st = store_commit_wait(l.t, e);
	else
		store_abort(l.t);
	if (st != ST_OK)
		return st;
	check_tell(c);
	look_count(c, &l);
	c->res->repaired += l.repaired;
	c->res->lost += l.lost;
	c->res->left += l.left;
	if (out_faults)
		*out_faults = l.faults;
	return st;
}

enum status check_unit(struct check *c, const uint32_t *ids, size_t n_ids, check_fn fn,
		       void *ctx, struct err *e)
{
	struct look l = { .c = c };
	enum status st = fn(&l, ctx, e);

	if (st != ST_OK)
		return st;
	if (l.faults == 0) {
		look_count(c, &l);
		return ST_OK;
	}
	return check_unit_locked(c, ids, n_ids, fn, ctx, NULL, e);
}

enum status check_get(const struct look *l, slice key, struct arena *a, slice *out,
		      struct err *e)
{
	struct err why = { 0 };
	enum status st = kv_get(l->c->s->kv, l->t ? l->t->kt : NULL, key, a, out, &why);

	if (st == ST_OK || st == ST_NOT_FOUND)
		return st;
	if (why.code == ERR_CORRUPT || why.code == ERR_IO) {
		*out = slice_make("", 0);
		return ST_OK;
	}
	if (e)
		*e = why;
	return st;
}

enum status check_scan(const struct look *l, struct skey from, struct skey to,
		       kv_row_fn fn, void *ctx, struct err *e)
{
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	return kv_scan(l->c->s->kv, l->t ? l->t->kt : NULL, &r, fn, ctx, e);
}

bool check_has(const struct look *l, slice key, struct arena *a)
{
	slice row;

	return check_get(l, key, a, &row, NULL) == ST_OK;
}

bool check_stopped(const struct check *c)
{
	return c->opt->stop && atomic_load(c->opt->stop);
}

uint64_t check_key_id(slice key)
{
	struct rd r = rd_init(slice_from(key, 6));

	return rd_u64(&r);
}

void check_tick(struct check *c, uint64_t n)
{
	struct store_check_progress p = { c->unit, c->octets, c->done += n, c->all,
					  c->res->found };

	if (c->opt->progress)
		c->opt->progress(c->opt->ctx, &p);
}

/* Removed, for the sweep to clear or for undelete to bring back whole. */
bool check_account_gone(struct look *l, uint32_t account)
{
	struct skey gone = key_gone_account(account), kept = key_kept_account(account);

	return check_has(l, skey_slice(&gone), &l->c->acct_arena) ||
	       check_has(l, skey_slice(&kept), &l->c->acct_arena);
}

/* --- accounts ----------------------------------------------------------------------- */
void check_account_forget(struct check *c)
{
	arena_reset(&c->acct_arena);
	arena_reset(&c->log_arena);
	c->log_modseq = 0;
	c->box = NULL;
	c->n_box = c->n_keywords = c->n_gone = c->n_told = 0;
	c->has_gone = c->row_ok = false;
	c->waiting = c->strays = 0;
	c->places = c->claims = c->threads = 0;
	c->address = slice_make("", 0);
	c->account = 0;
}

void check_account_name(struct check *c, uint32_t account)
{
	struct skey k = key_account_address(account);
	struct look l = { .c = c };

	c->account = account;
	if (check_get(&l, skey_slice(&k), &c->acct_arena, &c->address, NULL) != ST_OK)
		c->address = slice_make("", 0);
}

static enum status account_check(struct check *c, uint32_t account, struct err *e)
{
	struct look l = { .c = c };
	bool slow = false;

	check_account_forget(c);
	if (check_account_gone(&l, account))
		return ST_OK;
	check_account_name(c, account);
	c->res->accounts++;
	enum status st = check_structure(c, e);
	uint64_t found = c->res->found;

	if (st == ST_OK)
		st = check_kept(c, e);
	if (st == ST_OK && c->opt->repair && c->res->found != found)
		st = check_structure(c, e); /* a mailbox may have come back */
	if (st == ST_OK)
		st = check_emails(c, e);
	if (st == ST_OK)
		st = check_counts(c, &slow, e);
	if (st == ST_OK && (slow || c->waiting)) {
		st = check_messages(c, e);
		c->pass = CHECK_PLACES;
		if (st == ST_OK && c->waiting)
			st = check_emails(c, e);
		c->pass = CHECK_STRAYS;
		if (st == ST_OK && c->strays)
			st = check_messages(c, e);
		c->pass = CHECK_FIRST;
		if (st == ST_OK && c->opt->repair)
			st = check_counts(c, &slow, e);
	}
	if (st == ST_OK)
		st = check_indexes(c, e);
	c->res->mailboxes += c->n_box;
	return st;
}

struct next_account {
	uint32_t account;
	bool found;
};

static bool take_account_id(void *ctx, slice key, slice value)
{
	struct next_account *n = ctx;
	struct rd r = rd_init(slice_from(key, key.p[0] == 'U' ? 2 : 1));

	(void)value;
	n->account = rd_u32(&r);
	n->found = !r.bad;
	return false;
}

/* The next account that has an address or rows. */
static enum status account_next(struct check *c, uint32_t from, struct next_account *out,
				struct err *e)
{
	struct next_account a = { 0 }, i = { 0 };
	struct skey ka = key_account_prefix(from), ki = key_account_address(from);
	struct kv_range ra = { .from = skey_slice(&ka), .to = SL("B") };
	struct kv_range ri = { .from = skey_slice(&ki), .to = SL("Uj") };
	enum status st = kv_scan(c->s->kv, NULL, &ra, take_account_id, &a, e);

	if (st == ST_OK)
		st = kv_scan(c->s->kv, NULL, &ri, take_account_id, &i, e);
	*out = !a.found || (i.found && i.account < a.account) ? i : a;
	return st;
}

static enum status accounts_check(struct check *c, struct err *e)
{
	struct next_account n = { 0 };
	enum status st = ST_OK;

	c->unit = "messages";
	for (uint64_t at = 1; at <= UINT32_MAX && !check_stopped(c);
	     at = n.account + 1ull) {
		st = account_next(c, (uint32_t)at, &n, e);
		if (st != ST_OK || !n.found)
			break;
		st = account_check(c, n.account, e);
		if (st != ST_OK)
			break;
	}
	check_account_forget(c);
	return st;
}

static enum status account_named(struct check *c, struct err *e)
{
	struct store_account acct = { 0 };
	struct store_recipient r;
	enum status st =
		store_account_get(c->s, c->opt->address, &c->acct_arena, &acct, NULL);

	if (st != ST_OK) { /* its rows may be what is damaged */
		st = store_resolve(c->s, c->opt->address, &c->acct_arena, &r, e);
		if (st != ST_OK)
			return st;
		if (r.what != STORE_LOCAL)
			return err_set(e, ERR_NO_ACCOUNT, "there is no account %.*s",
				       FMT(c->opt->address));
		acct.id = r.account;
	}
	c->unit = "messages";
	c->only = acct.id;
	c->all = acct.messages;
	st = account_check(c, acct.id, e);
	check_account_forget(c);
	return st;
}

/* How many messages there are to look at: what the accounts say of themselves. */
static bool take_total(void *ctx, slice key, slice value)
{
	struct row_account r;

	(void)key;
	struct check *c = ctx;

	if (row_account_read(value, &r)) {
		c->all += r.messages;
		c->bytes += r.bytes;
	}
	return false;
}

static void total_find(struct check *c)
{
	struct next_account n = { 0 };

	for (uint64_t at = 1; at <= UINT32_MAX; at = n.account + 1ull) {
		if (account_next(c, (uint32_t)at, &n, NULL) != ST_OK || !n.found)
			break;
		struct skey from = key_account(n.account), to = from;

		skey_next_prefix(&to);
		struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

		if (kv_scan(c->s->kv, NULL, &r, take_total, c, NULL) != ST_OK)
			break;
	}
}

static enum status everything(struct check *c, struct err *e)
{
	enum status st = check_directory(c, e);

	total_find(c);
	if (st == ST_OK)
		st = accounts_check(c, e);
	if (st == ST_OK && !check_stopped(c))
		st = check_queue(c, e);
	if (st == ST_OK && !check_stopped(c))
		st = check_references(c, e);
	if (st == ST_OK && !check_stopped(c))
		st = check_bodies(c, e);
	return st;
}

enum status store_check(struct store *s, const struct store_check_options *opt,
			struct store_check_result *out, struct err *e)
{
	struct check c = { .s = s, .opt = opt, .res = out };
	enum status st;

	*out = (struct store_check_result){ 0 };
	if (opt->repair && !opt->aside_dir)
		return err_set(e, ERR_CANNOT,
			       "a repair needs a place to put things aside");
	arena_init(&c.page_arena);
	arena_init(&c.acct_arena);
	arena_init(&c.log_arena);
	arena_init(&c.said_arena);
	c.page = (struct check_page){ .a = &c.page_arena, .max = CHECK_PAGE };
	st = opt->address.n ? account_named(&c, e) : everything(&c, e);
	if (st == ST_OK && !check_stopped(&c))
		st = check_lost(&c, e);
	out->stopped = check_stopped(&c);
	out->found = out->repaired + out->lost + out->left;
	arena_release(&c.page_arena);
	arena_release(&c.acct_arena);
	arena_release(&c.log_arena);
	arena_release(&c.said_arena);
	mem_free(c.said);
	mem_free(c.gone);
	mem_free(c.told);
	mem_free(c.lost);
	mem_free(c.bad);
	aside_free(&c);
	return st;
}

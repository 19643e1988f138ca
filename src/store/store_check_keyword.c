/* store_check_keyword.c — the names of keywords and the subscriptions of an account: rows k and b. */
#include "store/store_check_int.h"

static enum status scan_kind(struct look *l, char kind, kv_row_fn fn, void *ctx,
			     struct err *e)
{
	struct skey from = key_account_type(l->c->account, kind), to = from;

	skey_next_prefix(&to);
	return check_scan(l, from, to, fn, ctx, e);
}

struct keyword_look {
	struct arena *a;
	uint64_t seen;
	struct check_row bad[LIMIT_KEYWORDS + 1];
	size_t n_bad, top;
};

static bool keyword_is_good(slice k)
{
	for (size_t i = 0; i < k.n; i++)
		if (k.p[i] <= 0x20 || (unsigned char)k.p[i] >= 0x7f)
			return false;
	return k.n > 0 && k.n <= LIMIT_KEYWORD;
}

static bool take_bit(void *ctx, slice key, slice value)
{
	(void)value;
	*(size_t *)ctx = key.n == 7 ? (unsigned char)key.p[6] + 1u : 0;
	return false;
}

enum status check_keywords(struct look *l, struct err *e)
{
	struct skey from = key_account_type(l->c->account, 'k'), to = from;
	size_t n = 0;

	skey_next_prefix(&to);
	struct kv_range r = { skey_slice(&from), skey_slice(&to), true };
	enum status st =
		kv_scan(l->c->s->kv, l->t ? l->t->kt : NULL, &r, take_bit, &n, e);

	if (st == ST_OK && n > l->c->n_keywords)
		l->c->n_keywords = n < LIMIT_KEYWORDS ? n : LIMIT_KEYWORDS;
	return st;
}

static bool take_keyword(void *ctx, slice key, slice value)
{
	struct keyword_look *k = ctx;
	unsigned bit = key.n == 7 ? (unsigned char)key.p[6] : 255;

	if (bit >= LIMIT_KEYWORDS || value.n < 2 || value.p[0] != SCHEMA_ROW ||
	    !keyword_is_good(slice_from(value, 1))) {
		if (k->n_bad <= LIMIT_KEYWORDS)
			k->bad[k->n_bad++] = (struct check_row){ arena_dup(k->a, key),
								 arena_dup(k->a, value) };
		if (bit >= LIMIT_KEYWORDS)
			return true;
	} else {
		k->seen |= 1ull << bit;
	}
	if (bit >= k->top)
		k->top = bit + 1;
	return true;
}

enum status check_keyword_names(struct look *l, struct txn_account *ta, struct err *e)
{
	struct where w = { .code = "keyword" };
	struct keyword_look k = { .a = &l->c->acct_arena };
	enum status st = scan_kind(l, 'k', take_keyword, &k, e);

	l->c->n_keywords = k.top;
	for (size_t bit = 0; bit < k.top && st == ST_OK; bit++) {
		struct skey key = key_keyword(l->c->account, (uint8_t)bit);
		slice raw = slice_make("", 0);

		if (k.seen & (1ull << bit))
			continue;
		for (size_t i = 0; i < k.n_bad; i++)
			if (slice_eq(k.bad[i].key, skey_slice(&key)))
				raw = k.bad[i].value;
		bool readable = raw.n > 1 && keyword_is_good(slice_from(raw, 1));
		slice name = readable
				     ? slice_from(raw, 1)
				     : arena_fmt(&l->c->acct_arena, "Recovered-%zu", bit);

		if (!check_fault(l, &w, readable ? CHECK_REPAIRED : CHECK_LOST,
				 readable ? "written again"
					  : "the messages that have it keep it under the "
					    "name Recovered-N",
				 "the name of keyword %zu %s", bit,
				 raw.n ? "cannot be read" : "is missing"))
			continue;
		AUTO_BUF b = { 0 };

		buf_init(&b, 256);
		buf_put_u8(&b, SCHEMA_ROW);
		buf_add(&b, name);
		if (raw.n)
			st = repair_aside(l, skey_slice(&key), raw, e);
		txn_put_buf(l->t, skey_slice(&key), &b);
		for (size_t i = 0; ta->hot->has_keywords && i < ta->hot->n_keywords; i++)
			mem_free(ta->hot->keyword[i]);
		ta->hot->has_keywords = false; /* read again */
		ta->hot->n_keywords = 0;
	}
	return st;
}

struct subscription_look {
	struct arena *a;
	slice key, value;
};

static bool take_subscription(void *ctx, slice key, slice value)
{
	struct subscription_look *s = ctx;

	if (value.n == 1 && value.p[0] == SCHEMA_ROW &&
	    name_is_valid(slice_from(key, 6), NULL))
		return true;
	s->key = arena_dup(s->a, key);
	s->value = arena_dup(s->a, value);
	return false;
}

enum status check_subscriptions(struct look *l, struct err *e)
{
	struct where w = { .code = "subscription" };

	for (;;) {
		struct subscription_look s = { .a = &l->c->acct_arena };
		enum status st = scan_kind(l, 'b', take_subscription, &s, e);

		if (st != ST_OK || !s.key.n)
			return st;
		slice name = slice_from(s.key, 6);

		if (!check_fault(l, &w, CHECK_REPAIRED, "written again",
				 "the subscription of '%.*s' cannot be read", FMT(name)))
			return ST_OK; /* the first is enough for the first look */
		st = repair_drop(l, s.key, s.value, e);
		if (st != ST_OK)
			return st;
		if (name_is_valid(name, NULL))
			txn_put_empty(l->t, s.key);
	}
}

/* store_keyword.c — keywords of an account: 64 names, a bit each. */
#include "store/store_int.h"

struct keyword_scan {
	struct arena *a;
	slice *at;
	size_t n;
};

static bool keyword_is_valid(slice k)
{
	for (size_t i = 0; i < k.n; i++)
		if (k.p[i] <= 0x20 || (unsigned char)k.p[i] >= 0x7f)
			return false;
	return k.n > 0 && k.n <= LIMIT_KEYWORD;
}

/* Names for those that cannot be read, as facteur check gives them. */
static void keywords_fill(struct keyword_scan *l, size_t to)
{
	for (; l->n < to; l->n++)
		l->at[l->n] = arena_fmt(l->a, "Recovered-%zu", l->n);
}

static bool take_keyword(void *ctx, slice key, slice value)
{
	struct keyword_scan *l = ctx;
	struct rd r = rd_init(value);
	size_t bit = key.n == 7 ? (unsigned char)key.p[6] : LIMIT_KEYWORDS;

	if (bit >= LIMIT_KEYWORDS)
		return true;
	keywords_fill(l, bit); /* rows that are missing shift nobody else's */
	slice name = rd_u8(&r) == SCHEMA_ROW ? rd_raw(&r, rd_left(&r))
					     : slice_make("", 0);

	if (keyword_is_valid(name))
		l->at[l->n++] = arena_dup(l->a, name);
	else
		keywords_fill(l, bit + 1);
	return true;
}

static enum status keywords_read(struct store *s, struct kv_txn *kt, uint32_t account,
				 struct keyword_scan *l, struct err *e)
{
	struct skey from = key_account_type(account, 'k'), to = from;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	l->at = arena_array(l->a, LIMIT_KEYWORDS, sizeof(slice));
	return kv_scan(s->kv, kt, &r, take_keyword, l, e);
}

enum status store_keywords(struct store *s, uint32_t account, struct arena *a,
			   slice **out, size_t *out_n, struct err *e)
{
	struct keyword_scan l = { .a = a };
	enum status st = keywords_read(s, NULL, account, &l, e);

	if (st != ST_OK)
		return st;
	*out = l.at;
	*out_n = l.n;
	return ST_OK;
}

static void hot_keyword_add(struct hot *h, slice name)
{
	char *p = mem_new(name.n + 1);

	memcpy(p, name.p, name.n);
	h->keyword[h->n_keywords++] = p;
}

static enum status keywords_load(struct store_txn *t, struct txn_account *ta,
				 struct err *e)
{
	struct keyword_scan l = { .a = t->a };

	if (ta->hot->has_keywords)
		return ST_OK;
	enum status st = keywords_read(t->s, t->kt, ta->id, &l, e);

	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < l.n; i++)
		hot_keyword_add(ta->hot, l.at[i]);
	ta->hot->has_keywords = true;
	return ST_OK;
}

enum status store_keyword_bit(struct store_txn *t, uint32_t account, slice keyword,
			      unsigned *out, struct err *e)
{
	struct txn_account *ta;
	AUTO_BUF b = { 0 };
	enum status st = txn_account(t, account, &ta, e);

	if (st == ST_OK)
		st = keywords_load(t, ta, e);
	if (st != ST_OK)
		return st;
	struct hot *h = ta->hot;

	for (size_t i = 0; i < h->n_keywords; i++) {
		if (slice_ieq(slice_str(h->keyword[i]), keyword)) {
			*out = (unsigned)i;
			return ST_OK;
		}
	}
	if (!keyword_is_valid(keyword))
		return err_set(e, ERR_CANNOT, "this is not a keyword");
	if (h->n_keywords == LIMIT_KEYWORDS)
		return err_set(e, ERR_LIMIT, "an account has at most %d keywords",
			       LIMIT_KEYWORDS);
	struct skey k = key_keyword(account, (uint8_t)h->n_keywords);

	buf_init(&b, 256);
	buf_put_u8(&b, SCHEMA_ROW);
	buf_add(&b, keyword);
	txn_put_buf(t, skey_slice(&k), &b);
	*out = (unsigned)h->n_keywords;
	hot_keyword_add(h, keyword);
	return ST_OK;
}

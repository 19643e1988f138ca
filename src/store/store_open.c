/* store_open.c — opening a store: the format is checked, the counters are found again. */
#include "store/store_int.h"

enum status damaged(struct err *e, const char *what)
{
	return err_set(e, ERR_CORRUPT,
		       "the store is damaged: a row of kind '%s' cannot be read", what);
}

static enum status format_make(struct store *s, struct err *e)
{
	const uint32_t ids[] = { 0 };
	struct kv_txn *t;
	AUTO_BUF b = { 0 };
	enum status st = kv_begin(s->kv, ids, 1, NULL, &t, e);

	if (st != ST_OK)
		return st;
	s->format = (struct row_format){
		.format = SCHEMA_FORMAT,
		.epoch = 1,
		.created = clock_now_s(s->clock),
	};
	random_bytes(&s->format.k0, sizeof(s->format.k0));
	random_bytes(&s->format.k1, sizeof(s->format.k1));
	struct row_directory d = { .next_account = 1 };
	struct skey kf = key_format(), kd = key_directory();

	buf_init(&b, LIMIT_VALUE);
	row_format_write(&b, &s->format);
	kv_put(t, skey_slice(&kf), buf_slice(&b));
	buf_reset(&b);
	row_directory_write(&b, &d);
	kv_put(t, skey_slice(&kd), buf_slice(&b));
	return kv_commit_wait(t, e);
}

static bool any_row(void *ctx, slice key, slice value)
{
	(void)key;
	(void)value;
	*(bool *)ctx = true;
	return false;
}

static enum status format_check(struct store *s, struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice row;
	struct skey k = key_format();

	arena_init(&a);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), &a, &row, e);

	if (st == ST_NOT_FOUND) {
		bool any = false;
		struct kv_range r = { .from = SL("A"), .to = SL("B") };

		st = kv_scan(s->kv, NULL, &r, any_row, &any, e);
		if (st != ST_OK)
			return st;
		return any ? damaged(e, "format") : format_make(s, e);
	}
	if (st != ST_OK)
		return st;
	if (!row_format_read(row, &s->format))
		return damaged(e, "format");
	if (s->format.format > SCHEMA_FORMAT)
		return err_set(
			e, ERR_CANNOT,
			"this data was written by a newer Facteur (format %u); this program knows format %u and "
			"leaves it alone",
			s->format.format, SCHEMA_FORMAT);
	if (s->format.format < SCHEMA_FORMAT)
		return err_set(
			e, ERR_CANNOT,
			"this data has format %u, which is not known any more (now: %u)",
			s->format.format, SCHEMA_FORMAT);
	return ST_OK;
}

static bool take_uidvalidity(void *ctx, slice key, slice value)
{
	uint32_t v;

	(void)value;
	if (key.n == 5) {
		memcpy(&v, key.p + 1, 4);
		*(uint32_t *)ctx = __builtin_bswap32(v);
	}
	return false;
}

static enum status uidvalidity_find(struct store *s, struct err *e)
{
	uint32_t last = 0;
	struct kv_range r = { .from = SL("V"), .to = SL("W"), .reverse = true };
	enum status st = kv_scan(s->kv, NULL, &r, take_uidvalidity, &last, e);

	if (st == ST_OK)
		atomic_store(&s->last_uidvalidity, last);
	return st;
}

enum status store_open(struct kv *kv, const struct clock *clock, struct store **out,
		       struct err *e)
{
	struct store *s = mem_new(sizeof(*s));

	s->kv = kv;
	s->clock = clock;
	enum status st = format_check(s, e);

	if (st == ST_OK)
		st = uidvalidity_find(s, e);
	if (st == ST_OK)
		st = policy_open(s, e);
	if (st == ST_OK)
		st = retention_open(s, e);
	if (st != ST_OK) {
		mem_free(s);
		return st;
	}
	s->msgid_key = (struct siphash_key){ s->format.k0, s->format.k1 };
	random_bytes(&s->table_key, sizeof(s->table_key));
	atomic_store(&s->directory_gen, 1);
	pthread_mutex_init(&s->hot_lock, NULL);
	s->hot = mem_array(HOT_SETS, sizeof(*s->hot));
	resolve_init(s);
	store_watches_init(s);
	view_init(s);
	quota_init(s);
	*out = s;
	return ST_OK;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	retention_close(s);
	quota_done(s);
	policy_close(s);
	view_done(s);
	store_watches_done(s);
	resolve_done(s);
	hot_drop_all(s);
	mem_free(s->hot);
	pthread_mutex_destroy(&s->hot_lock);
	mem_free(s);
}

/* store_repair_format.c — the row S f made again. It holds the epoch and the key under which
 * Message-IDs are remembered: the epoch is found again from the ids that are there, the key is not,
 * so that a later answer to an old message may begin a thread of its own. */
#include "store/store_check.h"
#include "store/store_int.h"

struct epoch_scan {
	uint32_t account, highest;
	bool found;
};

static bool take_account(void *ctx, slice key, slice value)
{
	struct epoch_scan *s = ctx;
	struct rd r = rd_init(slice_from(key, 1));

	(void)value;
	s->account = rd_u32(&r);
	s->found = !r.bad;
	return false;
}

static bool take_email(void *ctx, slice key, slice value)
{
	struct epoch_scan *s = ctx;
	struct rd r = rd_init(slice_from(key, 6));
	uint32_t epoch = (uint32_t)(rd_u64(&r) >> 48);

	(void)value;
	if (!r.bad && epoch > s->highest)
		s->highest = epoch;
	return false;
}

static bool take_mbox(void *ctx, slice key, slice value)
{
	struct epoch_scan *s = ctx;
	struct rd r = rd_init(slice_from(key, 6));
	uint32_t epoch = rd_u32(&r) >> 24;

	(void)value;
	if (!r.bad && epoch > s->highest)
		s->highest = epoch;
	return false;
}

static enum status last_of(struct kv *kv, uint32_t account, char kind, kv_row_fn fn,
			   struct epoch_scan *s, struct err *e)
{
	struct skey from = key_account_type(account, kind), to = from;

	skey_next_prefix(&to);
	struct kv_range r = { skey_slice(&from), skey_slice(&to), true };

	return kv_scan(kv, NULL, &r, fn, s, e);
}

static enum status epoch_find(struct kv *kv, uint32_t *out, struct err *e)
{
	struct epoch_scan s = { 0 };
	enum status st = ST_OK;

	for (uint64_t at = 0; at <= UINT32_MAX && st == ST_OK; at = s.account + 1ull) {
		struct skey from = key_account_prefix((uint32_t)at);
		struct kv_range r = { .from = skey_slice(&from), .to = SL("B") };

		s.found = false;
		st = kv_scan(kv, NULL, &r, take_account, &s, e);
		if (st != ST_OK || !s.found)
			break;
		st = last_of(kv, s.account, 'e', take_email, &s, e);
		if (st == ST_OK)
			st = last_of(kv, s.account, 'f', take_mbox, &s, e);
	}
	*out = s.highest;
	return st;
}

enum status store_repair_format(struct kv *kv, const struct clock *clock,
				uint32_t *out_epoch, struct err *e)
{
	const uint32_t ids[] = { 0 };
	struct row_format f = { .format = SCHEMA_FORMAT, .created = clock_now_s(clock) };
	struct skey k = key_format();
	struct kv_txn *t;
	uint32_t epoch;
	AUTO_BUF b = { 0 };
	enum status st = epoch_find(kv, &epoch, e);

	if (st == ST_OK)
		st = kv_begin(kv, ids, 1, NULL, &t, e);
	if (st != ST_OK)
		return st;
	f.epoch = epoch + 1;
	random_bytes(&f.k0, sizeof(f.k0));
	random_bytes(&f.k1, sizeof(f.k1));
	buf_init(&b, LIMIT_VALUE);
	row_format_write(&b, &f);
	kv_put(t, skey_slice(&k), buf_slice(&b));
	st = kv_commit_wait(t, e);
	if (st == ST_OK)
		*out_epoch = f.epoch;
	return st;
}

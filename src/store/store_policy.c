/* store_policy.c — what the configuration says of quotas and retention, kept in the store
 * so that a command finds it while no server runs. */
#include "store/store_int.h"

static const char languages[][3] = { "en", "fr" };

bool store_language_is_known(slice language)
{
	for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++)
		if (slice_eq(language, slice_str(languages[i])))
			return true;
	return false;
}

static void limits_known(struct store *s)
{
	atomic_store(&s->has_limits, s->policy.has_limits ||
					     s->policy.policy.quota_bytes ||
					     s->policy.policy.quota_messages);
}

enum status policy_open(struct store *s, struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice row;
	struct skey k = key_policy();

	pthread_mutex_init(&s->policy_lock, NULL);
	arena_init(&a);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), &a, &row, e);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_OK && !row_policy_read(row, &s->policy))
		/* The configuration is written over it; limits that may be there are looked for. */
		s->policy = (struct row_policy){ .has_limits = true, .has_expiry = true };
	limits_known(s);
	return st;
}

void policy_close(struct store *s)
{
	pthread_mutex_destroy(&s->policy_lock);
}

void store_policy_get(struct store *s, struct store_policy *out)
{
	pthread_mutex_lock(&s->policy_lock);
	*out = s->policy.policy;
	pthread_mutex_unlock(&s->policy_lock);
}

static void policy_put(struct store_txn *t, const struct row_policy *p)
{
	AUTO_BUF b = { 0 };
	struct skey k = key_policy();

	buf_init(&b, LIMIT_VALUE);
	row_policy_write(&b, p);
	txn_put_buf(t, skey_slice(&k), &b);
}

static bool same(const struct store_policy *a, const struct store_policy *b)
{
	return a->quota_bytes == b->quota_bytes &&
	       a->quota_messages == b->quota_messages &&
	       a->quota_grace == b->quota_grace && a->keep_days == b->keep_days &&
	       a->expire_trash_days == b->expire_trash_days &&
	       a->expire_junk_days == b->expire_junk_days &&
	       memcmp(a->language, b->language, sizeof(a->language)) == 0;
}

static void policy_take(struct store *s, const struct row_policy *p)
{
	pthread_mutex_lock(&s->policy_lock);
	s->policy = *p;
	limits_known(s);
	pthread_mutex_unlock(&s->policy_lock);
}

enum status store_policy_set(struct store *s, const struct store_policy *p, struct err *e)
{
	static const uint32_t lock[] = { 0 };
	struct store_policy old;
	struct store_txn *t;

	store_policy_get(s, &old);
	if (same(&old, p)) /* nothing is written at most starts */
		return ST_OK;
	enum status st = txn_begin_wait(s, lock, 1, &t, e);

	if (st != ST_OK)
		return st;
	struct row_policy row = s->policy;

	row.policy = *p;
	store_txn_frees(t); /* a start with a full disk must be possible */

	policy_put(t, &row);
	st = store_commit_wait(t, e);
	policy_take(s, &row); /* it holds in any case, and is written the next time */
	return st;
}

void store_policy_assume(struct store *s)
{
	pthread_mutex_lock(&s->policy_lock);
	if (!s->policy.policy.language[0]) /* a server has always said one */
		s->policy.policy =
			(struct store_policy){ .keep_days = STORE_KEEP_DAYS,
					       .quota_grace = STORE_QUOTA_GRACE,
					       .language = "en" };
	pthread_mutex_unlock(&s->policy_lock);
}

/* Under lock 0. Seen before it is durable: at worst somebody looks for a limit in vain. */
static void policy_note(struct store_txn *t, bool limits, bool expiry)
{
	struct row_policy row = t->s->policy;

	if ((row.has_limits || !limits) && (row.has_expiry || !expiry))
		return;
	row.has_limits |= limits;
	row.has_expiry |= expiry;
	policy_put(t, &row);
	policy_take(t->s, &row);
}

void policy_notes_limits(struct store_txn *t)
{
	policy_note(t, true, false);
}

void policy_notes_expiry(struct store_txn *t)
{
	policy_note(t, false, true);
}

bool policy_has_expiry(struct store *s)
{
	pthread_mutex_lock(&s->policy_lock);
	bool has = s->policy.has_expiry;

	pthread_mutex_unlock(&s->policy_lock);
	return has;
}

unsigned policy_keep_days(struct store *s)
{
	struct store_policy p;

	store_policy_get(s, &p);
	return p.keep_days;
}

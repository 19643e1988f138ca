/* store_thread.c — which thread a message belongs to: RFC 8621 3, by message ids alone.
 *
 * A thread has the id of its first email, and an email never changes its thread (RFC 8474
 * 5.2). The newest reference that is known decides; then the root of the references; a
 * message nobody refers to starts a thread. */
#include "mime/mime_digest.h"
#include "store/store_int.h"

/* Of the newest references; each is a read under the account's lock. */
#define THREAD_LOOKUPS 12

static uint64_t msgid_hash(const struct store *s, slice id)
{
	uint64_t h = siphash(&s->msgid_key, id);

	return h ? h : 1;
}

static bool thread_known(struct store_txn *t, uint32_t account, uint64_t hash,
			 uint64_t *out)
{
	slice row;
	struct row_msgid r;
	struct skey k = key_msgid(account, hash);

	/* A row that cannot be read makes a new thread: no reason to refuse a message. */
	if (txn_get(t, skey_slice(&k), &row, NULL) != ST_OK || !row_msgid_read(row, &r))
		return false;
	*out = r.thread;
	return true;
}

static void msgid_put(struct store_txn *t, uint32_t account, uint64_t hash,
		      uint64_t thread, uint64_t email)
{
	AUTO_BUF b = { 0 };
	struct skey k = key_msgid(account, hash);

	buf_init(&b, 64);
	row_msgid_write(&b, &(struct row_msgid){ thread, email });
	txn_put_buf(t, skey_slice(&k), &b);
}

static size_t references(const struct store *s, slice digest, uint64_t *hash)
{
	size_t at = 0, n = 0;
	slice id;

	if (digest.n == 0 || !mime_digest_is_current(digest))
		return 0;
	while (n < LIMIT_REFERENCES && mime_digest_reference(digest, &at, &id))
		hash[n++] = msgid_hash(s, id);
	return n;
}

void thread_of(struct store_txn *t, uint32_t account, const struct message_source *src,
	       uint64_t email, struct row_email *row)
{
	uint64_t hash[LIMIT_REFERENCES];
	size_t n = references(t->s, src->digest, hash);
	bool known = false, root_known = false, own_known = false;
	uint64_t own = src->message_id.n ? msgid_hash(t->s, src->message_id) : 0;

	for (size_t i = n; i > 0 && !known && n - i < THREAD_LOOKUPS; i--) {
		known = thread_known(t, account, hash[i - 1], &row->thread);
		root_known = known && i == 1;
	}
	if (n && !root_known) { /* the root, too: siblings may come before their parent */
		uint64_t thread;

		root_known = thread_known(t, account, hash[0], &thread);
		if (root_known && !known) {
			row->thread = thread;
			known = true;
		}
	}
	if (own) {
		uint64_t thread;

		own_known = thread_known(t, account, own, &thread);
		if (own_known && !known) {
			row->thread = thread;
			known = true;
		}
	}
	if (!known)
		row->thread = email;
	if (own && !own_known) {
		row->msgid = own;
		msgid_put(t, account, own, row->thread, email);
	}
	if (n && !root_known && hash[0] != own) {
		row->root = hash[0];
		msgid_put(t, account, hash[0], row->thread, email);
	}
	if (row->thread != email) {
		struct skey k = key_thread(account, row->thread, email);

		txn_put_empty(t, skey_slice(&k));
	}
}

/* present.c — what a mailbox holds before an import. */
#include "transfer/present.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include <openssl/evp.h>

#define READ_PIECE (64u << 10)

struct entry {
	uint64_t key; /* of size and date */
	uint32_t uid; /* 0: taken */
};
struct present_set {
	struct store *s;
	uint32_t account, mbox;
	struct siphash_key hash;
	struct entry *at;
	size_t n, cap;
};

static uint64_t key_of(const struct present_set *p, uint64_t size, int64_t date)
{
	uint64_t both[2] = { size, (uint64_t)date };
	return siphash(&p->hash, slice_make(both, sizeof(both)));
}

static bool take_row(void *ctx, const struct store_row *row)
{
	struct present_set *p = ctx;
	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap + p->cap / 2 : 256;
		p->at = mem_grow(p->at, p->cap, sizeof(*p->at));
	}
	p->at[p->n++] =
		(struct entry){ key_of(p, row->size, row->internal_date), row->uid };
	return true;
}

static int by_key(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

struct present_set *present_new(struct store *s, uint32_t account, uint32_t mbox,
				struct err *e)
{
	struct present_set *p = mem_new(sizeof(*p));
	*p = (struct present_set){ .s = s, .account = account, .mbox = mbox };
	random_bytes(&p->hash, sizeof(p->hash));
	if (store_rows(s, account, mbox, 1, UINT32_MAX, take_row, p, e) != ST_OK) {
		present_free(p);
		return NULL;
	}
	if (p->n > 1)
		qsort(p->at, p->n, sizeof(*p->at), by_key);
	return p;
}

void present_free(struct present_set *p)
{
	if (p == NULL)
		return;
	mem_free(p->at);
	mem_free(p);
}

/* SHA-256 of prefix and body: what the blob's name is when both come as one. */
static bool whole_is(struct present_set *p, const struct store_email *m,
		     const struct blob_id *id)
{
	AUTO_MEM char *piece = mem_new(READ_PIECE);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char h[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	uint64_t size = m->prefix.n + m->blob_size;
	struct err ignored;
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	for (uint64_t at = 0; ok && at < size;) {
		size_t k = size - at < READ_PIECE ? (size_t)(size - at) : READ_PIECE;
		ok = store_email_read(p->s, m, at, piece, k, &ignored) == ST_OK &&
		     EVP_DigestUpdate(ctx, piece, k) == 1;
		at += k;
	}
	ok = ok && EVP_DigestFinal_ex(ctx, h, &n) == 1;
	EVP_MD_CTX_free(ctx);
	return ok && n == sizeof(id->h) && memcmp(h, id->h, sizeof(id->h)) == 0;
}

static bool is_it(struct present_set *p, uint32_t uid, const struct intake_info *info,
		  int64_t date)
{
	AUTO_ARENA a;
	struct store_row row;
	struct store_email m;
	struct err ignored;
	arena_init(&a);
	if (store_row_get(p->s, p->account, p->mbox, uid, &row, &ignored) != ST_OK ||
	    row.size != info->size || row.internal_date != date ||
	    store_email_octets(p->s, p->account, row.email, &a, &m, &ignored) != ST_OK)
		return false;
	if (m.prefix.n == 0)
		return memcmp(m.blob.h, info->blob.h, sizeof(m.blob.h)) == 0;
	return whole_is(p, &m, &info->blob);
}

bool present_take(struct present_set *p, const struct intake_info *info, int64_t date)
{
	uint64_t key = key_of(p, info->size, date);
	size_t low = 0, high = p->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (p->at[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < p->n && p->at[low].key == key; low++) {
		if (p->at[low].uid == 0 || !is_it(p, p->at[low].uid, info, date))
			continue;
		p->at[low].uid = 0;
		return true;
	}
	return false;
}

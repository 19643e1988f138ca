/* store_hot.c — the cache of hot rows (see store_int.h): set-associative, bounded, oldest
 * goes first. */
#include "store/store_int.h"

struct hot *hot_new(uint32_t account)
{
	struct hot *h = mem_new(sizeof(*h));

	h->account = account;
	return h;
}

static void hot_mbox_free(struct hot_mbox *m)
{
	mem_free((char *)m->row.name.p);
	mem_free(m);
}

void hot_free(struct hot *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->n_mbox; i++)
		hot_mbox_free(h->mbox[i]);
	for (size_t i = 0; i < h->n_keywords; i++)
		mem_free(h->keyword[i]);
	mem_free(h->mbox);
	mem_free(h);
}

static struct hot **hot_set(struct store *s, uint32_t account)
{
	return s->hot[(account * 2654435761u) >> 22];
}

struct hot *hot_take(struct store *s, uint32_t account)
{
	struct hot *h = NULL;

	pthread_mutex_lock(&s->hot_lock);
	struct hot **set = hot_set(s, account);

	for (int i = 0; i < HOT_WAYS && !h; i++) {
		if (set[i] && set[i]->account == account) {
			h = set[i];
			set[i] = NULL;
		}
	}
	pthread_mutex_unlock(&s->hot_lock);
	if (h && h->epoch != kv_lock_epoch(s->kv, account)) {
		hot_free(h);
		h = NULL;
	}
	return h;
}

bool hot_peek(struct store *s, uint32_t account, struct row_account *out)
{
	bool found = false;

	pthread_mutex_lock(&s->hot_lock);
	struct hot **set = hot_set(s, account);

	for (int i = 0; i < HOT_WAYS && !found; i++) {
		if (set[i] && set[i]->account == account &&
		    set[i]->epoch == kv_lock_epoch(s->kv, account)) {
			*out = set[i]->row;
			found = true;
		}
	}
	pthread_mutex_unlock(&s->hot_lock);
	return found;
}

/* What the transaction has written or removed is clean now. */
static void hot_settle(struct hot *h)
{
	size_t n = 0;

	h->dirty = false;
	for (size_t i = 0; i < h->n_mbox; i++) {
		struct hot_mbox *m = h->mbox[i];

		m->dirty = false;
		if (m->removed)
			hot_mbox_free(m);
		else
			h->mbox[n++] = m;
	}
	h->n_mbox = n;
}

void hot_put_back(struct store *s, struct hot *h)
{
	struct hot *out = NULL;
	int oldest = 0;

	hot_settle(h);
	if (h->n_mbox > HOT_MAILBOXES) {
		hot_free(h);
		return;
	}
	pthread_mutex_lock(&s->hot_lock);
	struct hot **set = hot_set(s, h->account);

	for (int i = 0; i < HOT_WAYS; i++) {
		if (!set[i]) {
			oldest = i;
			break;
		}
		if (set[i]->used < set[oldest]->used)
			oldest = i;
	}
	out = set[oldest];
	h->used = ++s->hot_clock;
	set[oldest] = h;
	pthread_mutex_unlock(&s->hot_lock);
	hot_free(out);
}

void hot_drop_all(struct store *s)
{
	for (size_t i = 0; i < HOT_SETS; i++) {
		for (size_t j = 0; j < HOT_WAYS; j++) {
			hot_free(s->hot[i][j]);
			s->hot[i][j] = NULL;
		}
	}
}

struct hot_mbox *hot_find(const struct hot *h, uint32_t mbox)
{
	size_t lo = 0, hi = h->n_mbox;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (h->mbox[mid]->id == mbox)
			return h->mbox[mid];
		if (h->mbox[mid]->id < mbox)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static slice name_dup(slice name)
{
	char *p = mem_new(name.n + 1);

	memcpy(p, name.p, name.n);
	return slice_make(p, name.n);
}

struct hot_mbox *hot_add(struct hot *h, uint32_t mbox, const struct row_mbox *row)
{
	struct hot_mbox *m = mem_new(sizeof(*m));
	size_t at = h->n_mbox;

	m->id = mbox;
	m->row = *row;
	m->row.name = name_dup(row->name);
	if (h->n_mbox == h->cap_mbox) {
		h->cap_mbox = h->cap_mbox ? h->cap_mbox * 2 : 8;
		h->mbox = mem_grow(h->mbox, h->cap_mbox, sizeof(struct hot_mbox *));
	}
	while (at > 0 && h->mbox[at - 1]->id > mbox) {
		h->mbox[at] = h->mbox[at - 1];
		at--;
	}
	h->mbox[at] = m;
	h->n_mbox++;
	return m;
}

void hot_rename(struct hot_mbox *m, slice name)
{
	slice copy = name_dup(name);

	mem_free((char *)m->row.name.p);
	m->row.name = copy;
	m->dirty = true;
}

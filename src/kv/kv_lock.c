/* kv_lock.c — the lock table: who may build a transaction for which account.
 *
 * A caller takes its ids in ascending order and waits in the FIFO of the first one that is taken, keeping those it
 * has: ascending order makes that free of deadlock, and the locks are held for milliseconds. Release hands a lock
 * to the first in line; one that has all of its ids then is woken, and owns them until it calls kv_begin again or
 * kv_unpark. Deterministic: the same calls in the same order give the same grants. */
#include "kv/kv_internal.h"
#include "base/alloc.h"
#include <assert.h>

static struct kv_lock **bucket(struct kv *kv, uint32_t id)
{
	return &kv->locks[(id * 2654435761u) >> 20];
}

static _Atomic uint64_t *epoch_of(struct kv *kv, uint32_t id)
{
	return &kv->epochs[(id * 2654435761u) >> 20];
}
_Static_assert(KV_EPOCHS == 4096 && KV_LOCK_BUCKETS == 4096,
	       "both are the upper 12 bits of a 32-bit product");

static struct kv_lock *lock_find(struct kv *kv, uint32_t id)
{
	struct kv_lock *l = *bucket(kv, id);
	while (l && l->id != id)
		l = l->chain;
	return l;
}

static struct kv_lock *lock_get(struct kv *kv, uint32_t id)
{
	struct kv_lock *l = lock_find(kv, id);
	if (l)
		return l;
	if ((l = kv->free_locks))
		kv->free_locks = l->chain;
	else
		l = mem_new(sizeof(*l));
	*l = (struct kv_lock){ .id = id, .chain = *bucket(kv, id) };
	*bucket(kv, id) = l;
	return l;
}

static void lock_free_if_idle(struct kv *kv, struct kv_lock *l)
{
	if (l->owner || l->first || l->newest)
		return;
	struct kv_lock **at = bucket(kv, l->id);
	while (*at != l)
		at = &(*at)->chain;
	*at = l->chain;
	l->chain = kv->free_locks;
	kv->free_locks = l;
}

/* Takes ids[i..] for p; false when p waits for one of them now. */
static bool take_from(struct kv *kv, struct parked *p, size_t i)
{
	for (; i < p->n; i++) {
		struct kv_lock *l = lock_get(kv, p->ids[i]);
		if (!l->owner) {
			l->owner = p;
			continue;
		}
		p->next = NULL;
		if (l->last)
			l->last->next = p;
		else
			l->first = p;
		l->last = p;
		return false;
	}
	p->granted = true;
	return true;
}

/* l is free: the first in line gets it. */
static void hand_off(struct kv *kv, struct kv_lock *l)
{
	struct parked *p = l->first;

	l->owner = NULL;
	if (!p) {
		lock_free_if_idle(kv, l);
		return;
	}
	l->first = p->next;
	if (!l->first)
		l->last = NULL;
	p->next = NULL;
	l->owner = p;
	size_t i = 0;
	while (p->ids[i] != l->id)
		i++;
	if (take_from(kv, p, i + 1))
		p->wake(p);
}

static bool has_all(struct kv *kv, const struct parked *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct kv_lock *l = lock_find(kv, p->ids[i]);
		if (!l || l->owner != p)
			return false;
	}
	return true;
}

/* What p holds goes on to others, and p out of the line it stands in. */
static void give_back(struct kv *kv, struct parked *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct kv_lock *l = lock_find(kv, p->ids[i]);
		if (!l)
			continue;
		if (l->owner == p) {
			hand_off(kv, l);
			continue;
		}
		struct parked **at = &l->first, *before = NULL;
		while (*at && *at != p) {
			before = *at;
			at = &(*at)->next;
		}
		if (*at) {
			*at = p->next;
			if (l->last == p)
				l->last = before;
		}
		break; /* nothing behind the one it waited for is its own */
	}
	p->granted = false;
	p->next = NULL;
}

static int by_seq_desc(const void *a, const void *b)
{
	uint64_t x = (*(struct kv_txn *const *)a)->seq,
		 y = (*(struct kv_txn *const *)b)->seq;
	return x < y ? 1 : x > y ? -1 : 0;
}

/* The queued transactions of t's locks: the overlay t will read. */
static void see_pending(struct kv_txn *t)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < t->n_holds; i++)
		for (struct kv_hold *h = t->holds[i].lock->newest; h; h = h->older)
			n++;
	if (n == 0)
		return;
	t->seen = arena_array(&t->rows, n, sizeof(*t->seen));
	n = 0;
	for (size_t i = 0; i < t->n_holds; i++)
		for (struct kv_hold *h = t->holds[i].lock->newest; h; h = h->older)
			t->seen[n++] = h->t;
	if (t->n_holds > 1)
		qsort(t->seen, n, sizeof(*t->seen), by_seq_desc);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || t->seen[kept - 1] != t->seen[i])
			t->seen[kept++] = t->seen[i];
	t->n_seen = kept;
	for (size_t i = 0; i < kept; i++)
		kv_txn_ref(t->seen[i]);
}

/* p has all its locks: they become those of a new transaction. */
static struct kv_txn *claim(struct kv *kv, struct parked *p)
{
	struct kv_txn *t = kv_txn_take(kv);

	t->n_holds = p->n;
	t->holds = p->n <= 1 ? &t->hold_one
			     : arena_array(&t->rows, p->n, sizeof(*t->holds));
	for (size_t i = 0; i < p->n; i++) {
		struct kv_lock *l = lock_find(kv, p->ids[i]);
		l->owner = t;
		t->holds[i] = (struct kv_hold){ .lock = l, .t = t, .drops = l->drops };
	}
	p->granted = false;
	see_pending(t);
	return t;
}

struct blocker {
	struct parked p;
	pthread_cond_t cond;
	bool awake;
};

static void unblock(struct parked *p)
{
	struct blocker *b = (struct blocker *)p;
	b->awake = true;
	pthread_cond_signal(&b->cond);
}

enum status kv_begin(struct kv *kv, const uint32_t *ids, size_t n, struct parked *park,
		     struct kv_txn **out, struct err *e)
{
	struct blocker self = { .p = { .wake = unblock } };
	struct parked *p = park ? park : &self.p;

	if (kv->read_only)
		return err_set(e, ERR_DENIED, "the store is open for reading alone");
	assert(n <= 64);
	for (size_t i = 1; i < n; i++)
		assert(ids[i - 1] < ids[i]);
	pthread_mutex_lock(&kv->mu);
	bool granted = park && n && park->n == n && park->ids == ids && has_all(kv, park);
	if (!granted && !kv->stopped) {
		p->ids = ids;
		p->n = n;
		p->granted = false;
		granted = take_from(kv, p, 0);
		if (!granted && park) {
			pthread_mutex_unlock(&kv->mu);
			return ST_WAIT;
		}
		if (!granted) {
			pthread_cond_init(&self.cond, NULL);
			while (!self.awake)
				pthread_cond_wait(&self.cond, &kv->mu);
			pthread_cond_destroy(&self.cond);
			granted = true;
		}
	}
	if (kv->stopped) {
		if (granted)
			give_back(kv, p);
		err_set(e, ERR_STOPPED, "the store has stopped: %s", kv->stop_why.text);
		pthread_mutex_unlock(&kv->mu);
		return err_status(ERR_STOPPED);
	}
	*out = claim(kv, p);
	pthread_mutex_unlock(&kv->mu);
	return ST_OK;
}

void kv_unpark(struct kv *kv, struct parked *park)
{
	pthread_mutex_lock(&kv->mu);
	give_back(kv, park);
	pthread_mutex_unlock(&kv->mu);
}

void kv_lock_release(struct kv *kv, struct kv_txn *t)
{
	for (size_t i = 0; i < t->n_holds; i++)
		hand_off(kv, t->holds[i].lock);
}

void kv_lock_pend(struct kv *kv, struct kv_txn *t)
{
	(void)kv;
	t->pending = true;
	for (size_t i = 0; i < t->n_holds; i++) {
		struct kv_hold *h = &t->holds[i];
		h->newer = NULL;
		h->older = h->lock->newest;
		if (h->older)
			h->older->newer = h;
		h->lock->newest = h;
	}
}

void kv_lock_unpend(struct kv *kv, struct kv_txn *t)
{
	if (!t->pending)
		return;
	t->pending = false;
	for (size_t i = 0; i < t->n_holds; i++) {
		struct kv_hold *h = &t->holds[i];
		if (h->newer)
			h->newer->older = h->older;
		else
			h->lock->newest = h->older;
		if (h->older)
			h->older->newer = h->newer;
		lock_free_if_idle(kv, h->lock);
	}
}

void kv_lock_move_epochs(struct kv *kv, struct kv_txn *t)
{
	kv->epoch_no++;
	for (size_t i = 0; i < t->n_holds; i++)
		*epoch_of(kv, t->holds[i].lock->id) = kv->epoch_no;
}

void kv_lock_drop(struct kv *kv, struct kv_txn *t)
{
	for (size_t i = 0; i < t->n_holds; i++)
		t->holds[i].lock->drops++;
	kv_lock_move_epochs(kv, t);
}

bool kv_lock_is_dropped(const struct kv_txn *t)
{
	for (size_t i = 0; i < t->n_holds; i++)
		if (t->holds[i].lock->drops != t->holds[i].drops)
			return true;
	return false;
}

uint64_t kv_lock_epoch(struct kv *kv, uint32_t id)
{
	return *epoch_of(kv, id);
}

void kv_lock_done(struct kv *kv)
{
	for (size_t i = 0; i < KV_LOCK_BUCKETS; i++)
		assert(!kv->locks[i]);
	for (struct kv_lock *l = kv->free_locks, *next; l; l = next) {
		next = l->chain;
		mem_free(l);
	}
}

/* The store against a naive model: random transactions under random locks, batches of random size that fail at
 * random. No acknowledged change is lost, none that was not acknowledged is seen by a read without transaction. */
#include "kv_test.h"
#include <pthread.h>

enum { LOCKS = 4, KEYS = 6, BODIES = 5, OPEN = 3, QUEUE = 64, STEPS = 1500, SEEDS = 25 };

struct rows { /* of all locks: 0 is no row */
	int v[LOCKS][KEYS];
};
struct mtxn {
	struct result r; /* first: a done leads here */
	struct kv_txn *t;
	uint32_t ids[LOCKS];
	size_t n;
	struct rows view;     /* what it must see under its locks */
	int set[LOCKS][KEYS]; /* its writes: 0 untouched, -1 deleted */
	bool body[BODIES];
	bool doomed;
	uint64_t epoch[LOCKS];
};
struct model {
	struct kv *kv;
	uint32_t seed;
	struct arena a;
	struct rows durable;
	bool body[BODIES];
	struct blob_id ids[BODIES];
	struct mtxn open[OPEN];
	struct mtxn *queue[QUEUE]; /* on the heap: their dones stay where they are */
	size_t n_queue;
	int value;
	unsigned acked, failed;
};

static uint32_t pick(struct model *m, uint32_t n)
{
	m->seed = m->seed * 1664525u + 1013904223u;
	return (m->seed >> 10) % n;
}

static bool has_lock(const struct mtxn *x, uint32_t id)
{
	for (size_t i = 0; i < x->n; i++)
		if (x->ids[i] == id)
			return true;
	return false;
}

static bool share(const struct mtxn *a, const struct mtxn *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (has_lock(b, a->ids[i]))
			return true;
	return false;
}

static void apply(struct rows *to, const struct mtxn *x)
{
	for (int l = 0; l < LOCKS; l++)
		for (int k = 0; k < KEYS; k++)
			if (x->set[l][k])
				to->v[l][k] = x->set[l][k] < 0 ? 0 : x->set[l][k];
}

static slice key_of(struct model *m, uint32_t l, int k)
{
	return arena_fmt(&m->a, "%u-key%d", l, k);
}

static const char *expected(struct model *m, const struct rows *r, uint32_t from,
			    uint32_t to, bool reverse)
{
	AUTO_BUF b = { 0 };
	buf_init(&b, 1u << 16);
	int first = (int)from * KEYS, last = (int)to * KEYS;
	for (int i = 0; i < last - first; i++) {
		int at = reverse ? last - 1 - i : first + i;
		int v = r->v[at / KEYS][at % KEYS];
		if (v)
			buf_addf(&b, "%s%d-key%d=%d", b.n ? " " : "", at / KEYS,
				 at % KEYS, v);
	}
	return arena_cstr(&m->a, buf_slice(&b));
}

static void check_view(struct model *m, struct kv_txn *t, const struct rows *r,
		       uint32_t from, uint32_t to)
{
	for (int reverse = 0; reverse < 2; reverse++) {
		const char *lo = arena_fmt(&m->a, "%u-", from).p,
			   *hi = arena_fmt(&m->a, "%u-", to).p;
		assert_string_equal(list(m->kv, t, &m->a, lo, hi, reverse, 0),
				    expected(m, r, from, to, reverse));
	}
}

static void check_durable(struct model *m)
{
	struct err e;
	uint64_t size;
	check_view(m, NULL, &m->durable, 0, LOCKS);
	for (int i = 0; i < BODIES; i++)
		assert_int_equal(kv_blob_size(m->kv, &m->ids[i], &size, &e),
				 m->body[i] ? ST_OK : ST_NOT_FOUND);
}

static struct kv_upload *upload_body(struct model *m, int i, struct blob_id *out)
{
	enum { N = 90000 };
	char *p = mem_new(N);
	struct kv_upload *u = kv_upload_new(m->kv);
	struct err e;
	uint64_t size;
	memset(p, 'a' + i, N);
	if (i % 2) /* does not compress: goes to the bulk segment */
		for (size_t k = 0; k < N; k++)
			p[k] = (char)((k * k * 2654435761u) >> (8 + i));
	assert_int_equal(kv_upload_write(u, slice_make(p, N), &e), ST_OK);
	assert_int_equal(kv_upload_end(u, out, &size, &e), ST_OK);
	mem_free(p);
	return u;
}

static void step_begin(struct model *m)
{
	struct mtxn x = { .r = RESULT };
	struct mtxn *at = NULL;
	struct err e;
	for (int i = 0; i < OPEN; i++)
		if (!m->open[i].t)
			at = &m->open[i];
	for (uint32_t l = 0; l < LOCKS; l++)
		if (pick(m, 3) == 0)
			x.ids[x.n++] = l;
	for (int i = 0; i < OPEN; i++)
		if (m->open[i].t && share(&x, &m->open[i]))
			return;
	if (!at || x.n == 0)
		return;
	assert_int_equal(kv_begin(m->kv, x.ids, x.n, NULL, &x.t, &e), ST_OK);
	x.view = m->durable;
	for (size_t i = 0; i < m->n_queue; i++)
		if (!m->queue[i]->doomed && share(&x, m->queue[i]))
			apply(&x.view, m->queue[i]);
	for (size_t i = 0; i < x.n; i++)
		x.epoch[x.ids[i]] = kv_lock_epoch(m->kv, x.ids[i]);
	*at = x;
}

static void step_work(struct model *m, struct mtxn *x)
{
	uint32_t l = x->ids[pick(m, (uint32_t)x->n)];
	int k = (int)pick(m, KEYS);
	slice key = key_of(m, l, k), old;
	struct err e;
	switch (pick(m, 5)) {
	case 0:
		if (!x->doomed)
			check_view(m, x->t, &x->view, l, l + 1);
		break;
	case 1:
		kv_del(x->t, key);
		x->set[l][k] = -1;
		x->view.v[l][k] = 0;
		break;
	case 2:
		if (x->doomed)
			break;
		if (kv_get(m->kv, x->t, key, &m->a, &old, &e) == ST_OK)
			assert_int_equal(strtol(old.p, NULL, 10), x->view.v[l][k]);
		else
			assert_int_equal(0, x->view.v[l][k]);
		break;
	default:
		x->set[l][k] = x->view.v[l][k] = ++m->value;
		kv_put(x->t, key, arena_fmt(&m->a, "%d", m->value));
	}
}

static void step_end(struct model *m, struct mtxn *x)
{
	if (pick(m, 8) == 0 || m->n_queue == QUEUE) {
		kv_abort(x->t);
		x->t = NULL;
		return;
	}
	if (pick(m, 4) == 0) {
		int i = (int)pick(m, BODIES);
		struct blob_id id;
		kv_txn_blob(x->t, upload_body(m, i, &id));
		x->body[i] = true;
	}
	struct mtxn *q = m->queue[m->n_queue++] = mem_new(sizeof(*q));
	struct kv_txn *t = x->t;
	*q = *x;
	x->t = NULL;
	kv_commit(t, &q->r.d);
}

/* What fails when the transactions marked `direct` do: everything after them that hangs on their locks. */
static void expect_failures(struct model *m, const bool *direct, bool *out)
{
	bool bad[LOCKS] = { false };
	for (size_t i = 0; i < m->n_queue; i++)
		for (size_t k = 0; k < m->queue[i]->n && direct[i]; k++)
			bad[m->queue[i]->ids[k]] = true;
	for (size_t i = 0; i < m->n_queue; i++) {
		const struct mtxn *x = m->queue[i];
		bool hit = direct[i];
		for (size_t k = 0; k < x->n && !x->doomed; k++)
			hit |= bad[x->ids[k]];
		out[i] = hit;
		for (size_t k = 0; k < x->n && hit; k++)
			bad[x->ids[k]] = true;
	}
	for (int i = 0; i < OPEN; i++)
		for (size_t k = 0; m->open[i].t && k < m->open[i].n; k++)
			m->open[i].doomed |= bad[m->open[i].ids[k]];
}

static void step_pump(struct model *m)
{
	bool fails = pick(m, 4) == 0, any_direct = false;
	bool direct[QUEUE] = { false }, want[QUEUE] = { false };
	size_t left = 0;
	m->kv->batch_bytes = 1 + pick(m, 300);
	if (fails)
		kv_memory_fail(m->kv->en, 1, pick(m, 2) ? ERR_DISK_FULL : ERR_IO);
	kv_pump(m->kv);
	kv_memory_fail(m->kv->en, 0, ERR_NONE);
	for (size_t i = 0; i < m->n_queue; i++) {
		struct result *r = &m->queue[i]->r;
		assert_true(r->calls <= 1);
		if (r->calls && m->queue[i]->doomed) {
			assert_int_equal(r->why.code, ERR_BUSY);
		} else if (r->calls && r->st != ST_OK) {
			direct[i] = strstr(r->why.text, "an earlier change") == NULL;
			any_direct |= direct[i];
			assert_true(fails);
		}
	}
	if (any_direct)
		expect_failures(m, direct, want);
	bool gap =
		false; /* queue order: nothing is told before what stands in front of it, unless it failed */
	for (size_t i = 0; i < m->n_queue; i++) {
		struct mtxn *x = m->queue[i];
		bool failed = x->r.calls && x->r.st != ST_OK;
		if (!x->doomed)
			assert_int_equal(failed, want[i]);
		if (!x->r.calls) {
			gap = true;
			m->queue[left++] = x;
			continue;
		}
		if (failed) {
			for (size_t k = 0; k < x->n; k++)
				assert_int_not_equal(kv_lock_epoch(m->kv, x->ids[k]),
						     x->epoch[x->ids[k]]);
			m->failed++;
			mem_free(x);
			continue;
		}
		assert_false(gap);
		apply(&m->durable, x);
		for (int b = 0; b < BODIES; b++)
			m->body[b] |= x->body[b];
		m->acked++;
		mem_free(x);
	}
	m->n_queue = left;
}

static void run_model(uint32_t seed, unsigned *acked, unsigned *failed)
{
	struct model *m = mem_new(sizeof(*m));
	m->kv = open_kv(KV_MEMORY, KV_COMMIT_MANUAL, NULL);
	m->seed = seed;
	for (int i = 0; i < BODIES; i++)
		kv_upload_free(upload_body(m, i, &m->ids[i]));
	for (int s = 0; s < STEPS; s++) {
		struct mtxn *x = &m->open[pick(m, OPEN)];
		uint32_t what = pick(m, 20);
		if (what < 3)
			step_begin(m);
		else if (what < 14 && x->t)
			step_work(m, x);
		else if (what < 18 && x->t)
			step_end(m, x);
		else if (what >= 18)
			step_pump(m);
		if (what >= 18 || s % 16 == 0)
			check_durable(m);
		arena_reset(&m->a);
	}
	for (int i = 0; i < OPEN; i++)
		if (m->open[i].t)
			kv_abort(m->open[i].t);
	while (m->n_queue)
		step_pump(m);
	check_durable(m);
	*acked += m->acked;
	*failed += m->failed;
	kv_close(m->kv);
	arena_release(&m->a);
	mem_free(m);
}

static void random_histories_agree_with_the_model(void **state)
{
	(void)state;
	unsigned acked = 0, failed = 0;
	for (uint32_t seed = 1; seed <= SEEDS; seed++)
		run_model(seed, &acked, &failed);
	/* The histories did contain both. */
	assert_true(acked > SEEDS * 20);
	assert_true(failed > SEEDS * 5);
}

/* --- with the committer's thread: counters under locks, while batches fail at random ----------------------- */
enum { THREADS = 6, ROUNDS = 300 };
struct shared {
	struct kv *kv;
	_Atomic uint64_t acked[LOCKS];
	_Atomic unsigned waiting, failures;
	_Atomic bool stop;
};
struct tick {
	struct done d;
	struct shared *s;
	uint32_t ids[LOCKS];
	size_t n;
};
struct thread {
	struct shared *s;
	uint32_t seed;
};

static void ticked(struct done *d, enum status st, const struct err *why)
{
	struct tick *k = (struct tick *)d;
	struct shared *s = k->s;
	(void)why;
	for (size_t i = 0; i < k->n && st == ST_OK; i++)
		s->acked[k->ids[i]]++;
	if (st != ST_OK)
		s->failures++;
	s->waiting--;
	mem_free(k);
}

static void *count(void *arg)
{
	struct thread *th = arg;
	struct shared *s = th->s;
	for (int i = 0; i < ROUNDS; i++) {
		struct tick *k = mem_new(sizeof(*k));
		struct kv_txn *t;
		struct err e;
		*k = (struct tick){ .d = { ticked }, .s = s };
		th->seed = th->seed * 1664525u + 1013904223u;
		for (uint32_t l = 0; l < LOCKS; l++)
			if (th->seed >> (9 + l * 2) & 1)
				k->ids[k->n++] = l;
		if (kv_begin(s->kv, k->ids, k->n, NULL, &t, &e) != ST_OK)
			abort();
		for (size_t j = 0; j < k->n; j++) {
			slice key = arena_fmt(kv_txn_arena(t), "%u", k->ids[j]), old;
			long v = 0;
			if (kv_get(s->kv, t, key, kv_txn_arena(t), &old, &e) == ST_OK)
				v = strtol(old.p, NULL, 10);
			kv_put(t, key, arena_fmt(kv_txn_arena(t), "%ld", v + 1));
		}
		if (th->seed >> 20 & 1)
			kv_txn_blob(t, upload_body(&(struct model){ .kv = s->kv }, 0,
						   &(struct blob_id){ 0 }));
		s->waiting++;
		kv_commit(t, &k->d);
		if ((th->seed >> 24) % 23 == 0)
			kv_memory_fail(s->kv->en, 1 + (th->seed >> 12) % 3,
				       ERR_DISK_FULL);
	}
	return NULL;
}

static bool read_counter(void *ctx, slice key, slice value)
{
	uint64_t *seen = ctx, v;
	uint32_t l = (uint32_t)(key.p[0] - '0');
	assert_true(key.n == 1 && l < LOCKS && slice_u64(value, UINT32_MAX, &v));
	assert_true(v >= seen[l]); /* what was durable stays */
	seen[l] = v;
	return true;
}

/* What a reader without transaction has seen never goes back, and covers what was acknowledged before it looked. */
static void *watch(void *arg)
{
	struct shared *s = arg;
	uint64_t seen[LOCKS] = { 0 }, before[LOCKS];
	const struct kv_range r = { SL("0"), SL("5"), false };
	struct err e;
	while (!s->stop) {
		for (int i = 0; i < LOCKS; i++)
			before[i] = s->acked[i];
		assert_int_equal(kv_scan(s->kv, NULL, &r, read_counter, seen, &e), ST_OK);
		for (int i = 0; i < LOCKS; i++)
			assert_true(seen[i] >= before[i]);
	}
	return NULL;
}

static void counters_agree_with_acknowledgements_whatever_fails(void **state)
{
	(void)state;
	struct shared s = { .kv = open_kv(KV_MEMORY, KV_COMMIT_THREAD, NULL) };
	AUTO_ARENA a = { 0 };
	struct thread th[THREADS];
	pthread_t id[THREADS], watcher;
	s.kv->batch_bytes = 500;
	assert_int_equal(pthread_create(&watcher, NULL, watch, &s), 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		th[i] = (struct thread){ &s, i * 31 + 7 };
		assert_int_equal(pthread_create(&id[i], NULL, count, &th[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	struct kv_txn *t;
	struct err e;
	const uint32_t all[] = { 0, 1, 2, 3 };
	kv_memory_fail(s.kv->en, 0, ERR_NONE);
	do { /* behind everything; one that was queued may still fail */
		assert_int_equal(kv_begin(s.kv, all, LOCKS, NULL, &t, &e), ST_OK);
	} while (kv_commit_wait(t, &e) != ST_OK);
	s.stop = true;
	pthread_join(watcher, NULL);
	assert_true(s.failures > 0);
	for (int i = 0; i < LOCKS; i++) {
		char key[2] = { (char)('0' + i), 0 };
		assert_true(s.acked[i] > 0);
		assert_int_equal(strtol(get(s.kv, NULL, &a, key), NULL, 10), s.acked[i]);
	}
	kv_close(s.kv);
	assert_int_equal(s.waiting, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_histories_agree_with_the_model),
		cmocka_unit_test(counters_agree_with_acknowledgements_whatever_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

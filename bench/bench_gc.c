/* bench_gc.c — what the collector costs deliveries: N writers, each delivering a body and expunging an older one,
 * alternately while the collector rests and while it works without a pause, in one run.
 *
 *	bench_gc DIR [writers=64] [seconds=3] [rounds=4] [body=10240] [before=30000]
 *
 * First `before` bodies are delivered and three of four expunged, so that there is plenty to collect. Prints each
 * round and the medians; fails when deliveries lose more than a third. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "kv/kv_internal.h"
#include <pthread.h>
#include <unistd.h>

enum { WORKERS = 2, OLD = 256, ROUNDS_MAX = 64 };

struct writer { /* one waiting client */
	struct done d;
	struct bench *b;
	struct writer *next;
	uint64_t seed;
	char *body;
	struct blob_id
		old[OLD]; /* delivered, in turn; three of four go when their place is needed */
	uint64_t n;
};
struct bench {
	struct kv *kv;
	struct clock clock;
	int64_t end_us;
	uint64_t end_txns; /* or so many */
	size_t body, writers;
	pthread_mutex_t mu;
	pthread_cond_t cond;
	struct writer *ready, *all;
	size_t running;
	uint64_t txns;
};

static void die(const struct err *e)
{
	fprintf(stderr, "bench_gc: %s\n", e->text);
	exit(1);
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void writer_done(struct done *d, enum status st, const struct err *why)
{
	struct writer *w = (struct writer *)d;
	struct bench *b = w->b;
	if (st != ST_OK)
		die(why);
	pthread_mutex_lock(&b->mu);
	b->txns++;
	w->next = b->ready;
	b->ready = w;
	pthread_cond_signal(&b->cond);
	pthread_mutex_unlock(&b->mu);
}

static void put_key(unsigned char *p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (unsigned char)(v >> (8 * (n - 1 - i)));
}

static slice reference(unsigned char key[45], const struct blob_id *id, uint32_t account,
		       uint64_t email)
{
	key[0] = KV_REFERENCE;
	memcpy(key + 1, id->h, 32);
	put_key(key + 33, account, 4);
	put_key(key + 37, email, 8);
	return slice_make(key, 45);
}

/* The rows of a delivery, as in bench_kv, and of an expunge. */
static void put_rows(struct kv_txn *t, struct writer *w, uint32_t account,
		     const struct blob_id *id)
{
	static const struct {
		char kind;
		size_t bytes;
	} rows[] = { { 'e', 600 }, { 'f', 80 }, { 'm', 40 }, { 'l', 20 } };
	unsigned char key[45] = { 'A' };
	char value[600] = { 0 };
	struct blob_id *old = &w->old[w->n % OLD];

	put_key(key + 1, account, 4);
	put_key(key + 6, w->n, 8);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		key[5] = (unsigned char)rows[i].kind;
		kv_put(t, slice_make(key, 14), slice_make(value, rows[i].bytes));
	}
	key[5] = 'a';
	kv_put(t, slice_make(key, 6), slice_make(value, 80));
	if (w->n >= OLD && w->n % 4) {
		kv_del(t, reference(key, old, account, w->n - OLD));
		kv_blob_unref(t, old);
	}
	kv_put(t, reference(key, id, account, w->n), SL(""));
	*old = *id;
	w->n++;
}

static void deliver(struct bench *b, struct writer *w)
{
	uint32_t account = (uint32_t)(w - b->all) + 1;
	struct kv_upload *u = kv_upload_new(b->kv);
	struct kv_txn *t;
	struct blob_id id;
	struct err e;
	uint64_t size;
	for (size_t i = 0; i + 8 <= b->body / 2; i += 16)
		memcpy(w->body + i, &(uint64_t){ next_random(&w->seed) }, 8);
	if (kv_upload_write(u, slice_make(w->body, b->body), &e) != ST_OK ||
	    kv_upload_end(u, &id, &size, &e) != ST_OK ||
	    kv_begin(b->kv, &account, 1, NULL, &t, &e) != ST_OK)
		die(&e);
	kv_txn_blob(t, u);
	put_rows(t, w, account, &id);
	kv_commit(t, &w->d);
}

static void *worker(void *arg)
{
	struct bench *b = arg;
	pthread_mutex_lock(&b->mu);
	while (b->running) {
		struct writer *w = b->ready;
		if (!w) {
			pthread_cond_wait(&b->cond, &b->mu);
			continue;
		}
		b->ready = w->next;
		if (clock_mono_us(&b->clock) >= b->end_us || b->txns >= b->end_txns) {
			b->running--;
			continue;
		}
		pthread_mutex_unlock(&b->mu);
		deliver(b, w);
		pthread_mutex_lock(&b->mu);
	}
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->mu);
	return NULL;
}

/* Deliveries a second, for so long or so many. */
static double run(struct bench *b, uint64_t seconds, uint64_t txns)
{
	pthread_t threads[WORKERS];
	int64_t start = clock_mono_us(&b->clock);
	b->ready = NULL;
	for (size_t i = 0; i < b->writers; i++) {
		b->all[i].next = b->ready;
		b->ready = &b->all[i];
	}
	b->running = b->writers;
	b->txns = 0;
	b->end_txns = txns;
	b->end_us = start + (int64_t)seconds * 1000000;
	for (size_t i = 0; i < WORKERS; i++)
		if (pthread_create(&threads[i], NULL, worker, b) != 0)
			exit(1);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	return (double)b->txns * 1e6 / (double)(clock_mono_us(&b->clock) - start);
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_size);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static struct kv_collected collected(struct kv *kv)
{
	struct kv_stat s;
	kv_stat(kv, &s);
	return s.collected;
}

static uint64_t arg_number(int argc, char **argv, int i, uint64_t preset)
{
	uint64_t v;
	return i < argc && slice_u64(slice_str(argv[i]), UINT32_MAX, &v) ? v : preset;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr,
			"usage: bench_gc DIR [writers] [seconds] [rounds] [body] [before]\n");
		return 64;
	}
	struct bench b = { .writers = arg_number(argc, argv, 2, 64),
			   .body = arg_number(argc, argv, 5, 10240) };
	uint64_t seconds = arg_number(argc, argv, 3, 3);
	size_t rounds = arg_number(argc, argv, 4, 4);
	struct kv_options o = { .engine = KV_ROCKSDB, .dir = argv[1] };
	double with[ROUNDS_MAX], without[ROUNDS_MAX];
	struct err e;
	if (rounds == 0 || rounds > ROUNDS_MAX)
		return 64;
	if (kv_open(&o, &b.kv, &e) != ST_OK)
		die(&e);
	b.kv->gc.paused = true;
	b.kv->keeper.every_us = 0;
	/* So that some empty while we look. */
	b.kv->segs.max_bytes = b.kv->log.max_bytes = 16u << 20;
	clock_init_real(&b.clock);
	pthread_mutex_init(&b.mu, NULL);
	pthread_cond_init(&b.cond, NULL);
	b.all = mem_array(b.writers, sizeof(*b.all));
	for (size_t i = 0; i < b.writers; i++) {
		struct writer *w = &b.all[i];
		w->d.fn = writer_done;
		w->b = &b;
		w->body = mem_new(b.body);
		random_bytes(&w->seed, sizeof(w->seed));
		for (size_t k = 0; k < b.body; k++)
			w->body[k] =
				"This line of the message is like every other.\r\n"[k %
										    47];
	}
	run(&b, 600, arg_number(argc, argv, 6, 30000));
	for (size_t i = 0; i < rounds; i++) {
		b.kv->gc.paused = true;
		usleep(600000); /* the step in hand ends */
		without[i] = run(&b, seconds, UINT64_MAX);
		struct kv_collected c = collected(b.kv);
		b.kv->gc.paused = false;
		usleep(1100000); /* it looks once a second */
		with[i] = run(&b, seconds, UINT64_MAX);
		struct kv_collected d = collected(b.kv);
		printf("round=%zu without=%.0f with=%.0f dropped=%llu moved=%llu moved_mb=%.1f freed=%llu\n",
		       i + 1, without[i], with[i],
		       (unsigned long long)(d.blobs_dropped - c.blobs_dropped),
		       (unsigned long long)(d.blobs_moved - c.blobs_moved),
		       (double)(d.bytes_moved - c.bytes_moved) / 1e6,
		       (unsigned long long)(d.segments_freed - c.segments_freed));
	}
	kv_close(b.kv);
	double x = median(without, rounds), y = median(with, rounds);
	printf("writers=%zu without=%.0f with=%.0f kept=%.0f%%\n", b.writers, x, y,
	       100 * y / x);
	for (size_t i = 0; i < b.writers; i++)
		mem_free(b.all[i].body);
	mem_free(b.all);
	return y * 3 < x * 2;
}

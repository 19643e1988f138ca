/* bench_kv.c — durable transactions a second of kv alone: N writers, each begin, 5 rows, a body, commit, and again
 * when it is durable. As in the server, writers are no threads: two workers run whoever has been told.
 *
 *	bench_kv DIR [writers=64] [seconds=5] [body=10240] [accounts=1000] [memory]
 *
 * Every body is different and half incompressible. Prints one line: transactions/s, CPU per transaction, octets
 * written, rows, transactions per batch. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "kv/kv.h"
#include <pthread.h>
#include <sys/resource.h>

enum { WORKERS = 2 };

struct writer { /* one waiting client */
	struct done d;
	struct bench *b;
	struct writer *next;
	uint64_t seed;
	char *body;
};
struct bench {
	struct kv *kv;
	struct clock clock;
	int64_t end_us;
	size_t body;
	uint32_t accounts;
	pthread_mutex_t mu;
	pthread_cond_t cond;
	struct writer *ready;
	size_t running; /* writers not at their end */
	uint64_t txns, number;
};

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void fill(char *p, size_t n, uint64_t *seed)
{
	static const char text[] =
		"This line of the message is like every other line of it, more or less.\r\n";
	for (size_t i = 0; i < n / 2; i += 8) {
		uint64_t r = next_random(seed);
		memcpy(p + i, &r, n / 2 - i < 8 ? n / 2 - i : 8);
	}
	for (size_t i = n / 2; i < n; i++)
		p[i] = text[i % (sizeof(text) - 1)];
}

static void die(const struct err *e)
{
	fprintf(stderr, "bench_kv: %s\n", e->text);
	exit(1);
}

/* The rows of a delivery: e, g, m, l, and the account's own; keys as in the store's schema. */
static void put_rows(struct kv_txn *t, uint32_t account, uint64_t n)
{
	static const struct {
		char kind;
		size_t bytes;
	} rows[] = { { 'e', 600 }, { 'g', 40 }, { 'm', 40 }, { 'l', 20 } };
	char value[600] = { 0 };
	unsigned char key[13] = { 0 };
	for (int i = 0; i < 4; i++)
		key[i] = (unsigned char)(account >> (24 - 8 * i));
	for (int i = 0; i < 8; i++)
		key[5 + i] = (unsigned char)(n >> (56 - 8 * i));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		key[4] = (unsigned char)rows[i].kind;
		memcpy(value, &n, sizeof(n));
		kv_put(t, slice_make(key, sizeof(key)), slice_make(value, rows[i].bytes));
	}
	key[4] = 'a';
	kv_put(t, slice_make(key, 5), slice_make(value, 80));
}

/* w may go on: its transaction is durable. Called by the committer. */
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

static void deliver(struct bench *b, struct writer *w, uint64_t n)
{
	uint32_t account = (uint32_t)(next_random(&w->seed) % b->accounts) + 1;
	struct kv_upload *u = kv_upload_new(b->kv);
	struct kv_txn *t;
	struct blob_id id;
	struct err e;
	uint64_t size;
	slice old, key = slice_make(&account, sizeof(account));
	for (size_t i = 0; i + 8 <= b->body / 2; i += 64)
		memcpy(w->body + i, &(uint64_t){ next_random(&w->seed) }, 8);
	if (kv_upload_write(u, slice_make(w->body, b->body), &e) != ST_OK ||
	    kv_upload_end(u, &id, &size, &e) != ST_OK ||
	    kv_begin(b->kv, &account, 1, NULL, &t, &e) != ST_OK)
		die(&e);
	enum status st = kv_get(b->kv, t, key, kv_txn_arena(t), &old, &e);
	if (st != ST_OK && st != ST_NOT_FOUND)
		die(&e);
	put_rows(t, account, n);
	kv_txn_blob(t, u);
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
		if (clock_mono_us(&b->clock) >= b->end_us) {
			b->running--;
			continue;
		}
		uint64_t n = ++b->number;
		pthread_mutex_unlock(&b->mu);
		deliver(b, w, n);
		pthread_mutex_lock(&b->mu);
	}
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->mu);
	return NULL;
}

static struct writer *make_writers(struct bench *b, size_t n)
{
	struct writer *w = mem_array(n, sizeof(*w));
	for (size_t i = 0; i < n; i++) {
		w[i].d.fn = writer_done;
		w[i].b = b;
		w[i].body = mem_new(b->body);
		random_bytes(&w[i].seed, sizeof(w[i].seed));
		fill(w[i].body, b->body, &w[i].seed);
		w[i].next = b->ready;
		b->ready = &w[i];
	}
	b->running = n;
	return w;
}

static double cpu_us(void)
{
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
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
			"usage: bench_kv DIR [writers] [seconds] [body] [accounts] [memory]\n");
		return 64;
	}
	struct bench b = { .body = arg_number(argc, argv, 4, 10240),
			   .accounts = (uint32_t)arg_number(argc, argv, 5, 1000) };
	size_t writers = arg_number(argc, argv, 2, 64);
	uint64_t seconds = arg_number(argc, argv, 3, 5);
	bool memory = argc > 6 && strcmp(argv[6], "memory") == 0;
	struct kv_options o = { .engine = memory ? KV_MEMORY : KV_ROCKSDB,
				.dir = argv[1] };
	struct kv_stat s;
	struct err e;
	if (kv_open(&o, &b.kv, &e) != ST_OK)
		die(&e);
	clock_init_real(&b.clock);
	pthread_mutex_init(&b.mu, NULL);
	pthread_cond_init(&b.cond, NULL);
	struct writer *w = make_writers(&b, writers);
	pthread_t threads[WORKERS];
	double cpu = cpu_us();
	int64_t start = clock_mono_us(&b.clock);
	b.end_us = start + (int64_t)seconds * 1000000;
	for (size_t i = 0; i < WORKERS; i++)
		if (pthread_create(&threads[i], NULL, worker, &b) != 0)
			return 1;
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	double n = (double)b.txns, wall = (double)(clock_mono_us(&b.clock) - start);
	cpu = cpu_us() - cpu;
	kv_stat(b.kv, &s);
	kv_close(b.kv);
	printf("writers=%zu txns/s=%.0f cpu_us=%.1f batch=%.1f log_bytes=%.0f row_bytes=%.0f rows=%.1f syncs=%llu\n",
	       writers, n * 1e6 / wall, cpu / n, n / (double)s.batches,
	       (double)s.bytes_log / n, (double)s.bytes_rows / n, (double)s.rows_put / n,
	       (unsigned long long)s.syncs);
	for (size_t i = 0; i < writers; i++)
		mem_free(w[i].body);
	mem_free(w);
	return 0;
}

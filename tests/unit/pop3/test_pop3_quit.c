/* test_pop3_quit.c — QUIT against a disk: +OK only when it is durable, -ERR when the sync
 * failed, everything in one transaction (RFC 1939 6, DESIGN P1). The store is on a real
 * directory; the committer runs inline, or when the test says so, and the faults of
 * base/io.h hit what shares its batch. */
#include "auth/auth.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "kv/kv.h"
#include "net/conn.h"
#include "pop3/pop3.h"
#include "store/store.h"
#include "work/session.h"
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct fix {
	char dir[64];
	struct clock clock;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct worker_ctx *workers;
	struct pop3_ctx ctx;
	struct arena mem;
	uint32_t account;
	enum io_op failing;
	bool fails;
	unsigned syncs;
};

#define OK(x) assert_int_equal((x), ST_OK)

static int fault(void *ctx, enum io_op op)
{
	struct fix *f = ctx;

	f->syncs += op == IO_SYNC;
	return f->fails && op == f->failing ? EIO : 0;
}

static void open_all(struct fix *f, enum kv_commit_mode mode)
{
	const struct kv_options kvo = {
		.engine = KV_ROCKSDB, .mode = mode, .dir = f->dir, .cache_bytes = 1u << 20
	};
	struct err e;

	if (kv_open(&kvo, &f->kv, &e) != ST_OK)
		fail_msg("%s", e.text);
	OK(store_open(f->kv, &f->clock, &f->store, &e));
	f->auth = auth_new(f->store, &(struct auth_options){ .clock = &f->clock,
							     .argon2_kib = 8,
							     .argon2_passes = 1 });
	f->workers = worker_new(&(struct worker_options){ .clock = &f->clock });
	f->ctx = (struct pop3_ctx){ .store = f->store,
				    .auth = f->auth,
				    .hostname = SL("mail.example.org") };
}

static void close_all(struct fix *f)
{
	worker_free(f->workers);
	auth_free(f->auth);
	store_close(f->store);
	kv_close(f->kv);
}

static void reopen(struct fix *f, enum kv_commit_mode mode)
{
	close_all(f);
	open_all(f, mode);
}

static void deliver(struct fix *f, int n)
{
	struct err e;

	for (int i = 0; i < n; i++) {
		struct store_place place = { .account = f->account };
		struct intake *in = intake_new(f->store, 0, 1u << 20);
		struct store_txn *t;
		uint32_t uid;

		OK(intake_write(in, arena_fmt(&f->mem, "Subject: %d\r\n\r\n", i), &e));
		OK(intake_end(in, &e));
		OK(store_begin(f->store, &f->account, 1, NULL, &t, &e));
		OK(store_add(t, in, &place, &uid, &e));
		OK(store_commit_wait(t, &e));
		intake_free(in);
	}
}

static int setup(void **state)
{
	struct fix *f = test_calloc(1, sizeof(*f));
	struct err e;
	slice v = SL("");

	log_set_level(LOG_LEVEL_NONE);
	snprintf(f->dir, sizeof(f->dir), "/tmp/facteur-pop3-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	clock_init_virtual(&f->clock, 1767323045000000);
	arena_init(&f->mem);
	open_all(f, KV_COMMIT_INLINE);
	OK(store_domain_add(f->store, SL("example.org"), &e));
	OK(auth_hash(f->auth, SL("pw"), &f->mem, &v, &e));
	OK(store_account_add(f->store, SL("ann@example.org"), v, &f->account, &e));
	io_set_fault(fault, f);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fix *f = *state;

	io_set_fault(NULL, NULL);
	close_all(f);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	arena_release(&f->mem);
	test_free(f);
	return 0;
}

static void settle(struct fix *f)
{
	while (worker_step(f->workers))
		;
}

static struct conn *login(struct fix *f)
{
	struct conn_peer peer = { .addr = "127.0.0.1", .is_loopback = true };
	struct conn *c =
		worker_connect_sim(f->workers, &pop3_service, &f->ctx, true, &peer);

	settle(f);
	conn_sim_send(c, SL("AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBwdw==\r\n"));
	settle(f);
	conn_sim_take(c,
		      slice_find(conn_sim_received(c), SL("server ready\r\n"), 0) + 14);
	return c;
}

/* The answer to cmd, which must be all that is there. */
static slice ask(struct fix *f, struct conn *c, slice cmd)
{
	slice got;

	conn_sim_take(c, conn_sim_received(c).n);
	conn_sim_send(c, cmd);
	settle(f);
	got = arena_dup(&f->mem, conn_sim_received(c));
	return got;
}

static void all_go_in_one_transaction(void **state)
{
	struct fix *f = *state;
	struct kv_stat before, after;
	struct conn *c;

	deliver(f, 30);
	c = login(f);
	for (int i = 1; i <= 29; i++)
		(void)ask(f, c, arena_fmt(&f->mem, "DELE %d\r\n", i));
	kv_stat(f->kv, &before);
	assert_true(
		slice_eq(ask(f, c, SL("QUIT\r\n")),
			 SL("+OK mail.example.org signing off (1 messages left)\r\n")));
	kv_stat(f->kv, &after);
	assert_int_equal(after.txns - before.txns, 1);
	assert_true(conn_sim_is_closed(c));
	/* and it is still so after a restart */
	reopen(f, KV_COMMIT_INLINE);
	c = login(f);
	assert_true(slice_eq(ask(f, c, SL("STAT\r\n")), SL("+OK 1 15\r\n")));
}

struct told {
	struct done done;
	enum status st;
	bool called;
};

static void tell(struct done *d, enum status st, const struct err *why)
{
	struct told *t = (struct told *)(void *)d;

	(void)why;
	t->st = st;
	t->called = true;
}

static void ok_waits_for_the_disk(void **state)
{
	struct fix *f = *state;
	struct conn *c;

	deliver(f, 3);
	reopen(f, KV_COMMIT_MANUAL);
	c = login(f);
	(void)ask(f, c, SL("DELE 1\r\n"));
	assert_int_equal(ask(f, c, SL("QUIT\r\n")).n, 0);
	assert_false(conn_sim_is_closed(c));
	kv_pump(f->kv);
	settle(f);
	assert_true(
		slice_eq(conn_sim_received(c),
			 SL("+OK mail.example.org signing off (2 messages left)\r\n")));
	assert_true(conn_sim_is_closed(c));
}

static void a_failed_sync_is_not_ok(void **state)
{
	struct fix *f = *state;
	struct conn *c, *other;
	struct told told = { .done.fn = tell };
	struct intake *in;
	struct store_place place = { .account = f->account };
	struct store_txn *t;
	struct err e;
	uint32_t uid;

	deliver(f, 3);
	reopen(f, KV_COMMIT_MANUAL);
	c = login(f);
	other = login(f);
	(void)ask(f, c, SL("DELE 1\r\n"));
	assert_int_equal(ask(f, c, SL("QUIT\r\n")).n, 0);
	/* a delivery in the same batch, whose body cannot be synced: the batch fails
	 * whole */
	in = intake_new(f->store, 0, 1u << 20);
	OK(intake_write(in, SL("Subject: x\r\n\r\n"), &e));
	OK(intake_end(in, &e));
	OK(store_begin(f->store, &f->account, 1, NULL, &t, &e));
	OK(store_add(t, in, &place, &uid, &e));
	store_commit(t, &told.done);
	intake_free(in);
	f->failing = IO_SYNC;
	f->fails = true;
	kv_pump(f->kv);
	f->fails = false;
	settle(f);
	assert_true(told.called && told.st != ST_OK);
	assert_true(
		slice_eq(conn_sim_received(c),
			 SL("-ERR [SYS/TEMP] some deleted messages not removed\r\n")));
	assert_true(conn_sim_is_closed(c));
	/* the store takes nothing any more: who tries next is told so too (P4) */
	(void)ask(f, other, SL("DELE 2\r\n"));
	assert_true(
		slice_eq(ask(f, other, SL("QUIT\r\n")),
			 SL("-ERR [SYS/TEMP] some deleted messages not removed\r\n")));
	assert_true(conn_sim_is_closed(other));
}

static void quit_without_marks_touches_no_disk(void **state)
{
	struct fix *f = *state;
	struct conn *c;
	unsigned syncs;

	deliver(f, 2);
	c = login(f);
	(void)ask(f, c, SL("DELE 1\r\n"));
	(void)ask(f, c, SL("RSET\r\n"));
	syncs = f->syncs;
	assert_true(
		slice_eq(ask(f, c, SL("QUIT\r\n")),
			 SL("+OK mail.example.org signing off (2 messages left)\r\n")));
	assert_int_equal(f->syncs, syncs);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_go_in_one_transaction),
		T(ok_waits_for_the_disk),
		T(a_failed_sync_is_not_ok),
		T(quit_without_marks_touches_no_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* fuzz_transfer_frame.c — what a command may say to an import, before a store in memory.
 *
 * The input is the command's whole side of the conversation. Wanted: it ends, with an answer or without, and
 * the mailbox holds what it says it holds. */
#include "base/cleanup.h"
#include "kv/kv.h"
#include "store/store.h"
#include "transfer/import.h"
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                          \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)
#define INPUT_MAX (60u << 10) /* fits a socket's buffer */

static bool count_row(void *ctx, const struct store_row *row)
{
	uint32_t *n = ctx;

	++*n;
	return row->uid != 0;
}

static void check_store(struct store *s, uint32_t account)
{
	AUTO_ARENA a = { 0 };
	struct store_mailbox *m;
	struct err e;
	size_t n;

	arena_init(&a);
	CHECK(store_mailbox_list(s, account, &a, &m, &n, &e) == ST_OK);
	for (size_t i = 0; i < n; i++) {
		uint32_t rows = 0;

		if (!m[i].exists)
			continue;
		CHECK(store_rows(s, account, m[i].id, 1, UINT32_MAX, count_row, &rows,
				 &e) == ST_OK);
		CHECK(rows == m[i].messages && m[i].uidnext > rows);
	}
}

static void converse(struct store *s, uint32_t account, slice said)
{
	int fd[2];
	struct err e = { 0 };

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	CHECK(send(fd[0], said.p, said.n, MSG_NOSIGNAL) == (ssize_t)said.n);
	shutdown(fd[0], SHUT_WR);
	enum status st = import_serve(s, account, fd[1], NULL, &e);
	CHECK((st == ST_OK) == (e.code == ERR_NONE));
	close(fd[0]);
	close(fd[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct kv_options ko = { .engine = KV_MEMORY, .mode = KV_COMMIT_INLINE };
	struct clock clock;
	struct kv *kv;
	struct store *s;
	struct err e;
	uint32_t account;
	struct transfer_message m;

	clock_init_virtual(&clock, INT64_C(1790000000) * 1000000);
	CHECK(kv_open(&ko, &kv, &e) == ST_OK && store_open(kv, &clock, &s, &e) == ST_OK);
	CHECK(store_domain_add(s, SL("a.example"), &e) == ST_OK);
	CHECK(store_account_add(s, SL("a@a.example"), SL("{X}"), &account, &e) == ST_OK);
	converse(s, account, slice_make(data, n < INPUT_MAX ? n : INPUT_MAX));
	check_store(s, account);
	store_close(s);
	kv_close(kv);
	if (transfer_message_read(slice_make(data, n), &m)) {
		AUTO_BUF b = { 0 };
		struct transfer_message again;

		buf_init(&b, n + 64);
		transfer_message_write(&b, &m);
		CHECK(transfer_message_read(buf_slice(&b), &again) &&
		      again.tag == m.tag && again.uid == m.uid &&
		      slice_eq(again.keywords, m.keywords));
	}
	return 0;
}

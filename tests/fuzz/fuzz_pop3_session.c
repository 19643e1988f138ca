/* fuzz_pop3_session.c — a whole POP3 session over the sim loop: the server of the first
 * octet's bits (TLS, logged in), the rest from the client, once whole and once in pieces.
 *
 * One world serves until something in it may have been deleted: making one costs more than a session.
 *
 * Wanted: the same answers both times; CRLF-clean output (P6); and nothing of a maildrop
 * before the login (HAZARDS 23). */
#include "auth/auth.h"
#include "base/hash.h"
#include "base/log.h"
#include "kv/kv.h"
#include "net/conn.h"
#include "pop3/pop3.h"
#include "store/store.h"
#include "work/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { WITH_TLS = 1, WITH_LOGIN = 2, IN_PIECES = 64 };
/* The password is in no corpus. */
#define LOGIN	 "AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBUNldfWnlwOWMxLWt4YlFf\r\n"
#define PASSWORD "T6W_Zyp9c1-kxbQ_"

#define CHECK(x)                          \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

struct world {
	struct clock clock;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct worker_ctx *workers;
	struct pop3_ctx ctx;
	struct arena mem;
	uint32_t account;
};

static void deliver(struct world *w, slice text)
{
	struct store_place place = { .account = w->account,
				     .prefix = SL("X-Prefix: .SECRET\r\n") };
	struct intake *in = intake_new(w->store, 0, 1u << 20);
	struct store_txn *t;
	struct err e;
	uint32_t uid;

	CHECK(intake_write(in, text, &e) == ST_OK && intake_end(in, &e) == ST_OK);
	CHECK(store_begin(w->store, &w->account, 1, NULL, &t, &e) == ST_OK);
	CHECK(store_add(t, in, &place, &uid, &e) == ST_OK &&
	      store_commit_wait(t, &e) == ST_OK);
	intake_free(in);
}

static void init(struct world *w)
{
	const struct kv_options kvo = { .engine = KV_MEMORY, .mode = KV_COMMIT_INLINE };
	struct err e;
	slice verifier = SL("");

	*w = (struct world){ 0 };
	log_set_level(LOG_LEVEL_NONE);
	clock_init_virtual(&w->clock, 1767323045000000);
	arena_init(&w->mem);
	CHECK(kv_open(&kvo, &w->kv, &e) == ST_OK &&
	      store_open(w->kv, &w->clock, &w->store, &e) == ST_OK);
	w->auth = auth_new(w->store, &(struct auth_options){ .clock = &w->clock,
							     .argon2_kib = 8,
							     .argon2_passes = 1 });
	CHECK(store_domain_add(w->store, SL("example.org"), &e) == ST_OK);
	CHECK(auth_hash(w->auth, SL(PASSWORD), &w->mem, &verifier, &e) == ST_OK);
	CHECK(store_account_add(w->store, SL("ann@example.org"), verifier, &w->account,
				&e) == ST_OK);
	deliver(w, SL("Subject: one SECRET\r\n\r\n.\r\nSECRET\r\n..\r\n"));
	deliver(w, SL("Subject: two SECRET\r\n"));
	deliver(w, SL(""));
	w->workers = worker_new(&(struct worker_options){ .clock = &w->clock });
	w->ctx = (struct pop3_ctx){ .store = w->store,
				    .auth = w->auth,
				    .hostname = SL("mail.example.org") };
}

static void done(struct world *w)
{
	worker_free(w->workers);
	auth_free(w->auth);
	store_close(w->store);
	kv_close(w->kv);
	arena_release(&w->mem);
}

static void settle(struct world *w)
{
	while (worker_step(w->workers))
		;
}

static void push(struct world *w, struct conn *c, slice s)
{
	conn_sim_send(c, s);
	settle(w);
}

static void check_output(slice s, bool may_see_mail)
{
	for (size_t i = 0; i < s.n; i++) {
		CHECK(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
		CHECK(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
	}
	CHECK(may_see_mail || slice_find(s, SL("SECRET"), 0) == s.n);
}

static void talk(struct world *w, unsigned how, slice in, struct buf *out)
{
	struct conn_peer peer = { .addr = "127.0.0.1", .is_loopback = true };
	const struct siphash_key key = { 1, 2 };
	uint64_t seed = siphash(&key, in) | 1;
	struct conn *c;

	c = worker_connect_sim(w->workers, &pop3_service, &w->ctx,
			       how & (WITH_TLS | WITH_LOGIN), &peer);
	settle(w);
	if (how & WITH_LOGIN)
		push(w, c, SL(LOGIN));
	while (in.n > 0) {
		size_t n = how & IN_PIECES ? 1 + (size_t)(seed >> 33) % 7 : in.n;
		slice piece = slice_sub(in, 0, n);

		push(w, c, piece);
		in = slice_from(in, piece.n);
		seed = seed * 6364136223846793005u + 1442695040888963407u;
	}
	conn_sim_eof(c);
	settle(w);
	buf_add(out, conn_sim_received(c));
	check_output(buf_slice(out), how & WITH_LOGIN);
	CHECK(!(how & WITH_LOGIN) ||
	      slice_find(buf_slice(out), SL("+OK 3 messages ("), 0) < out->n);
	conn_sim_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct world w; /* made when first needed, see above */
	static bool is_ready;
	struct buf whole, cut;
	unsigned how;
	slice in;

	if (n == 0)
		return 0;
	how = data[0] & (WITH_TLS | WITH_LOGIN);
	in = slice_make(data + 1, n - 1);
	buf_init(&whole, 64u << 20);
	buf_init(&cut, 64u << 20);
	for (unsigned pieces = 0; pieces <= IN_PIECES; pieces += IN_PIECES) {
		if (!is_ready)
			init(&w);
		talk(&w, how | pieces, in, pieces ? &cut : &whole);
		is_ready = slice_ifind(in, SL("dele"), 0) == in.n;
		if (!is_ready)
			done(&w);
	}
	/* STLS ends what came in the clear; in pieces the rest is behind a handshake */
	if ((how & (WITH_TLS | WITH_LOGIN)) != 0)
		CHECK(slice_eq(buf_slice(&whole), buf_slice(&cut)));
	buf_done(&whole);
	buf_done(&cut);
	return 0;
}

/* fuzz_imap_session.c — a whole IMAP session over the sim loop: the server as the first
 * octet's bits say (TLS, logged in, selected), the rest from the client, once whole and
 * once in pieces, each time in a new world.
 *
 * Wanted: the same answers both times; no bare CR or LF but in literals (so: none at all
 * here, the messages have none); and nothing of the mail before the login (HAZARDS
 * 23). */
#include "auth/auth.h"
#include "base/hash.h"
#include "base/log.h"
#include "imap/imap.h"
#include "kv/kv.h"
#include "net/conn.h"
#include "store/store.h"
#include "work/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { WITH_TLS = 1, WITH_LOGIN = 2, WITH_SELECT = 4, IN_PIECES = 64 };
#define PASSWORD "T6W_Zyp9c1-kxbQ_" /* in no corpus */
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
	struct imap_ctx ctx;
	struct arena mem;
	uint32_t account;
};

static void deliver(struct world *w, slice text)
{
	struct store_place place = { .account = w->account };
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
	struct auth_options cheap = { .clock = &w->clock,
				      .argon2_kib = 8,
				      .argon2_passes = 1 };
	struct err e;
	slice verifier = SL("");

	*w = (struct world){ 0 };
	log_set_level(LOG_LEVEL_NONE);
	clock_init_virtual(&w->clock, 1767323045000000);
	arena_init(&w->mem);
	CHECK(kv_open(&kvo, &w->kv, &e) == ST_OK &&
	      store_open(w->kv, &w->clock, &w->store, &e) == ST_OK);
	w->auth = auth_new(w->store, &cheap);
	CHECK(store_domain_add(w->store, SL("example.org"), &e) == ST_OK);
	CHECK(auth_hash(w->auth, SL(PASSWORD), &w->mem, &verifier, &e) == ST_OK);
	CHECK(store_account_add(w->store, SL("ann@example.org"), verifier, &w->account,
				&e) == ST_OK);
	deliver(w, SL("Subject: one SECRET\r\nFrom: bob@example.org\r\n\r\nSECRET\r\n"));
	deliver(w,
		SL("Subject: two\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nSECRET\r\n--x\r\n"
		   "Content-Type: message/rfc822\r\n\r\nSubject: SECRET\r\n\r\nin\r\n--x--\r\n"));
	w->workers = worker_new(&(struct worker_options){ .clock = &w->clock });
	w->ctx = (struct imap_ctx){ .store = w->store,
				    .auth = w->auth,
				    .hostname = SL("mail.example.org"),
				    .max_message = 1 << 20 };
}

static void done(struct world *w)
{
	worker_free(w->workers);
	auth_free(w->auth);
	store_close(w->store);
	kv_close(w->kv);
	arena_release(&w->mem);
}

static void push(struct world *w, struct conn *c, slice s)
{
	conn_sim_send(c, s);
	while (worker_step(w->workers))
		;
}

static void check_output(slice s, bool may_see_mail)
{
	for (size_t i = 0; i < s.n; i++) {
		CHECK(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
		CHECK(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
	}
	CHECK(may_see_mail || slice_find(s, SL("SECRET"), 0) == s.n);
}

static void talk(unsigned how, slice in, struct buf *out)
{
	struct conn_peer peer = { .addr = "127.0.0.1", .is_loopback = true };
	const struct siphash_key key = { 1, 2 };
	uint64_t seed = siphash(&key, in) | 1;
	struct world w;
	struct conn *c;

	init(&w);
	c = worker_connect_sim(w.workers, &imap_service, &w.ctx, how & WITH_TLS, &peer);
	while (worker_step(w.workers))
		;
	if (how & WITH_TLS && how & WITH_LOGIN)
		push(&w, c, SL("l LOGIN ann@example.org " PASSWORD "\r\n"));
	if (how & WITH_TLS && how & WITH_LOGIN && how & WITH_SELECT)
		push(&w, c, SL("s SELECT INBOX\r\n"));
	while (in.n && !conn_sim_is_closed(c)) {
		size_t take = in.n;

		if (how & IN_PIECES) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			take = 1 + (seed >> 33) % 40;
		}
		push(&w, c, slice_sub(in, 0, take));
		in = slice_from(in, take);
	}
	conn_sim_eof(c);
	while (worker_step(w.workers))
		;
	buf_add(out, conn_sim_received(c));
	conn_sim_free(c);
	done(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole, pieces;
	unsigned how;
	slice in;

	if (n < 2 || n > 8192)
		return 0;
	how = data[0] & (WITH_TLS | WITH_LOGIN | WITH_SELECT);
	in = slice_make(data + 1, n - 1);
	buf_init(&whole, 16 << 20);
	buf_init(&pieces, 16 << 20);
	talk(how, in, &whole);
	talk(how | IN_PIECES, in, &pieces);
	check_output(buf_slice(&whole), (how & WITH_TLS && how & WITH_LOGIN) ||
						slice_find(in, SL("SECRET"), 0) < in.n);
	if (how & WITH_TLS) /* STARTTLS ends what came in the clear with it */
		CHECK(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
	buf_done(&whole);
	buf_done(&pieces);
	return 0;
}

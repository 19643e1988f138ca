#pragma once
/* smtp_world.h — a server without sockets for tests of the SMTP services: store in
 * memory (or any engine given), virtual clock, everything in one thread. Accounts as
 * in tests/transcript: ann (admin), bob, carol (disabled), info → bob, and u0 … uN. */
#include "auth/auth.h"
#include "base/limits.h"
#include "kv/kv.h"
#include "net/conn.h"
#include "smtp/smtp.h"
#include "store/store.h"

struct smtp_world {
	struct clock clock;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct worker_ctx *workers;
	struct smtp_config config;
	struct smtp_ctx ctx;
	struct arena mem;
};

static inline void world_must(enum status st, const struct err *e)
{
	if (st == ST_OK)
		return;
	fprintf(stderr, "world: %s\n", e->text);
	abort();
}

static inline void world_account(struct smtp_world *w, slice address, slice password)
{
	slice verifier = SL("");
	uint32_t id;
	struct err e;
	world_must(auth_hash(w->auth, password, &w->mem, &verifier, &e), &e);
	world_must(store_account_add(w->store, address, verifier, &id, &e), &e);
}

static inline void world_init(struct smtp_world *w, const struct kv_options *kvo)
{
	const struct kv_options memory = { .engine = KV_MEMORY, .mode = KV_COMMIT_INLINE };
	struct err e;
	*w = (struct smtp_world){ .config = { .hostname = SL("mail.example.org"), .has_tls = true } };
	clock_init_virtual(&w->clock, 1767323045000000);
	arena_init(&w->mem);
	world_must(kv_open(kvo ? kvo : &memory, &w->kv, &e), &e);
	world_must(store_open(w->kv, &w->clock, &w->store, &e), &e);
	w->auth = auth_new(w->store, &(struct auth_options){ .clock = &w->clock, .argon2_kib = 8, .argon2_passes = 1 });
	world_must(store_domain_add(w->store, SL("example.org"), &e), &e);
	world_account(w, SL("ann@example.org"), SL("ann-password"));
	world_account(w, SL("bob@example.org"), SL("bob-password"));
	world_account(w, SL("carol@example.org"), SL("carol-password"));
	world_must(store_account_set_disabled(w->store, SL("carol@example.org"), true, &e), &e);
	world_must(store_alias_add(w->store, SL("info@example.org"), SL("bob@example.org"), &e), &e);
	w->workers = worker_new(&(struct worker_options){ .clock = &w->clock });
	w->ctx = (struct smtp_ctx){ .config = &w->config, .store = w->store, .auth = w->auth, .background = worker_pool_background(w->workers) };
}

static inline void world_users(struct smtp_world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t id;
		struct err e;
		world_must(store_account_add(w->store, arena_fmt(&w->mem, "u%u@example.org", i), SL("{CRYPT}!"), &id, &e), &e);
	}
}

static inline void world_settle(struct smtp_world *w)
{
	while (worker_step(w->workers))
		;
}

static inline void world_done(struct smtp_world *w)
{
	worker_free(w->workers);
	auth_free(w->auth);
	store_close(w->store);
	kv_close(w->kv);
	arena_release(&w->mem);
}

static inline struct conn *world_connect(struct smtp_world *w, const struct service *svc, bool tls)
{
	struct conn_peer peer = { .addr = "192.0.2.10", .port = 40000, .local_port = 25, .local_addr = "192.0.2.1" };
	peer.is_loopback = true; /* no limits of connections */
	peer.net[10] = peer.net[11] = 0xff;
	peer.net[12] = 192;
	peer.net[14] = 2;
	peer.net[15] = 10;
	struct conn *c = worker_connect_sim(w->workers, svc, &w->ctx, tls, &peer);
	world_settle(w);
	return c;
}

/* Messages in the INBOX, or -1. */
static inline int64_t world_inbox(struct smtp_world *w, slice address)
{
	struct store_account account;
	struct store_mailbox box;
	struct err e;
	if (store_account_get(w->store, address, &w->mem, &account, &e) != ST_OK ||
	    store_mailbox_find(w->store, account.id, SL("INBOX"), &w->mem, &box, &e) != ST_OK)
		return -1;
	return box.messages;
}

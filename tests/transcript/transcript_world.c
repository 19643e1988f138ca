/* transcript_world.c — a whole server without sockets: store in memory, virtual clock,
 * everything in one thread. */
#include "transcript.h"
#include "auth/auth.h"
#include "kv/kv_engine.h"
#include "kv/kv_internal.h"
#include "net/conn.h"
#include "store/store.h"
#include "work/session.h"
#include <arpa/inet.h>

#define START_S 1767323045 /* 2026-01-02 03:04:05 UTC */

static void must(enum status st, const struct err *e, const char *what)
{
	if (st == ST_OK)
		return;
	fprintf(stderr, "transcript: %s: %s\n", what, e->text);
	abort();
}

static void add_account(struct world *w, slice address, slice password)
{
	slice verifier = SL("");
	struct err e;
	uint32_t id;

	must(auth_hash(w->auth, password, &w->mem, &verifier, &e), &e, "auth_hash");
	must(store_account_add(w->store, address, verifier, &id, &e), &e,
	     "store_account_add");
}

void world_init(struct world *w)
{
	const struct kv_options kvo = { .engine = KV_MEMORY, .mode = KV_COMMIT_INLINE };
	struct err e;

	*w = (struct world){ 0 };
	clock_init_virtual(&w->clock, (int64_t)START_S * 1000000);
	arena_init(&w->mem);
	must(kv_open(&kvo, &w->kv, &e), &e, "kv_open");
	must(store_open(w->kv, &w->clock, &w->store, &e), &e, "store_open");
	w->auth = auth_new(w->store, &(struct auth_options){ .clock = &w->clock,
							     .argon2_kib = 8,
							     .argon2_passes = 1 });
	must(store_domain_add(w->store, SL("example.org"), &e), &e, "store_domain_add");
	add_account(w, SL("ann@example.org"), SL("ann-password"));
	add_account(w, SL("bob@example.org"), SL("bob-password"));
	add_account(w, SL("carol@example.org"), SL("carol-password"));
	must(store_account_set_disabled(w->store, SL("carol@example.org"), true, &e), &e,
	     "store_account_set_disabled");
	must(store_alias_add(w->store, SL("info@example.org"), SL("bob@example.org"), &e),
	     &e, "store_alias_add");
	w->workers = worker_new(&(struct worker_options){ .clock = &w->clock });
}

void world_done(struct world *w)
{
	worker_free(w->workers);
	auth_free(w->auth);
	store_close(w->store);
	kv_close(w->kv);
	arena_release(&w->mem);
}

void world_settle(struct world *w)
{
	while (worker_step(w->workers))
		;
}

void world_advance(struct world *w, int64_t us)
{
	size_t n;
	struct loop *loop = worker_loops(w->workers, &n)[0];
	int64_t target = clock_mono_us(&w->clock) + us;

	world_settle(w);
	for (unsigned turns = 0; turns < 100000; turns++) {
		int64_t next = loop_next_timer_us(loop), now = clock_mono_us(&w->clock);

		if (next > target)
			break;
		if (next > now)
			clock_advance(&w->clock, next - now);
		world_settle(w);
	}
	if (clock_mono_us(&w->clock) < target)
		clock_advance(&w->clock, target - clock_mono_us(&w->clock));
	world_settle(w);
}

static uint32_t flag_named(slice name)
{
	static const struct {
		slice name;
		uint32_t flag;
	} flags[] = { { S("\\Seen"), FLAG_SEEN },
		      { S("\\Answered"), FLAG_ANSWERED },
		      { S("\\Flagged"), FLAG_FLAGGED },
		      { S("\\Draft"), FLAG_DRAFT },
		      { S("\\Deleted"), FLAG_DELETED } };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (slice_ieq(name, flags[i].name))
			return flags[i].flag;
	return 0;
}

static enum status file_it(struct world *w, struct intake *in,
			   const struct store_place *place, struct err *e)
{
	struct store_txn *t;
	uint32_t uid;
	enum status st = store_begin(w->store, &place->account, 1, NULL, &t, e);

	if (st != ST_OK)
		return st;
	st = store_add(t, in, place, &uid, e);
	if (st != ST_OK) {
		store_abort(t);
		return st;
	}
	return store_commit_wait(t, e);
}

bool world_deliver(struct world *w, const struct tstep *t, struct err *e)
{
	slice rest = t->text, address = slice_cut(&rest, ' ');
	struct store_account account;
	struct store_place place = { .prefix = t->prefix,
				     .internal_date = clock_now_s(&w->clock) };
	struct intake *in;
	bool ok;

	if (store_account_get(w->store, address, &w->mem, &account, e) != ST_OK)
		return false;
	place.account = account.id;
	while (rest.n > 0)
		place.flags.sys |= flag_named(slice_cut(&rest, ' '));
	in = intake_new(w->store, 0, 64u << 20);
	ok = intake_write(in, transcript_expand(&w->mem, NULL, t->body), e) == ST_OK &&
	     intake_end(in, e) == ST_OK && file_it(w, in, &place, e) == ST_OK;
	intake_free(in);
	world_settle(w);
	return ok;
}

/* ADDRESS|DOMAIN OCTETS MESSAGES [GRACE] */
static bool world_quota(struct world *w, slice rest, struct err *e)
{
	slice who = slice_cut(&rest, ' ');
	uint64_t bytes = 0, messages = 0;
	struct store_policy p;

	if (!slice_u64(slice_cut(&rest, ' '), INT64_MAX, &bytes) ||
	    !slice_u64(slice_cut(&rest, ' '), INT64_MAX, &messages))
		return err_set(e, ERR_SYNTAX, "expected two numbers") == ST_OK;
	store_policy_get(w->store, &p);
	if (rest.n > 0 && slice_u64(rest, INT64_MAX, &p.quota_grace) &&
	    store_policy_set(w->store, &p, e) != ST_OK)
		return false;
	if (slice_chr(who, '@', 0) == who.n)
		return store_quota_set_domain(w->store, who, bytes, messages, e) == ST_OK;
	return store_quota_set(w->store, who, bytes, messages, e) == ST_OK;
}

/* The memory engine has no disk: what is asked of one is answered by these two. */
bool world_disk(struct world *w, slice how)
{
	bool low = slice_eq(how, SL("low"));

	w->kv->reserve = low ? 2 : 0;
	w->kv->disk_free = low ? 1 : 0;
	w->kv->disk_low = low;
	return low || slice_eq(how, SL("fine"));
}

bool world_account(struct world *w, const struct tstep *t, struct err *e)
{
	if (t->kind == T_QUOTA)
		return world_quota(w, t->text, e);

	slice rest = t->text, address = slice_cut(&rest, ' '), verifier = SL("");

	if (t->kind == T_PASSWD)
		return auth_hash(w->auth, rest, &w->mem, &verifier, e) == ST_OK &&
		       store_account_set_verifier(w->store, address, verifier, e) ==
			       ST_OK;
	return store_account_set_disabled(w->store, address, t->kind == T_DISABLE, e) ==
	       ST_OK;
}

bool world_fail(struct world *w, slice how)
{
	static const struct {
		slice name;
		enum err_code code;
	} ways[] = { { S("disk-full"), ERR_DISK_FULL },
		     { S("io"), ERR_IO },
		     { S("sync"), ERR_STOPPED } };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!slice_eq(how, ways[i].name))
			continue;
		kv_memory_fail(w->kv->en, 1, ways[i].code);
		return true;
	}
	return false;
}

struct conn *world_connect(struct world *w, const struct peer_options *o)
{
	const struct transcript_service *s = transcript_services;
	struct conn_peer peer = { .port = 40000,
				  .local_port = 25,
				  .local_addr = "192.0.2.1" };
	char *addr = arena_cstr(&w->mem, o->addr);
	struct conn *c;

	while (s->name && !slice_eq(slice_str(s->name), o->service))
		s++;
	if (!s->name)
		return NULL;
	snprintf(peer.addr, sizeof(peer.addr), "%s", addr);
	peer.is_loopback = slice_starts(o->addr, SL("127.")) ||
			   slice_eq(o->addr, SL("::1"));
	if (inet_pton(AF_INET, addr, peer.net + 12) == 1)
		peer.net[10] = peer.net[11] = 0xff;
	else if (inet_pton(AF_INET6, addr, peer.net) == 1)
		memset(peer.net + 8, 0, 8);
	c = worker_connect_sim(w->workers, s->svc, s->make_ctx(w, o->tls), o->tls, &peer);
	world_settle(w);
	return c;
}

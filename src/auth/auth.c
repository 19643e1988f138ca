/* auth.c — logins: who it is, at the same price whether the user exists or not. */
#include "auth/auth_internal.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "store/store.h"
#include <openssl/crypto.h>

struct auth *auth_new(struct store *s, const struct auth_options *opt)
{
	struct auth *a = mem_new(sizeof(*a));
	struct arena mem;
	slice text;

	a->store = s;
	a->clock = opt->clock;
	a->delay_loopback = opt->delay_loopback;
	a->kib = opt->argon2_kib ? opt->argon2_kib : AUTH_ARGON2_KIB;
	a->passes = opt->argon2_passes ? opt->argon2_passes : AUTH_ARGON2_PASSES;
	pthread_mutex_init(&a->lock, NULL);
	a->throttle = throttle_new();
	a->proven = proven_new();
	arena_init(&mem);
	/* What unknown users are hashed against: same parameters, nobody's password. */
	if (verifier_make_argon2(SL("\x01"), a->kib, a->passes, &mem, &text, NULL) !=
		    ST_OK ||
	    verifier_parse(text, &a->dummy, NULL) != ST_OK)
		abort(); /* the parameters are ours: only memory can be short */
	random_bytes(a->dummy.hash, a->dummy.hash_n);
	arena_release(&mem);
	return a;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	throttle_free(a->throttle);
	proven_free(a->proven);
	pthread_mutex_destroy(&a->lock);
	mem_free(a);
}

void auth_wipe(slice secret)
{
	if (secret.n)
		OPENSSL_cleanse((void *)(uintptr_t)secret.p, secret.n);
}

/* --- logins ------------------------------------------------------------------------- */

/* Every refusal has cost one Argon2id and one SHA-512-crypt of the usual rounds, whatever
 * verifier the account has, or none: what the time says is nothing (HAZARDS 25). Imported
 * Argon2 parameters and other crypt methods cost what they cost. */
static void even_out(struct auth *a, const struct verifier *v, slice password)
{
	uint32_t rounds = AUTH_CRYPT_ROUNDS;

	if (!v || v->kind != VERIFIER_ARGON2) {
		/* the answer does not matter: only the time */
		if (verifier_check(&a->dummy, password, &a->work))
			return;
	}
	if (v && v->kind == VERIFIER_CRYPT)
		rounds = v->rounds != 0 && v->rounds < rounds ? rounds - v->rounds : 0;
	if (rounds >= 1000)
		verifier_burn_crypt(password, rounds, &a->work);
}

struct attempt {
	slice user, password;
	const unsigned char *net;
	bool counts_net; /* loopback is not delayed unless asked for */
	int64_t now_s; /* monotonic: a clock that is set neither locks out nor lets in */
};

static enum status refuse(struct auth *a, const struct attempt *t,
			  const struct verifier *v, int64_t *out_delay_ms, struct err *e)
{
	int64_t ms;

	even_out(a, v, t->password);
	pthread_mutex_lock(&a->lock);
	ms = throttle_failed(a->throttle, t->net, t->counts_net, t->user, t->password,
			     t->now_s);
	pthread_mutex_unlock(&a->lock);
	*out_delay_ms = t->counts_net ? ms : 0;
	return err_set(e, ERR_AUTH, "wrong user or password");
}

/* The answer to a right password that was not proven lately waits as long as a wrong
 * one's would have, from an address under suspicion that the account has not used within
 * 30 days: otherwise a guesser would hang up early and try on. */
static int64_t admit(struct auth *a, const struct attempt *t, uint32_t account,
		     const struct proven_mac *mac, bool was_proven)
{
	int64_t ms = 0;

	pthread_mutex_lock(&a->lock);
	if (!was_proven) {
		proven_add(a->proven, account, mac, t->now_s);
		if (t->counts_net &&
		    !proven_net_is_known(a->proven, account, t->net, t->now_s))
			ms = throttle_delay(a->throttle, t->net, t->now_s);
	}
	proven_net_add(a->proven, account, t->net, t->now_s);
	pthread_mutex_unlock(&a->lock);
	return ms;
}

enum status auth_password(struct auth *a, slice user, slice password,
			  const unsigned char net[16], bool is_loopback,
			  struct arena *mem, struct auth_user *out, int64_t *out_delay_ms,
			  const char **out_reason, struct err *e)
{
	const struct attempt t = { user, password, net, !is_loopback || a->delay_loopback,
				   clock_mono_us(a->clock) / 1000000 };
	struct store_account account;
	struct proven_mac mac;
	struct verifier v;
	struct err why;
	bool known;

	*out_delay_ms = 0;
	*out_reason = "unknown user";
	if (user.n == 0 || user.n > LIMIT_USER)
		return refuse(a, &t, NULL, out_delay_ms, e);
	if (store_account_get(a->store, user, mem, &account, &why) != ST_OK) {
		if (why.code == ERR_NO_ACCOUNT || why.code == ERR_SYNTAX ||
		    why.code == ERR_NO_DOMAIN)
			return refuse(a, &t, NULL, out_delay_ms, e);
		*out_reason = "the store does not answer";
		return err_set(e, ERR_BUSY, "%s", why.text);
	}
	proven_make_mac(a->proven, account.id, account.verifier, password, &mac);
	pthread_mutex_lock(&a->lock);
	known = proven_has(a->proven, account.id, &mac, t.now_s);
	pthread_mutex_unlock(&a->lock);
	if (!known) {
		*out_reason = "wrong password";
		if (verifier_parse(account.verifier, &v, NULL) != ST_OK) {
			*out_reason = "unreadable verifier";
			return refuse(a, &t, NULL, out_delay_ms, e);
		}
		if (!verifier_check(&v, password, &a->work))
			return refuse(a, &t, &v, out_delay_ms, e);
	}
	if (account.disabled) {
		*out_reason = "account disabled";
		return err_set(e, ERR_DISABLED, "the account is disabled");
	}
	*out_delay_ms = admit(a, &t, account.id, &mac, known);
	*out_reason = "";
	*out = (struct auth_user){ .account = account.id,
				   .address = account.address,
				   .is_admin = account.is_admin };
	return ST_OK;
}

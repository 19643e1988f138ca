#pragma once
/* auth_internal.h — the parts of auth/, for auth/ and its unit tests alone.
 *
 * verifier_*: pure, any thread. throttle_*, proven_*: not locked, auth.c holds its mutex
 * around them; times are seconds of the caller's clock. None of them keeps a password or
 * a name: only keyed hashes. */
#include "auth/auth.h"
#include "base/hash.h"
#include <pthread.h>
#include <stdatomic.h>

/* --- verifiers ---------------------------------------------------------------------- */
#define AUTH_ARGON2_KIB	   19456u /* OWASP: 19 MiB, 2 passes, 1 lane */
#define AUTH_ARGON2_PASSES 2u
#define AUTH_CRYPT_ROUNDS  5000u /* what $6$ means without "rounds=" */

/* How many password hashes were computed: the timing test counts them instead of
 * seconds. */
struct auth_work {
	_Atomic uint64_t argon2, crypt;
};
enum verifier_kind { VERIFIER_ARGON2, VERIFIER_CRYPT };
struct verifier {
	enum verifier_kind kind;
	int type; /* argon2_type */
	uint32_t version, kib, passes, lanes;
	size_t salt_n, hash_n;
	unsigned char salt[64], hash[64];
	char crypt[320]; /* the whole crypt(3) string, NUL-terminated */
	uint32_t rounds; /* of $6$; 0: another method */
};
enum status verifier_parse(slice text, struct verifier *out, struct err *e) MUST_USE;
bool verifier_check(const struct verifier *v, slice password, struct auth_work *work);
/* Cheap and expensive hashes of new passwords. */
enum status verifier_make_argon2(slice password, uint32_t kib, uint32_t passes,
				 struct arena *mem, slice *out, struct err *e) MUST_USE;
enum status verifier_make_crypt(slice password, uint32_t rounds, struct arena *mem,
				slice *out, struct err *e) MUST_USE;
/* One SHA-512-crypt of so many rounds, for nothing. */
void verifier_burn_crypt(slice password, uint32_t rounds, struct auth_work *work);

/* --- throttle ----------------------------------------------------------------------- */
struct throttle;
struct throttle *throttle_new(void);
void throttle_free(struct throttle *t);
/* One wrong password from net for user. Returns the delay in ms that its answer gets.
 * has_net false: only the account's own budget counts. */
int64_t throttle_failed(struct throttle *t, const unsigned char net[16], bool has_net,
			slice user, slice password, int64_t now_s);
/* What a new wrong password would be delayed by, without counting one. */
int64_t throttle_delay(struct throttle *t, const unsigned char net[16], int64_t now_s);

/* --- what was proven ---------------------------------------------------------------- */
struct proven;
struct proven *proven_new(void);
void proven_free(struct proven *p);
struct proven_mac {
	unsigned char h[32];
};
/* HMAC-SHA-256 under the key drawn by proven_new, over account, verifier and password.
 * Thread-safe. */
void proven_make_mac(const struct proven *p, uint32_t account, slice verifier,
		     slice password, struct proven_mac *out);
bool proven_has(struct proven *p, uint32_t account, const struct proven_mac *mac,
		int64_t now_s);
void proven_add(struct proven *p, uint32_t account, const struct proven_mac *mac,
		int64_t now_s);
/* This account has logged in from this net within 30 days. */
bool proven_net_is_known(struct proven *p, uint32_t account, const unsigned char net[16],
			 int64_t now_s);
void proven_net_add(struct proven *p, uint32_t account, const unsigned char net[16],
		    int64_t now_s);

struct auth {
	struct store *store;
	const struct clock *clock;
	bool delay_loopback;
	uint32_t kib, passes;
	struct verifier dummy;
	struct auth_work work;
	pthread_mutex_t lock; /* throttle and proven; never held while hashing */
	struct throttle *throttle;
	struct proven *proven;
};

/* auth_proven.c — what was proven a while ago need not be hashed again.
 *
 * An entry is HMAC-SHA-256(key drawn at start; account, verifier, password): it holds no
 * password, it does not outlive the process, and it is void the moment the verifier
 * changes, because nobody computes that MAC any more. Tables are of fixed size, sets of
 * WAYS entries found by the account; in a full set the entry used longest ago goes. */
#include "auth/auth_internal.h"
#include "base/alloc.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define SETS	 4096u
#define NET_SETS 4096u
#define WAYS	 8u
#define PROVEN_S 3600
#define NET_S	 (30 * 86400)

struct proof {
	uint32_t account; /* 0: free */
	int64_t made_s, used_s;
	struct proven_mac mac;
};
struct seen {
	uint64_t key; /* 0: free */
	int64_t at_s;
};
struct proven {
	unsigned char hmac_key[32];
	struct siphash_key key;
	struct proof proofs[SETS][WAYS];
	struct seen nets[NET_SETS][WAYS];
};

struct proven *proven_new(void)
{
	struct proven *p = mem_new(sizeof(*p));

	random_bytes(p->hmac_key, sizeof(p->hmac_key));
	random_bytes(&p->key, sizeof(p->key));
	return p;
}

void proven_free(struct proven *p)
{
	if (p)
		OPENSSL_cleanse(p->hmac_key, sizeof(p->hmac_key));
	mem_free(p);
}

/* Fields are hashed one by one first, so that no two different triples give the same
 * input. */
void proven_make_mac(const struct proven *p, uint32_t account, slice verifier,
		     slice password, struct proven_mac *out)
{
	unsigned char input[4 + 32 + 32];
	unsigned n = sizeof(out->h);

	memcpy(input, &account, 4);
	if (!HMAC(EVP_sha256(), p->hmac_key, sizeof(p->hmac_key),
		  (const unsigned char *)verifier.p, verifier.n, input + 4, &n) ||
	    !HMAC(EVP_sha256(), p->hmac_key, sizeof(p->hmac_key),
		  (const unsigned char *)password.p, password.n, input + 36, &n) ||
	    !HMAC(EVP_sha256(), p->hmac_key, sizeof(p->hmac_key), input, sizeof(input),
		  out->h, &n))
		abort(); /* out of memory is the only cause */
	OPENSSL_cleanse(input, sizeof(input));
}

static struct proof *proof_set(struct proven *p, uint32_t account)
{
	return p->proofs[siphash(&p->key, slice_make(&account, sizeof(account))) % SETS];
}

bool proven_has(struct proven *p, uint32_t account, const struct proven_mac *mac,
		int64_t now_s)
{
	struct proof *set = proof_set(p, account);

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].account != account || now_s - set[i].made_s >= PROVEN_S ||
		    now_s < set[i].made_s ||
		    CRYPTO_memcmp(set[i].mac.h, mac->h, sizeof(mac->h)) != 0)
			continue;
		set[i].used_s = now_s;
		return true;
	}
	return false;
}

/* One entry an account: it has one password. */
void proven_add(struct proven *p, uint32_t account, const struct proven_mac *mac,
		int64_t now_s)
{
	struct proof *set = proof_set(p, account);
	struct proof *at = &set[0];

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].account == account) {
			at = &set[i];
			break;
		}
		if (set[i].account == 0 ||
		    (at->account != 0 && set[i].used_s < at->used_s))
			at = &set[i];
	}
	*at = (struct proof){
		.account = account, .made_s = now_s, .used_s = now_s, .mac = *mac
	};
}

static uint64_t seen_key(const struct proven *p, uint32_t account,
			 const unsigned char net[16])
{
	unsigned char text[20];

	memcpy(text, &account, 4);
	memcpy(text + 4, net, 16);
	return siphash(&p->key, slice_make(text, sizeof(text))) | 1;
}

bool proven_net_is_known(struct proven *p, uint32_t account, const unsigned char net[16],
			 int64_t now_s)
{
	uint64_t key = seen_key(p, account, net);
	const struct seen *set = p->nets[(key >> 32) % NET_SETS];

	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].key == key && now_s - set[i].at_s < NET_S)
			return true;
	return false;
}

void proven_net_add(struct proven *p, uint32_t account, const unsigned char net[16],
		    int64_t now_s)
{
	uint64_t key = seen_key(p, account, net);
	struct seen *set = p->nets[(key >> 32) % NET_SETS];
	struct seen *at = &set[0];

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].key == key) {
			at = &set[i];
			break;
		}
		if (set[i].at_s < at->at_s)
			at = &set[i];
	}
	*at = (struct seen){ .key = key, .at_s = now_s };
}

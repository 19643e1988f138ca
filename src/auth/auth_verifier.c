/* auth_verifier.c — password verifiers: Argon2 (RFC 9106) through libargon2, crypt(3)
 * through libcrypt.
 *
 * Parameters come from imported files: they are bounded here, so that no verifier can
 * cost minutes or gigabytes. */
#include "auth/auth_internal.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>

#define ARGON2_KIB_MAX	  (256u << 10)
#define ARGON2_PASSES_MAX 32u
#define ARGON2_LANES_MAX  16u
#define CRYPT_ROUNDS_MAX  1000000u
#define BCRYPT_COST_MAX	  14u

/* --- Argon2: $argon2id$v=19$m=19456,t=2,p=1$salt$hash ------------------------------- */

/* The PHC string's base64 has no padding. */
static bool b64_open(slice in, unsigned char *dst, size_t max, size_t *out_n)
{
	AUTO_BUF text, raw;
	bool ok;

	buf_init(&text, 256);
	buf_init(&raw, 256);
	buf_add(&text, in);
	while (text.n % 4 != 0 && !text.full)
		buf_addc(&text, '=');
	ok = !text.full && base64_decode(&raw, buf_slice(&text)) && raw.n > 0 &&
	     raw.n <= max;
	if (ok) {
		memcpy(dst, raw.p, raw.n);
		*out_n = raw.n;
	}
	return ok;
}

static void b64_close(struct buf *out, const void *p, size_t n)
{
	base64_encode(out, slice_make(p, n));
	while (out->n > 0 && out->p[out->n - 1] == '=')
		out->n--;
}

static bool param(slice *s, const char *name, uint32_t max, uint32_t *out)
{
	slice item = slice_cut(s, ',');
	slice want = slice_str(name);

	return slice_starts(item, want) && slice_u32(slice_from(item, want.n), out) &&
	       *out >= 1 && *out <= max;
}

static enum status argon2_parse(slice text, struct verifier *v, struct err *e)
{
	slice rest = text, type, version, params, salt, hash;

	slice_cut(&rest, '$');
	type = slice_cut(&rest, '$');
	v->version = ARGON2_VERSION_10; /* the reference's oldest strings have no "v=" */
	if (slice_starts(rest, SL("v="))) {
		version = slice_cut(&rest, '$');
		if (!slice_u32(slice_from(version, 2), &v->version) ||
		    (v->version != ARGON2_VERSION_10 && v->version != ARGON2_VERSION_13))
			return err_set(e, ERR_SYNTAX, "unknown Argon2 version");
	}
	params = slice_cut(&rest, '$');
	salt = slice_cut(&rest, '$');
	hash = rest;
	if (slice_eq(type, SL("argon2id")))
		v->type = Argon2_id;
	else if (slice_eq(type, SL("argon2i")))
		v->type = Argon2_i;
	else
		return err_set(e, ERR_SYNTAX, "not an Argon2id or Argon2i hash");
	if (!param(&params, "m=", ARGON2_KIB_MAX, &v->kib) ||
	    !param(&params, "t=", ARGON2_PASSES_MAX, &v->passes) ||
	    !param(&params, "p=", ARGON2_LANES_MAX, &v->lanes) || params.n != 0 ||
	    v->kib < 8 * v->lanes)
		return err_set(e, ERR_SYNTAX,
			       "Argon2 parameters are malformed or above m=%u,t=%u,p=%u",
			       ARGON2_KIB_MAX, ARGON2_PASSES_MAX, ARGON2_LANES_MAX);
	if (!b64_open(salt, v->salt, sizeof(v->salt), &v->salt_n) || v->salt_n < 8)
		return err_set(e, ERR_SYNTAX, "Argon2 salt is malformed");
	if (!b64_open(hash, v->hash, sizeof(v->hash), &v->hash_n) || v->hash_n < 16)
		return err_set(e, ERR_SYNTAX, "Argon2 hash is malformed");
	v->kind = VERIFIER_ARGON2;
	return ST_OK;
}

static bool argon2_run(const struct verifier *v, slice password, unsigned char *hash)
{
	argon2_context c = {
		.out = hash,
		.outlen = (uint32_t)v->hash_n,
		.pwd = (uint8_t *)(uintptr_t)password.p,
		.pwdlen = (uint32_t)password.n,
		.salt = (uint8_t *)(uintptr_t)v->salt,
		.saltlen = (uint32_t)v->salt_n,
		.t_cost = v->passes,
		.m_cost = v->kib,
		.lanes = v->lanes,
		.threads = 1, /* the pool is the limit */
		.version = v->version,
		.flags = ARGON2_DEFAULT_FLAGS,
	};

	return argon2_ctx(&c, (argon2_type)v->type) == ARGON2_OK;
}

enum status verifier_make_argon2(slice password, uint32_t kib, uint32_t passes,
				 struct arena *mem, slice *out, struct err *e)
{
	struct verifier v = { .kind = VERIFIER_ARGON2,
			      .type = Argon2_id,
			      .version = ARGON2_VERSION_13,
			      .kib = kib,
			      .passes = passes,
			      .lanes = 1,
			      .salt_n = 16,
			      .hash_n = 32 };
	AUTO_BUF text;

	random_bytes(v.salt, v.salt_n);
	if (!argon2_run(&v, password, v.hash))
		return err_set(e, ERR_BUSY, "the password hash could not be computed");
	buf_init(&text, 512);
	buf_addf(&text, "{ARGON2ID}$argon2id$v=%u$m=%u,t=%u,p=1$", v.version, kib,
		 passes);
	b64_close(&text, v.salt, v.salt_n);
	buf_addc(&text, '$');
	b64_close(&text, v.hash, v.hash_n);
	*out = arena_dup(mem, buf_slice(&text));
	return ST_OK;
}

/* --- crypt(3) ----------------------------------------------------------------------- */

static bool is_crypt_text(slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || strchr(":;*!\\", s.p[i]))
			return false;
	return s.n > 0;
}

/* The part behind the last '$': its length is fixed by the method. */
static bool has_tail(slice s, size_t n)
{
	size_t at = slice_rchr(s, '$');

	return at < s.n && s.n - at - 1 == n;
}

/* "$5$rounds=N$": bounded; "$5$salt$" is the default. */
static bool sha_rounds(slice s, uint32_t *out)
{
	slice rest = slice_from(s, 3);
	slice first = slice_cut(&rest, '$');

	*out = AUTH_CRYPT_ROUNDS;
	if (!slice_starts(first, SL("rounds=")))
		return true;
	return slice_u32(slice_from(first, 7), out) && *out <= CRYPT_ROUNDS_MAX;
}

static bool is_bcrypt_fit(slice s)
{
	uint32_t cost;

	return s.n == 60 && s.p[3] == '$' && s.p[6] == '$' &&
	       slice_u32(slice_sub(s, 4, 2), &cost) && cost <= BCRYPT_COST_MAX;
}

/* yescrypt: "$y$j9T$salt$hash": flavour j, N by one character, r by one; 'C' is 2^14
 * blocks, far above the default. */
static bool is_yescrypt_fit(slice s)
{
	return s.n > 8 && s.p[3] == 'j' && strchr("./0123456789AB", s.p[4]) &&
	       s.p[5] == 'T' && s.p[6] == '$' && has_tail(s, 43);
}

/* What libcrypt knows and what costs a bounded time. */
static bool crypt_is_fit(slice s, uint32_t *out_rounds)
{
	uint32_t rounds;

	*out_rounds = 0;
	if (slice_starts(s, SL("$6$")))
		return sha_rounds(s, out_rounds) && has_tail(s, 86);
	if (slice_starts(s, SL("$5$")))
		return sha_rounds(s, &rounds) && has_tail(s, 43);
	if (slice_starts(s, SL("$1$")))
		return has_tail(s, 22);
	if (slice_starts(s, SL("$2a$")) || slice_starts(s, SL("$2b$")) ||
	    slice_starts(s, SL("$2y$")))
		return is_bcrypt_fit(s);
	if (slice_starts(s, SL("$y$")))
		return is_yescrypt_fit(s);
	return s.n == 13 && s.p[0] != '$' && s.p[0] != '_'; /* traditional DES */
}

static enum status crypt_parse(slice s, struct verifier *v, struct err *e)
{
	int known;

	if (s.n >= sizeof(v->crypt) || !is_crypt_text(s) || !crypt_is_fit(s, &v->rounds))
		return err_set(e, ERR_SYNTAX,
			       "not a crypt(3) hash of a known method and bounded cost");
	memcpy(v->crypt, s.p, s.n);
	v->crypt[s.n] = 0;
	known = crypt_checksalt(v->crypt);
	if (known == CRYPT_SALT_INVALID || known == CRYPT_SALT_METHOD_DISABLED)
		return err_set(e, ERR_SYNTAX, "crypt(3) does not know this hash");
	v->kind = VERIFIER_CRYPT;
	return ST_OK;
}

/* crypt(3) of password under setting, into dst; false when it cannot be computed. */
static bool crypt_run(const char *setting, slice password, char *dst, size_t max)
{
	struct crypt_data *d = mem_new(sizeof(*d));
	char text[LIMIT_PASSWORD + 1];
	const char *got;
	bool ok;

	if (password.n > 0)
		memcpy(text, password.p, password.n);
	text[password.n] = 0;
	got = crypt_r(text, setting, d);
	ok = got && got[0] != '*' && strlen(got) < max;
	if (ok)
		memcpy(dst, got, strlen(got) + 1);
	OPENSSL_cleanse(text, sizeof(text));
	mem_free_secret(d, sizeof(*d));
	return ok;
}

enum status verifier_make_crypt(slice password, uint32_t rounds, struct arena *mem,
				slice *out, struct err *e)
{
	char random[16], setting[CRYPT_GENSALT_OUTPUT_SIZE], hash[320];

	random_bytes(random, sizeof(random));
	if (!crypt_gensalt_rn("$6$", rounds, random, sizeof(random), setting,
			      sizeof(setting)) ||
	    !crypt_run(setting, password, hash, sizeof(hash)))
		return err_set(e, ERR_BUSY, "the password hash could not be computed");
	*out = arena_fmt(mem, "{CRYPT}%s", hash);
	return ST_OK;
}

void verifier_burn_crypt(slice password, uint32_t rounds, struct auth_work *work)
{
	char setting[64], hash[320];

	if (password.n > LIMIT_PASSWORD)
		password.n = LIMIT_PASSWORD;
	snprintf(setting, sizeof(setting), "$6$rounds=%u$facteurdummysalt$",
		 rounds < 1000 ? 1000 : rounds);
	if (crypt_run(setting, password, hash, sizeof(hash)))
		OPENSSL_cleanse(hash, sizeof(hash));
	atomic_fetch_add(&work->crypt, 1);
}

/* --- both --------------------------------------------------------------------------- */

enum status verifier_parse(slice text, struct verifier *out, struct err *e)
{
	struct verifier v = { 0 };
	enum status st;

	if (slice_starts(text, SL("{ARGON2ID}")) || slice_starts(text, SL("{ARGON2I}")))
		st = argon2_parse(slice_from(text, slice_chr(text, '}', 0) + 1), &v, e);
	else if (slice_starts(text, SL("{CRYPT}")))
		st = crypt_parse(slice_from(text, 7), &v, e);
	else
		st = err_set(e, ERR_SYNTAX, "unknown password scheme");
	if (st == ST_OK)
		*out = v;
	return st;
}

bool verifier_check(const struct verifier *v, slice password, struct auth_work *work)
{
	bool fits = password.n <=
		    LIMIT_PASSWORD; /* too long is wrong, and costs the same */
	bool ok;

	if (!fits)
		password.n = LIMIT_PASSWORD;
	if (v->kind == VERIFIER_ARGON2) {
		unsigned char hash[sizeof(v->hash)];

		ok = argon2_run(v, password, hash) &&
		     CRYPTO_memcmp(hash, v->hash, v->hash_n) == 0;
		atomic_fetch_add(&work->argon2, 1);
		OPENSSL_cleanse(hash, sizeof(hash));
	} else {
		char hash[sizeof(v->crypt)];
		size_t n = strlen(v->crypt);

		ok = crypt_run(v->crypt, password, hash, sizeof(hash)) &&
		     strlen(hash) == n && CRYPTO_memcmp(hash, v->crypt, n) == 0;
		ok = ok && slice_chr(password, 0, 0) ==
				   password.n; /* crypt(3) stops at NUL: never a match */
		atomic_fetch_add(&work->crypt, 1);
		OPENSSL_cleanse(hash, sizeof(hash));
	}
	return ok && fits;
}

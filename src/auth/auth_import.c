/* auth_import.c — verifiers for new passwords and from other servers' files (Dovecot's
 * passwd-file schemes). */
#include "auth/auth_internal.h"
#include "base/limits.h"

static bool is_password(slice password)
{
	for (size_t i = 0; i < password.n; i++)
		if (password.p[i] == 0 || password.p[i] == '\r' || password.p[i] == '\n')
			return false;
	return password.n > 0 && password.n <= LIMIT_PASSWORD;
}

enum status auth_hash(struct auth *a, slice password, struct arena *mem, slice *out,
		      struct err *e)
{
	if (!is_password(password))
		return err_set(
			e, ERR_SYNTAX,
			"a password has 1 to %d octets, none of them NUL, CR or LF",
			LIMIT_PASSWORD);
	return verifier_make_argon2(password, a->kib, a->passes, mem, out, e);
}

bool auth_verifier_matches(slice verifier, slice password)
{
	struct auth_work work = { 0 };
	struct verifier v;

	return verifier_parse(verifier, &v, NULL) == ST_OK &&
	       verifier_check(&v, password, &work);
}

/* --- import ------------------------------------------------------------------------- */

static const struct {
	slice name,
		prefix; /* what the hash must begin with; empty: anything crypt(3) knows */
	slice scheme;	/* ours */
} schemes[] = {
	{ S("CRYPT"), S(""), S("{CRYPT}") },
	{ S("SHA512-CRYPT"), S("$6$"), S("{CRYPT}") },
	{ S("SHA256-CRYPT"), S("$5$"), S("{CRYPT}") },
	{ S("MD5-CRYPT"), S("$1$"), S("{CRYPT}") },
	{ S("BLF-CRYPT"), S("$2"), S("{CRYPT}") },
	{ S("ARGON2ID"), S("$argon2id$"), S("{ARGON2ID}") },
	{ S("ARGON2I"), S("$argon2i$"), S("{ARGON2I}") },
};

static enum status import_plain(struct auth *a, slice password, bool bulk,
				struct arena *mem, slice *out, struct err *e)
{
	if (!is_password(password))
		return err_set(
			e, ERR_SYNTAX,
			"a password has 1 to %d octets, none of them NUL, CR or LF",
			LIMIT_PASSWORD);
	if (bulk)
		return verifier_make_crypt(password, 1000, mem, out, e);
	return verifier_make_argon2(password, a->kib, a->passes, mem, out, e);
}

enum status auth_import_verifier(struct auth *a, slice scheme_hash, bool bulk,
				 struct arena *mem, slice *out, struct err *e)
{
	slice name = SL("CRYPT"), hash = scheme_hash, text;
	struct verifier v;
	enum status st;

	if (hash.n > 0 && hash.p[0] == '{') {
		size_t end = slice_chr(hash, '}', 0);

		if (end == hash.n)
			return err_set(e, ERR_SYNTAX,
				       "the password scheme has no closing brace");
		name = slice_sub(hash, 1, end - 1);
		hash = slice_from(hash, end + 1);
	}
	if (slice_ieq(name, SL("PLAIN")) || slice_ieq(name, SL("CLEAR")) ||
	    slice_ieq(name, SL("CLEARTEXT")))
		return import_plain(a, hash, bulk, mem, out, e);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (!slice_ieq(name, schemes[i].name))
			continue;
		if (!slice_starts(hash, schemes[i].prefix))
			return err_set(e, ERR_SYNTAX, "a {%.*s} hash begins with %.*s",
				       FMT(schemes[i].name), FMT(schemes[i].prefix));
		text = arena_join(mem, schemes[i].scheme, hash);
		st = verifier_parse(text, &v, e);
		if (st == ST_OK)
			*out = text;
		return st;
	}
	return err_set(e, ERR_SYNTAX, "unknown password scheme {%.*s}",
		       (int)(name.n < 40 ? name.n : 40), name.p);
}

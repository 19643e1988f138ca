/* auth_sasl.c — SASL PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), the
 * server's side. Pure. */
#include "auth/auth.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <openssl/crypto.h>

/* The longest client line worth decoding: authzid, authcid and password in base64. */
#define LINE_MAX_B64 LIMIT_SMTP_AUTH_LINE

enum status sasl_plain_parse(slice message, slice *out_user, slice *out_password,
			     struct err *e)
{
	slice authzid, authcid, rest = message;

	/* RFC 4616 2: message = [authzid] UTF8NUL authcid UTF8NUL passwd; authcid and
	 * passwd are not empty */
	authzid = slice_cut(&rest, 0);
	authcid = slice_cut(&rest, 0);
	if (authcid.n == 0 || rest.n == 0 || authcid.p + authcid.n + 1 != rest.p ||
	    slice_chr(rest, 0, 0) != rest.n)
		return err_set(e, ERR_SYNTAX, "malformed PLAIN message");
	if (authzid.n != 0 && !slice_ieq(authzid, authcid))
		return err_set(e, ERR_AUTH, "acting for another user is not supported");
	*out_user = authcid;
	*out_password = rest;
	return ST_OK;
}

static bool decode(slice line, struct arena *a, slice *out)
{
	struct buf raw;
	bool ok;

	buf_init(&raw, LINE_MAX_B64);
	ok = line.n <= LINE_MAX_B64 && base64_decode(&raw, line);
	if (ok)
		*out = arena_dup(a, buf_slice(&raw));
	if (raw.p)
		OPENSSL_cleanse(raw.p, raw.cap);
	buf_done(&raw);
	return ok;
}

void sasl_reset(struct sasl *s)
{
	*s = (struct sasl){ .state = SASL_NONE };
}

static enum sasl_result bad(struct sasl *s)
{
	sasl_reset(s);
	return SASL_BAD;
}

enum sasl_result sasl_start(struct sasl *s, slice mechanism, const slice *initial,
			    struct arena *a, slice *out_challenge, slice *out_user,
			    slice *out_password)
{
	sasl_reset(s);
	if (slice_ieq(mechanism, SL("PLAIN"))) {
		s->state = SASL_PLAIN;
		if (initial)
			return sasl_step(s, *initial, a, out_challenge, out_user,
					 out_password);
		*out_challenge = SL("");
		return SASL_CHALLENGE;
	}
	if (slice_ieq(mechanism, SL("LOGIN"))) {
		s->state = SASL_LOGIN_USER;
		if (initial)
			return sasl_step(s, *initial, a, out_challenge, out_user,
					 out_password);
		*out_challenge = SL("VXNlcm5hbWU6"); /* "Username:" */
		return SASL_CHALLENGE;
	}
	return bad(s);
}

enum sasl_result sasl_step(struct sasl *s, slice line, struct arena *a,
			   slice *out_challenge, slice *out_user, slice *out_password)
{
	slice text, user, password;

	if (slice_eq(line, SL("*"))) {
		sasl_reset(s);
		return SASL_CANCELLED;
	}
	/* RFC 4954 4: "=" is an empty response; neither mechanism has one */
	if (slice_eq(line, SL("=")))
		return bad(s);
	if (s->state == SASL_NONE || !decode(line, a, &text) || text.n == 0)
		return bad(s);
	switch (s->state) {
	case SASL_PLAIN:
		if (sasl_plain_parse(text, &user, &password, NULL) != ST_OK)
			return bad(s);
		sasl_reset(s);
		*out_user = user;
		*out_password = password;
		return SASL_CREDENTIALS;
	case SASL_LOGIN_USER:
		s->user = text;
		s->state = SASL_LOGIN_PASSWORD;
		*out_challenge = SL("UGFzc3dvcmQ6"); /* "Password:" */
		return SASL_CHALLENGE;
	case SASL_LOGIN_PASSWORD:
		*out_user = s->user;
		*out_password = text;
		sasl_reset(s);
		return SASL_CREDENTIALS;
	case SASL_NONE:
		break;
	}
	return bad(s);
}

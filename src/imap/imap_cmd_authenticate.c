/* imap_cmd_authenticate.c — AUTHENTICATE PLAIN and LOGIN.  RFC 3501 6.2.2, RFC 4959
 * (SASL-IR), RFC 4616. */
#include "imap/imap_cmds.h"

struct authenticate {
	slice mechanism, initial;
	bool has_initial;
};

static bool is_base64_char(char c)
{
	return is_alpha(c) || is_digit(c) || c == '+' || c == '/' || c == '=';
}

/* authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")] *(CRLF base64) */
static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct authenticate *au = ARENA_NEW(p->a, struct authenticate);
	size_t from;

	c->arg = au;
	if (!imap_parse_sp(p) || !imap_parse_atom(p, &au->mechanism))
		return false;
	if (!imap_parse_accept(p, ' '))
		return true;
	au->has_initial = true;
	from = p->at;
	while (p->at < p->s.n && is_base64_char(p->s.p[p->at]))
		p->at++;
	au->initial = slice_sub(p->s, from, p->at - from);
	return au->initial.n || imap_parse_fail(p, "base64 expected");
}

static enum step result(struct imap *im, struct imap_cmd *c, enum sasl_result r,
			slice challenge, slice user, slice password, struct out *o)
{
	enum step st;

	switch (r) {
	case SASL_CHALLENGE:
		out_adds(o, "+ ");
		out_add(o, challenge);
		out_adds(o, "\r\n");
		return STEP_DONE; /* no tagged line yet */
	case SASL_CREDENTIALS:
		st = imap_login(im, c, user, password, o);
		auth_wipe(password);
		break;
	case SASL_CANCELLED: /* RFC 3501 6.2.2: "*" is answered with BAD */
		st = imap_bad(im, c, "Cancelled");
		break;
	case SASL_BAD:
	default:
		st = imap_bad(im, c,
			      "That is not base64, or not what the mechanism wants");
		break;
	}
	sasl_reset(&im->sasl);
	arena_release(&im->held);
	return st;
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct authenticate *au = c->arg;
	slice challenge = SL(""), user = SL(""), password = SL("");
	enum sasl_result r;

	if (!slice_ieq(au->mechanism, SL("PLAIN")) &&
	    !slice_ieq(au->mechanism, SL("LOGIN")))
		return imap_no_text(im, c, "[CANNOT] Unknown mechanism");
	if (!imap_is_secure(im))
		return imap_no_text(im, c, "[PRIVACYREQUIRED] Use STARTTLS first");
	sasl_reset(&im->sasl);
	im->held_tag = arena_dup(&im->held, c->tag);
	r = sasl_start(&im->sasl, au->mechanism, au->has_initial ? &au->initial : NULL,
		       &im->held, &challenge, &user, &password);
	auth_wipe(au->initial);
	return result(im, c, r, challenge, user, password, o);
}

enum step imap_authenticate_line(struct imap *im, struct out *o)
{
	struct imap_cmd *c = imap_cmd_new(im, &imap_cmd_authenticate,
					  arena_dup(&im->s.arena, im->held_tag));
	slice challenge = SL(""), user = SL(""), password = SL("");
	enum sasl_result r =
		sasl_step(&im->sasl, im->input, &im->held, &challenge, &user, &password);

	auth_wipe(im->input); /* decoded */
	c->ended = true;
	c->last = result(im, c, r, challenge, user, password, o);
	return c->last;
}

const struct imap_cmd_def imap_cmd_authenticate = {
	.name = S("AUTHENTICATE"),
	.states = IMAP_NOT_AUTH,
	.flags = CMD_CRYPTO,
	.parse = parse,
	.run = run,
	.rfc = "RFC 3501 6.2.2",
};

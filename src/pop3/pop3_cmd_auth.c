/* pop3_cmd_auth.c — AUTH PLAIN and AUTH LOGIN.  RFC 5034 4. */
#include "pop3/pop3_session.h"

static enum step ended(struct pop3_session *p, enum step step)
{
	sasl_reset(&p->sasl);
	arena_release(&p->mem);
	return step;
}

static enum step answer(struct pop3_session *p, enum sasl_result r, slice challenge,
			slice user, slice password, struct out *o)
{
	switch (r) {
	case SASL_CHALLENGE:
		out_addf(o, "+ %.*s\r\n", FMT(challenge));
		return STEP_DONE;
	case SASL_CREDENTIALS:
		return ended(p, pop3_login(p, user, password, o));
	case SASL_CANCELLED: /* RFC 5034 4: "*" */
		return ended(p, pop3_bad(p, o, "authentication cancelled"));
	case SASL_BAD:
		break;
	}
	return ended(p, pop3_bad(p, o, "malformed authentication exchange"));
}

enum step pop3_auth_line(struct pop3_session *p, slice line, struct out *o)
{
	slice challenge = SL(""), user = SL(""), password = SL("");
	enum sasl_result r =
		sasl_step(&p->sasl, line, &p->mem, &challenge, &user, &password);

	auth_wipe(line); /* decoded */

	return answer(p, r, challenge, user, password, o);
}

static enum step run(struct pop3_session *p, struct out *o)
{
	slice challenge = SL(""), user = SL(""), password = SL("");
	enum sasl_result r;

	if (slice_ieq(p->args.text, SL("PLAIN")))
		p->mechanism = "PLAIN";
	else if (slice_ieq(p->args.text, SL("LOGIN")))
		p->mechanism = "LOGIN";
	else
		return pop3_bad(p, o, "unknown authentication mechanism");
	p->user_n = 0;
	r = sasl_start(&p->sasl, p->args.text,
		       p->args.has_initial ? &p->args.initial : NULL, &p->mem, &challenge,
		       &user, &password);
	auth_wipe(p->args.initial);
	return answer(p, r, challenge, user, password, o);
}

const struct pop3_cmd_def pop3_cmd_auth = {
	.name = "AUTH",
	.states = POP3_AUTHORIZATION,
	.flags = POP3_LOGIN,
	.grammar = POP3_AUTH,
	.where = FRAME_CRYPTO,
	.run = run,
	.rfc = "RFC 5034 4",
};

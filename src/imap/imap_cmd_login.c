/* imap_cmd_login.c — LOGIN, and what follows every successful or refused login.  RFC 3501
 * 6.2.3, RFC 5530 3. */
#include "imap/imap_cmds.h"

struct login {
	slice user, password;
};

/* login = "LOGIN" SP userid SP password ; both astring */
static bool parse(struct imap_parse *p, struct imap_cmd *c)
{
	struct login *l = ARENA_NEW(p->a, struct login);

	c->arg = l;
	return imap_parse_sp(p) && imap_parse_astring(p, &l->user) && imap_parse_sp(p) &&
	       imap_parse_astring(p, &l->password);
}

static enum step refused(struct imap *im, struct imap_cmd *c, slice user,
			 const char *reason, const struct err *e, struct out *o)
{
	struct log_line l;

	imap_log(im, &l, LOG_LEVEL_WARN, "imap.login.refused");
	log_str(&l, "login", slice_sub(user, 0, LIMIT_USER));
	log_cstr(&l, "reason", reason && *reason ? reason : e->text);
	log_end(&l);
	imap_no(im, c, e);
	if (++im->refused >= LIMIT_AUTH_TRIES) {
		out_adds(o, "* BYE Too many failed logins\r\n");
		return STEP_CLOSE;
	}
	return STEP_DONE;
}

static enum step too_many_sessions(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct log_line l;

	imap_log(im, &l, LOG_LEVEL_WARN, "imap.login.refused");
	log_cstr(&l, "reason", "too many connections of this user");
	log_end(&l);
	out_adds(o, "* BYE Too many connections of this user\r\n");
	imap_no_text(im, c, "[LIMIT] Too many connections of this user");
	return STEP_CLOSE;
}

static enum step welcome(struct imap *im, struct imap_cmd *c,
			 const struct auth_user *user)
{
	struct log_line l;
	slice line;

	im->account = user->account;
	im->state = IMAP_AUTH;
	im->errors = 0;
	im->s.key = user->account;
	session_timeout(&im->s, LIMIT_IMAP_TIMEOUT);
	imap_log(im, &l, LOG_LEVEL_INFO, "imap.login");
	log_str(&l, "tls", session_tls_text(&im->s));
	log_end(&l);
	line = arena_join(&im->s.arena, SL("OK [CAPABILITY "), imap_capabilities(im));
	return imap_ok_slice(c, arena_join(&im->s.arena, line, SL("] Logged in")));
}

enum step imap_login(struct imap *im, struct imap_cmd *c, slice user, slice password,
		     struct out *o)
{
	struct err e = { .code = ERR_NONE };
	struct auth_user who;
	const char *reason = "";
	int64_t delay = 0;
	enum status st = auth_password(im->ctx->auth, user, password, im->s.peer->net,
				       im->s.peer->is_loopback, &im->s.arena, &who,
				       &delay, &reason, &e);

	im->s.delay_ms = delay;
	if (st != ST_OK)
		return refused(im, c, user, reason, &e, o);
	imap_keep(&im->user, who.address);
	session_set_user(&im->s, im->user, who.account);
	if (session_over_user_limit(&im->s))
		return too_many_sessions(im, c, o);
	return welcome(im, c, &who);
}

static enum step run(struct imap *im, struct imap_cmd *c, struct out *o)
{
	struct login *l = c->arg;
	enum step st;

	if (imap_is_secure(im))
		st = imap_login(im, c, l->user, l->password, o);
	else /* RFC 3501 6.2.3: LOGINDISABLED; RFC 5530 3 */
		st = imap_no_text(im, c, "[PRIVACYREQUIRED] Use STARTTLS first");
	auth_wipe(l->password);
	auth_wipe(
		slice_from(c->line, c->tag.n)); /* the quoted form may be another copy */
	return st;
}

const struct imap_cmd_def imap_cmd_login = {
	.name = S("LOGIN"),
	.states = IMAP_NOT_AUTH,
	.flags = CMD_CRYPTO,
	.parse = parse,
	.run = run,
	.rfc = "RFC 3501 6.2.3",
};

/* pop3_login.c — from AUTHORIZATION to TRANSACTION: what PASS and AUTH share (RFC 1939
 * 4). */
#include "pop3/pop3_session.h"

static void log_refused(struct pop3_session *p, slice user, const char *reason)
{
	struct log_line l;

	pop3_log(p, &l, LOG_LEVEL_INFO, "pop3.login.refused");
	log_str(&l, "login", slice_sub(user, 0, LIMIT_USER));
	log_cstr(&l, "mechanism", p->mechanism);
	log_cstr(&l, "reason", reason);
	log_end(&l);
}

static enum step refused(struct pop3_session *p, slice user, const char *reason,
			 const struct err *e, struct out *o)
{
	log_refused(p, user, reason);
	p->user_n = 0; /* RFC 1939 7: PASS follows a successful USER */
	if (e->code == ERR_AUTH || e->code == ERR_DISABLED) /* RFC 3206 4 */
		out_addf(o, "-ERR [AUTH] %s\r\n", e->text);
	else
		pop3_err(o, e);
	return ++p->tries < LIMIT_AUTH_TRIES ? STEP_DONE : STEP_CLOSE;
}

static void accepted(struct pop3_session *p, const struct auth_user *u, struct out *o)
{
	struct log_line l;

	p->address_n = u->address.n < sizeof(p->address) ? u->address.n
							 : sizeof(p->address);
	memcpy(p->address, u->address.p, p->address_n);
	p->state = POP3_TRANSACTION;
	p->s.key = u->account;
	p->lock_id = u->account;
	p->user_n = 0;
	p->errors = 0;
	session_timeout(&p->s, LIMIT_POP3_TIMEOUT);
	pop3_log(p, &l, LOG_LEVEL_INFO, "pop3.login");
	log_cstr(&l, "mechanism", p->mechanism);
	log_str(&l, "tls", session_tls_text(&p->s));
	log_int(&l, "messages", (int64_t)p->drop.n);
	log_end(&l);
	out_addf(o, "+OK %zu messages (%llu octets)\r\n", p->drop.n,
		 (unsigned long long)p->drop.bytes);
}

enum step pop3_login(struct pop3_session *p, slice user, slice password, struct out *o)
{
	struct auth_user u;
	const char *reason = "";
	struct err e;
	enum status st = auth_password(p->ctx->auth, user, password, p->s.peer->net,
				       p->s.peer->is_loopback, &p->s.arena, &u,
				       &p->s.delay_ms, &reason, &e);

	auth_wipe(password);
	if (st != ST_OK)
		return refused(p, user, reason, &e, o);
	if (pop3_drop_open(p->ctx->store, u.account, &p->drop, &e) != ST_OK)
		return refused(p, user, e.text, &e, o);
	session_set_user(&p->s, u.address, u.account);
	if (session_over_user_limit(&p->s)) {
		log_refused(p, user, "too many connections of this user");
		out_adds(o, "-ERR [SYS/TEMP] too many connections of this user\r\n");
		return STEP_CLOSE;
	}
	accepted(p, &u, o);
	return STEP_DONE;
}

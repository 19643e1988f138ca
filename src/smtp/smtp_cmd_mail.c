/* smtp_cmd_mail.c — MAIL and RCPT: who may send what to whom.  RFC 5321 4.1.1.2,
 * 4.1.1.3; RFC 6409 4.3, 6.1. */
#include "base/cleanup.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_write.h"
#include "store/store.h"

/* --- MAIL --------------------------------------------------------------------------------------------------------- */

static enum smtp_syntax parse_mail(struct smtp_session *ss, struct smtp_cmd *c)
{
	unsigned allowed = SMTP_PARAM_SIZE | SMTP_PARAM_BODY | SMTP_PARAM_UTF8;
	if (ss->is_submission) /* RFC 4954 5: where AUTH is known; what it says is not trusted */
		allowed |= SMTP_PARAM_AUTH;
	return smtp_parse_mail(c->rest, allowed, &c->path, &c->params);
}

static enum smtp_act refuse_mail(struct smtp_session *ss, const struct smtp_cmd *c,
				 unsigned code, const char *enhanced, const char *text)
{
	smtp_log_refused(ss, "smtp.mail.refused", "from", c->path.address, text);
	smtp_reply(ss, code, enhanced, text);
	return SMTP_NEXT;
}

/* False: that cannot be said on the loop. */
static bool may_send_as(struct smtp_session *ss, const struct smtp_cmd *c, bool *out)
{
	if (ss->unit.is_here)
		return store_may_send_as_cached(ss->ctx->store, ss->account,
						c->path.address, out);
	*out = store_may_send_as(ss->ctx->store, ss->account, c->path.address);
	return true;
}

static enum smtp_act run_mail(struct smtp_session *ss, struct smtp_cmd *c)
{
	struct smtp_txn *t = &ss->txn;
	if (ss->is_submission && !ss->s.is_tls) /* RFC 3207 4 */
		return refuse_mail(ss, c, 530, "5.7.0",
				   "Must issue a STARTTLS command first");
	if (ss->is_submission && !ss->account) /* RFC 4954 6 */
		return refuse_mail(ss, c, 530, "5.7.0", "Authentication required");
	if (c->path.is_utf8 && !c->params.has_smtputf8) /* RFC 6531 3.5 */
		return refuse_mail(ss, c, 553, "5.6.7",
				   "An address in UTF-8 needs SMTPUTF8");
	if (c->params.has_size &&
	    c->params.size > smtp_max_message(ss)) /* RFC 1870 6.1 */
		return refuse_mail(ss, c, 552, "5.3.4", "Message size exceeds the limit");
	bool is_full;
	if (!smtp_disk_asked(ss, &is_full)) /* RFC 1870 6.1: 452 */
		return SMTP_DB;
	if (is_full)
		return SMTP_NEXT;
	/* RFC 6409 6.1; <> is for notifications (RFC 5321 4.5.5) */
	bool may_send = true;
	if (ss->is_submission && !c->path.is_null && !may_send_as(ss, c, &may_send))
		return SMTP_DB;
	if (!may_send)
		return refuse_mail(ss, c, 553, "5.7.1",
				   "Sender address not owned by the authenticated user");
	smtp_txn_reset(ss);
	t->is_open = true;
	t->is_utf8 = c->params.has_smtputf8;
	t->is_8bit = c->params.body == SMTP_BODY_8BITMIME;
	t->size = c->params.has_size ? c->params.size : 0;
	t->sender = arena_dup(&t->mem, c->path.address);
	smtp_reply(ss, 250, "2.1.0", "OK");
	return SMTP_NEXT;
}

const struct smtp_cmd_def smtp_cmd_mail = {
	.name = S("MAIL"),
	.states = SMTP_READY,
	.sequence = "MAIL comes once, after EHLO",
	.parse = parse_mail,
	.run = run_mail,
	.rfc = "RFC 5321 4.1.1.2",
};

/* --- RCPT --------------------------------------------------------------------------------------------------------- */

static enum smtp_syntax parse_rcpt(struct smtp_session *ss, struct smtp_cmd *c)
{
	(void)ss;
	return smtp_parse_rcpt(c->rest, &c->path);
}

static void log_rcpt(struct smtp_session *ss, const struct smtp_cmd *c,
		     const char *reason)
{
	struct log_line l;
	ss->txn.has_refused_rcpt = true;
	smtp_log(ss, &l, LOG_LEVEL_INFO, "smtp.rcpt.refused");
	log_str(&l, "to", c->path.address);
	log_str(&l, "from", ss->txn.sender);
	log_cstr(&l, "reason", reason);
	log_end(&l);
}

static enum smtp_act refuse_rcpt(struct smtp_session *ss, const struct smtp_cmd *c,
				 unsigned code, const char *enhanced, const char *text)
{
	log_rcpt(ss, c, text);
	smtp_reply(ss, code, enhanced, text);
	return SMTP_NEXT;
}

/* postmaster@[our own address] is Postmaster (RFC 5321 4.5.1, 4.1.3). */
static bool is_own_literal(struct smtp_session *ss, const struct smtp_path *p)
{
	AUTO_BUF literal;
	buf_init(&literal, 100);
	smtp_write_literal(&literal, slice_str(ss->s.peer->local_addr));
	return p->is_literal && slice_ieq(p->domain, buf_slice(&literal)) &&
	       slice_ieq(p->local, SL("postmaster"));
}

static bool has_foreign(const struct smtp_txn *t, slice address)
{
	for (const struct smtp_rcpt *r = t->first; r; r = r->next)
		if (!r->account && slice_eq(r->address, address))
			return true;
	return false;
}

static void add_rcpt(struct smtp_txn *t, slice address, uint32_t account,
		     slice account_address)
{
	struct smtp_rcpt *r = ARENA_NEW(&t->mem, struct smtp_rcpt);
	r->address = arena_dup(&t->mem, address);
	r->account = account;
	r->account_address = account ? arena_dup(&t->mem, account_address) : SL("");
	if (t->last)
		t->last->next = r;
	else
		t->first = r;
	t->last = r;
	t->n_rcpt++;
}

/* RFC 5321 4.2.2: 552 "exceeded storage allocation". What is full now may have room
 * tomorrow, and the sender may be made to try again (over-quota = "retry"): 452; what is
 * larger than the whole quota will not fit then either. False: that cannot be said on the
 * loop. *out_refused: it has been answered. */
static bool room_asked(struct smtp_session *ss, const struct smtp_cmd *c,
		       const struct store_recipient *r, bool *out_refused)
{
	struct store *s = ss->ctx->store;
	enum store_room room = STORE_ROOM;
	struct err e = { 0 };
	*out_refused = true;
	if (ss->unit.is_here) {
		if (!store_room_cached(s, r->account, r->address, ss->txn.size, &room))
			return false;
	} else if (store_room(s, r->account, r->address, ss->txn.size, &room, &e) !=
		   ST_OK) {
		log_rcpt(ss, c, e.text);
		smtp_reply_err(ss, &e);
		return true;
	}
	switch (room) {
	case STORE_ROOM:
		*out_refused = false;
		break;
	case STORE_ROOM_NOT_NOW:
		if (ss->ctx->config->over_quota_retry)
			refuse_rcpt(ss, c, 452, "4.2.2", "Mailbox full, try again later");
		else
			refuse_rcpt(ss, c, 552, "5.2.2", "Mailbox full");
		break;
	case STORE_ROOM_NEVER:
		refuse_rcpt(ss, c, 552, "5.2.2", "Larger than the mailbox may ever be");
		break;
	}
	return true;
}

static enum smtp_act run_rcpt(struct smtp_session *ss, struct smtp_cmd *c)
{
	struct smtp_txn *t = &ss->txn;
	struct store_recipient r = { 0 };
	struct err e = { 0 };
	slice address = c->path.address;
	if (c->path.is_utf8 && !t->is_utf8) /* RFC 6531 3.5 */
		return refuse_rcpt(ss, c, 553, "5.6.7",
				   "An address in UTF-8 needs SMTPUTF8");
	/* RFC 5321 4.5.3.1.10: the client sends to the others later. A client that has
	 * piped them all must get to its DATA, so as many again cost it nothing. */
	if (t->n_rcpt >= LIMIT_SMTP_RCPT) {
		if (++t->n_rcpt_over > LIMIT_SMTP_RCPT)
			ss->junk++;
		return refuse_rcpt(ss, c, 452, "4.5.3", "Too many recipients");
	}
	if (is_own_literal(ss, &c->path))
		address = SL("Postmaster");
	if (ss->unit.is_here) {
		if (!store_resolve_cached(ss->ctx->store, address, &ss->s.arena, &r))
			return SMTP_DB;
	} else if (store_resolve(ss->ctx->store, address, &ss->s.arena, &r, &e) !=
		   ST_OK) {
		log_rcpt(ss, c, e.text);
		smtp_reply_err(ss, &e);
		return SMTP_NEXT;
	}
	switch (r.what) {
	case STORE_UNKNOWN_USER:
		return refuse_rcpt(ss, c, 550, "5.1.1", "No such user here");
	case STORE_UNKNOWN_DOMAIN:
		if (!ss->is_submission) /* never a relay */
			return refuse_rcpt(ss, c, 550, "5.7.1", "Relaying denied");
		if (!has_foreign(t, c->path.address))
			add_rcpt(t, c->path.address, 0, SL(""));
		break;
	case STORE_LOCAL:
		if (r.disabled)
			return refuse_rcpt(ss, c, 550, "5.2.1", "Mailbox disabled");
		bool is_refused;
		if (!room_asked(ss, c, &r, &is_refused))
			return SMTP_DB;
		if (is_refused)
			return SMTP_NEXT;
		add_rcpt(t, c->path.address, r.account, r.address);
		break;
	}
	smtp_reply(ss, 250, "2.1.5", "OK");
	return SMTP_NEXT;
}

const struct smtp_cmd_def smtp_cmd_rcpt = {
	.name = S("RCPT"),
	.states = SMTP_MAIL | SMTP_RCPT,
	.sequence = "RCPT comes after MAIL and before the message",
	.parse = parse_rcpt,
	.run = run_rcpt,
	.rfc = "RFC 5321 4.1.1.3",
};

/* smtp_deliver.c — a message has come whole: is it fit, who gets it, one transaction,
 * and 250 when that is durable.
 *
 * Local recipients that lead to one account get one copy. Up to LIMIT_DELIVER_ACCOUNTS
 * accounts are filed in the transaction; further ones get hand-off rows in it and are
 * filed right after the commit; foreign recipients of a submission get one row of the
 * outbound queue in it (DESIGN, section 4). */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_write.h"
#include "store/store.h"

#define TRACE_MAX    (8u << 10) /* prefix of one recipient */
#define HANDOFF_STEP 256	/* filed per call */

struct smtp_plan { /* in the transaction's arena */
	uint32_t locks[LIMIT_DELIVER_ACCOUNTS];
	size_t n_locks;
	struct smtp_rcpt **local; /* one per account, ascending */
	size_t n_local, n_direct; /* the first n_direct are filed in the transaction */
	slice *foreign;
	size_t n_foreign;
	slice received;
	char id[40];
	int64_t now_us;
};

/* --- is it fit ------------------------------------------------------------------------------------------------------ */

static bool refuse(struct smtp_session *ss, unsigned code, const char *enhanced,
		   const char *text)
{
	struct log_line l;
	smtp_log(ss, &l, LOG_LEVEL_INFO, "smtp.message.refused");
	log_str(&l, "from", ss->txn.sender);
	log_cstr(&l, "reason", text);
	log_end(&l);
	smtp_reply(ss, code, enhanced, text);
	return false;
}

static bool refuse_err(struct smtp_session *ss, const struct err *e)
{
	struct log_line l;
	smtp_log(ss, &l, LOG_LEVEL_WARN, "smtp.message.failed");
	log_str(&l, "from", ss->txn.sender);
	log_err(&l, e);
	log_end(&l);
	smtp_reply_err(ss, e);
	return false;
}

/* RFC 5321 6.3: our own Delivered-To, or LIMIT_RECEIVED Received fields. */
static bool is_loop(const struct smtp_txn *t, const struct intake_info *info)
{
	if (info->received_fields >= LIMIT_RECEIVED)
		return true;
	for (const struct smtp_rcpt *r = t->first; r; r = r->next)
		if (r->account && intake_was_delivered_to(t->intake, r->account_address))
			return true;
	return false;
}

static bool is_fit(struct smtp_session *ss)
{
	struct smtp_txn *t = &ss->txn;
	if (t->failed == ST_OK)
		t->failed = intake_end(t->intake, &t->why);
	if (t->failed == ST_LIMIT)
		return refuse(ss, 552, "5.3.4", "Message size exceeds the limit");
	if (t->failed != ST_OK)
		return refuse_err(ss, &t->why);
	const struct intake_info *info = intake_get(t->intake);
	if (info->had_nul)
		return refuse(ss, 550, "5.6.0", "Message holds NUL");
	if (info->had_bare_cr_or_lf &&
	    ss->ctx->config->bare_newline == SMTP_NEWLINE_REJECT)
		return refuse(ss, 550, "5.5.2", "Message holds bare CR or LF");
	if (is_loop(t, info))
		return refuse(ss, 550, "5.4.6", "Mail loop detected");
	return true;
}

/* --- who gets it ---------------------------------------------------------------------------------------------------- */

static int by_account(const void *a, const void *b)
{
	uint32_t x = (*(struct smtp_rcpt *const *)a)->account,
		 y = (*(struct smtp_rcpt *const *)b)->account;
	return (x > y) - (x < y);
}

static void split_rcpts(const struct smtp_txn *t, struct smtp_plan *p, struct arena *a)
{
	p->local = arena_array(a, t->n_rcpt, sizeof *p->local);
	p->foreign = arena_array(a, t->n_rcpt, sizeof *p->foreign);
	for (struct smtp_rcpt *r = t->first; r; r = r->next)
		if (r->account)
			p->local[p->n_local++] = r;
		else
			p->foreign[p->n_foreign++] = r->address;
	qsort(p->local, p->n_local, sizeof *p->local, by_account);
	size_t n = 0;
	for (size_t i = 0; i < p->n_local; i++)
		if (n == 0 || p->local[n - 1]->account != p->local[i]->account)
			p->local[n++] = p->local[i];
	p->n_local = n;
}

/* The directory's lock, id 0, is held for the queue's numbers. */
static void choose_locks(struct smtp_plan *p)
{
	if (p->n_foreign > 0)
		p->locks[p->n_locks++] = 0;
	while (p->n_direct < p->n_local && p->n_locks < LIMIT_DELIVER_ACCOUNTS)
		p->locks[p->n_locks++] = p->local[p->n_direct++]->account;
}

static void write_received(struct smtp_session *ss, struct smtp_plan *p)
{
	AUTO_BUF b;
	slice hello = slice_str(ss->hello);
	/* A trace line in UTF-8 is for messages in UTF-8 (RFC 6531 3.7.3). */
	bool may_stand = ss->hello_is_name && (utf8_is_ascii(hello) || ss->txn.is_utf8);
	buf_init(&b, TRACE_MAX);
	struct smtp_trace trace = {
		.hello = may_stand ? hello : SL(""),
		.peer = slice_str(ss->s.peer->addr),
		.hostname = ss->ctx->config->hostname,
		.is_esmtp = ss->is_esmtp,
		.is_tls = ss->s.is_tls,
		.is_auth = ss->account != 0,
		.is_utf8 = ss->txn.is_utf8,
		.tls = session_tls_text(&ss->s),
		.id = slice_str(p->id),
		.only_recipient = ss->txn.n_rcpt == 1 ? ss->txn.first->address : SL(""),
		.time = p->now_us / 1000000,
	};
	smtp_write_received(&b, &trace);
	p->received = arena_dup(&ss->txn.mem, buf_slice(&b));
}

static void make_plan(struct smtp_session *ss)
{
	struct smtp_txn *t = &ss->txn;
	struct smtp_plan *p = ARENA_NEW(&t->mem, struct smtp_plan);
	p->now_us = session_now_us(&ss->s);
	snprintf(p->id, sizeof p->id, "%s-%u", ss->s.id, ++ss->messages);
	split_rcpts(t, p, &t->mem);
	choose_locks(p);
	write_received(ss, p);
	t->plan = p;
}

/* --- the transaction ------------------------------------------------------------------------------------------------- */

/* RFC 5321 4.4: Return-Path on top at final delivery; then our own mark against loops,
 * then Received. */
static slice make_prefix(struct smtp_session *ss, const struct smtp_rcpt *r)
{
	AUTO_BUF b;
	buf_init(&b, TRACE_MAX);
	smtp_write_return_path(&b, ss->txn.sender);
	smtp_write_delivered_to(&b, r->account_address);
	buf_add(&b, ss->txn.plan->received);
	return arena_dup(&ss->txn.mem, buf_slice(&b));
}

static enum status file_local(struct smtp_session *ss, struct store_txn *txn,
			      struct err *e)
{
	const struct smtp_plan *p = ss->txn.plan;
	for (size_t i = 0; i < p->n_local; i++) {
		struct store_place place = {
			.account = p->local[i]->account,
			.prefix = make_prefix(ss, p->local[i]),
			.internal_date = p->now_us / 1000000,
			.quota = ss->txn.n_rcpt > 1 ? STORE_QUOTA_SHARED
						    : STORE_QUOTA_DELIVER,
		};
		uint32_t uid;
		enum status st =
			i < p->n_direct
				? store_add(txn, ss->txn.intake, &place, &uid, e)
				: store_handoff_add(txn, ss->txn.intake, &place, e);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

/* One row of the queue holds so many recipients at most: LIMIT_VALUE is far. */
#define QUEUE_RCPTS 200

static enum status file_foreign(struct smtp_session *ss, struct store_txn *txn,
				struct err *e)
{
	const struct smtp_plan *p = ss->txn.plan;
	const struct intake_info *info = intake_get(ss->txn.intake);
	enum status st = ST_OK;
	uint64_t id;
	struct store_queue_entry entry = {
		.queued = p->now_us / 1000000,
		.due = p->now_us / 1000000,
		.account = ss->account,
		.sender = ss->txn.sender,
		.size = info->size + p->received.n,
		.prefix = p->received,
		.state = SL("waiting"),
		.body_8bit = ss->txn.is_8bit || info->has_8bit,
		.smtputf8 = ss->txn.is_utf8,
	};
	for (size_t at = 0; at < p->n_foreign && st == ST_OK; at += entry.n_rcpt) {
		entry.rcpt = p->foreign + at;
		entry.n_rcpt = p->n_foreign - at < QUEUE_RCPTS ? p->n_foreign - at
							       : QUEUE_RCPTS;
		st = store_queue_add(txn, ss->txn.intake, &entry, &id, e);
	}
	return st;
}

/* --- the commit -------------------------------------------------------------------------------------------------------- */

struct handoff_job {
	struct job job;
	struct store *store;
};

static void run_handoffs(struct job *j)
{
	struct handoff_job *h = (struct handoff_job *)j;
	struct err e = { 0 };
	size_t done = 0;
	enum status st;
	do {
		st = store_handoff_run(h->store, HANDOFF_STEP, &done, &e);
	} while (st == ST_OK && done > 0);
	if (st !=
	    ST_OK) { /* they stay in the store and are tried again at the next chance */
		struct log_line l;
		log_begin(&l, LOG_LEVEL_ERROR, "smtp.handoff.failed");
		log_err(&l, &e);
		log_end(&l);
	}
	mem_free(h);
}

/* Stands between the committer and the session's ticket for messages with hand-offs. */
struct after_commit {
	struct done done;
	struct done *ticket;
	struct store *store;
	struct pool *pool;
};

static void committed(struct done *d, enum status st, const struct err *why)
{
	struct after_commit *c = (struct after_commit *)d;
	if (st == ST_OK) {
		struct handoff_job *h = mem_new(sizeof *h);
		h->job.run = run_handoffs;
		h->store = c->store;
		pool_submit(c->pool, &h->job);
	}
	c->ticket->fn(c->ticket, st, why);
	mem_free(c);
}

static struct done *make_done(struct smtp_session *ss)
{
	struct done *ticket = session_ticket(&ss->s);
	if (ss->txn.plan->n_direct == ss->txn.plan->n_local)
		return ticket;
	struct after_commit *c = mem_new(sizeof *c);
	c->done.fn = committed;
	c->ticket = ticket;
	c->store = ss->ctx->store;
	c->pool = ss->ctx->background;
	return &c->done;
}

static void log_accepted(struct smtp_session *ss)
{
	const struct smtp_plan *p = ss->txn.plan;
	struct log_line l;
	smtp_log(ss, &l, LOG_LEVEL_INFO, "smtp.message.accepted");
	log_cstr(&l, "id", p->id);
	log_str(&l, "from", ss->txn.sender.n ? ss->txn.sender : SL("<>"));
	if (ss->txn.n_rcpt == 1)
		log_str(&l, "to", ss->txn.first->address);
	log_int(&l, "rcpts", ss->txn.n_rcpt);
	log_int(&l, "local", (int64_t)p->n_local);
	log_int(&l, "queued", (int64_t)p->n_foreign);
	log_int(&l, "size", (int64_t)intake_get(ss->txn.intake)->size);
	log_str(&l, "message_id", intake_get(ss->txn.intake)->message_id);
	log_str(&l, "tls", session_tls_text(&ss->s));
	log_end(&l);
}

/* Both answers are written before the commit is asked for: it may come back at once.
 * Should it fail, the driver sends the other one and logs why (session.commit.failed):
 * "accepted" is then followed by that line. */
static enum smtp_act commit(struct smtp_session *ss, struct store_txn *txn)
{
	char text[64];
	out_add(&ss->s.fail, buf_slice(&ss->held));
	out_adds(&ss->s.fail,
		 "451 4.3.0 The message could not be stored, try again later\r\n");
	snprintf(text, sizeof text, "OK id=%s", ss->txn.plan->id);
	smtp_reply(ss, 250, "2.0.0", text);
	log_accepted(ss);
	ss->errors = ss->junk = 0;
	store_commit(txn, make_done(ss));
	return SMTP_COMMIT;
}

static enum smtp_act file(struct smtp_session *ss)
{
	const struct smtp_plan *p = ss->txn.plan;
	struct store_txn *txn;
	struct err e = { 0 };
	enum status st = store_disk_room(ss->ctx->store, &e);
	if (st == ST_OK)
		st = store_begin(ss->ctx->store, p->locks, p->n_locks,
				 session_park(&ss->s), &txn, &e);
	if (st == ST_WAIT)
		return SMTP_WAIT;
	if (st == ST_OK) {
		st = file_local(ss, txn, &e);
		if (st == ST_OK)
			st = file_foreign(ss, txn, &e);
		if (st == ST_OK)
			return commit(ss, txn);
		store_abort(txn);
	}
	/* A message that was larger than it said, or said nothing. With other recipients it
	 * is tried again: RCPT then tells them apart. */
	if (e.code == ERR_OVERQUOTA && ss->txn.n_rcpt == 1 &&
	    !ss->ctx->config->over_quota_retry)
		refuse(ss, 552, "5.2.2", "Mailbox full");
	else
		refuse_err(ss, &e);
	return SMTP_NEXT;
}

enum smtp_act smtp_deliver(struct smtp_session *ss)
{
	enum smtp_act act = SMTP_NEXT;
	if (!ss->txn.is_delivering && is_fit(ss)) {
		make_plan(ss);
		ss->txn.is_delivering = true;
	}
	if (ss->txn.is_delivering)
		act = file(ss);
	if (act != SMTP_WAIT)
		smtp_txn_reset(ss);
	return act;
}

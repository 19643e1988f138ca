/* export_serve.c — the store's side of an export: accounts, mailboxes, messages, and what
 * cannot be read. */
#include "base/cleanup.h"
#include "store/store.h"
#include "transfer/export.h"

#define ROWS		 512
#define PIECE		 (256u << 10)
#define UIDVALIDITY_LOST 1

struct exporter {
	struct store *s;
	struct frame_conn conn;
	slice only; /* mailbox; empty: all */
	uint32_t account;
	slice address;
	slice *keyword;
	size_t n_keyword;
	struct store_mailbox *box;
	struct export_ranges have;
	size_t have_at;
	struct export_box_end end;
	struct store_row *row;
	size_t n_row;
	char *piece;
	struct buf head, words;
	uint64_t accounts, found;
};

void export_ranges_add(struct export_ranges *r, uint32_t uid)
{
	if (r->n > 0 && r->at[r->n - 1].last + 1 == uid) {
		r->at[r->n - 1].last = uid;
		return;
	}
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap + r->cap / 2 : 64;
		r->at = mem_grow(r->at, r->cap, sizeof(*r->at));
	}
	r->at[r->n++] = (struct export_range){ uid, uid };
}

void export_ranges_done(struct export_ranges *r)
{
	mem_free(r->at);
	*r = (struct export_ranges){ 0 };
}

/* --- what cannot be read ------------------------------------------------------------ */

static enum status tell_failed(struct exporter *x, uint32_t uid, const struct err *why,
			       struct err *e)
{
	x->end.failed++;
	return frame_send_json(
		&x->conn, FRAME_NOTE,
		json_pack("{s:o, s:o, s:I, s:o}", "account", frame_text(x->address),
			  "box", frame_text(x->box ? x->box->name : SL("")), "uid",
			  (json_int_t)uid, "why", frame_text(slice_str(why->text))),
		e);
}

/* --- messages ----------------------------------------------------------------------- */

static void words_of(struct exporter *x, uint64_t bits)
{
	buf_reset(&x->words);
	for (size_t i = 0; i < x->n_keyword && i < 64; i++) {
		if (!(bits >> i & 1))
			continue;
		if (x->words.n > 0)
			buf_addc(&x->words, ' ');
		buf_add(&x->words, x->keyword[i]);
	}
}

static enum status send_head(struct exporter *x, const struct store_row *row,
			     uint64_t size, struct err *e)
{
	words_of(x, row->flags.kw);
	struct transfer_message m = {
		.tag = row->uid,
		.uid = row->uid,
		.flags = row->flags.sys,
		.date = row->internal_date,
		.size = size,
		.keywords = buf_slice(&x->words),
	};
	buf_reset(&x->head);
	transfer_message_write(&x->head, &m);
	return frame_send(&x->conn, FRAME_MESSAGE, buf_slice(&x->head), e);
}

/* Octets, and the end. A body that breaks off in the middle is ended with the reason. */
static enum status send_body(struct exporter *x, const struct store_email *m,
			     const struct store_row *row, struct err *e)
{
	uint64_t size = m->prefix.n + m->blob_size;
	enum status st = ST_OK;
	for (uint64_t at = 0; at < size && st == ST_OK;) {
		struct err why = { 0 };
		size_t k = size - at < PIECE ? (size_t)(size - at) : PIECE;
		if (store_email_read(x->s, m, at, x->piece, k, &why) != ST_OK) {
			st = frame_send(&x->conn, FRAME_END, SL("damaged"), e);
			return st == ST_OK ? tell_failed(x, row->uid, &why, e) : st;
		}
		st = frame_send(&x->conn, FRAME_DATA, slice_make(x->piece, k), e);
		at += k;
	}
	if (st == ST_OK)
		st = frame_send(&x->conn, FRAME_END, SL(""), e);
	x->end.sent++;
	x->end.sent_bytes += size;
	return st;
}

static enum status send_message(struct exporter *x, const struct store_row *row,
				struct arena *a, struct err *e)
{
	struct store_email m;
	struct store_row again;
	struct err why = { 0 };
	arena_reset(a);
	if (store_email_octets(x->s, x->account, row->email, a, &m, &why) != ST_OK) {
		struct err gone = { 0 };
		if (store_row_get(x->s, x->account, x->box->id, row->uid, &again,
				  &gone) != ST_OK &&
		    gone.code == ERR_NO_MESSAGE)
			return ST_OK; /* expunged meanwhile */
		return tell_failed(x, row->uid, &why, e);
	}
	enum status st = send_head(x, row, m.prefix.n + m.blob_size, e);
	return st == ST_OK ? send_body(x, &m, row, e) : st;
}

/* One without an email is damaged. */
static enum status send_row(struct exporter *x, const struct store_row *row,
			    struct arena *a, struct err *e)
{
	struct store_row again;
	struct err why = { 0 };
	if (row->email != 0)
		return send_message(x, row, a, e);
	if (store_row_get(x->s, x->account, x->box->id, row->uid, &again, &why) == ST_OK)
		return send_message(x, &again, a, e); /* repaired meanwhile */
	return why.code == ERR_NO_MESSAGE ? ST_OK : tell_failed(x, row->uid, &why, e);
}

static bool is_had(struct exporter *x, uint32_t uid)
{
	while (x->have_at < x->have.n && x->have.at[x->have_at].last < uid)
		x->have_at++;
	return x->have_at < x->have.n && x->have.at[x->have_at].first <= uid;
}

static bool take_row(void *ctx, const struct store_row *row)
{
	struct exporter *x = ctx;
	x->row[x->n_row++] = *row;
	return x->n_row < ROWS;
}

/* A row that cannot be read stops a scan: from here to it one by one. *from moves behind
 * it. */
static enum status step_over(struct exporter *x, uint32_t *from, struct err *e)
{
	struct store_row row;
	for (; *from < x->box->uidnext; ++*from) {
		struct err why = { 0 };
		if (store_row_get(x->s, x->account, x->box->id, *from, &row, &why) ==
			    ST_OK ||
		    why.code == ERR_NO_MESSAGE)
			continue;
		enum status st = tell_failed(x, *from, &why, e);
		++*from;
		return st;
	}
	return ST_OK;
}

static enum status send_rows(struct exporter *x, struct arena *a, uint32_t *from,
			     struct err *e)
{
	struct err why = { 0 };
	x->n_row = 0;
	enum status scan = store_rows_all(x->s, x->account, x->box->id, *from,
					  x->box->uidnext - 1, take_row, x, &why);
	enum status st = ST_OK;
	for (size_t i = 0; i < x->n_row && st == ST_OK; i++) {
		*from = x->row[i].uid + 1;
		if (is_had(x, x->row[i].uid))
			x->end.had++;
		else
			st = send_row(x, &x->row[i], a, e);
	}
	if (st != ST_OK)
		return st;
	if (scan != ST_OK)
		return step_over(x, from, e);
	if (x->n_row < ROWS)
		*from = x->box->uidnext;
	return ST_OK;
}

/* --- mailboxes ---------------------------------------------------------------------- */

static enum status take_ranges(struct exporter *x, const json_t *list, struct err *e)
{
	size_t i;
	const json_t *v;
	json_array_foreach(list, i, v)
	{
		json_int_t a = json_integer_value(json_array_get(v, 0)),
			   b = json_integer_value(json_array_get(v, 1));
		uint32_t last = x->have.n > 0 ? x->have.at[x->have.n - 1].last : 0;
		if (a <= last || b < a || b > UINT32_MAX)
			return err_set(e, ERR_SYNTAX, "UIDs that do not ascend");
		export_ranges_add(&x->have, (uint32_t)a);
		x->have.at[x->have.n - 1].last = (uint32_t)b;
	}
	return ST_OK;
}

/* What the other side has of this mailbox; *out_skip: it does not want it. */
static enum status hear_have(struct exporter *x, bool *out_skip, struct err *e)
{
	bool more = true;
	enum status st = ST_OK;
	x->have.n = x->have_at = 0;
	while (more && st == ST_OK) {
		struct frame_got f;
		st = frame_receive(&x->conn, &f, e);
		json_t *v = st == ST_OK ? frame_json(&f, e) : NULL;
		if (v == NULL)
			return st == ST_OK ? err_status(e->code) : st;
		st = take_ranges(x, json_object_get(v, "have"), e);
		more = json_is_true(json_object_get(v, "more"));
		*out_skip = json_is_true(json_object_get(v, "skip"));
		json_decref(v);
	}
	return st;
}

static bool count_row(void *ctx, const struct store_row *row)
{
	struct store_mailbox *m = ctx;
	m->uidnext = row->uid < UINT32_MAX ? row->uid + 1 : row->uid;
	m->messages++;
	m->bytes += row->size;
	return true;
}

/* The row of the mailbox is damaged (it is listed by its name alone), its messages are
 * not: they are counted, and go out under a UIDVALIDITY that is nobody's. */
static enum status count_box(struct exporter *x, struct store_mailbox *m, struct err *e)
{
	m->uidvalidity = UIDVALIDITY_LOST;
	m->uidnext = 1;
	return store_rows_all(x->s, x->account, m->id, 1, UINT32_MAX, count_row, m, e);
}

static json_t *box_json(const struct exporter *x)
{
	const struct store_mailbox *m = x->box;
	json_t *words = json_array();
	for (size_t i = 0; i < x->n_keyword; i++)
		json_array_append_new(words, frame_text(x->keyword[i]));
	return json_pack("{s:o, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:o}", "box",
			 frame_text(m->name), "role", store_role_name(m->role), "exists",
			 m->exists, "subscribed", m->subscribed, "uidvalidity",
			 (json_int_t)m->uidvalidity, "uidnext", (json_int_t)m->uidnext,
			 "messages", (json_int_t)m->messages, "bytes",
			 (json_int_t)m->bytes, "keywords", words);
}

static enum status send_box(struct exporter *x, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	bool skip = false;
	struct err why = { 0 };
	bool is_damaged = x->box->exists && x->box->uidvalidity == 0;
	x->end = (struct export_box_end){ 0 };
	x->found++;
	if (is_damaged)
		(void)!count_box(x, x->box, &why); /* what can be read of it */
	enum status st = frame_send_json(&x->conn, FRAME_ITEM, box_json(x), e);
	if (st == ST_OK)
		st = hear_have(x, &skip, e);
	if (st != ST_OK || skip)
		return st;
	if (is_damaged) {
		err_set(&why, ERR_CORRUPT,
			"the row of the mailbox is damaged: its UIDVALIDITY is not known");
		st = tell_failed(x, 0, &why, e);
	}
	for (uint32_t from = 1; x->box->exists && from < x->box->uidnext && st == ST_OK;)
		st = send_rows(x, &a, &from, e);
	if (st != ST_OK)
		return st;
	return frame_send_json(&x->conn, FRAME_ITEM,
			       json_pack("{s:b, s:I, s:I, s:I, s:I}", "end", 1, "sent",
					 (json_int_t)x->end.sent, "sent_bytes",
					 (json_int_t)x->end.sent_bytes, "had",
					 (json_int_t)x->end.had, "failed",
					 (json_int_t)x->end.failed),
			       e);
}

/* --- accounts ----------------------------------------------------------------------- */

static enum status send_account(struct exporter *x, uint32_t id, slice address,
				struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	struct store_mailbox *m = NULL;
	size_t n = 0;
	struct err why = { 0 };
	x->account = id;
	x->address = address;
	x->box = NULL;
	x->accounts++;
	enum status st =
		frame_send_json(&x->conn, FRAME_ITEM,
				json_pack("{s:o}", "account", frame_text(address)), e);
	if (st != ST_OK)
		return st;
	if (store_keywords(x->s, id, &a, &x->keyword, &x->n_keyword, &why) != ST_OK) {
		x->n_keyword = 0;
		st = tell_failed(x, 0, &why, e);
	}
	if (st == ST_OK && store_mailbox_list(x->s, id, &a, &m, &n, &why) != ST_OK)
		return tell_failed(x, 0, &why, e);
	for (size_t i = 0; i < n && st == ST_OK; i++) {
		if (x->only.n > 0 && !slice_eq(m[i].name, x->only))
			continue;
		x->box = &m[i];
		st = send_box(x, e);
	}
	x->box = NULL;
	return st;
}

static bool is_wanted(slice address, slice who)
{
	size_t at = slice_rchr(address, '@');
	return slice_eq(who, SL("all")) || slice_ieq(slice_from(address, at + 1), who);
}

static enum status send_total(struct exporter *x, uint64_t messages, uint64_t bytes,
			      struct err *e)
{
	if (x->only.n > 0)
		messages = bytes = 0;
	return frame_send_json(&x->conn, FRAME_ITEM,
			       json_pack("{s:I, s:I}", "total_messages",
					 (json_int_t)messages, "total_bytes",
					 (json_int_t)bytes),
			       e);
}

static enum status send_many(struct exporter *x, slice who, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account *list;
	size_t n;
	uint64_t messages = 0, bytes = 0;
	enum status st = store_account_list(x->s, &a, &list, &n, e);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < n; i++) {
		if (!is_wanted(list[i].address, who))
			continue;
		messages += list[i].messages;
		bytes += list[i].bytes;
		x->found++;
	}
	if (x->found == 0 && !slice_eq(who, SL("all")))
		return err_set(e, ERR_NO_DOMAIN, "no account has the domain %.*s",
			       FMT(who));
	st = send_total(x, messages, bytes, e);
	for (size_t i = 0; i < n && st == ST_OK; i++)
		if (is_wanted(list[i].address, who))
			st = send_account(x, list[i].id, list[i].address, e);
	return st;
}

static enum status send_one(struct exporter *x, slice address, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account acct;
	struct store_mailbox m;
	enum status st = store_account_get(x->s, address, &a, &acct, e);
	if (st == ST_OK && x->only.n > 0) {
		st = store_mailbox_find(x->s, acct.id, x->only, &a, &m, e);
		if (st == ST_OK)
			x->only = m.name;
	}
	if (st == ST_OK)
		st = send_total(x, acct.messages, acct.bytes, e);
	return st == ST_OK ? send_account(x, acct.id, acct.address, e) : st;
}

enum status export_serve(struct store *s, slice who, slice mailbox, int fd,
			 const _Atomic bool *stop, struct err *e)
{
	struct exporter *x = mem_new(sizeof(*x));
	*x = (struct exporter){ .s = s, .only = mailbox };
	x->row = mem_array(ROWS, sizeof(*x->row));
	x->piece = mem_new(PIECE);
	buf_init(&x->head, LIMIT_FRAME);
	buf_init(&x->words, LIMIT_KEYWORDS * (LIMIT_KEYWORD + 1u));
	frame_conn_init(&x->conn, fd, stop);
	bool one = slice_chr(who, '@', 0) < who.n;
	enum status st = one ? send_one(x, who, e) : send_many(x, who, e);
	if (st == ST_OK)
		st = frame_send_json(
			&x->conn, FRAME_RESULT,
			json_pack("{s:I}", "accounts", (json_int_t)x->accounts), e);
	if (st == ST_OK)
		st = frame_flush(&x->conn, e);
	frame_conn_done(&x->conn);
	export_ranges_done(&x->have);
	buf_done(&x->head);
	buf_done(&x->words);
	mem_free(x->piece);
	mem_free(x->row);
	mem_free(x);
	return st;
}

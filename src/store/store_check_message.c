/* store_check_message.c — message rows: counted for their mailboxes; and, when there are more or
 * fewer of them than the emails account for, each against its email. */
#include "store/store_check_int.h"

/* --- counts ----------------------------------------------------------------------------- */
struct counts {
	uint32_t mbox, last_uid;
	uint64_t messages, unseen, deleted, bytes, modseq, bad;
};

static void count_row(struct counts *n, slice key, slice value)
{
	struct row_message m;
	uint32_t uid = key_message_uid(key);

	n->messages++;
	if (uid > n->last_uid)
		n->last_uid = uid;
	if (key.n != 14 || !row_message_read(value, uid, &m)) {
		n->bad++;
		return;
	}
	n->bytes += m.row.size;
	n->unseen += !(m.row.flags.sys & FLAG_SEEN);
	n->deleted += (m.row.flags.sys & FLAG_DELETED) != 0;
	if (m.row.modseq > n->modseq)
		n->modseq = m.row.modseq;
}

static bool take_count(void *ctx, slice key, slice value)
{
	count_row(ctx, key, value);
	return true;
}

static bool counts_differ(const struct counts *n, const struct row_mbox *r)
{
	return n->messages != r->messages || n->unseen != r->unseen ||
	       n->deleted != r->deleted || n->bytes != r->bytes;
}

/* Under the lock: the mailbox as it is counted, and as its row has it. */
static enum status box_look(struct look *l, void *ctx, struct err *e)
{
	struct check_box *b = ctx;
	struct check *c = l->c;
	struct where w = { .code = "mailbox-numbers", .mbox = b->id };
	struct counts n = { .mbox = b->id };
	struct skey from = key_messages(c->account, b->id), to = from;
	struct txn_account *ta;
	struct hot_mbox *m;

	skey_next_prefix(&to);
	enum status st = check_scan(l, from, to, take_count, &n, e);

	if (st == ST_OK)
		st = repair_account(l, &ta, e);
	if (st == ST_OK)
		st = txn_mbox_any(l->t, ta, b->id, &m, e);
	if (st == err_status(ERR_NO_MAILBOX))
		return ST_OK; /* deleted meanwhile */
	if (st != ST_OK)
		return st;
	if (!m->row.exists && n.messages &&
	    check_fault(l, &w, CHECK_REPAIRED, "it can be opened again",
			"a name that cannot be opened has %llu messages",
			(unsigned long long)n.messages)) {
		m->row.exists = true;
		m->row.uidvalidity = txn_uidvalidity(l->t);
		m->row.first_recent = 1;
		m->dirty = true;
		txn_log_mailbox(l->t, ta, b->id);
	}
	if (n.last_uid >= m->row.uidnext && n.messages &&
	    check_fault(l, &w, CHECK_REPAIRED, "raised above the highest",
			"the next UID is %u, and UID %u is there", m->row.uidnext,
			n.last_uid)) {
		m->row.uidnext = n.last_uid + 1;
		m->dirty = true;
	}
	if (n.modseq > m->row.modseq && n.modseq <= ta->hot->row.modseq &&
	    check_fault(l, &w, CHECK_REPAIRED, "raised",
			"a message has a MODSEQ above the mailbox's")) {
		m->row.modseq = n.modseq;
		m->dirty = true;
	}
	if (!counts_differ(&n, &m->row) && !b->recount)
		return ST_OK;
	bool told = counts_differ(&n, &m->row) && !b->recount;

	/* What a repair has just changed is counted again without a word. */
	if (told &&
	    !check_fault(l, &w, CHECK_REPAIRED, "counted again",
			 "it counts %u messages, %u unseen, %u deleted, %llu octets, and "
			 "has %llu, %llu, %llu, %llu",
			 m->row.messages, m->row.unseen, m->row.deleted,
			 (unsigned long long)m->row.bytes, (unsigned long long)n.messages,
			 (unsigned long long)n.unseen, (unsigned long long)n.deleted,
			 (unsigned long long)n.bytes))
		return ST_OK;
	if (!c->opt->repair)
		return ST_OK;
	ta->hot->row.messages += n.messages - m->row.messages;
	ta->hot->row.bytes += n.bytes - m->row.bytes;
	ta->hot->dirty = true;
	m->row.messages = (uint32_t)n.messages;
	m->row.unseen = (uint32_t)n.unseen;
	m->row.deleted = (uint32_t)n.deleted;
	m->row.bytes = n.bytes;
	m->dirty = true;
	l->silent = true;
	b->recount = false;
	return ST_OK;
}

struct totals {
	uint64_t messages, bytes;
	uint32_t bad;
};

static bool take_totals(void *ctx, slice key, slice value)
{
	struct totals *t = ctx;
	struct row_mbox r;

	(void)key;
	if (!row_mbox_read(value, &r)) {
		t->bad++;
		return true;
	}
	t->messages += r.messages;
	t->bytes += r.bytes;
	return true;
}

/* The account against the sum of its mailboxes, which are right by now. */
static enum status account_look(struct look *l, void *ctx, struct err *e)
{
	struct check *c = l->c;
	struct where w = { .code = "account-numbers" };
	struct skey from = key_account_type(c->account, 'f'), to = from,
		    ka = key_account(c->account);
	struct totals t = { 0 };
	struct row_account r = { 0 };
	struct txn_account *ta = NULL;
	slice raw;

	(void)ctx;
	skey_next_prefix(&to);
	enum status st = check_scan(l, from, to, take_totals, &t, e);

	if (st == ST_OK && l->sure) {
		st = repair_account(l, &ta, e);
		if (st == ST_OK)
			r = ta->hot->row;
	} else if (st == ST_OK) {
		if (check_get(l, skey_slice(&ka), c->page.a, &raw, NULL) != ST_OK ||
		    !row_account_read(raw, &r))
			return ST_OK;
	}
	if (st != ST_OK || t.bad || (t.messages == r.messages && t.bytes == r.bytes))
		return st;
	if (!check_fault(
		    l, &w, CHECK_REPAIRED, "counted again",
		    "it counts %llu messages with %llu octets, its mailboxes have %llu with "
		    "%llu",
		    (unsigned long long)r.messages, (unsigned long long)r.bytes,
		    (unsigned long long)t.messages, (unsigned long long)t.bytes))
		return ST_OK;
	ta->hot->row.messages = t.messages;
	ta->hot->row.bytes = t.bytes;
	ta->hot->dirty = true;
	return ST_OK;
}

struct all_counts {
	struct check *c;
	struct counts *at;
	size_t n;
	uint64_t messages, bad;
};

static bool take_all(void *ctx, slice key, slice value)
{
	struct all_counts *a = ctx;
	struct rd r = rd_init(slice_from(key, 6));
	uint32_t mbox = rd_u32(&r);
	struct counts other = { 0 }, *n = &other;
	const struct check_box *b = check_box(a->c, mbox);

	if (b)
		n = &a->at[b - a->c->box];
	uint64_t bad = n->bad;

	count_row(n, key, value);
	a->bad += n->bad - bad;
	a->messages++;
	return true;
}

static bool box_is_fine(struct look *l, const struct check_box *b, const struct counts *n)
{
	struct skey k = key_mbox(l->c->account, b->id);
	struct row_mbox r;
	slice raw;

	if (b->recount ||
	    check_get(l, skey_slice(&k), l->c->page.a, &raw, NULL) != ST_OK ||
	    !row_mbox_read(raw, &r))
		return false;
	return !counts_differ(n, &r) && (n->messages == 0 || n->last_uid < r.uidnext) &&
	       n->modseq <= r.modseq && (r.exists || n->messages == 0);
}

enum status check_counts(struct check *c, bool *out_slow, struct err *e)
{
	const uint32_t ids[] = { c->account };
	struct look l = { .c = c };
	struct skey from = key_account_type(c->account, 'm'), to = from;
	struct all_counts a = { .c = c };

	arena_reset(&c->page_arena);
	a.at = arena_array(&c->acct_arena, c->n_box + 1, sizeof(*a.at));
	skey_next_prefix(&to);
	enum status st = check_scan(&l, from, to, take_all, &a, e);

	*out_slow = st != ST_OK || a.bad || a.messages != c->places || c->n_lost;
	if (st != ST_OK || !c->row_ok)
		return ST_OK; /* told by the walk that follows */
	for (size_t i = 0; i < c->n_box && st == ST_OK; i++)
		if (c->box[i].has_row && !box_is_fine(&l, &c->box[i], &a.at[i]))
			st = check_unit_locked(c, ids, 1, box_look, &c->box[i], NULL, e);
	return st == ST_OK ? check_unit(c, ids, 1, account_look, NULL, e) : st;
}

enum status check_recount(struct check *c, struct err *e)
{
	const uint32_t ids[] = { c->account };
	enum status st = ST_OK;

	for (size_t i = 0; i < c->n_box && st == ST_OK; i++)
		if (c->box[i].recount)
			st = check_unit_locked(c, ids, 1, box_look, &c->box[i], NULL, e);
	return st;
}

/* --- each message row against its email ------------------------------------------------- */
static bool is_told(const struct check *c, uint32_t mbox, uint32_t uid)
{
	for (size_t i = 0; i < c->n_told; i++)
		if (c->told[i].mbox == mbox && c->told[i].uid == uid)
			return true;
	return false;
}

/* Its row cannot be read, and no email says that it is its own. */
static enum status message_stray(struct look *l, struct where *w,
				 const struct check_row *row, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *m;

	if (is_told(l->c, w->mbox, w->uid) ||
	    !check_fault(l, w, CHECK_LOST, "taken out: no message belongs to it",
			 "the message's row in its mailbox cannot be read"))
		return ST_OK;
	enum status st = repair_drop(l, row->key, row->value, e);

	if (st == ST_OK)
		st = repair_account(l, &ta, e);
	if (st == ST_OK)
		st = txn_mbox_any(l->t, ta, w->mbox, &m, e);
	if (st == ST_OK)
		txn_log(l->t, ta, m, LOG_EXPUNGED, w->uid);
	repair_recount(l->c, w->mbox);
	return st == err_status(ERR_NO_MAILBOX) ? ST_OK : st;
}

/* The email exists and does not know this place. */
static enum status place_add(struct look *l, const struct row_message *msg, uint32_t mbox,
			     const struct row_email *r, struct err *e)
{
	struct skey k = key_places(l->c->account, msg->row.email);
	struct row_places p = { .n = 0 };
	struct row_message m;
	slice raw;
	enum status st = check_get(l, skey_slice(&k), l->t->a, &raw, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (st == ST_NOT_FOUND || !row_places_read(raw, l->t->a, &p) || p.n == 0) {
		p.at = arena_array(l->t->a, 2, sizeof(*p.at));
		p.n = 0;
		struct skey km = key_message(l->c->account, r->mbox, r->uid);

		if (check_get(l, skey_slice(&km), l->t->a, &raw, NULL) == ST_OK &&
		    row_message_read(raw, r->uid, &m) && m.row.email == msg->row.email) {
			p.at[p.n++] = (struct place){ r->mbox, r->uid };
			m.placed = true;
			txn_message_put(l->t, l->c->account, r->mbox, &m);
		}
	}
	p.at[p.n++] = (struct place){ mbox, msg->row.uid };
	places_put(l->t, l->c->account, msg->row.email, &p);
	m = *msg;
	m.placed = true;
	txn_message_put(l->t, l->c->account, mbox, &m);
	return ST_OK;
}

static enum status message_look(struct look *l, const struct check_row *row,
				struct err *e)
{
	struct check *c = l->c;
	struct rd k = rd_init(slice_from(row->key, 6));
	struct where w = { .code = "message-row", .mbox = rd_u32(&k), .uid = rd_u32(&k) };
	struct row_message msg;
	struct row_email m;
	struct row_places p;
	slice raw;

	bool live = check_box(c, w.mbox); /* or of a deleted mailbox */

	if (row->key.n != 14 || !row_message_read(row->value, w.uid, &msg)) {
		c->strays += !l->sure;
		return live && c->pass == CHECK_STRAYS ? message_stray(l, &w, row, e)
						       : ST_OK;
	}
	if (c->pass == CHECK_STRAYS)
		return ST_OK;
	struct skey ke = key_email(c->account, msg.row.email);
	struct skey kg = key_places(c->account, msg.row.email);
	enum status st = check_get(l, skey_slice(&ke), c->page.a, &raw, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	w.email = msg.row.email;
	if (st == ST_NOT_FOUND || !row_email_read(raw, &m)) {
		w.code = "email-row";
		/* what can be done is known when all references have been seen */
		check_fault(l, &w, CHECK_LATER, NULL, "the message's own row %s",
			    st == ST_OK ? "cannot be read" : "is missing");
		if (l->sure)
			check_lost_add(c, w.mbox, w.uid, w.email);
		return ST_OK;
	}
	if (!live || (!msg.placed && m.mbox == w.mbox && m.uid == w.uid))
		return ST_OK;
	if (check_get(l, skey_slice(&kg), c->page.a, &raw, NULL) == ST_OK &&
	    row_places_read(raw, c->page.a, &p))
		for (size_t i = 0; i < p.n; i++)
			if (p.at[i].mbox == w.mbox && p.at[i].uid == w.uid)
				return ST_OK;
	check_name_email(&w, &m);
	w.code = "places";
	if (!check_fault(l, &w, CHECK_REPAIRED, "added to the list of its places",
			 "the message does not know that it is in this mailbox")) {
		if (l->sure)
			check_told_add(c, 0, 0, w.email);
		return ST_OK;
	}
	return place_add(l, &msg, w.mbox, &m, e);
}

static enum status messages_page(struct look *l, void *ctx, struct err *e)
{
	enum status st = ST_OK;

	(void)ctx;
	for (size_t i = 0; i < l->c->page.n && st == ST_OK; i++)
		st = message_look(l, &l->c->page.at[i], e);
	return st;
}

enum status check_messages(struct check *c, struct err *e)
{
	struct skey k = key_account_type(c->account, 'm');
	const uint32_t ids[] = { c->account };

	return check_walk(c, skey_slice(&k), ids, 1, messages_page, NULL, e);
}

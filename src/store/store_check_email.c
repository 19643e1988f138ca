/* store_check_email.c — the emails of an account, each against its places, references, thread and
 * body: rows e and g. */
#include "mime/mime_digest.h"
#include "store/store_check_int.h"

struct email {
	uint64_t id;
	slice key, value;
	struct row_email row;
	struct where w;
	bool rewrite; /* row was mended: put it */
	bool no_body;
};

struct seen_place { /* a place the email claims */
	struct place at;
	enum { SEEN_NONE, SEEN_BAD, SEEN_OTHER, SEEN_OK } what;
	struct row_message msg; /* SEEN_OK; SEEN_BAD: what could be read of it */
	bool flags_known;
	bool stray; /* it can be read, and names an email that does not say it is there */
	slice raw;
};

static bool same_blob(const struct blob_id *x, const struct blob_id *y)
{
	return memcmp(x->h, y->h, sizeof(x->h)) == 0;
}

/* --- the row itself, its body, its references --------------------------------------- */
static enum status digest_look(struct look *l, struct email *m, struct err *e)
{
	slice d = m->row.digest;

	if (m->row.digest_kind == DIGEST_BLOB) {
		uint64_t size;
		enum status st =
			kv_blob_size(l->c->s->kv, &m->row.digest_blob, &size, NULL);

		if (st == ST_OK && size == m->row.digest_size)
			return ST_OK;
	} else if (d.n == 0 || !mime_digest_is_current(d) ||
		   (mime_digest_is_valid(d) && mime_digest_size(d) == m->row.blob_size)) {
		return ST_OK;
	}
	m->w.code = "digest";
	if (!check_fault(l, &m->w, CHECK_REPAIRED, "made again from the message",
			 "what is kept of its structure is damaged"))
		return ST_OK;
	enum status st = email_digest_make(l->c->s, &m->row, l->t->a, &d, e);

	if (st != ST_OK) /* its body is damaged, which is told as such */
		d = slice_make("", 0);
	if (m->row.digest_kind == DIGEST_BLOB) {
		reference_remove(l->t, &m->row.digest_blob, l->c->account, m->id);
	}
	m->row.digest_kind = DIGEST_INLINE;
	m->row.digest = d.n <= SCHEMA_DIGEST_INLINE ? d : slice_make("", 0);
	m->rewrite = true;
	return ST_OK;
}

static enum status body_look(struct look *l, struct email *m, struct err *e)
{
	struct check *c = l->c;
	uint64_t size = 0;
	struct err why = { 0 };
	enum status st = kv_blob_size(c->s->kv, &m->row.blob, &size, &why);

	if (st == ST_OK && c->opt->address.n && !c->opt->quick && !l->sure)
		st = kv_blob_verify(c->s->kv, &m->row.blob, &why);
	if (st == ST_NOT_FOUND) { /* or it has another name: the references know */
		m->no_body = true;
		if (!l->sure)
			check_lost_add(c, m->w.mbox, m->w.uid, m->id);
		return ST_OK;
	}
	if (st != ST_OK && why.code == ERR_CORRUPT) {
		check_bad_add(c, &m->row.blob); /* told at the end, with all who use it */
		return ST_OK;
	}
	if (st != ST_OK) {
		if (e)
			*e = why;
		return st;
	}
	m->w.code = "email-row";
	if (size != m->row.blob_size &&
	    check_fault(l, &m->w, CHECK_REPAIRED, "set to what the body has",
			"its row says %llu octets, its body has %llu",
			(unsigned long long)m->row.blob_size, (unsigned long long)size)) {
		m->row.blob_size = size;
		m->rewrite = true;
	}
	return ST_OK;
}

static enum status reference_find(struct look *l, const struct email *m,
				  const struct blob_id *id, bool *out, struct err *e)
{
	struct skey k = key_reference(id, l->c->account, m->id);
	slice row;
	enum status st = check_get(l, skey_slice(&k), l->c->page.a, &row, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	*out = st == ST_OK && row.n == 1 && row.p[0] == SCHEMA_ROW;
	return ST_OK;
}

static void reference_look(struct look *l, struct email *m, const struct blob_id *id,
			   bool found)
{
	struct skey k = key_reference(id, l->c->account, m->id);

	l->uses++;
	m->w.code = "reference";
	if (!found && check_fault(l, &m->w, CHECK_REPAIRED, "written again",
				  "the reference that keeps its body is missing"))
		txn_put_empty(l->t, skey_slice(&k));
}

/* A body that is referred to is asked for once, when all references are walked; its length stands
 * in the digest, too. */
static bool body_can_wait(const struct look *l, const struct email *m)
{
	return !l->c->opt->address.n && m->row.digest_kind == DIGEST_INLINE &&
	       mime_digest_is_current(m->row.digest) &&
	       mime_digest_size(m->row.digest) == m->row.blob_size;
}

/* --- places ------------------------------------------------------------------------- */
/* Does that email say that it is at this place? */
static bool claims_place(struct look *l, uint64_t email, struct place at)
{
	struct skey ke = key_email(l->c->account, email),
		    kg = key_places(l->c->account, email);
	struct row_email r;
	struct row_places p;
	slice raw;

	if (check_get(l, skey_slice(&ke), l->c->page.a, &raw, NULL) != ST_OK ||
	    !row_email_read(raw, &r))
		return false;
	if (r.mbox == at.mbox && r.uid == at.uid)
		return true;
	if (check_get(l, skey_slice(&kg), l->c->page.a, &raw, NULL) != ST_OK ||
	    !row_places_read(raw, l->c->page.a, &p))
		return false;
	for (size_t i = 0; i < p.n; i++)
		if (p.at[i].mbox == at.mbox && p.at[i].uid == at.uid)
			return true;
	return false;
}

static enum status place_look(struct look *l, const struct email *m, struct place at,
			      struct seen_place *out, struct err *e)
{
	struct skey k = key_message(l->c->account, at.mbox, at.uid);
	enum status st = check_get(l, skey_slice(&k), l->c->page.a, &out->raw, e);

	out->at = at;
	out->what = SEEN_NONE;
	out->flags_known = out->stray = false;
	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return st;
	if (row_message_read(out->raw, at.uid, &out->msg)) {
		out->what = out->msg.row.email == m->id ? SEEN_OK : SEEN_OTHER;
		if (out->what == SEEN_OTHER && !claims_place(l, out->msg.row.email, at)) {
			out->what = SEEN_BAD;
			out->flags_known = out->stray = true;
		}
		return ST_OK;
	}
	out->what = SEEN_BAD;
	if (out->raw.n == ROW_MESSAGE_SIZE || out->raw.n == ROW_MESSAGE_SIZE_1) {
		char copy[ROW_MESSAGE_SIZE]; /* is it only the version that is wrong? */

		memcpy(copy, out->raw.p, out->raw.n);
		copy[0] = out->raw.n == ROW_MESSAGE_SIZE ? SCHEMA_ROW_2 : SCHEMA_ROW;
		out->flags_known = row_message_read(slice_make(copy, out->raw.n), at.uid,
						    &out->msg) &&
				   out->msg.row.email == m->id;
	}
	return ST_OK;
}

struct places {
	struct seen_place *at;
	size_t n, ok, usable; /* usable: ok, or a row that can be made again */
	bool has_row, bad_row, must_mend, stray;
	slice raw;
};

static enum status places_read(struct look *l, const struct email *m, struct places *p,
			       struct err *e)
{
	struct skey k = key_places(l->c->account, m->id);
	struct row_places row = { .n = 0 };
	struct place first = { m->row.mbox, m->row.uid };
	bool has_first = false;
	enum status st = check_get(l, skey_slice(&k), l->c->page.a, &p->raw, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	p->has_row = st == ST_OK;
	if (p->has_row && (!row_places_read(p->raw, l->c->page.a, &row) || row.n == 0)) {
		p->bad_row = true;
		row.n = 0;
	}
	p->at = arena_array(l->c->page.a, row.n + 1, sizeof(*p->at));
	for (size_t i = 0; i < row.n; i++)
		if (row.at[i].mbox == first.mbox && row.at[i].uid == first.uid)
			has_first = true;
	st = ST_OK;
	for (size_t i = 0; i < row.n && st == ST_OK; i++)
		st = place_look(l, m, row.at[i], &p->at[p->n++], e);
	/* Without a row, or with one that may have lost it: the place of its delivery. */
	if (st == ST_OK && !has_first) {
		struct seen_place s;

		st = place_look(l, m, first, &s, e);
		if (row.n == 0 || s.what == SEEN_OK)
			p->at[p->n++] = s;
	}
	for (size_t i = 0; i < p->n; i++) {
		struct seen_place *s = &p->at[i];

		p->ok += s->what == SEEN_OK;
		p->stray |= s->stray;
		p->must_mend |= s->what != SEEN_OK || s->msg.placed != p->has_row;
	}
	p->must_mend |= p->bad_row || (p->has_row && !has_first && p->n > row.n);
	return st;
}

/* A message row where one could not be read (same UID: its content is what it was), or, where
 * there is none any more, another UID: somebody may have been told that it is gone. */
static enum status message_make(struct look *l, const struct email *m,
				struct seen_place *s, struct err *e)
{
	struct txn_account *ta;
	struct hot_mbox *box;
	uint32_t mbox = check_box(l->c, s->at.mbox) ? s->at.mbox : 0;
	struct row_message msg = { .row.saved = saved_now(l->c->s) };
	enum status st = repair_account(l, &ta, e);

	if (st == ST_OK)
		st = txn_mbox(l->t, ta, mbox, &box, e);
	if (st == err_status(ERR_NO_MAILBOX))
		st = txn_mbox(l->t, ta, 0, &box, e);
	if (st != ST_OK)
		return st;
	bool same = s->what == SEEN_BAD && box->id == s->at.mbox &&
		    s->at.uid < box->row.uidnext;

	if (s->flags_known)
		msg = s->msg;
	msg.placed = true;
	msg.row.email = m->id;
	msg.row.uid = same ? s->at.uid : box->row.uidnext++;
	msg.row.modseq = txn_modseq(ta);
	msg.row.internal_date = m->row.received;
	msg.row.size = m->row.prefix.n + m->row.blob_size;
	if (s->what == SEEN_BAD && !same) {
		struct skey k = key_message(l->c->account, s->at.mbox, s->at.uid);

		txn_del(l->t, skey_slice(&k));
	}
	txn_log(l->t, ta, box, same ? LOG_CHANGED : LOG_ADDED, msg.row.uid);
	txn_message_put(l->t, l->c->account, box->id, &msg);
	repair_recount(l->c, box->id);
	box->dirty = true;
	s->at = (struct place){ box->id, msg.row.uid };
	s->what = SEEN_OK;
	s->msg = msg;
	return ST_OK;
}

/* The row g and the marks in the message rows, from the places that hold. */
static enum status places_write(struct look *l, const struct email *m, struct places *p,
				struct err *e)
{
	struct skey k = key_places(l->c->account, m->id);
	struct row_places out = { .at = arena_array(l->t->a, p->n + 1, sizeof(*out.at)) };
	struct txn_account *ta;
	enum status st = repair_account(l, &ta, e);

	if (st == ST_OK && p->has_row)
		st = repair_aside(l, skey_slice(&k), p->raw, e);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].what == SEEN_OK)
			out.at[out.n++] = p->at[i].at;
	bool placed = out.n != 1 || out.at[0].mbox != m->row.mbox ||
		      out.at[0].uid != m->row.uid;

	for (size_t i = 0; i < p->n; i++) {
		struct seen_place *s = &p->at[i];

		if (s->what != SEEN_OK || s->msg.placed == placed)
			continue;
		s->msg.placed = placed; /* nothing a client could see: no modseq */
		txn_message_put(l->t, l->c->account, s->at.mbox, &s->msg);
	}
	if (placed)
		places_put(l->t, l->c->account, m->id, &out);
	else
		txn_del(l->t, skey_slice(&k));
	return ST_OK;
}

static enum status place_mend(struct look *l, struct email *m, struct places *p,
			      struct seen_place *s, bool *out_changed, struct err *e)
{
	struct where w = m->w;
	bool expunged = false;
	enum status st;

	w.code = "message-row";
	w.mbox = s->at.mbox;
	w.uid = s->at.uid;
	st = check_log_expunged(l, s->at.mbox, s->at.uid, &expunged, e);
	if (st != ST_OK)
		return st;
	if (s->what == SEEN_OTHER || (s->what == SEEN_NONE && p->ok && expunged)) {
		w.code = "places";
		*out_changed |=
			check_fault(l, &w, CHECK_REPAIRED, "taken out",
				    "the message claims a place that it does not have");
		return ST_OK;
	}
	if (expunged && s->what == SEEN_NONE)
		return ST_OK;
	if (!check_fault(l, &w, s->flags_known ? CHECK_REPAIRED : CHECK_LOST,
			 s->flags_known ? "written again"
			 : s->what == SEEN_BAD
				 ? "made again; its flags are lost"
				 : "put back with another UID; its flags are lost",
			 "the message's row in its mailbox %s",
			 s->stray	       ? "names another one"
			 : s->what == SEEN_BAD ? "cannot be read"
					       : "is missing")) {
		if (l->sure && s->what == SEEN_BAD)
			check_told_add(l->c, s->at.mbox, s->at.uid, 0);
		return ST_OK;
	}
	struct skey k = key_message(l->c->account, s->at.mbox, s->at.uid);

	if (s->what == SEEN_BAD)
		st = repair_aside(l, skey_slice(&k), s->raw, e);
	if (st == ST_OK)
		st = message_make(l, m, s, e);
	*out_changed = true;
	return st;
}

/* An email that nothing shows: left over when its last place went. */
static enum status email_left_over(struct look *l, struct email *m, struct err *e)
{
	m->w.code = "email-row";
	if (!check_fault(l, &m->w, CHECK_REPAIRED, "taken out",
			 "a message that was expunged has left its rows behind"))
		return ST_OK;
	enum status st = repair_aside(l, m->key, m->value, e);

	return st == ST_OK ? email_remove(l->t, l->c->account, m->id, e) : st;
}

static bool is_claimed(const struct check *c, uint64_t email)
{
	for (size_t i = 0; i < c->n_told; i++)
		if (c->told[i].email == email)
			return true;
	return false;
}

static enum status places_look(struct look *l, struct email *m, struct seen_place *one,
			       bool *out_there, struct err *e)
{
	struct places p = { 0 };
	struct place first = { m->row.mbox, m->row.uid };
	bool gone = false, changed = false, tried = false;
	enum status st = place_look(l, m, first, one, e);

	*out_there = true;
	if (st != ST_OK)
		return st;
	if (one->what == SEEN_OK && !one->msg.placed) { /* nearly always */
		l->places++;
		return ST_OK;
	}
	st = places_read(l, m, &p, e);
	if (st != ST_OK)
		return st;
	if (p.ok == 0) {
		st = check_is_gone(l, m->id, &gone, e);
		if (st != ST_OK || gone) {
			*out_there = false;
			return st;
		}
	}
	l->places += p.ok;
	for (size_t i = 0; i < p.n; i++)
		if (p.at[i].what == SEEN_OK)
			*one = p.at[i];
	if (!p.must_mend)
		return ST_OK;
	if (l->c->pass == CHECK_FIRST && !p.stray) {
		*out_there = p.ok > 0;
		l->c->waiting += !l->sure;
		return ST_OK;
	}
	if (is_claimed(l->c, m->id))
		return ST_OK; /* told with the message row that claims it */
	uint64_t before = l->faults;

	for (size_t i = 0; i < p.n && st == ST_OK; i++)
		if (p.at[i].what != SEEN_OK)
			st = place_mend(l, m, &p, &p.at[i], &changed, e);
	tried = l->faults != before;
	if (st == ST_OK && p.ok && !tried) {
		m->w.code = "places";
		changed = check_fault(l, &m->w, CHECK_REPAIRED, "written again",
				      "the list of its places %s",
				      p.bad_row	  ? "cannot be read"
				      : p.has_row ? "is not what its mailboxes say"
						  : "is missing");
	} else if (st == ST_OK && !tried) {
		*out_there = false;
		return email_left_over(l, m, e);
	}
	for (size_t i = 0; i < p.n; i++)
		if (p.at[i].what == SEEN_OK)
			*one = p.at[i];
	return st == ST_OK && changed ? places_write(l, m, &p, e) : st;
}

/* --- threads ------------------------------------------------------------------------ */
static enum status claim_look(struct look *l, struct email *m, uint64_t hash,
			      struct err *e)
{
	struct skey k = key_msgid(l->c->account, hash);
	struct row_msgid r;
	slice raw;
	enum status st = check_get(l, skey_slice(&k), l->c->page.a, &raw, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	bool readable = st == ST_OK && row_msgid_read(raw, &r);

	if (readable && r.email == m->id && r.thread == m->row.thread) {
		l->claims++;
		return ST_OK;
	}
	if (readable && r.email != m->id) { /* another one may have it by right */
		struct skey ko = key_email(l->c->account, r.email);
		struct row_email other;
		slice row;

		if (check_get(l, skey_slice(&ko), l->c->page.a, &row, NULL) == ST_OK &&
		    row_email_read(row, &other) &&
		    (other.msgid == hash || other.root == hash))
			return ST_OK;
	}
	m->w.code = "message-id";
	if (!check_fault(l, &m->w, CHECK_REPAIRED, "written again",
			 "the row that leads from a Message-ID to its thread %s",
			 st == ST_NOT_FOUND ? "is missing"
			 : readable	    ? "leads elsewhere"
					    : "cannot be read"))
		return ST_OK;
	AUTO_BUF b = { 0 };

	buf_init(&b, 64);
	row_msgid_write(&b, &(struct row_msgid){ m->row.thread, m->id });
	if (st == ST_OK) {
		st = repair_aside(l, skey_slice(&k), raw, e);
		if (st != ST_OK)
			return st;
	}
	txn_put_buf(l->t, skey_slice(&k), &b);
	l->claims++;
	return ST_OK;
}

static enum status thread_look(struct look *l, struct email *m, struct err *e)
{
	struct skey k = key_thread(l->c->account, m->row.thread, m->id);
	slice raw;
	enum status st = ST_OK;

	if (m->row.msgid)
		st = claim_look(l, m, m->row.msgid, e);
	if (st == ST_OK && m->row.root)
		st = claim_look(l, m, m->row.root, e);
	if (st != ST_OK || m->row.thread == m->id)
		return st;
	l->threads++;
	st = check_get(l, skey_slice(&k), l->c->page.a, &raw, e);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (st == ST_OK && raw.n == 1 && raw.p[0] == SCHEMA_ROW)
		return ST_OK;
	m->w.code = "thread";
	if (check_fault(l, &m->w, CHECK_REPAIRED, "written again",
			"it is missing from its thread"))
		txn_put_empty(l->t, skey_slice(&k));
	return ST_OK;
}

/* --- the message row's own fields --------------------------------------------------- */
static enum status message_look(struct look *l, struct email *m, struct seen_place *s,
				struct err *e)
{
	struct check *c = l->c;
	struct txn_account *ta;
	struct hot_mbox *box;
	struct row_message now = s->msg;
	bool mend = false, logged = true;
	uint64_t size = m->row.prefix.n + m->row.blob_size;
	enum status st = ST_OK;

	m->w.code = "message-row";
	if (now.row.size != size)
		mend |= check_fault(l, &m->w, CHECK_REPAIRED,
				    "set to what the message has",
				    "its row says %llu octets, the message has %llu",
				    (unsigned long long)now.row.size,
				    (unsigned long long)size);
	if (now.row.internal_date != m->row.received)
		mend |= check_fault(l, &m->w, CHECK_REPAIRED, "set to when it came",
				    "its date of arrival is damaged");
	if (now.row.flags.sys & ~31u ||
	    (c->n_keywords < 64 && now.row.flags.kw >> c->n_keywords))
		mend |= check_fault(l, &m->w, CHECK_LOST,
				    "the unknown ones are taken out",
				    "it has flags that do not exist");
	if (c->row_ok && (now.row.modseq > c->row.modseq || now.row.modseq == 0))
		mend |= check_fault(l, &m->w, CHECK_REPAIRED, "a new one is given",
				    "its MODSEQ was never given out");
	else if (c->row_ok && now.row.modseq > c->row.log_floor)
		st = check_log_has(l, &now, s->at.mbox, &logged, e);
	if (st != ST_OK)
		return st;
	if (!logged)
		mend |= check_fault(l, &m->w, CHECK_REPAIRED, "noted in it anew",
				    "the change log does not know it at its MODSEQ");
	if (!mend)
		return ST_OK;
	st = repair_account(l, &ta, e);
	if (st == ST_OK)
		st = txn_mbox(l->t, ta, s->at.mbox, &box, e);
	if (st != ST_OK)
		return st;
	now.row.size = size;
	now.row.internal_date = m->row.received;
	now.row.flags.sys &= 31u;
	if (c->n_keywords < 64)
		now.row.flags.kw &= (1ull << c->n_keywords) - 1;
	now.row.modseq = txn_modseq(ta);
	txn_message_put(l->t, c->account, box->id, &now);
	txn_log(l->t, ta, box, LOG_CHANGED, now.row.uid);
	repair_recount(c, box->id);
	return ST_OK;
}

/* --- the walk ----------------------------------------------------------------------- */
/* Ids are never given twice: what the account gives next lies above all that are there. */
static enum status number_look(struct look *l, const struct email *m, struct err *e)
{
	struct where w = { .code = "account-numbers" };
	uint64_t number = m->id & ((1ull << 48) - 1);
	struct txn_account *ta;

	if (!l->c->row_ok || m->id >> 48 != l->c->s->format.epoch ||
	    number < l->c->row.next_email)
		return ST_OK;
	if (l->sure) { /* they may have been given meanwhile */
		enum status st = repair_account(l, &ta, e);

		if (st != ST_OK || number < ta->hot->row.next_email)
			return st;
	}
	if (check_fault(l, &w, CHECK_REPAIRED, "raised above all that are there",
			"the next message would get an id that is taken")) {
		ta->hot->row.next_email = number + 1;
		ta->hot->dirty = true;
		l->c->row.next_email = number + 1;
	}
	return ST_OK;
}

static enum status email_look(struct look *l, const struct check_row *row, struct err *e)
{
	struct check *c = l->c;
	struct email m = { .id = check_key_id(row->key),
			   .key = row->key,
			   .value = row->value };
	struct seen_place s;
	bool there = true;
	enum status st;

	if (row->key.n != 14 || !row_email_read(row->value, &m.row)) {
		if (!l->sure && c->pass == CHECK_FIRST)
			check_lost_add(c, 0, 0, m.id);
		return ST_OK;
	}
	m.w = (struct where){ .mbox = m.row.mbox, .uid = m.row.uid, .email = m.id };
	check_name_email(&m.w, &m.row);
	if (c->pass == CHECK_PLACES) {
		uint64_t places = l->places;

		st = places_look(l, &m, &s, &there, e);
		l->places = places; /* counted before */
		return st;
	}
	st = number_look(l, &m, e);
	if (st == ST_OK)
		st = places_look(l, &m, &s, &there, e);
	if (st != ST_OK)
		return st;
	l->messages += there;
	if (there && s.what == SEEN_OK) {
		m.w.mbox = s.at.mbox;
		m.w.uid = s.at.uid;
	}
	if (!there || s.what != SEEN_OK)
		m.w.mbox = m.w.uid = 0;
	bool found = false;

	st = reference_find(l, &m, &m.row.blob, &found, e);
	if (st == ST_OK && (!found || !body_can_wait(l, &m)))
		st = body_look(l, &m, e);
	if (m.no_body)
		return st;
	if (st == ST_OK)
		st = digest_look(l, &m, e);
	if (st != ST_OK)
		return st;
	reference_look(l, &m, &m.row.blob, found);
	if (m.row.digest_kind == DIGEST_BLOB &&
	    !same_blob(&m.row.digest_blob, &m.row.blob)) {
		st = reference_find(l, &m, &m.row.digest_blob, &found, e);
		if (st != ST_OK)
			return st;
		reference_look(l, &m, &m.row.digest_blob, found);
	}
	if (st == ST_OK)
		st = thread_look(l, &m, e);
	if (st == ST_OK && there && s.what == SEEN_OK && check_box(c, s.at.mbox))
		st = message_look(l, &m, &s, e);
	if (st != ST_OK || !m.rewrite)
		return st;
	AUTO_BUF b = { 0 };

	buf_init(&b, LIMIT_VALUE);
	row_email_write(&b, &m.row);
	st = repair_aside(l, m.key, m.value, e);
	txn_put_buf(l->t, m.key, &b);
	return st;
}

static enum status emails_page(struct look *l, void *ctx, struct err *e)
{
	const struct check_page *p = &l->c->page;
	struct txn_account *ta;
	enum status st = ST_OK;

	(void)ctx;
	if (l->sure && l->c->row_ok) { /* as it is by now */
		st = repair_account(l, &ta, e);
		if (st == ST_OK) {
			l->c->row = ta->hot->row;
			st = check_keywords(l, e);
		}
	}
	for (size_t i = 0; i < p->n && st == ST_OK; i++)
		st = email_look(l, &p->at[i], e);
	if (!l->sure && l->c->pass == CHECK_FIRST)
		check_tick(l->c, p->n);
	return st;
}

enum status check_emails(struct check *c, struct err *e)
{
	struct skey k = key_account_type(c->account, 'e');
	const uint32_t ids[] = { c->account };

	return check_walk(c, skey_slice(&k), ids, 1, emails_page, NULL, e);
}

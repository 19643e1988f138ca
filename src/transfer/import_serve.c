/* import_serve.c — the store's side of an import: messages are gathered into transactions,
 * one of which is on its way to the disk while the next is received. */
#include "base/cleanup.h"
#include "store/store.h"
#include "transfer/import.h"
#include "transfer/present.h"
#include <pthread.h>

#define BATCH_MESSAGES 256 /* the account's lock is held for a few milliseconds */
#define BATCH_BYTES    (4u << 20)
#define DATE_MAX       253402300799LL /* the end of the year 9999 */
#define KEYWORDS_MAX   (LIMIT_KEYWORDS * (LIMIT_KEYWORD + 1u))

struct pending {
	struct intake *in;
	uint64_t tag;
	uint32_t uid, flags;
	int64_t date;
	slice keywords; /* own heap */
};
struct range { /* of UIDs that this conversation has given */
	uint32_t first, last;
};
struct importer {
	struct store *s;
	uint32_t account;
	struct frame_conn conn;

	/* the mailbox */
	uint32_t mbox, uidnext;
	bool is_open, keeps_uids;
	struct present_set *present;
	struct import_report report;
	struct range *range;
	size_t n_range, cap_range;

	/* the message that is coming in */
	struct pending now;
	struct err now_failed;

	struct pending *batch;
	size_t n_batch;
	uint64_t batch_bytes;
	uint64_t answered; /* messages whose fate is decided, or will be by the flight */

	/* the transaction on its way */
	struct done done;
	pthread_mutex_t lock;
	pthread_cond_t landed;
	bool in_flight, has_landed;
	uint64_t flight_answered;
	enum status flight_status;
	struct err flight_err;
};

/* --- telling the other side --------------------------------------------------------- */

static enum status tell(struct importer *im, enum frame_type type, json_t *v,
			struct err *e)
{
	return frame_send_json(&im->conn, type, v, e);
}

static enum status refuse(struct importer *im, uint64_t tag, const char *why,
			  struct err *e)
{
	im->report.refused++;
	return tell(im, FRAME_NOTE,
		    json_pack("{s:I, s:o}", "tag", (json_int_t)tag, "why",
			      frame_text(slice_str(why))),
		    e);
}

/* --- transactions ------------------------------------------------------------------- */

static void on_landed(struct done *d, enum status st, const struct err *why)
{
	struct importer *im =
		(struct importer *)((char *)d - offsetof(struct importer, done));
	pthread_mutex_lock(&im->lock);
	im->flight_status = st;
	if (st != ST_OK && why != NULL)
		im->flight_err = *why;
	im->has_landed = true;
	pthread_cond_signal(&im->landed);
	pthread_mutex_unlock(&im->lock);
}

/* Waits for the transaction on its way and says that it is durable. */
static enum status land(struct importer *im, struct err *e)
{
	if (!im->in_flight)
		return ST_OK;
	pthread_mutex_lock(&im->lock);
	while (!im->has_landed)
		pthread_cond_wait(&im->landed, &im->lock);
	pthread_mutex_unlock(&im->lock);
	im->in_flight = false;
	if (im->flight_status != ST_OK) {
		*e = im->flight_err;
		return im->flight_status;
	}
	return tell(im, FRAME_NOTE,
		    json_pack("{s:I}", "durable", (json_int_t)im->flight_answered), e);
}

static void fly(struct importer *im, struct store_txn *t)
{
	im->done = (struct done){ .fn = on_landed };
	im->in_flight = true;
	im->has_landed = false;
	im->flight_answered = im->answered;
	store_commit(t, &im->done);
}

static void note_uid(struct importer *im, uint32_t uid)
{
	if (im->n_range > 0 && im->range[im->n_range - 1].last + 1 == uid) {
		im->range[im->n_range - 1].last = uid;
		return;
	}
	if (im->n_range == im->cap_range) {
		im->cap_range = im->cap_range ? im->cap_range * 2 : 16;
		im->range = mem_grow(im->range, im->cap_range, sizeof(*im->range));
	}
	im->range[im->n_range++] = (struct range){ uid, uid };
}

/* Those that the account has no room for are left out: 64 are many. */
static uint64_t keyword_bits(struct importer *im, struct store_txn *t, slice words)
{
	uint64_t bits = 0;
	while (words.n > 0) {
		slice word = slice_cut(&words, ' ');
		unsigned bit;
		struct err ignored;
		if (transfer_is_keyword(word) &&
		    store_keyword_bit(t, im->account, word, &bit, &ignored) == ST_OK)
			bits |= UINT64_C(1) << bit;
	}
	return bits;
}

static enum status add(struct importer *im, struct store_txn *t, const struct pending *p,
		       struct err *e)
{
	uint32_t uid;
	struct store_place place = {
		.account = im->account,
		.mbox = im->mbox,
		.prefix = SL(""),
		.flags = { p->flags, keyword_bits(im, t, p->keywords) },
		.internal_date = p->date,
		.no_letter = im->keeps_uids, /* the next delivery brings it */
	};
	enum status st = ST_OK;
	if (im->keeps_uids && p->uid != 0)
		st = store_mailbox_uids(t, im->account, im->mbox, 0, p->uid, e);
	if (st == ST_OK)
		st = store_add(t, p->in, &place, &uid, e);
	if (st == ST_OK) {
		im->report.added++;
		im->report.added_bytes += intake_get(p->in)->size;
		note_uid(im, uid);
	}
	return st;
}

static void batch_clear(struct importer *im)
{
	for (size_t i = 0; i < im->n_batch; i++) {
		intake_free(im->batch[i].in);
		mem_free((void *)(uintptr_t)im->batch[i].keywords.p);
	}
	im->n_batch = 0;
	im->batch_bytes = 0;
}

/* No other message will fare better. */
static bool ends_all(enum err_code code)
{
	return code == ERR_OVERQUOTA || code == ERR_DISK_FULL || code == ERR_STOPPED ||
	       code == ERR_NO_MAILBOX || code == ERR_NO_ACCOUNT || code == ERR_IO ||
	       code == ERR_CORRUPT;
}

/* Files what is gathered, and lets it fly. When the store will take no more, what went
 * before is made durable all the same. */
static enum status file_batch(struct importer *im, struct err *e)
{
	struct store_txn *t;
	struct err why = { 0 };
	if (im->n_batch == 0)
		return ST_OK;
	enum status st = land(im, e);
	if (st == ST_OK)
		st = store_begin(im->s, &im->account, 1, NULL, &t, e);
	if (st != ST_OK) {
		batch_clear(im);
		return st;
	}
	for (size_t i = 0; i < im->n_batch && st == ST_OK; i++) {
		enum status one = add(im, t, &im->batch[i], &why);
		if (one != ST_OK && ends_all(why.code)) {
			st = one;
			*e = why;
		} else if (one != ST_OK) {
			st = refuse(im, im->batch[i].tag, why.text, e);
		}
	}
	batch_clear(im);
	fly(im, t);
	if (st != ST_OK)
		(void)!land(im, &why);
	return st;
}

static enum status in_txn(struct importer *im,
			  enum status (*fn)(struct importer *im, struct store_txn *t,
					    void *arg, struct err *e),
			  void *arg, struct err *e)
{
	struct store_txn *t;
	enum status st = store_begin(im->s, &im->account, 1, NULL, &t, e);
	if (st != ST_OK)
		return st;
	st = fn(im, t, arg, e);
	if (st == ST_OK)
		return store_commit_wait(t, e);
	store_abort(t);
	return st;
}

/* --- mailboxes ---------------------------------------------------------------------- */

struct wanted_box {
	slice name;
	enum store_role role;
	bool subscribed, exists;
	uint32_t uidvalidity;
};

/* Not that of INBOX, which is there. */
static enum store_role role_of(slice s)
{
	for (int r = ROLE_DRAFTS; r <= ROLE_ARCHIVE; r++)
		if (slice_eq(s, slice_str(store_role_name((enum store_role)r))))
			return (enum store_role)r;
	return ROLE_NONE;
}

static bool role_is_taken(struct importer *im, enum store_role role)
{
	AUTO_ARENA a;
	struct store_mailbox *m;
	struct err ignored;
	size_t n;
	arena_init(&a);
	if (store_mailbox_list(im->s, im->account, &a, &m, &n, &ignored) != ST_OK)
		return true;
	for (size_t i = 0; i < n; i++)
		if (m[i].role == role)
			return true;
	return false;
}

static enum status box_make(struct importer *im, struct store_txn *t, void *arg,
			    struct err *e)
{
	struct wanted_box *w = arg;
	enum status st = ST_OK;
	if (!w->exists)
		st = store_mailbox_create(t, im->account, w->name, w->role, &im->mbox, e);
	if (st == ST_OK && w->subscribed)
		st = store_mailbox_subscribe(t, im->account, w->name, true, e);
	if (st == ST_OK && w->uidvalidity != 0)
		st = store_mailbox_uids(t, im->account, im->mbox, w->uidvalidity, 0, e);
	return st;
}

static enum status box_open(struct importer *im, struct wanted_box *w, struct err *e)
{
	AUTO_ARENA a;
	struct store_mailbox m = { 0 };
	arena_init(&a);
	enum status st = store_mailbox_find(im->s, im->account, w->name, &a, &m, e);
	if (st != ST_OK && e->code != ERR_NO_MAILBOX)
		return st;
	w->exists = st == ST_OK && m.exists;
	im->mbox = m.id;
	if (!w->exists && w->role != ROLE_NONE && role_is_taken(im, w->role))
		w->role = ROLE_NONE;
	if (w->exists && w->uidvalidity == m.uidvalidity)
		w->uidvalidity = 0;
	w->subscribed = w->subscribed && !m.subscribed;
	if (!w->exists || w->subscribed || w->uidvalidity != 0)
		st = in_txn(im, box_make, w, e);
	else
		st = ST_OK;
	if (st != ST_OK)
		return st;
	im->present = present_new(im->s, im->account, im->mbox, e);
	return im->present != NULL ? ST_OK : err_status(e->code);
}

static enum status on_box(struct importer *im, const json_t *v, struct err *e)
{
	const json_t *name = json_object_get(v, "box"),
		     *role = json_object_get(v, "role");
	struct err why = { 0 };
	struct wanted_box w = {
		.name = slice_make(json_string_value(name), json_string_length(name)),
		.role = role_of(
			slice_make(json_string_value(role), json_string_length(role))),
		.subscribed = json_is_true(json_object_get(v, "subscribed")),
		.uidvalidity =
			(uint32_t)json_integer_value(json_object_get(v, "uidvalidity")),
	};
	if (im->is_open || !json_is_string(name))
		return err_set(e, ERR_SYNTAX, "a mailbox begins inside another");
	im->keeps_uids = w.uidvalidity != 0;
	im->uidnext = (uint32_t)json_integer_value(json_object_get(v, "uidnext"));
	im->report = (struct import_report){ 0 };
	im->n_range = 0;
	enum status st = box_open(im, &w, &why);
	im->is_open = st == ST_OK;
	if (st != ST_OK && (why.code == ERR_NO_ACCOUNT || why.code == ERR_DISK_FULL ||
			    why.code == ERR_STOPPED)) {
		*e = why;
		return st;
	}
	return tell(im, FRAME_ITEM,
		    json_pack("{s:o}", st == ST_OK ? "ready" : "why",
			      st == ST_OK ? json_true()
					  : frame_text(slice_str(why.text))),
		    e);
}

static bool count_row(void *ctx, const struct store_row *row)
{
	struct import_report *r = ctx;
	r->verified++;
	r->verified_bytes += row->size;
	return true;
}

static enum status raise_uidnext(struct importer *im, struct store_txn *t, void *arg,
				 struct err *e)
{
	struct err taken = { 0 };
	(void)arg;
	enum status st =
		store_mailbox_uids(t, im->account, im->mbox, 0, im->uidnext, &taken);
	if (st != ST_OK && taken.code != ERR_CANNOT) { /* there already: fine */
		*e = taken;
		return st;
	}
	return ST_OK;
}

/* All durable, then read back: what the store says it has is what is reported. */
static enum status on_box_end(struct importer *im, struct err *e)
{
	struct import_report *r = &im->report;
	if (!im->is_open)
		return err_set(e, ERR_SYNTAX, "no mailbox has begun");
	enum status st = file_batch(im, e);
	if (st == ST_OK)
		st = land(im, e);
	if (st == ST_OK && im->keeps_uids && im->uidnext > 1)
		st = in_txn(im, raise_uidnext, NULL, e);
	for (size_t i = 0; i < im->n_range && st == ST_OK; i++)
		st = store_rows(im->s, im->account, im->mbox, im->range[i].first,
				im->range[i].last, count_row, r, e);
	present_free(im->present);
	im->present = NULL;
	im->is_open = false;
	if (st != ST_OK)
		return st;
	return tell(im, FRAME_ITEM,
		    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "added",
			      (json_int_t)r->added, "added_bytes",
			      (json_int_t)r->added_bytes, "present",
			      (json_int_t)r->present, "refused", (json_int_t)r->refused,
			      "verified", (json_int_t)r->verified, "verified_bytes",
			      (json_int_t)r->verified_bytes),
		    e);
}

/* --- messages ----------------------------------------------------------------------- */

static void now_clear(struct importer *im)
{
	intake_free(im->now.in);
	mem_free((void *)(uintptr_t)im->now.keywords.p);
	im->now = (struct pending){ 0 };
	im->now_failed = (struct err){ 0 };
}

static enum status on_message(struct importer *im, slice data, struct err *e)
{
	struct transfer_message m;
	if (!im->is_open || im->now.in != NULL || !transfer_message_read(data, &m) ||
	    m.keywords.n > KEYWORDS_MAX)
		return err_set(e, ERR_SYNTAX, "a message begins where none can");
	char *words = mem_new(m.keywords.n + 1);
	if (m.keywords.n > 0)
		memcpy(words, m.keywords.p, m.keywords.n);
	im->now = (struct pending){
		.in = intake_new(im->s, 0, LIMIT_IMPORT_MESSAGE),
		.tag = m.tag,
		.uid = m.uid,
		.flags = m.flags & (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED |
				    FLAG_DRAFT | FLAG_DELETED),
		.date = m.date < 0	    ? 0
			: m.date > DATE_MAX ? DATE_MAX
					    : m.date,
		.keywords = slice_make(words, m.keywords.n),
	};
	return ST_OK;
}

static enum status on_data(struct importer *im, slice data, struct err *e)
{
	if (im->now.in == NULL)
		return err_set(e, ERR_SYNTAX, "octets outside a message");
	if (im->now_failed.code == ERR_NONE &&
	    intake_write(im->now.in, data, &im->now_failed) != ST_OK &&
	    ends_all(im->now_failed.code)) {
		*e = im->now_failed;
		return err_status(e->code);
	}
	return ST_OK;
}

static enum status on_end(struct importer *im, slice why, struct err *e)
{
	struct pending *p = &im->now;
	enum status st = ST_OK;
	if (p->in == NULL)
		return err_set(e, ERR_SYNTAX, "the end of no message");
	im->answered++;
	if (why.n > 0) { /* the other side knows */
		im->report.refused++;
		now_clear(im);
		return ST_OK;
	}
	if (im->now_failed.code == ERR_NONE)
		(void)!intake_end(p->in, &im->now_failed);
	if (im->now_failed.code != ERR_NONE) {
		if (ends_all(im->now_failed.code)) {
			*e = im->now_failed;
			return err_status(e->code);
		}
		st = refuse(im, p->tag, im->now_failed.text, e);
		now_clear(im);
		return st;
	}
	if (present_take(im->present, intake_get(p->in), p->date)) {
		im->report.present++;
		now_clear(im);
		return ST_OK;
	}
	im->batch_bytes += intake_get(p->in)->size;
	im->batch[im->n_batch++] = *p;
	*p = (struct pending){ 0 };
	if (im->n_batch == BATCH_MESSAGES || im->batch_bytes >= BATCH_BYTES)
		return file_batch(im, e);
	return ST_OK;
}

/* --- the conversation --------------------------------------------------------------- */

static enum status on_item(struct importer *im, const struct frame_got *f,
			   bool *out_finish, struct err *e)
{
	json_t *v = frame_json(f, e);
	enum status st;
	if (v == NULL)
		return err_status(e->code);
	if (im->now.in != NULL)
		st = err_set(e, ERR_SYNTAX, "a message has not ended");
	else if (json_object_get(v, "box") != NULL)
		st = on_box(im, v, e);
	else if (json_object_get(v, "end") != NULL)
		st = on_box_end(im, e);
	else {
		*out_finish = true;
		st = im->is_open ? err_set(e, ERR_SYNTAX, "a mailbox has not ended")
				 : ST_OK;
	}
	json_decref(v);
	return st;
}

static enum status converse(struct importer *im, struct err *e)
{
	bool finish = false;
	enum status st = ST_OK;
	while (st == ST_OK && !finish) {
		struct frame_got f;
		st = frame_receive(&im->conn, &f, e);
		if (st != ST_OK)
			break;
		if (f.type == FRAME_DATA)
			st = on_data(im, f.data, e);
		else if (f.type == FRAME_MESSAGE)
			st = on_message(im, f.data, e);
		else if (f.type == FRAME_END)
			st = on_end(im, f.data, e);
		else
			st = on_item(im, &f, &finish, e);
	}
	if (st == ST_OK)
		st = tell(im, FRAME_RESULT, json_object(), e);
	return st == ST_OK ? frame_flush(&im->conn, e) : st;
}

enum status import_serve(struct store *s, uint32_t account, int fd,
			 const _Atomic bool *stop, struct err *e)
{
	struct err ignored;
	struct importer *im = mem_new(sizeof(*im));
	*im = (struct importer){ .s = s, .account = account };
	im->batch = mem_array(BATCH_MESSAGES, sizeof(*im->batch));
	pthread_mutex_init(&im->lock, NULL);
	pthread_cond_init(&im->landed, NULL);
	frame_conn_init(&im->conn, fd, stop);
	enum status st = converse(im, e);
	(void)!land(im, &ignored); /* it names im: never before it is over */
	batch_clear(im);
	now_clear(im);
	present_free(im->present);
	frame_conn_done(&im->conn);
	pthread_cond_destroy(&im->landed);
	pthread_mutex_destroy(&im->lock);
	mem_free(im->range);
	mem_free(im->batch);
	mem_free(im);
	return st;
}

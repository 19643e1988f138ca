/* store_view.c — views: made from the one before through the change log, or from the
 * rows. */
#include "store/store_view.h"

/* --- registry ----------------------------------------------------------------------- */
void view_init(struct store *s)
{
	pthread_mutex_init(&s->view_lock, NULL);
}

void view_done(struct store *s)
{
	pthread_mutex_destroy(&s->view_lock);
}

static struct view_node **bucket_of(struct store *s, uint32_t account, uint32_t mbox)
{
	return &s->view[(account * 2654435761u ^ mbox * 40503u) % VIEW_BUCKETS];
}

static struct view_node *node_find(struct store *s, uint32_t account, uint32_t mbox)
{
	struct view_node *n = *bucket_of(s, account, mbox);

	while (n && (n->account != account || n->mbox != mbox))
		n = n->next;
	return n;
}

static struct view_node *node_ref(struct store *s, uint32_t account, uint32_t mbox,
				  bool make)
{
	pthread_mutex_lock(&s->view_lock);
	struct view_node *n = node_find(s, account, mbox);

	if (!n && make) {
		struct view_node **b = bucket_of(s, account, mbox);

		n = mem_new(sizeof(*n));
		n->account = account;
		n->mbox = mbox;
		pthread_mutex_init(&n->lock, NULL);
		n->next = *b;
		*b = n;
	}
	if (n)
		n->users++;
	pthread_mutex_unlock(&s->view_lock);
	return n;
}

static void node_unref(struct store *s, struct view_node *n)
{
	pthread_mutex_lock(&s->view_lock);
	if (--n->users == 0) {
		struct view_node **p = bucket_of(s, n->account, n->mbox);

		while (*p != n)
			p = &(*p)->next;
		*p = n->next;
		pthread_mutex_destroy(&n->lock);
		mem_free(n);
	}
	pthread_mutex_unlock(&s->view_lock);
}

uint64_t view_oldest(struct store *s, uint32_t account, uint32_t mbox)
{
	struct view_node *n = node_ref(s, account, mbox, false);
	uint64_t oldest = UINT64_MAX;

	if (!n)
		return oldest;
	pthread_mutex_lock(&n->lock);
	for (const struct view *v = n->live; v; v = v->next)
		if (v->pub.modseq < oldest)
			oldest = v->pub.modseq;
	pthread_mutex_unlock(&n->lock);
	node_unref(s, n);
	return oldest;
}

bool view_may_show(struct store *s, uint32_t account, uint32_t mbox, uint64_t modseq)
{
	return view_oldest(s, account, mbox) < modseq;
}

size_t view_mailboxes(struct store *s, uint32_t account, struct arena *a, uint32_t **out)
{
	size_t n = 0, cap = 0;

	*out = NULL;
	pthread_mutex_lock(&s->view_lock);
	for (size_t i = 0; i < VIEW_BUCKETS; i++) {
		for (const struct view_node *v = s->view[i]; v; v = v->next) {
			if (v->account != account)
				continue;
			if (n == cap) {
				uint32_t *old = *out;

				cap = cap ? cap * 2 : 8;
				*out = arena_array(a, cap, sizeof(**out));
				if (n)
					memcpy(*out, old, n * sizeof(**out));
			}
			(*out)[n++] = v->mbox;
		}
	}
	pthread_mutex_unlock(&s->view_lock);
	return n;
}

/* --- arrays ------------------------------------------------------------------------- */
static struct uid_array *array_new(size_t n)
{
	size_t cap = n + n / 8 + 16;
	struct uid_array *a = mem_grow(NULL, sizeof(*a) + cap * sizeof(uint32_t), 1);

	*a = (struct uid_array){ .refs = 1, .cap = cap };
	return a;
}

static void array_unref(struct uid_array *a)
{
	if (a && --a->refs == 0)
		mem_free(a);
}

static void array_add(struct uid_array *a, const uint32_t *uid, size_t n)
{
	if (n)
		memcpy(a->uid + a->used, uid, n * sizeof(uint32_t));
	a->used += n;
}

/* prev without expunged, with added (all of them behind prev's last: UIDs grow). */
static struct uid_array *array_next(const struct view *prev, const struct uid_changes *c)
{
	struct uid_array *a = prev->array;

	if (c->expunged.n == 0 && (c->added.n == 0 || (a->used == prev->pub.n &&
						       c->added.n <= a->cap - a->used))) {
		a->refs++;
		array_add(a, c->added.uid, c->added.n);
		return a;
	}
	a = array_new(prev->pub.n + c->added.n);
	size_t from = 0, gone = 0;

	while (from < prev->pub.n) { /* runs between the expunged ones */
		size_t to = from;

		while (to < prev->pub.n && (gone == c->expunged.n ||
					    prev->pub.uid[to] != c->expunged.uid[gone]))
			to++;
		array_add(a, prev->pub.uid + from, to - from);
		if (to < prev->pub.n)
			gone++;
		from = to + 1;
	}
	array_add(a, c->added.uid, c->added.n);
	return a;
}

/* --- building ----------------------------------------------------------------------- */
static enum status mbox_row(struct store *s, const struct view_node *n,
			    struct row_mbox *out, struct err *e)
{
	AUTO_ARENA a = { 0 };
	slice row;
	struct skey k = key_mbox(n->account, n->mbox);

	arena_init(&a);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), &a, &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_MAILBOX, "there is no such mailbox");
	if (st != ST_OK)
		return st;
	if (!row_mbox_read(row, out))
		return damaged(e, "mailbox");
	out->name = slice_make("", 0);
	return out->exists ? ST_OK
			   : err_set(e, ERR_NO_MAILBOX, "this name holds no messages");
}

static struct view *view_add(struct view_node *n, const struct row_mbox *r,
			     struct uid_array *array, size_t count)
{
	struct view *v = mem_new(sizeof(*v));

	atomic_init(&v->refs, 1);
	v->node = n;
	v->array = array;
	v->pub = (struct store_view){ n->account, n->mbox, r->uidvalidity, r->uidnext,
				      r->modseq,  count,   array->uid };
	v->next = n->live;
	n->live = v;
	return v;
}

/* UIDs already known are not added again, UIDs below the last cannot come. */
static void added_settle(struct uid_set *added, const struct view *prev)
{
	uint32_t last = prev->pub.n ? prev->pub.uid[prev->pub.n - 1] : 0;
	size_t n = 0;

	for (size_t i = 0; i < added->n; i++)
		if (added->uid[i] > last)
			added->uid[n++] = added->uid[i];
	added->n = n;
}

static void without(struct uid_set *s, const struct uid_set *gone)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (!uid_is_in(gone->uid, gone->n, s->uid[i]))
			s->uid[n++] = s->uid[i];
	s->n = n;
}

static void only_in(struct uid_set *s, const struct view *v)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (uid_is_in(v->pub.uid, v->pub.n, s->uid[i]))
			s->uid[n++] = s->uid[i];
	s->n = n;
}

/* The next view from the change log; *out stays NULL when the log cannot tell. */
static enum status view_follow(struct store *s, struct view_node *n, struct view *prev,
			       const struct row_mbox *r, struct view **out, struct err *e)
{
	struct uid_changes c = { 0 };
	bool known;
	enum status st = changes_read(s, n->account, n->mbox, prev->pub.modseq, r->modseq,
				      &c, &known, e);

	if (st != ST_OK || !known)
		return st;
	without(&c.added, &c.expunged);
	added_settle(&c.added, prev);
	only_in(&c.expunged, prev);
	only_in(&c.changed, prev);
	without(&c.changed, &c.expunged);
	struct uid_array *a = array_next(prev, &c);
	struct view *v = view_add(n, r, a, prev->pub.n - c.expunged.n + c.added.n);

	v->has_step = true;
	v->step_from = prev->pub.modseq;
	v->step = c;
	*out = v;
	return ST_OK;
}

/* Rows are read behind the mailbox row: when that has moved on meanwhile, once more. */
static enum status view_scan(struct store *s, struct view_node *n, struct row_mbox *r,
			     struct view **out, struct err *e)
{
	enum status st = ST_OK;

	for (int tries = 0; tries < 4; tries++) {
		struct uid_set set = { 0 };
		uint64_t modseq = r->modseq;

		st = uids_scan(s, n->account, n->mbox, r->uidnext, 0, &set, NULL, e);
		struct row_mbox now = *r;

		if (st == ST_OK)
			st = mbox_row(s, n, &now, e);
		if (st == ST_OK && (now.modseq == modseq || tries == 3)) {
			/* The last try under a storm of expunges: those that it missed
			 * are gone in the next view. */
			struct uid_array *a = array_new(set.n);

			array_add(a, set.uid, set.n);
			*out = view_add(n, r, a, set.n);
		}
		uid_set_done(&set);
		if (st != ST_OK || *out)
			return st;
		*r = now;
	}
	return st;
}

static struct view *view_shared(struct view *v, const struct row_mbox *r)
{
	unsigned refs = atomic_load(&v->refs);

	if (v->pub.modseq != r->modseq || v->pub.uidvalidity != r->uidvalidity)
		return NULL;
	while (refs && !atomic_compare_exchange_weak(&v->refs, &refs, refs + 1))
		;
	return refs ? v : NULL; /* 0: its last user is just leaving */
}

static enum status view_make(struct store *s, struct view_node *n, struct view **out,
			     bool *out_new, struct err *e)
{
	struct row_mbox r;
	enum status st = mbox_row(s, n, &r, e);

	*out = NULL;
	*out_new = false;
	if (st != ST_OK)
		return st;
	for (struct view *v = n->live; v && !*out; v = v->next)
		*out = view_shared(v, &r);
	if (*out)
		return ST_OK;
	*out_new = true;
	if (n->live && n->live->pub.uidvalidity == r.uidvalidity &&
	    n->live->pub.modseq < r.modseq)
		st = view_follow(s, n, n->live, &r, out, e);
	if (st == ST_OK && !*out)
		st = view_scan(s, n, &r, out, e);
	return st;
}

enum status store_view_open(struct store *s, uint32_t account, uint32_t mbox,
			    const struct store_view **out, struct err *e)
{
	struct view_node *n = node_ref(s, account, mbox, true);
	struct view *v = NULL;
	bool is_new;

	pthread_mutex_lock(&n->lock);
	enum status st = view_make(s, n, &v, &is_new, e);

	pthread_mutex_unlock(&n->lock);
	if (st != ST_OK ||
	    !is_new) /* a new view keeps the node until its last reference goes */
		node_unref(s, n);
	if (st != ST_OK)
		return st;
	*out = &v->pub;
	return ST_OK;
}

const struct store_view *store_view_ref(const struct store_view *pub)
{
	struct view *v = (struct view *)pub;

	atomic_fetch_add(&v->refs, 1);
	return pub;
}

void store_view_unref(struct store *s, const struct store_view *pub)
{
	struct view *v = (struct view *)pub;

	if (!v)
		return;
	struct view_node *n = v->node;

	if (atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	pthread_mutex_lock(&n->lock);
	struct view **p = &n->live;

	while (*p != v)
		p = &(*p)->next;
	*p = v->next;
	array_unref(v->array);
	pthread_mutex_unlock(&n->lock);
	uid_changes_done(&v->step);
	mem_free(v);
	node_unref(s, n);
}

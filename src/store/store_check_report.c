/* store_check_report.c — what was found, told once, with names that people know. */
#include "mime/mime_digest.h"
#include "store/store_check_int.h"

slice check_path(const struct check *c, uint32_t mbox)
{
	const struct check_box *b = check_box(c, mbox);

	return b ? b->path : slice_make("", 0);
}

struct check_box *check_box(const struct check *c, uint32_t mbox)
{
	size_t lo = 0, hi = c->n_box;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c->box[mid].id == mbox)
			return &c->box[mid];
		if (c->box[mid].id < mbox)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

void check_name_email(struct where *w, const struct row_email *r)
{
	if (r->digest_kind != DIGEST_INLINE || !mime_digest_is_current(r->digest))
		return;
	w->subject = mime_digest_base_subject(r->digest);
	w->message_id = mime_digest_message_id(r->digest);
}

static void said_add(struct check *c, const struct store_check_finding *f)
{
	struct arena *a = &c->said_arena;
	struct store_check_finding *s;

	if (c->n_said == c->cap_said) {
		c->cap_said = c->cap_said ? c->cap_said * 2 : 16;
		c->said = mem_grow(c->said, c->cap_said, sizeof(*c->said));
	}
	s = &c->said[c->n_said++];
	*s = *f;
	s->address = arena_dup(a, f->address);
	s->mailbox = arena_dup(a, f->mailbox);
	s->subject = arena_dup(a, f->subject);
	s->message_id = arena_dup(a, f->message_id);
	s->text = arena_dup(a, f->text);
}

void check_tell(struct check *c)
{
	for (size_t i = 0; i < c->n_said; i++)
		if (c->opt->found)
			c->opt->found(c->opt->ctx, &c->said[i]);
	c->n_said = 0;
	arena_reset(&c->said_arena);
}

bool check_fault(struct look *l, const struct where *w, enum store_check_fate fate,
		 const char *remedy, const char *fmt, ...)
{
	struct check *c = l->c;
	bool mends = c->opt->repair && fate != CHECK_HELPLESS && remedy;
	char text[512];
	va_list ap;

	l->faults++;
	if (!l->sure)
		return false;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (fate == CHECK_LATER)
		return false; /* told when it is known what becomes of it */
	struct store_check_finding f = {
		.fate = mends			 ? fate
			: fate == CHECK_HELPLESS ? fate
						 : CHECK_LEFT,
		.code = w->code,
		.account = c->account,
		.address = c->address,
		.mailbox = w->mbox ? check_path(c, w->mbox) : slice_make("", 0),
		.uid = w->uid,
		.email = w->email,
		.subject = w->subject,
		.message_id = w->message_id,
		.text = slice_make(text, n < 0 ? 0 : strnlen(text, sizeof(text))),
		.remedy = remedy,
	};

	if (mends)
		snprintf(c->note, sizeof(c->note), "%.*s %.*s %u: %s", FMT(f.address),
			 FMT(f.mailbox), f.uid, text);
	if (!mends)
		l->left++;
	else if (fate == CHECK_LOST)
		l->lost++;
	else
		l->repaired++;
	c->res->found++; /* for the progress; made exact at the end */
	said_add(c, &f);
	return mends;
}

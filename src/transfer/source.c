/* source.c — one mailbox of others after the next, and what became of it. */
#include "transfer/source.h"
#include "base/alloc.h"

#define RING \
	32768 /* more than can be on the way: a batch, a flight, two socket buffers */

struct source_name {
	uint64_t tag;
	slice text; /* own heap */
};

void source_init(struct source *s, const struct source_watch *w)
{
	*s = (struct source){ .watch = *w };
	s->name = mem_array(RING, sizeof(*s->name));
}

void source_done(struct source *s)
{
	for (size_t i = 0; i < RING; i++)
		mem_free((void *)(uintptr_t)s->name[i].text.p);
	mem_free(s->name);
}

static void on_refused(void *ctx, uint64_t tag, const char *why)
{
	struct source *s = ctx;
	const struct source_name *n = &s->name[tag % RING];
	slice name = n->tag == tag && n->text.p != NULL ? n->text : SL("a message");
	s->watch.refused(s->watch.ctx, s->report.box, name, why);
}

const struct import_events source_events = { .refused = on_refused };

void source_bad(struct source *s, slice name, const char *why)
{
	s->report.unreadable++;
	s->watch.refused(s->watch.ctx, s->report.box, name, why);
}

enum status source_box_begin(struct source *s, const struct import_box *box,
			     struct err *e)
{
	s->report = (struct source_report){ .box = box->name };
	enum status st = ST_OK;
	if (s->client != NULL)
		st = import_box_begin(s->client, box, e);
	if (st == ST_INVALID)
		s->watch.refused(s->watch.ctx, box->name, SL(""), e->text);
	return st;
}

enum status source_box_end(struct source *s, struct err *e)
{
	struct source_report *r = &s->report;
	enum status st = ST_OK;
	if (s->client != NULL)
		st = import_box_end(s->client, &r->store, e);
	if (st != ST_OK)
		return st;
	r->is_complete =
		r->unreadable == 0 &&
		(s->client == NULL ||
		 (r->store.refused == 0 &&
		  r->store.added + r->store.present == r->found &&
		  r->store.verified == r->store.added &&
		  r->store.verified_bytes == r->store.added_bytes &&
		  (r->store.present > 0 || r->store.added_bytes == r->found_bytes)));
	s->watch.report(s->watch.ctx, r);
	return ST_OK;
}

static void remember(struct source *s, uint64_t tag, slice name)
{
	struct source_name *n = &s->name[tag % RING];
	char *p = mem_new(name.n + 1);
	if (name.n > 0)
		memcpy(p, name.p, name.n);
	mem_free((void *)(uintptr_t)n->text.p);
	*n = (struct source_name){ tag, slice_make(p, name.n) };
}

enum status source_begin(struct source *s, const struct transfer_message *head,
			 slice name, struct err *e)
{
	s->head = *head;
	s->head.tag = ++s->next_tag;
	s->bytes = 0;
	s->cr = s->bare = s->crlf = false;
	remember(s, s->head.tag, name);
	return s->client != NULL ? import_begin(s->client, &s->head, e) : ST_OK;
}

/* What the store will count: every CR and LF that stands alone becomes CRLF. */
static void count(struct source *s, slice octets)
{
	size_t at = 0;
	s->bytes += octets.n;
	if (s->cr) {
		s->cr = false;
		if (octets.p[0] == '\n') {
			s->crlf = true;
			at = 1;
		} else {
			s->bytes++;
			s->bare = true;
		}
	}
	if (memchr(octets.p, '\r', octets.n) == NULL) { /* nearly always: LF alone */
		const char *p = octets.p + at, *end = octets.p + octets.n;
		while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
			s->bytes++;
			s->bare = true;
			p++;
		}
		return;
	}
	for (; at < octets.n; at++) {
		if (octets.p[at] == '\n') {
			s->bytes++;
			s->bare = true;
		} else if (octets.p[at] == '\r') {
			if (at + 1 == octets.n) {
				s->cr = true;
			} else if (octets.p[at + 1] == '\n') {
				s->crlf = true;
				at++;
			} else {
				s->bytes++;
				s->bare = true;
			}
		}
	}
}

enum status source_data(struct source *s, slice octets, struct err *e)
{
	if (octets.n == 0)
		return ST_OK;
	count(s, octets);
	return s->client != NULL ? import_data(s->client, octets, e) : ST_OK;
}

enum status source_end(struct source *s, struct err *e)
{
	if (s->cr) {
		s->bytes++;
		s->bare = true;
	}
	s->report.found++;
	s->report.found_bytes += s->bytes;
	if (s->bare && s->crlf)
		s->report.mended++;
	s->watch.progress(s->watch.ctx, 1, s->bytes);
	return s->client != NULL ? import_end(s->client, e) : ST_OK;
}

enum status source_abort(struct source *s, const char *why, struct err *e)
{
	const struct source_name *n = &s->name[s->head.tag % RING];
	source_bad(s, n->text, why);
	return s->client != NULL ? import_abort(s->client, why, e) : ST_OK;
}

#pragma once
/* toy.h — a line protocol that uses everything the driver offers, for its tests. One command a line:
 *
 *	echo X     = X              on the loop          slow X     = X       on the db pool
 *	memo X     = X again        on the loop first, then on the db pool, by STEP_DB
 *	hash X     = X              on the crypto pool   big N      N bytes of 64-byte lines, by STEP_MORE
 *	blob N     N bytes          from a source        commit X   ok X, or no X when the commit fails (FRAME_PIPE)
 *	parts N    part 1…N, ok     by STEP_COMMIT_MORE  wait X     = X       parked first
 *	delay MS   late             starttls             go, then TLS         quit       bye
 *	login U    hi               sets the user        read       = N       N commits known durable
 *	take N     = SUM            N octets follow and are added up on the db pool, as they come */
#include "base/alloc.h"
#include "base/limits.h"
#include "work/session.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct toy {
	pthread_mutex_t lock;
	struct done *tickets[1024]; /* not yet called back, oldest first */
	size_t n_tickets;
	struct parked *parked[64];
	size_t n_parked;
	_Atomic int open, durable, sources, in_slow;
	_Atomic bool auto_commit, linger, hold_slow, source_fails;
	int wakes;
	char log[4096];             /* what events came */
};
struct toy_session {
	struct session s;
	struct toy *toy;
	size_t seen;                /* no LF in the bytes before */
	char cmd[16], arg[4096];
	uint64_t left, body, sum;
	slice chunk;                /* of the body: stays where it is while run() reads it */
	unsigned part;
	bool parked, delayed, bye, sent_on;
};

static inline void toy_init(struct toy *t)
{
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
}

/* --- a source of stored bytes: the digit at offset o is o % 10 ------------------------------------------------- */

struct toy_source {
	struct out_source src;
	struct toy *toy;
	_Atomic int refs;
};
static inline enum status toy_read(struct out_source *s, uint64_t off, void *dst, size_t n, struct err *e)
{
	struct toy_source *ts = (struct toy_source *)s;
	size_t i;

	if (atomic_load(&ts->toy->source_fails))
		return err_set(e, ERR_CORRUPT, "checksum");
	for (i = 0; i < n; i++)
		((char *)dst)[i] = (char)('0' + (off + i) % 10);
	return ST_OK;
}
static inline void toy_ref(struct out_source *s)
{
	atomic_fetch_add(&((struct toy_source *)s)->refs, 1);
}
static inline void toy_unref(struct out_source *s)
{
	struct toy_source *ts = (struct toy_source *)s;

	if (atomic_fetch_sub(&ts->refs, 1) == 1) {
		atomic_fetch_sub(&ts->toy->sources, 1);
		mem_free(ts);
	}
}
static const struct out_source_ops toy_source_ops = { toy_read, toy_ref, toy_unref };
static inline struct out_source *toy_source_new(struct toy *t)
{
	struct toy_source *s = mem_new(sizeof(*s));

	s->src.ops = &toy_source_ops;
	s->toy = t;
	atomic_store(&s->refs, 1);
	atomic_fetch_add(&t->sources, 1);
	return &s->src;
}

/* --- commits ------------------------------------------------------------------------------------------------- */

static inline void toy_commit(struct toy *t, struct done *d)
{
	if (atomic_load(&t->auto_commit)) {
		atomic_fetch_add(&t->durable, 1);
		d->fn(d, ST_OK, NULL);
		return;
	}
	pthread_mutex_lock(&t->lock);
	t->tickets[t->n_tickets++] = d;
	pthread_mutex_unlock(&t->lock);
}
/* Calls back ticket i; any thread. */
static inline void toy_finish(struct toy *t, size_t i, bool ok)
{
	struct err e = { 0 };
	struct done *d;

	pthread_mutex_lock(&t->lock);
	d = t->tickets[i];
	t->n_tickets--;
	memmove(t->tickets + i, t->tickets + i + 1, (t->n_tickets - i) * sizeof(*t->tickets));
	pthread_mutex_unlock(&t->lock);
	err_set(&e, ERR_IO, "the disk said no");
	if (ok)
		atomic_fetch_add(&t->durable, 1);
	d->fn(d, ok ? ST_OK : ST_IO, ok ? NULL : &e);
}

/* --- the protocol -------------------------------------------------------------------------------------------- */

static inline struct session *toy_open(void *ctx, struct out *o)
{
	struct toy_session *s = mem_new(sizeof(*s));

	s->toy = ctx;
	atomic_fetch_add(&s->toy->open, 1);
	session_timeout(&s->s, 60000);
	out_adds(o, "hello");
	return &s->s;
}
static inline void toy_greet(struct session *ss, struct out *o)
{
	out_adds(o, ss->is_tls ? " tls\r\n" : "\r\n");
}
static inline enum frame toy_frame(struct session *ss, slice in, size_t *used)
{
	struct toy_session *s = (struct toy_session *)ss;
	size_t lf;
	slice line, cmd;

	if (s->body) {
		*used = in.n < s->body ? in.n : s->body;
		s->chunk = slice_sub(in, 0, *used);
		s->body -= *used;
		snprintf(s->cmd, sizeof(s->cmd), "body");
		return FRAME_DB;
	}
	lf = slice_chr(in, '\n', s->seen);
	line = slice_sub(in, 0, lf);
	if (lf == in.n) {
		s->seen = in.n;
		return FRAME_MORE;
	}
	*used = lf + 1;
	s->seen = 0;
	line = slice_trim(line);
	cmd = slice_cut(&line, ' ');
	snprintf(s->cmd, sizeof(s->cmd), "%.*s", FMT(cmd));
	snprintf(s->arg, sizeof(s->arg), "%.*s", FMT(line));
	s->left = UINT64_MAX;
	s->part = 0;
	s->parked = s->delayed = s->sent_on = false;
	if (slice_eq(cmd, SL("slow")) || slice_eq(cmd, SL("big")) || slice_eq(cmd, SL("blob")) ||
	    slice_eq(cmd, SL("parts")) || slice_eq(cmd, SL("wait")) || slice_eq(cmd, SL("login")) ||
	    slice_eq(cmd, SL("read")))
		return FRAME_DB;
	if (slice_eq(cmd, SL("commit")))
		return FRAME_DB | FRAME_PIPE;
	if (slice_eq(cmd, SL("hash")))
		return FRAME_CRYPTO;
	return FRAME_HERE;
}
static inline enum step toy_big(struct toy_session *s, struct out *o)
{
	static const char line[] = "0123456789012345678901234567890123456789012345678901234567890\r\n";

	if (s->left == UINT64_MAX)
		slice_u64(slice_str(s->arg), UINT64_MAX - 1, &s->left);
	while (s->left && o->bytes < 256 << 10) {
		uint64_t n = s->left < 63 ? s->left : 63;

		out_add(o, slice_make(line, n));
		s->left -= n;
	}
	return s->left ? STEP_MORE : STEP_DONE;
}
static inline enum step toy_parts(struct toy_session *s, struct out *o)
{
	uint64_t n = 0;

	slice_u64(slice_str(s->arg), 100, &n);
	out_addf(o, "part %u\r\n", ++s->part);
	out_adds(&s->s.fail, "no parts\r\n");
	toy_commit(s->toy, session_ticket(&s->s));
	if (s->part < n)
		return STEP_COMMIT_MORE;
	out_adds(o, "ok parts\r\n");
	return STEP_COMMIT;
}
static inline enum step toy_run(struct session *ss, struct out *o)
{
	struct toy_session *s = (struct toy_session *)ss;
	slice cmd = slice_str(s->cmd);
	uint64_t n = 0;

	if (s->bye) {
		out_adds(o, "timeout\r\n");
		return STEP_CLOSE;
	}
	if (slice_eq(cmd, SL("body"))) {
		for (n = 0; n < s->chunk.n; n++)
			s->sum += (unsigned char)s->chunk.p[n];
		if (!s->body)
			out_addf(o, "= %llu\r\n", (unsigned long long)s->sum);
		return STEP_DONE;
	}
	if (slice_eq(cmd, SL("take"))) {
		s->sum = 0;
		slice_u64(slice_str(s->arg), UINT64_MAX, &s->body);
		return STEP_DONE;
	}
	if (slice_eq(cmd, SL("big")))
		return toy_big(s, o);
	if (slice_eq(cmd, SL("parts")))
		return toy_parts(s, o);
	if (slice_eq(cmd, SL("blob"))) {
		struct out_source *src = toy_source_new(s->toy);

		slice_u64(slice_str(s->arg), UINT64_MAX, &n);
		out_addf(o, "{%llu}\r\n", (unsigned long long)n);
		out_blob(o, src, 0, n);
		out_adds(o, "\r\nok blob\r\n");
		src->ops->unref(src);
		return STEP_DONE;
	}
	if (slice_eq(cmd, SL("commit"))) {
		out_addf(o, "ok %s\r\n", s->arg);
		out_addf(&ss->fail, "no %s\r\n", s->arg);
		toy_commit(s->toy, session_ticket(ss));
		if (atomic_load(&s->toy->linger))
			usleep(20000); /* the loop hears of the commit and sleeps again */
		return STEP_COMMIT;
	}
	if (slice_eq(cmd, SL("wait")) && !s->parked) {
		s->parked = true;
		if (slice_eq(slice_str(s->arg), SL("loud")))
			out_adds(o, "parked\r\n");
		pthread_mutex_lock(&s->toy->lock);
		s->toy->parked[s->toy->n_parked++] = session_park(ss);
		pthread_mutex_unlock(&s->toy->lock);
		return STEP_WAIT;
	}
	if (slice_eq(cmd, SL("memo"))) {
		if (!s->sent_on) {
			s->sent_on = true;
			return STEP_DB;
		}
		out_addf(o, "= %s again\r\n", s->arg);
		return STEP_DONE;
	}
	if (slice_eq(cmd, SL("delay"))) {
		slice_u64(slice_str(s->arg), 100000, &n);
		ss->delay_ms = (int64_t)n;
		out_adds(o, "late\r\n");
		return STEP_DONE;
	}
	if (slice_eq(cmd, SL("starttls"))) {
		out_adds(o, "go\r\n");
		return STEP_TLS;
	}
	if (slice_eq(cmd, SL("quit"))) {
		out_adds(o, "bye\r\n");
		return STEP_CLOSE;
	}
	if (slice_eq(cmd, SL("login"))) {
		session_set_user(ss, slice_str(s->arg), (uint32_t)s->arg[0]);
		ss->key = (uint32_t)s->arg[0];
		out_adds(o, session_over_user_limit(ss) ? "too many\r\n" : "hi\r\n");
		return STEP_DONE;
	}
	if (slice_eq(cmd, SL("read"))) {
		out_addf(o, "= %d\r\n", atomic_load(&s->toy->durable));
		return STEP_DONE;
	}
	if (slice_eq(cmd, SL("secret"))) {
		out_addf(o, "= %.*s\r\n", FMT(session_tls_text(ss)));
		return STEP_DONE;
	}
	if (slice_eq(cmd, SL("slow"))) {
		atomic_fetch_add(&s->toy->in_slow, 1);
		while (atomic_load(&s->toy->hold_slow))
			usleep(1000);
		atomic_fetch_sub(&s->toy->in_slow, 1);
	}
	out_addf(o, "= %s\r\n", (char *)arena_dup(&ss->arena, slice_str(s->arg)).p);
	return STEP_DONE;
}
static inline enum frame toy_event(struct session *ss, enum event ev, struct out *o)
{
	struct toy_session *s = (struct toy_session *)ss;

	switch (ev) {
	case EVENT_SECURED:
		s->seen = 0;
		return FRAME_MORE;
	case EVENT_SHUTDOWN:
		out_adds(o, "down\r\n");
		return FRAME_MORE;
	case EVENT_TIMEOUT:
		s->bye = true;
		return FRAME_HERE;
	case EVENT_WAKE:
		out_adds(o, "news\r\n");
		return FRAME_MORE;
	default:
		return FRAME_MORE;
	}
}
static inline void toy_close(struct session *ss)
{
	struct toy_session *s = (struct toy_session *)ss;

	atomic_fetch_sub(&s->toy->open, 1);
	mem_free(s);
}
static const struct service toy_service = {
	.name = "toy",
	.alpn = S("toy"),
	.input_max = LIMIT_READ_CHUNK,
	.open = toy_open,
	.frame = toy_frame,
	.run = toy_run,
	.event = toy_event,
	.close = toy_close,
	.greet = toy_greet,
	.busy = S("busy\r\n"),
};

/* pop3_send.c — RETR and TOP: a message on its way out, in steps of LIMIT_OUT_STEP, never
 * whole in memory. */
#include "pop3/pop3_session.h"

#define CHUNK (64u << 10)

struct pop3_stream {
	struct store_email email;
	struct pop3_stuff stuff;
	uint64_t off, size;
	uint32_t number;
};

static enum status begin(struct pop3_session *p, bool is_top, struct err *e)
{
	struct pop3_stream *st = ARENA_NEW(&p->s.arena, struct pop3_stream);
	struct pop3_message *m;
	enum status s = pop3_drop_find(&p->drop, p->args.msg, &m, e);

	if (s == ST_OK)
		s = store_email_get(p->ctx->store, p->drop.account, m->email, &p->s.arena,
				    &st->email, e);
	if (s != ST_OK)
		return s;
	st->size = m->size;
	st->number = p->args.msg;
	st->stuff.is_top = is_top;
	st->stuff.lines = p->args.lines;
	p->stream = st;
	return ST_OK;
}

/* The next chunk of the message, stuffed, into out. */
static enum status next_chunk(struct pop3_session *p, struct buf *out, struct err *e)
{
	struct pop3_stream *st = p->stream;
	uint64_t left = st->size - st->off;
	size_t n = left < CHUNK ? (size_t)left : CHUNK;
	struct buf raw;
	enum status s = ST_OK;

	if (n == 0)
		return ST_OK;
	buf_init(&raw, CHUNK);
	if (buf_reserve(&raw, n))
		s = store_email_read(p->ctx->store, &st->email, st->off, raw.p, n, e);
	if (s == ST_OK) {
		pop3_stuff_add(&st->stuff, slice_make(raw.p, n), out);
		st->off += n;
	}
	buf_done(&raw);
	return s;
}

static enum step broken(struct pop3_session *p, bool is_first, const struct err *e,
			struct out *o)
{
	struct log_line l;

	pop3_log(p, &l, LOG_LEVEL_ERROR, "pop3.retr.failed");
	log_int(&l, "message", p->args.msg);
	log_err(&l, e);
	log_end(&l);
	p->stream = NULL;
	if (!is_first)
		return STEP_CLOSE; /* no final dot: half a message is not a whole one */
	pop3_err(o, e);
	return STEP_DONE;
}

enum step pop3_send(struct pop3_session *p, bool is_top, struct out *o)
{
	bool is_first = !p->stream;
	struct pop3_stream *st;
	struct buf text;
	struct err e;

	if (is_first && begin(p, is_top, &e) != ST_OK) {
		if (e.code != ERR_NO_MESSAGE)
			return broken(p, true, &e, o);
		pop3_err(o, &e);
		return STEP_DONE;
	}
	st = p->stream;
	while (o->bytes < LIMIT_OUT_STEP && st->off < st->size && !st->stuff.is_done) {
		buf_init(&text, 4 * CHUNK);
		if (is_first && st->off == 0 && !is_top)
			buf_addf(&text, "+OK %llu octets\r\n",
				 (unsigned long long)st->size);
		else if (is_first && st->off == 0)
			buf_adds(&text, "+OK\r\n");
		if (next_chunk(p, &text, &e) != ST_OK) {
			buf_done(&text);
			return broken(p, is_first && st->off == 0, &e, o);
		}
		out_buf(o, &text);
	}
	if (st->off < st->size && !st->stuff.is_done)
		return STEP_MORE;
	buf_init(&text, CHUNK);
	if (st->size == 0)
		buf_adds(&text, "+OK 0 octets\r\n");
	pop3_stuff_end(&st->stuff, &text);
	out_buf(o, &text);
	p->stream = NULL;
	return STEP_DONE;
}

/* frame.c — frames over a socket: gathering, waiting, and never half of one. */
#include "transfer/frame.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define HEAD	      5
#define GATHER	      (128u << 10)
#define READ_STEP     (128u << 10)
#define STOP_POLL_MS  250
#define LAST_WORDS_MS 2000

void frame_conn_init(struct frame_conn *c, int fd, const _Atomic bool *stop)
{
	*c = (struct frame_conn){ .fd = fd, .stop = stop };
	buf_init(&c->in, LIMIT_FRAME_HELD + LIMIT_FRAME + READ_STEP);
	buf_init(&c->out, LIMIT_FRAME + GATHER + HEAD);
}

void frame_conn_done(struct frame_conn *c)
{
	struct err e;
	if (!c->out_broken && frame_flush(c, &e) != ST_OK)
		c->out_broken = true;
	if (c->out_broken)
		shutdown(c->fd, SHUT_WR);
	buf_done(&c->in);
	buf_done(&c->out);
}

static bool is_stopped(const struct frame_conn *c)
{
	return c->stop != NULL && atomic_load_explicit(c->stop, memory_order_relaxed);
}

static enum status stopped(struct err *e)
{
	return err_set(e, ERR_BUSY, "the server is being shut down");
}

static enum status hung_up(struct err *e)
{
	err_set(e, ERR_BUSY, "the other side hung up");
	return ST_NOT_FOUND;
}

/* --- reading ------------------------------------------------------------------------ */

/* One read of what is there; ST_MORE: nothing is. */
static enum status fill(struct frame_conn *c, struct err *e)
{
	if (c->in_ended)
		return hung_up(e);
	if (c->in_at > 0 && c->in_at == c->in.n) {
		buf_reset(&c->in);
		c->in_at = 0;
	}
	if (c->in_at >= READ_STEP) {
		buf_drop(&c->in, c->in_at);
		c->in_at = 0;
	}
	if (!buf_reserve(&c->in, READ_STEP))
		return err_set(e, ERR_LIMIT, "the other side says more than is read");
	ssize_t k = recv(c->fd, c->in.p + c->in.n, READ_STEP, MSG_DONTWAIT);
	if (k > 0) {
		c->in.n += (size_t)k;
		return ST_OK;
	}
	if (k < 0 && (errno == EAGAIN || errno == EINTR))
		return ST_MORE;
	c->in_ended = true;
	return hung_up(e);
}

/* True when a whole frame lies at in_at; *bad when what lies there can be none. */
static bool parse(const struct frame_conn *c, struct frame_got *out, size_t *out_n,
		  bool *bad)
{
	struct rd r = rd_init(slice_from(buf_slice(&c->in), c->in_at));
	if (rd_left(&r) < HEAD)
		return false;
	uint32_t n = rd_u32(&r);
	uint8_t type = rd_u8(&r);
	*bad = n > LIMIT_FRAME || type == 0 || strchr("DIPNMZRE", type) == NULL;
	if (*bad || rd_left(&r) < n)
		return false;
	*out = (struct frame_got){ .type = type, .data = rd_raw(&r, n) };
	*out_n = HEAD + n;
	return true;
}

static enum status take_error(struct frame_conn *c, const struct frame_got *f,
			      struct err *e)
{
	struct err bad = { 0 };
	json_t *v = frame_json(f, &bad);
	const char *text = json_string_value(json_object_get(v, "error"));
	enum err_code code = err_code_of(json_string_value(json_object_get(v, "code")));
	err_set(e, code, "%s", text != NULL ? text : "the other side failed");
	json_decref(v);
	c->peer_failed = true;
	return err_status(code);
}

enum status frame_receive(struct frame_conn *c, struct frame_got *out, struct err *e)
{
	enum status st = c->out_broken ? ST_OK : frame_flush(c, e);
	while (st == ST_OK || st == ST_MORE) {
		struct frame_got f;
		size_t n;
		bool bad = false;
		if (parse(c, &f, &n, &bad)) {
			c->in_at += n;
			if (f.type == FRAME_ERROR)
				return take_error(c, &f, e);
			*out = f;
			return ST_OK;
		}
		if (bad)
			return err_set(e, ERR_CORRUPT, "what came is no frame");
		if (is_stopped(c))
			return stopped(e);
		st = fill(c, e);
		if (st == ST_MORE) {
			struct pollfd p = { .fd = c->fd, .events = POLLIN };
			poll(&p, 1, STOP_POLL_MS);
		}
	}
	if (st == ST_NOT_FOUND && c->in_at < c->in.n)
		return err_set(e, ERR_BUSY, "the other side hung up in mid-frame");
	return st;
}

bool frame_is_ready(struct frame_conn *c)
{
	struct frame_got f;
	struct err e;
	size_t n;
	bool bad = false;
	while (!parse(c, &f, &n, &bad)) {
		if (bad || c->in_ended)
			return true;
		enum status st = fill(c, &e);
		if (st == ST_MORE)
			return false;
		if (st != ST_OK)
			return true;
	}
	return true;
}

void frame_last_word(struct frame_conn *c, struct err *e)
{
	struct err said = { 0 };
	struct frame_got f;
	for (bool more = !c->peer_failed; more;) {
		more = frame_is_ready(c) && frame_receive(c, &f, &said) == ST_OK;
		if (c->peer_failed)
			*e = said;
	}
}

json_t *frame_json(const struct frame_got *f, struct err *e)
{
	json_t *v =
		json_loadb(f->data.p, f->data.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (v == NULL)
		err_set(e, ERR_CORRUPT, "a frame that should be JSON is none");
	return v;
}

/* --- writing ------------------------------------------------------------------------ */

/* Waits until the peer takes more, and reads what it says meanwhile: it may be waiting
 * for us to do so. */
static enum status wait_for_room(struct frame_conn *c, struct err *e)
{
	struct pollfd p = { .fd = c->fd, .events = POLLOUT };
	bool listen = !c->in_ended && c->in.n - c->in_at < LIMIT_FRAME_HELD;
	if (is_stopped(c))
		return stopped(e);
	if (listen)
		p.events |= POLLIN;
	if (poll(&p, 1, STOP_POLL_MS) > 0 && listen && (p.revents & POLLIN)) {
		struct err ignored; /* its end is told by the next send */
		if (fill(c, &ignored) == ST_LIMIT)
			return err_set(e, ERR_LIMIT, "%s", ignored.text);
	}
	return ST_OK;
}

enum status frame_flush(struct frame_conn *c, struct err *e)
{
	size_t at = 0;
	enum status st = c->out_broken ? hung_up(e) : ST_OK;
	while (st == ST_OK && at < c->out.n) {
		ssize_t k = send(c->fd, c->out.p + at, c->out.n - at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (k > 0)
			at += (size_t)k;
		else if (k < 0 && errno == EAGAIN)
			st = wait_for_room(c, e);
		else if (k == 0 || errno != EINTR)
			st = hung_up(e);
	}
	if (st != ST_OK)
		c->out_broken = true;
	buf_reset(&c->out);
	return st;
}

enum status frame_send(struct frame_conn *c, enum frame_type type, slice data,
		       struct err *e)
{
	if (data.n > LIMIT_FRAME)
		return err_set(e, ERR_LIMIT, "a frame of %zu octets is too long", data.n);
	buf_put_u32(&c->out, (uint32_t)data.n);
	buf_put_u8(&c->out, (uint8_t)type);
	buf_add(&c->out, data);
	return c->out.n >= GATHER || c->out_broken ? frame_flush(c, e) : ST_OK;
}

enum status frame_send_json(struct frame_conn *c, enum frame_type type, json_t *v,
			    struct err *e)
{
	char *text = v != NULL ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	enum status st = text != NULL
				 ? frame_send(c, type, slice_str(text), e)
				 : err_set(e, ERR_CANNOT, "a value that is not JSON");
	free(text);
	json_decref(v);
	return st;
}

/* --- errors and text ---------------------------------------------------------------- */

json_t *frame_text(slice s)
{
	if (utf8_is_valid(s))
		return json_stringn(s.n > 0 ? s.p : "", s.n);
	AUTO_BUF b;
	buf_init(&b, 4 * s.n + 4);
	for (size_t at = 0; at < s.n;) {
		size_t from = at;
		if (utf8_next(s, &at) < 0)
			buf_adds(&b, "\xEF\xBF\xBD");
		else
			buf_add(&b, slice_sub(s, from, at - from));
	}
	return json_stringn(b.p ? b.p : "", b.n);
}

void frame_send_error(int fd, const struct err *e)
{
	struct frame_conn c;
	struct err ignored;
	frame_conn_init(&c, fd, NULL);
	json_t *v = json_pack("{s:s, s:o}", "code", err_name(e->code), "error",
			      frame_text(slice_str(e->text)));
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	if (frame_send_json(&c, FRAME_ERROR, v, &ignored) != ST_OK ||
	    poll(&p, 1, LAST_WORDS_MS) <= 0)
		c.out_broken = true;
	frame_conn_done(&c);
}

#include "net/conn_priv.h"
#include "base/alloc.h"
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	CLOSE_TIME = 10000,
	LINGER_TIME = 2000,
	LINGER_MAX = 1 << 20,
	TLS_PIECE = 16 << 10,
	WRITE_MAX = 256 << 10,
	READ_SMALL = 1024,
	READS_SMALL =
		8, /* after so many of less in a row the next buffer is a smaller one */
	READ_BUDGET = 64 << 10 /* of one connection in one turn */
};
/* --- life ------------------------------------------------------------------------- */

static void conn_task(struct task *t);
static void on_fd(struct watch *w, int what);
static void on_close_timer(struct timer *t);

struct conn *conn_make(struct loop *l, const struct conn_peer *peer)
{
	struct conn *c = mem_new(sizeof(*c));

	assert(loop_is_mine(l));
	c->loop = l;
	c->peer = *peer;
	c->watch.fd = -1;
	c->task.fn = conn_task;
	c->timer.fn = on_close_timer;
	conn_table_add(c);
	return c;
}

struct conn *conn_new_fd(struct loop *l, int fd, const struct conn_peer *peer)
{
	struct conn *c = conn_make(l, peer);

	watch_init(l, &c->watch, fd, on_fd);
	return c;
}

/* The owner has said yes or no to a new connection. */
void conn_started(struct conn *c, const struct conn_ops *ops)
{
	c->ops = ops;
	if (!ops) {
		c->told_closed = true;
		conn_kill(c, "refused");
	}
}

void conn_schedule(struct conn *c)
{
	if (c->task_posted)
		return;
	c->task_posted = true;
	loop_post(c->loop, &c->task);
}

static void conn_release_io(struct conn *c)
{
	if (c->ssl)
		tls_io_free(c->ssl);
	c->ssl = NULL;
	tls_ctx_unref(c->tls_ctx);
	c->tls_ctx = NULL;
	if (c->watch.fd >= 0)
		close(c->watch.fd);
	c->watch.fd = -1;
}

void conn_kill(struct conn *c, const char *why)
{
	if (c->state == CONN_DEAD)
		return;
	c->state = CONN_DEAD;
	c->why = why;
	if (!c->sim)
		watch_done(c->loop, &c->watch);
	timer_clear(c->loop, &c->timer);
	out_done(&c->out);
	if (!c->held)
		conn_in_free(c);
	if (!c->step_out)
		conn_release_io(c);
	conn_schedule(c);
}

void conn_destroy(struct conn *c)
{
	conn_table_drop(c);
	conn_release_io(c);
	conn_in_free(c);
	if (c->sim) {
		buf_done(&c->sim->in);
		buf_done(&c->sim->out);
		mem_free(c->sim);
	}
	mem_free(c->tls_text);
	mem_free(c);
}

static void tell_closed(struct conn *c)
{
	if (c->told_closed)
		return;
	c->told_closed = true;
	c->ops->closed(c, c->why);
}

static void destroy_when_free(struct conn *c)
{
	if (c->state == CONN_DEAD && c->told_closed && !c->task_posted && !c->step_out &&
	    !c->held && !c->sim)
		conn_destroy(c);
}

void conn_hold(struct conn *c)
{
	assert(loop_is_mine(c->loop) && !c->held);
	c->held = true;
}

void conn_unhold(struct conn *c)
{
	assert(loop_is_mine(c->loop) && c->held);
	c->held = false;
	if (c->state != CONN_OPEN && c->state != CONN_TLS_START)
		conn_in_free(c);
	destroy_when_free(c);
}

/* --- input ------------------------------------------------------------------------ */

slice conn_input(struct conn *c)
{
	return slice_make(c->in ? c->in + c->in_off : "", c->in_n);
}

void conn_consume(struct conn *c, size_t n)
{
	if (c->state == CONN_DEAD || c->state == CONN_LINGER)
		return;
	assert(n <= c->in_n);
	c->in_off += (uint32_t)n;
	c->in_n -= (uint32_t)n;
	if (!c->in_n)
		conn_in_free(c);
}

bool conn_input_eof(const struct conn *c)
{
	return c->eof;
}

/* One read of what the peer sent: > 0 bytes, 0 for "later", -1 when the connection has
 * ended or died. */
static int64_t read_some(struct conn *c, void *dst, size_t n)
{
	size_t got = 0;
	ssize_t r;

	if (c->sim)
		return conn_sim_read(c, dst, n);
	if (!c->ssl) {
		r = recv(c->watch.fd, dst, n, 0);
		if (r > 0)
			return r;
		if (r < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (r < 0)
			conn_kill(c, "reset");
		return -1;
	}
	switch (tls_io_read(c->ssl, dst, n, &got)) {
	case TLS_IO_OK:
		return (int64_t)got;
	case TLS_IO_WANT_WRITE:
		c->read_wants_write = true;
		return 0;
	case TLS_IO_WANT_READ:
		return 0;
	case TLS_IO_EOF:
		return -1;
	case TLS_IO_ERROR:
	default:
		conn_kill(c, "tls error");
		return -1;
	}
}

static void update_watch(struct conn *c)
{
	int what = 0;

	if (c->sim || c->state == CONN_DEAD)
		return;
	switch (c->state) {
	case CONN_OPEN:
		if (c->want && !c->eof && c->in_n < c->in_max && !c->read_again)
			what |= LOOP_READ;
		if (c->blocked || c->read_wants_write)
			what |= LOOP_WRITE;
		break;
	case CONN_TLS_START:
		if (!c->step_out)
			what = c->handshake_wants_write ? LOOP_WRITE : LOOP_READ;
		break;
	case CONN_CLOSING:
		what = c->blocked ? LOOP_WRITE : 0;
		break;
	case CONN_LINGER:
		what = LOOP_READ;
		break;
	case CONN_DEAD:
	default:
		break;
	}
	watch_want(c->loop, &c->watch, what);
}

/* Commands and messages take turns: one small read says nothing of the next. */
static void note_size(struct conn *c)
{
	if (c->in_n >= READ_SMALL)
		c->small_reads = 0;
	else if (c->in_class && ++c->small_reads >= READS_SMALL) {
		c->in_class--;
		c->small_reads = 0;
	}
}

/* The last read gave r of the room it had: is there more? If epoll knows better it says so. */
static bool is_read_empty(const struct conn *c, size_t r, size_t room)
{
	if (r == room)
		return false;
	return c->ssl ? r < TLS_PIECE && !tls_io_has_pending(c->ssl) : !c->sim;
}

static void conn_read(struct conn *c)
{
	int64_t budget = READ_BUDGET, r = 0;
	bool any = false;

	if (!c->want) { /* what TLS holds is asked for again when it is wanted */
		c->read_again |= c->read_wants_write;
		c->read_wants_write = false;
		update_watch(c);
		return;
	}
	c->read_again = c->read_wants_write = false;
	while (c->state == CONN_OPEN && !c->eof) {
		size_t room;

		if (!conn_in_reserve(c) || budget <= 0) {
			c->read_again =
				c->ssl !=
				NULL; /* it may hold bytes that epoll does not know of */
			break;
		}
		room = c->in_cap - c->in_off - c->in_n;
		if (room > c->in_max - c->in_n)
			room = c->in_max - c->in_n;
		r = read_some(c, c->in + c->in_off + c->in_n, room);
		if (r <= 0)
			break;
		c->in_n += (uint32_t)r;
		budget -= r;
		any = true;
		if (is_read_empty(c, (size_t)r, room))
			break;
	}
	if (r < 0)
		c->eof = true;
	if (c->state == CONN_DEAD)
		return;
	note_size(c);
	if (c->in && !c->in_n)
		conn_in_free(c);
	if (c->read_again && c->want && c->in_n < c->in_max)
		conn_schedule(c);
	update_watch(c);
	if (any || r < 0)
		c->ops->readable(c);
}

void conn_want_input(struct conn *c, bool want, size_t max)
{
	assert(loop_is_mine(c->loop));
	if (c->state != CONN_OPEN)
		return;
	c->want = want;
	c->in_max = max > (1u << 30) ? 1u << 30 : (uint32_t)max;
	if (want && c->in_n < c->in_max &&
	    (c->read_again || (c->sim && conn_sim_has_input(c))))
		conn_schedule(c);
	update_watch(c);
}

/* --- output ----------------------------------------------------------------------- */

static int64_t write_plain(struct conn *c)
{
	struct iovec iov[32];
	struct msghdr m = { .msg_iov = iov };
	ssize_t r;

	m.msg_iovlen = (size_t)out_iov(&c->out, iov, 32);
	if (c->sim)
		return conn_sim_write(c, iov, (int)m.msg_iovlen);
	r = sendmsg(c->watch.fd, &m, MSG_NOSIGNAL);
	if (r < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	return r;
}

static int64_t write_tls(struct conn *c)
{
	struct iovec iov[32];
	int i, n = out_iov(&c->out, iov, 32);
	const void *p = iov[0].iov_base;
	size_t len = iov[0].iov_len, put = 0;

	if (len < TLS_PIECE && n > 1) {
		char *joined = conn_gather(c->loop);

		for (i = 0, len = 0; i < n && len < CONN_GATHER; i++) {
			size_t m = iov[i].iov_len < CONN_GATHER - len ? iov[i].iov_len
								      : CONN_GATHER - len;

			memcpy(joined + len, iov[i].iov_base, m);
			len += m;
		}
		p = joined;
	}
	switch (tls_io_write(c->ssl, p, len > WRITE_MAX ? WRITE_MAX : len, &put)) {
	case TLS_IO_OK:
		return (int64_t)put;
	case TLS_IO_WANT_WRITE:
	case TLS_IO_WANT_READ: /* cannot be: neither side renegotiates */
		return 0;
	case TLS_IO_EOF:
	case TLS_IO_ERROR:
	default:
		return -1;
	}
}

static void finish_close(struct conn *c);

/* Writes what the socket takes; true when it took some. */
static bool write_out(struct conn *c)
{
	bool any = false;

	c->blocked = false;
	while (c->out.head && !out_needs_fill(&c->out)) {
		int64_t r = c->ssl ? write_tls(c) : write_plain(c);

		if (r < 0) {
			conn_kill(c, "write failed");
			return false;
		}
		if (r == 0) {
			c->blocked = true;
			break;
		}
		out_consume(&c->out, (uint64_t)r);
		any = true;
	}
	if (c->state == CONN_CLOSING && !c->out.head)
		finish_close(c);
	else if (c->state == CONN_CLOSING && any)
		timer_set(c->loop, &c->timer, CLOSE_TIME);
	update_watch(c);
	return any;
}

void conn_flush(struct conn *c)
{
	assert(loop_is_mine(c->loop));
	if (c->state == CONN_OPEN || c->state == CONN_CLOSING)
		write_out(c);
}

void conn_write(struct conn *c, struct out *o)
{
	if (c->state != CONN_OPEN && c->state != CONN_CLOSING) {
		out_done(o);
		return;
	}
	out_move(&c->out, o);
	if (!c->blocked)
		conn_flush(c);
}

uint64_t conn_unwritten(const struct conn *c)
{
	return c->out.bytes;
}

struct out *conn_out(struct conn *c)
{
	return &c->out;
}

/* --- TLS -------------------------------------------------------------------------- */

void conn_start_tls(struct conn *c, struct tls_store *s, slice service, slice alpn)
{
	assert(loop_is_mine(c->loop));
	if (c->state != CONN_OPEN || c->is_tls)
		return;
	/* Bytes that came in the clear must never be taken for protected ones (HAZARDS
	 * 5). */
	if (c->in_n || c->out.head || (c->sim && conn_sim_has_input(c))) {
		conn_kill(c, "plaintext behind starttls");
		return;
	}
	c->state = CONN_TLS_START;
	if (c->sim) {
		c->tell_secured = true;
		conn_schedule(c);
		return;
	}
	c->tls_ctx = tls_ctx_get(s, service, alpn);
	c->handshake_wants_write = false;
	update_watch(c);
}

int conn_handshake_step(struct conn *c)
{
	if (!c->ssl)
		c->ssl = tls_io_new(c->tls_ctx, c->watch.fd);
	return c->ssl ? (int)tls_io_handshake(c->ssl) : (int)TLS_IO_ERROR;
}

void conn_handshake_done(struct conn *c, int result)
{
	char text[128];
	size_t n;

	assert(loop_is_mine(c->loop));
	c->step_out = false;
	if (c->state == CONN_DEAD) {
		conn_release_io(c);
		destroy_when_free(c);
		return;
	}
	switch ((enum tls_io)result) {
	case TLS_IO_OK:
		c->state = CONN_OPEN;
		c->is_tls = true;
		/* The first command may have come with the last handshake message. */
		c->read_again = true;
		tls_ctx_unref(c->tls_ctx);
		c->tls_ctx = NULL;
		n = tls_io_text(c->ssl, text, sizeof(text));
		c->tls_text = mem_new(n + 1);
		memcpy(c->tls_text, text, n);
		update_watch(c);
		c->ops->secured(c);
		return;
	case TLS_IO_WANT_READ:
	case TLS_IO_WANT_WRITE:
		c->handshake_wants_write = result == (int)TLS_IO_WANT_WRITE;
		update_watch(c);
		return;
	case TLS_IO_EOF:
		conn_kill(c, "closed in handshake");
		return;
	case TLS_IO_ERROR:
	default:
		conn_kill(c, "tls handshake failed");
		return;
	}
}

bool conn_is_tls(const struct conn *c)
{
	return c->is_tls;
}

slice conn_tls_text(const struct conn *c)
{
	return slice_str(c->tls_text);
}

/* --- the end ---------------------------------------------------------------------- */

static void linger(struct conn *c)
{
	char drop[16384];
	int i;

	for (i = 0; i < 8; i++) {
		ssize_t r = recv(c->watch.fd, drop, sizeof(drop), 0);

		if (r < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (r > 0)
			c->lingered += (uint32_t)r;
		if (r <= 0 || c->lingered > LINGER_MAX) {
			conn_kill(c, "closed");
			return;
		}
	}
}

/* Everything is written: our FIN, then the peer's is waited for, so that unread input
 * does not turn into a reset that would take the last answer with it. The owner is told
 * at once. */
static void finish_close(struct conn *c)
{
	if (c->sim || c->eof) {
		if (c->ssl)
			tls_io_shutdown(c->ssl);
		conn_kill(c, "closed");
		return;
	}
	if (c->ssl) {
		tls_io_shutdown(c->ssl);
		tls_io_free(c->ssl);
		c->ssl = NULL;
	}
	if (shutdown(c->watch.fd, SHUT_WR) < 0) {
		conn_kill(c, "closed");
		return;
	}
	c->state = CONN_LINGER;
	c->why = "closed";
	timer_set(c->loop, &c->timer, LINGER_TIME);
	update_watch(c);
	conn_schedule(c);
}

static void on_close_timer(struct timer *t)
{
	struct conn *c = LOOP_FROM(struct conn, timer, t);

	conn_kill(c, "close timed out");
}

void conn_close(struct conn *c)
{
	assert(loop_is_mine(c->loop));
	if (c->state == CONN_TLS_START) {
		conn_kill(c, "closed");
		return;
	}
	if (c->state != CONN_OPEN)
		return;
	c->state = CONN_CLOSING;
	if (!c->held)
		conn_in_free(c);
	timer_set(c->loop, &c->timer, CLOSE_TIME);
	if (!c->blocked)
		write_out(c);
	else
		update_watch(c);
}

void conn_abort(struct conn *c)
{
	assert(loop_is_mine(c->loop));
	conn_kill(c, "aborted");
}

/* --- events ----------------------------------------------------------------------- */

static void start_step(struct conn *c)
{
	c->step_out = true;
	update_watch(c);
	c->ops->handshake(c);
}

static void on_fd(struct watch *w, int what)
{
	struct conn *c = LOOP_FROM(struct conn, watch, w);

	switch (c->state) {
	case CONN_TLS_START:
		if (!c->step_out)
			start_step(c);
		return;
	case CONN_LINGER:
		linger(c);
		return;
	case CONN_OPEN:
	case CONN_CLOSING:
		break;
	case CONN_DEAD:
	default:
		return;
	}
	if ((what & LOOP_WRITE) && write_out(c) &&
	    (c->state == CONN_OPEN || c->state == CONN_CLOSING))
		c->ops->drained(c);
	if (c->state == CONN_OPEN && ((what & LOOP_READ) || c->read_wants_write))
		conn_read(c);
}

static void conn_task(struct task *t)
{
	struct conn *c = LOOP_FROM(struct conn, task, t);

	if (c->state == CONN_DEAD) {
		tell_closed(c); /* may let go of it: task_posted keeps it until here */
		c->task_posted = false;
		destroy_when_free(c);
		return;
	}
	c->task_posted = false;
	if (c->state == CONN_LINGER) {
		tell_closed(c);
		return;
	}
	if (c->tell_secured) {
		c->tell_secured = false;
		c->state = CONN_OPEN;
		c->is_tls = true;
		c->ops->secured(c);
	}
	if (c->sim && c->blocked && c->sim->window) {
		if (write_out(c) && (c->state == CONN_OPEN || c->state == CONN_CLOSING))
			c->ops->drained(c);
	}
	if (c->state == CONN_OPEN && (c->read_again || c->sim))
		conn_read(c);
}

/* --- what others ask -------------------------------------------------------------- */

void *conn_owner(const struct conn *c)
{
	return c->owner;
}

void conn_set_owner(struct conn *c, void *owner)
{
	c->owner = owner;
}

struct loop *conn_loop(const struct conn *c)
{
	return c->loop;
}

conn_id conn_get_id(const struct conn *c)
{
	return c->id;
}

const struct conn_peer *conn_get_peer(const struct conn *c)
{
	return &c->peer;
}

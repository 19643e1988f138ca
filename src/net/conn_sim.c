/* The sim end of a connection: two buffers instead of a socket. */
#include "net/conn_priv.h"
#include "base/alloc.h"
#include <assert.h>
#include <sys/uio.h>

struct conn *conn_new_sim(struct loop *l, const struct conn_peer *peer,
			  const struct conn_ops *(*accept)(void *, struct conn *),
			  void *ctx)
{
	struct conn *c = conn_make(l, peer);

	c->sim = mem_new(sizeof(*c->sim));
	buf_init(&c->sim->in, (size_t)1 << 30);
	buf_init(&c->sim->out, (size_t)1 << 30);
	c->sim->window = SIZE_MAX;
	conn_started(c, accept(ctx, c));
	return c;
}

void conn_sim_send(struct conn *c, slice bytes)
{
	if (c->state == CONN_DEAD)
		return;
	buf_add(&c->sim->in, bytes);
	conn_schedule(c);
}

void conn_sim_eof(struct conn *c)
{
	c->sim->eof = true;
	if (c->state != CONN_DEAD)
		conn_schedule(c);
}

slice conn_sim_received(struct conn *c)
{
	return slice_from(buf_slice(&c->sim->out), c->sim->out_off);
}

void conn_sim_take(struct conn *c, size_t n)
{
	struct conn_sim *s = c->sim;

	assert(n <= s->out.n - s->out_off);
	s->out_off += n;
	if (s->out_off == s->out.n) {
		buf_done(&s->out);
		buf_init(&s->out, (size_t)1 << 30);
		s->out_off = 0;
	}
}

void conn_sim_window(struct conn *c, size_t n)
{
	c->sim->window = n;
	if (c->state != CONN_DEAD)
		conn_schedule(c);
}

bool conn_sim_is_closed(const struct conn *c)
{
	return c->state == CONN_DEAD;
}

void conn_sim_free(struct conn *c)
{
	assert(c->state == CONN_DEAD && c->told_closed && !c->task_posted);
	conn_destroy(c);
}

bool conn_sim_has_input(const struct conn *c)
{
	return c->sim->in_off < c->sim->in.n || (c->sim->eof && !c->eof);
}

int64_t conn_sim_read(struct conn *c, void *dst, size_t n)
{
	struct conn_sim *s = c->sim;
	size_t have = s->in.n - s->in_off;

	if (!have)
		return s->eof ? -1 : 0;
	if (n > have)
		n = have;
	memcpy(dst, s->in.p + s->in_off, n);
	s->in_off += n;
	if (s->in_off == s->in.n) {
		buf_done(&s->in);
		buf_init(&s->in, (size_t)1 << 30);
		s->in_off = 0;
	}
	return (int64_t)n;
}

int64_t conn_sim_write(struct conn *c, const struct iovec *iov, int n)
{
	struct conn_sim *s = c->sim;
	int64_t sum = 0;
	int i;

	for (i = 0; i < n && s->window; i++) {
		size_t m = iov[i].iov_len < s->window ? iov[i].iov_len : s->window;

		buf_add(&s->out, slice_make(iov[i].iov_base, m));
		sum += (int64_t)m;
		if (s->window != SIZE_MAX)
			s->window -= m;
	}
	return sum;
}

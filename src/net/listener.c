/* Listening sockets: one descriptor, watched by every loop. */
#include "net/conn_priv.h"
#include "base/alloc.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum {
	BACKLOG = 1024,
	ACCEPT_MAX = 16, /* in one turn of a loop */
	PAUSE = 100	 /* ms without accepting when descriptors have run out (P4) */
};

struct listener_loop {
	struct listener *of;
	struct loop *loop;
	struct watch watch;
	struct timer pause;
	struct task start, stop;
};

struct listener {
	int fd;
	uint16_t port;
	conn_accept_fn fn;
	void *ctx;
	_Atomic bool closing;
	_Atomic unsigned refs;
	size_t n;
	struct listener_loop loops[];
};

/* --- addresses -------------------------------------------------------------------- */

static void address_text(const struct sockaddr_storage *sa, char *dst, size_t n,
			 uint16_t *port, unsigned char ip[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (sa->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

		memcpy(ip, mapped, 12);
		memcpy(ip + 12, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

		memcpy(ip, &in6->sin6_addr, 16);
		*port = ntohs(in6->sin6_port);
	}
	/* An IPv4 peer on a dual-stack socket is an IPv4 peer. */
	if (memcmp(ip, mapped, 12) == 0)
		inet_ntop(AF_INET, ip + 12, dst, (socklen_t)n);
	else
		inet_ntop(AF_INET6, ip, dst, (socklen_t)n);
}

void conn_peer_from(struct conn_peer *p, const struct sockaddr_storage *remote,
		    const struct sockaddr_storage *local)
{
	static const unsigned char loopback6[16] = { [15] = 1 };
	unsigned char ip[16];
	bool v4;

	memset(p, 0, sizeof(*p));
	address_text(local, p->local_addr, sizeof(p->local_addr), &p->local_port, ip);
	address_text(remote, p->addr, sizeof(p->addr), &p->port, ip);
	v4 = ip[10] == 0xff && ip[11] == 0xff && ip[0] == 0 && memcmp(ip, ip + 1, 9) == 0;
	p->is_loopback = v4 ? ip[12] == 127 : memcmp(ip, loopback6, 16) == 0;
	if (!v4)
		memset(ip + 8, 0, 8); /* a /64 is one subscriber */
	memcpy(p->net, ip, 16);
}

/* --- accepting -------------------------------------------------------------------- */

static void take(struct listener_loop *ll, int fd, const struct sockaddr_storage *remote)
{
	struct sockaddr_storage local = { 0 };
	socklen_t n = sizeof(local);
	struct conn_peer peer;
	struct conn *c;
	const int on = 1;

	if (getsockname(fd, (struct sockaddr *)&local, &n) < 0) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	conn_peer_from(&peer, remote, &local);
	c = conn_new_fd(ll->loop, fd, &peer);
	conn_started(c, ll->of->fn(ll->of->ctx, c));
}

static void on_accept(struct watch *w, int what)
{
	struct listener_loop *ll = LOOP_FROM(struct listener_loop, watch, w);
	int i;

	(void)what;
	for (i = 0; i < ACCEPT_MAX; i++) {
		struct sockaddr_storage sa = { 0 };
		socklen_t n = sizeof(sa);
		int fd;

		if (atomic_load_explicit(&ll->of->closing, memory_order_relaxed))
			return;
		fd = accept4(w->fd, (struct sockaddr *)&sa, &n,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			take(ll, fd, &sa);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno !=
		    EAGAIN) { /* EMFILE, ENFILE, ENOBUFS, ENOMEM: the queue can wait */
			watch_want(ll->loop, w, 0);
			timer_set(ll->loop, &ll->pause, PAUSE);
		}
		return;
	}
}

static void on_pause_end(struct timer *t)
{
	struct listener_loop *ll = LOOP_FROM(struct listener_loop, pause, t);

	watch_want(ll->loop, &ll->watch, LOOP_READ);
}

static void start_on_loop(struct task *t)
{
	struct listener_loop *ll = LOOP_FROM(struct listener_loop, start, t);

	watch_init(ll->loop, &ll->watch, ll->of->fd, on_accept);
	watch_want(ll->loop, &ll->watch, LOOP_READ);
}

static void stop_on_loop(struct task *t)
{
	struct listener_loop *ll = LOOP_FROM(struct listener_loop, stop, t);
	struct listener *l = ll->of;

	watch_done(ll->loop, &ll->watch);
	timer_clear(ll->loop, &ll->pause);
	if (atomic_fetch_sub(&l->refs, 1) == 1) {
		close(l->fd);
		mem_free(l);
	}
}

/* --- opening ---------------------------------------------------------------------- */

static bool address_parse(const char *addr, uint16_t port, struct sockaddr_storage *sa,
			  socklen_t *n)
{
	struct sockaddr_in *in = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

	memset(sa, 0, sizeof(*sa));
	if (inet_pton(AF_INET, addr, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		*n = sizeof(*in);
		return true;
	}
	if (inet_pton(AF_INET6, addr, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		*n = sizeof(*in6);
		return true;
	}
	return false;
}

static int bind_and_listen(const char *addr, uint16_t port, uint16_t *out_port,
			   struct err *e)
{
	struct sockaddr_storage sa;
	socklen_t n;
	const int on = 1;
	int fd;

	if (!address_parse(addr, port, &sa, &n)) {
		err_set(e, ERR_SYNTAX, "%s is not an IP address", addr);
		return -1;
	}
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		err_set(e, ERR_IO, "socket for %s port %u: %s", addr, port,
			strerror(errno));
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* 0.0.0.0 and :: are two listeners, never one that takes both. */
	if (sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&sa, n) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &n) < 0) {
		err_set(e, ERR_IO, "listen on %s port %u: %s", addr, port,
			strerror(errno));
		close(fd);
		return -1;
	}
	*out_port = ntohs(sa.ss_family == AF_INET6
				  ? ((struct sockaddr_in6 *)&sa)->sin6_port
				  : ((struct sockaddr_in *)&sa)->sin_port);
	return fd;
}

enum status listener_open(struct loop **loops, size_t n, const char *addr, uint16_t port,
			  conn_accept_fn fn, void *ctx, struct listener **out,
			  struct err *e)
{
	struct listener *l;
	uint16_t real_port;
	size_t i;
	int fd = bind_and_listen(addr, port, &real_port, e);

	if (fd < 0)
		return ST_IO;
	l = mem_new(sizeof(*l) + n * sizeof(l->loops[0]));
	l->fd = fd;
	l->port = real_port;
	l->fn = fn;
	l->ctx = ctx;
	l->n = n;
	atomic_store(&l->refs, (unsigned)n);
	for (i = 0; i < n; i++) {
		struct listener_loop *ll = &l->loops[i];

		ll->of = l;
		ll->loop = loops[i];
		ll->pause.fn = on_pause_end;
		ll->start.fn = start_on_loop;
		ll->stop.fn = stop_on_loop;
		loop_post(ll->loop, &ll->start);
	}
	*out = l;
	return ST_OK;
}

uint16_t listener_port(const struct listener *l)
{
	return l->port;
}

void listener_close(struct listener *l)
{
	size_t i, n;

	if (!l || atomic_exchange(&l->closing, true))
		return;
	shutdown(l->fd, SHUT_RD); /* from now on connections are refused */
	/* The last loop that lets go frees l, perhaps before this ends. */
	for (i = 0, n = l->n; i < n; i++)
		loop_post(l->loops[i].loop, &l->loops[i].stop);
}

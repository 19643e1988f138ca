/* load_smtp.c — delivers messages over N connections and prints one line of JSON.
 *
 *	load_smtp --port P --to FILE [--connections 64] [--messages 10000 | --seconds S] [--size 10240] [--tls n|i|s]
 *	          [--users FILE] [--bdat] [--ledger FILE] [--pid SERVER] [--seed N]
 *
 * Bodies: every one different, half of the lines random base64 (incompressible for lz4), half text. FILE of --to: one
 * address a line, taken at random; --users: "address password" lines, connection i logs in as line i. The ledger gets a
 * line "message-id recipient" for each message after its 250 and before anything else is sent on that connection.
 *
 * It shares the processors with the server that it measures. So it is one thread that waits for all connections at
 * once, and the lines of the bodies are made beforehand: a message is a header of its own and some of them. Time and
 * CPU (client_us_each is this program's own) count from when all connections are open and logged in. */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	PAIR = 78 + 77, /* octets of a line of base64 and one of text */
	STARTS = 256,	/* pairs at which a message may begin */
	RECORD = 16384	/* of TLS */
};

struct options {
	uint16_t port;
	unsigned connections;
	int64_t messages, seconds;
	size_t size;
	char tls;
	bool bdat;
	int pid, ledger;
	uint64_t seed;
	char **to, **to_extra, **user, **password;
	size_t n_to, n_user;
	struct ssl_ctx_st *ctx;
	char *lines;
	int64_t next, failed, end_us, accepted, *latency;
	size_t cap;
	int epoll;
};
struct client {
	struct options *o;
	struct wire w;
	unsigned index;
	uint64_t rng;
	int64_t start;
	bool is_open, is_blocked;
	const char *to, *expect; /* the first digits of the replies that must come */
	char id[200], command[1200], header[1500];
	struct iovec lines, out[3]; /* out: what is being sent, in order */
};

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void make_lines(struct options *o)
{
	static const char b64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char text[] =
		"The quick brown fox jumps over the lazy dog while the mail goes through ok.\r\n";
	size_t pairs = o->size / PAIR + STARTS;
	uint64_t rng = 88172645463325252u + o->seed * 7919u;
	char *p = o->lines = malloc(pairs * PAIR + 1);
	for (; pairs > 0; pairs--) {
		for (int k = 0; k < 76; k++)
			*p++ = b64[next_random(&rng) >> 20 & 63];
		memcpy(p, "\r\n", 2);
		memcpy(p + 2, text, sizeof(text) - 1);
		p += 2 + sizeof(text) - 1;
	}
}

static size_t make_message(struct client *c, int64_t number)
{
	struct options *o = c->o;
	snprintf(c->id, sizeof(c->id), "%" PRId64 ".%u.%" PRIx64 "@load.example.com",
		 number, c->index, o->seed);
	size_t n = (size_t)snprintf(
		c->header, sizeof(c->header),
		"From: Load <load@example.com>\r\nTo: <%s>\r\nSubject: load %" PRId64
		"\r\n"
		"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s>\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n\r\n",
		c->to, number, c->id);
	c->lines.iov_base = o->lines + next_random(&c->rng) % STARTS * PAIR;
	c->lines.iov_len = n < o->size ? (o->size - n) / PAIR * PAIR : 0;
	return n;
}

/* --- output --- */

static ssize_t write_tls(struct client *c)
{
	static char record[RECORD];
	size_t n = 0;
	for (size_t i = 0; i < 3; i++) {
		size_t k = c->out[i].iov_len < RECORD - n ? c->out[i].iov_len
							  : RECORD - n;
		if (k > 0)
			memcpy(record + n, c->out[i].iov_base, k);
		n += k;
	}
	int r = SSL_write(c->w.ssl, record, (int)n);
	if (r > 0)
		return r;
	errno = SSL_get_error(c->w.ssl, r) == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
	return -1;
}

static void watch(struct client *c, int op, bool is_blocked)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	if (is_blocked)
		ev.events |= EPOLLOUT;
	c->is_blocked = is_blocked;
	epoll_ctl(c->o->epoll, op, c->w.fd, &ev);
}

static bool flush(struct client *c)
{
	while (c->out[0].iov_len + c->out[1].iov_len + c->out[2].iov_len > 0) {
		struct msghdr m = { .msg_iov = c->out, .msg_iovlen = 3 };
		ssize_t r = c->w.ssl ? write_tls(c) : sendmsg(c->w.fd, &m, MSG_NOSIGNAL);
		bool is_blocked = r < 0 && errno == EAGAIN;
		if (r < 0 && !is_blocked) {
			snprintf(c->w.error, sizeof(c->w.error), "write: %s",
				 strerror(errno));
			return false;
		}
		if (is_blocked != c->is_blocked)
			watch(c, EPOLL_CTL_MOD, is_blocked);
		if (is_blocked)
			break;
		for (size_t i = 0; i < 3; i++) {
			size_t k = c->out[i].iov_len < (size_t)r ? c->out[i].iov_len
								 : (size_t)r;
			c->out[i].iov_base = (char *)c->out[i].iov_base + k;
			c->out[i].iov_len -= k;
			r -= (ssize_t)k;
		}
	}
	return true;
}

/* --- one message --- */

/* False: there are no more, or the connection failed. */
static bool send_next(struct client *c)
{
	struct options *o = c->o;
	int64_t number = o->next++;
	c->start = wire_now_us();
	if ((o->messages > 0 && number >= o->messages) ||
	    (o->end_us > 0 && c->start >= o->end_us))
		return false;
	c->to = o->to[next_random(&c->rng) % o->n_to];
	size_t n = make_message(c, number);
	int k = snprintf(c->command, sizeof(c->command),
			 "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n",
			 o->n_user ? o->user[c->index % o->n_user] : "load@example.com",
			 c->to);
	size_t room = sizeof(c->command) - (size_t)k;
	memset(c->out, 0, sizeof(c->out));
	if (o->bdat) {
		k += snprintf(c->command + k, room, "BDAT %zu LAST\r\n",
			      n + c->lines.iov_len);
		c->out[1] = (struct iovec){ c->header, n };
		c->out[2] = c->lines;
	} else {
		k += snprintf(c->command + k, room, "DATA\r\n");
	}
	c->out[0] = (struct iovec){ c->command, (size_t)k };
	c->expect = o->bdat ? "222" : "2232";
	return flush(c);
}

static void note(struct client *c)
{
	struct options *o = c->o;
	char line[700];
	if (o->accepted == (int64_t)o->cap) {
		o->cap = o->cap ? 2 * o->cap : 4096;
		o->latency = realloc(o->latency, o->cap * sizeof(*o->latency));
	}
	o->latency[o->accepted++] = wire_now_us() - c->start;
	if (o->ledger >= 0) {
		int n = snprintf(line, sizeof(line), "%s %s\n", c->id, c->to);
		if (write(o->ledger, line, (size_t)n) != n)
			abort(); /* a ledger with holes proves nothing */
	}
}

/* A reply's last line. False: the connection is done. */
static bool on_reply(struct client *c, const char *line, size_t n)
{
	if (n == 0 || *c->expect != line[0]) {
		snprintf(c->w.error, sizeof(c->w.error), "%.*s", n < 190 ? (int)n : 190,
			 line);
		return false;
	}
	c->expect++;
	if (line[0] == '3') {
		c->out[0] = (struct iovec){ c->header, strlen(c->header) };
		c->out[1] = c->lines;
		c->out[2] = (struct iovec){ (char *)(uintptr_t) ".\r\n", 3 };
		return flush(c);
	}
	if (*c->expect)
		return true;
	note(c);
	return send_next(c);
}

static bool on_lines(struct client *c)
{
	struct wire *w = &c->w;
	char *nl;
	while ((nl = memchr(w->in + w->at, '\n', w->have - w->at)) != NULL) {
		const char *line = w->in + w->at;
		size_t n = (size_t)(nl - line);
		w->at += n + 1;
		if (n > 3 && line[3] == '-')
			continue;
		if (!on_reply(c, line, n))
			return false;
	}
	memmove(w->in, w->in + w->at, w->have - w->at);
	w->have -= w->at;
	w->at = 0;
	return true;
}

static bool on_readable(struct client *c)
{
	struct wire *w = &c->w;
	ssize_t r;
	do {
		size_t room = sizeof(w->in) - w->have;
		errno = 0;
		r = w->ssl ? SSL_read(w->ssl, w->in + w->have, (int)room)
			   : recv(w->fd, w->in + w->have, room, 0);
		if (r <= 0) {
			if (w->ssl ? SSL_get_error(w->ssl, (int)r) == SSL_ERROR_WANT_READ
				   : r < 0 && errno == EAGAIN)
				return true;
			snprintf(w->error, sizeof(w->error), "read: %s",
				 errno ? strerror(errno) : "closed");
			return false;
		}
		w->have += (size_t)r;
		if (!on_lines(c))
			return false;
	} while (w->ssl && SSL_has_pending(w->ssl));
	return true;
}

/* --- all of them --- */

static void finish(struct client *c)
{
	if (c->w.error[0]) {
		fprintf(stderr, "connection %u: %s\n", c->index, c->w.error);
		c->o->failed++;
	} else {
		wire_puts(&c->w, "QUIT\r\n");
	}
	wire_close(&c->w);
	c->is_open = false;
}

static void *open_main(void *arg)
{
	struct client *c = arg;
	struct options *o = c->o;
	size_t i = o->n_user ? c->index % o->n_user : 0;
	c->is_open = wire_smtp_open(&c->w, o->port, o->tls, o->ctx,
				    o->n_user ? o->user[i] : NULL,
				    o->n_user ? o->password[i] : NULL);
	if (c->is_open)
		fcntl(c->w.fd, F_SETFL, O_NONBLOCK);
	return NULL;
}

static void open_all(struct options *o, struct client *c)
{
	pthread_t *t = calloc(o->connections, sizeof(*t));
	for (unsigned i = 0; i < o->connections; i++) {
		c[i].o = o;
		c[i].index = i;
		c[i].rng = 88172645463325252u + (o->seed + i) * 7919u;
		pthread_create(&t[i], NULL, open_main, &c[i]);
	}
	for (unsigned i = 0; i < o->connections; i++)
		pthread_join(t[i], NULL);
	free(t);
}

static void deliver_all(struct options *o, struct client *c)
{
	struct epoll_event ev[256];
	unsigned open = 0;
	for (unsigned i = 0; i < o->connections; i++) {
		bool goes_on = c[i].is_open;
		if (goes_on) {
			watch(&c[i], EPOLL_CTL_ADD, false);
			goes_on = send_next(&c[i]);
		}
		if (!goes_on)
			finish(&c[i]);
		open += goes_on;
	}
	while (open > 0) {
		int n = epoll_wait(o->epoll, ev, 256, -1);
		for (int i = 0; i < n; i++) {
			struct client *one = ev[i].data.ptr;
			if (((ev[i].events & EPOLLOUT) && !flush(one)) ||
			    ((ev[i].events & ~(uint32_t)EPOLLOUT) && !on_readable(one))) {
				finish(one);
				open--;
			}
		}
	}
}

static int64_t own_cpu_us(void)
{
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	return (int64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 +
	       r.ru_utime.tv_usec + r.ru_stime.tv_usec;
}

static void run(struct options *o)
{
	struct client *c = calloc(o->connections, sizeof(*c));
	o->epoll = epoll_create1(EPOLL_CLOEXEC);
	make_lines(o);
	open_all(o, c);
	int64_t cpu = wire_cpu_us(o->pid), own = own_cpu_us(),
		written = wire_written(o->pid), start = wire_now_us();
	o->end_us = o->seconds > 0 ? start + o->seconds * 1000000 : 0;
	deliver_all(o, c);
	int64_t us = wire_now_us() - start;
	double m = o->accepted > 0 ? (double)o->accepted : 1;
	printf("{\"connections\":%u,\"accepted\":%" PRId64 ",\"failed\":%" PRId64
	       ",\"seconds\":%.2f,\"per_second\":%.0f,"
	       "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"server_us_each\":%.1f,"
	       "\"client_us_each\":%.1f,\"written_kb_each\":%.2f}\n",
	       o->connections, o->accepted, o->failed, (double)us / 1e6,
	       (double)o->accepted * 1e6 / (double)us,
	       (double)wire_percentile(o->latency, (size_t)o->accepted, 50) / 1e3,
	       (double)wire_percentile(o->latency, (size_t)o->accepted, 99) / 1e3,
	       o->pid > 0 ? (double)(wire_cpu_us(o->pid) - cpu) / m : 0.0,
	       (double)(own_cpu_us() - own) / m,
	       o->pid > 0 ? (double)(wire_written(o->pid) - written) / m / 1024 : 0.0);
}

int main(int argc, char **argv)
{
	struct options o = { .connections = 64,
			     .messages = 10000,
			     .size = 10240,
			     .tls = 'n',
			     .ledger = -1,
			     .seed = 1 };
	const char *ledger = NULL;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(a, "--bdat") == 0) {
			o.bdat = true;
			continue;
		}
		i++;
		if (strcmp(a, "--port") == 0)
			o.port = (uint16_t)strtoul(v, NULL, 10);
		else if (strcmp(a, "--connections") == 0)
			o.connections = (unsigned)strtoul(v, NULL, 10);
		else if (strcmp(a, "--messages") == 0)
			o.messages = strtoll(v, NULL, 10);
		else if (strcmp(a, "--seconds") == 0)
			o.seconds = strtoll(v, NULL, 10), o.messages = 0;
		else if (strcmp(a, "--size") == 0)
			o.size = strtoul(v, NULL, 10);
		else if (strcmp(a, "--tls") == 0)
			o.tls = v[0];
		else if (strcmp(a, "--pid") == 0)
			o.pid = (int)strtol(v, NULL, 10);
		else if (strcmp(a, "--seed") == 0)
			o.seed = strtoull(v, NULL, 10);
		else if (strcmp(a, "--ledger") == 0)
			ledger = v;
		else if (strcmp(a, "--to") == 0)
			o.n_to = wire_accounts(v, &o.to, &o.to_extra);
		else if (strcmp(a, "--users") == 0)
			o.n_user = wire_accounts(v, &o.user, &o.password);
		else
			o.port = 0;
	}
	if (o.port == 0 || o.n_to == 0 || o.connections == 0 || o.size < 1024) {
		fprintf(stderr,
			"usage: load_smtp --port P --to FILE … (see the head of bench/load_smtp.c)\n");
		return 64;
	}
	if (ledger != NULL) {
		FILE *f = fopen(ledger, "ae");
		o.ledger = f ? fileno(f) : -1;
	}
	o.ctx = wire_tls_new();
	run(&o);
	return 0;
}

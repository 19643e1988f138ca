/* load_smtp.c — delivers messages over N connections and prints one line of JSON.
 *
 *	load_smtp --port P --to FILE [--connections 64] [--messages 10000 | --seconds S] [--size 10240] [--tls n|i|s]
 *	          [--users FILE] [--bdat] [--ledger FILE] [--pid SERVER] [--seed N]
 *
 * Bodies: every one different, half of the lines random base64 (incompressible for lz4), half text. FILE of --to: one
 * address a line, taken at random; --users: "address password" lines, connection i logs in as line i. The ledger gets a
 * line "message-id recipient" for each message after its 250 and before anything else is sent on that connection. */
#include "wire.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	_Atomic int64_t next, failed;
	int64_t end_us;
};
struct client {
	struct options *o;
	unsigned index;
	uint64_t rng;
	int64_t *latency, accepted;
	size_t cap;
	char *body;
};

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static size_t make_message(struct client *c, int64_t number, const char *to, char *id,
			   size_t id_max)
{
	static const char b64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char text[] =
		"The quick brown fox jumps over the lazy dog while the mail goes through ok.\r\n";
	char *p = c->body;
	snprintf(id, id_max, "%" PRId64 ".%u.%" PRIx64 "@load.example.com", number,
		 c->index, c->o->seed);
	size_t n = (size_t)sprintf(
		p,
		"From: Load <load@example.com>\r\nTo: <%s>\r\nSubject: load %" PRId64
		"\r\n"
		"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%s>\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n\r\n",
		to, number, id);
	for (bool random = true; n + 78 < c->o->size; random = !random) {
		if (!random) {
			memcpy(p + n, text, sizeof(text) - 1);
			n += sizeof(text) - 1;
			continue;
		}
		for (int i = 0; i < 76; i += 4) {
			uint64_t r = next_random(&c->rng) >> 8;
			for (int k = 0; k < 4; k++, r >>= 6)
				p[n++] = b64[r & 63];
		}
		p[n++] = '\r';
		p[n++] = '\n';
	}
	return n;
}

static bool send_one(struct client *c, struct wire *w, const char *from, const char *to,
		     size_t n)
{
	char head[1200];
	if (c->o->bdat) {
		int k = snprintf(head, sizeof(head),
				 "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nBDAT %zu LAST\r\n",
				 from, to, n);
		memmove(c->body + k, c->body, n);
		memcpy(c->body, head, (size_t)k);
		return wire_write(w, c->body, n + (size_t)k) && wire_smtp(w, '2') &&
		       wire_smtp(w, '2') && wire_smtp(w, '2');
	}
	snprintf(head, sizeof(head), "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", from,
		 to);
	memcpy(c->body + n, ".\r\n", 3);
	return wire_puts(w, head) && wire_smtp(w, '2') && wire_smtp(w, '2') &&
	       wire_smtp(w, '3') && wire_write(w, c->body, n + 3) && wire_smtp(w, '2');
}

static void note(struct client *c, int64_t us, const char *id, const char *to)
{
	char line[700];
	if (c->accepted == (int64_t)c->cap) {
		c->cap = c->cap ? 2 * c->cap : 4096;
		c->latency = realloc(c->latency, c->cap * sizeof(*c->latency));
	}
	c->latency[c->accepted++] = us;
	if (c->o->ledger >= 0) {
		int n = snprintf(line, sizeof(line), "%s %s\n", id, to);
		if (write(c->o->ledger, line, (size_t)n) != n)
			abort(); /* a ledger with holes proves nothing */
	}
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct options *o = c->o;
	struct wire *w = calloc(1, sizeof(*w));
	const char *user = o->n_user ? o->user[c->index % o->n_user] : NULL;
	const char *from = user ? user : "load@example.com";
	char id[200];
	if (!wire_smtp_open(w, o->port, o->tls, o->ctx, user,
			    user ? o->password[c->index % o->n_user] : NULL)) {
		fprintf(stderr, "connection %u: %s\n", c->index, w->error);
		o->failed++;
		wire_close(w);
		free(w);
		return NULL;
	}
	for (;;) {
		int64_t number = o->next++;
		if ((o->messages > 0 && number >= o->messages) ||
		    (o->end_us > 0 && wire_now_us() >= o->end_us))
			break;
		const char *to = o->to[next_random(&c->rng) % o->n_to];
		size_t n = make_message(c, number, to, id, sizeof(id));
		int64_t start = wire_now_us();
		if (!send_one(c, w, from, to, n)) {
			fprintf(stderr, "connection %u: %s\n", c->index, w->error);
			o->failed++;
			break;
		}
		note(c, wire_now_us() - start, id, to);
	}
	wire_puts(w, "QUIT\r\n");
	wire_close(w);
	free(w);
	return NULL;
}

static void run(struct options *o)
{
	struct client *c = calloc(o->connections, sizeof(*c));
	pthread_t *t = calloc(o->connections, sizeof(*t));
	int64_t cpu = wire_cpu_us(o->pid), written = wire_written(o->pid),
		start = wire_now_us();
	o->end_us = o->seconds > 0 ? start + o->seconds * 1000000 : 0;
	for (unsigned i = 0; i < o->connections; i++) {
		c[i] = (struct client){ .o = o,
					.index = i,
					.rng = 88172645463325252u +
					       (o->seed + i) * 7919u };
		c[i].body = malloc(o->size + 4096);
		pthread_create(&t[i], NULL, client_main, &c[i]);
	}
	int64_t accepted = 0;
	for (unsigned i = 0; i < o->connections; i++) {
		pthread_join(t[i], NULL);
		accepted += c[i].accepted;
	}
	int64_t us = wire_now_us() - start;
	int64_t *all = malloc((size_t)(accepted + 1) * sizeof(*all)), n = 0;
	for (unsigned i = 0; i < o->connections; i++) {
		memcpy(all + n, c[i].latency, (size_t)c[i].accepted * sizeof(*all));
		n += c[i].accepted;
	}
	double m = accepted > 0 ? (double)accepted : 1;
	printf("{\"connections\":%u,\"accepted\":%" PRId64 ",\"failed\":%" PRId64
	       ",\"seconds\":%.2f,\"per_second\":%.0f,"
	       "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"server_us_each\":%.1f,\"written_kb_each\":%.2f}\n",
	       o->connections, accepted, (int64_t)o->failed, (double)us / 1e6,
	       (double)accepted * 1e6 / (double)us,
	       (double)wire_percentile(all, (size_t)n, 50) / 1e3,
	       (double)wire_percentile(all, (size_t)n, 99) / 1e3,
	       o->pid > 0 ? (double)(wire_cpu_us(o->pid) - cpu) / m : 0.0,
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

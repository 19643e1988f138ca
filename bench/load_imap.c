/* load_imap.c — IMAP measurements; each prints one line of JSON.
 *
 *	load_imap fetch --port P --users FILE [--runs 5]      SELECT INBOX + FETCH 1:* FLAGS, first user
 *	load_imap flags --port P --users FILE --pid S [--count 2000]   one STORE per message: bytes written per flag change
 *	load_imap idle  --port P --users FILE --pid S [--connections 1000]  memory per idle connection in IDLE
 *	load_imap noop  --port P --users FILE [--connections 100] [--seconds 5]   latency of NOOP on open sessions
 *	load_imap stall --port P --users FILE [--connections 16] [--seconds 5]
 *	                first user: N sessions storing flags on all messages; second user: latency of FETCH 1:* FLAGS (20 messages)
 *	load_imap append --port P --users FILE --count N      fills the first user's INBOX with small messages, pipelined
 *
 * TLS unless --tls n. */
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
	char tls;
	int pid;
	unsigned connections, runs, seconds, count;
	char **user, **password;
	size_t n_user;
	struct ssl_ctx_st *ctx;
	_Atomic bool stop;
};

static struct wire *open_as(struct options *o, size_t user)
{
	struct wire *w = calloc(1, sizeof(*w));
	if (!wire_imap_open(w, o->port, o->tls, o->ctx, o->user[user % o->n_user],
			    o->password[user % o->n_user])) {
		fprintf(stderr, "login: %s\n", w->error);
		exit(1);
	}
	return w;
}

static void command(struct wire *w, const char *text, size_t *lines)
{
	char line[600];
	snprintf(line, sizeof(line), "a1 %s\r\n", text);
	if (!wire_puts(w, line) || !wire_imap(w, "a1", lines)) {
		fprintf(stderr, "%s: %s\n", text, w->error);
		exit(1);
	}
}

static int fetch(struct options *o)
{
	int64_t *us = calloc(o->runs, sizeof(*us));
	size_t lines = 0;
	for (unsigned i = 0; i < o->runs; i++) {
		struct wire *w = open_as(o, 0);
		int64_t start = wire_now_us();
		lines = 0;
		command(w, "SELECT INBOX", NULL);
		command(w, "FETCH 1:* FLAGS", &lines);
		us[i] = wire_now_us() - start;
		wire_close(w);
		free(w);
	}
	printf("{\"messages\":%zu,\"median_ms\":%.1f}\n", lines,
	       (double)wire_percentile(us, o->runs, 50) / 1e3);
	return 0;
}

static int flags(struct options *o)
{
	char text[64];
	struct wire *w = open_as(o, 0);
	command(w, "SELECT INBOX", NULL);
	int64_t written = wire_written(o->pid), start = wire_now_us();
	for (unsigned i = 1; i <= o->count; i++) {
		snprintf(text, sizeof(text), "UID STORE %u +FLAGS.SILENT (\\Flagged)", i);
		command(w, text, NULL);
	}
	double n = o->count ? o->count : 1;
	double us = (double)(wire_now_us() - start) / n;
	double bytes = (double)(wire_written(o->pid) - written) / n;
	written = wire_written(o->pid);
	snprintf(text, sizeof(text), "UID STORE 1:%u -FLAGS.SILENT (\\Flagged)",
		 o->count);
	command(w, text, NULL);
	printf("{\"changes\":%u,\"us_each\":%.0f,\"written_bytes_each\":%.0f,"
	       "\"written_bytes_each_in_one_command\":%.0f}\n",
	       o->count, us, bytes, (double)(wire_written(o->pid) - written) / n);
	wire_close(w);
	free(w);
	return 0;
}

/* What the kernel holds for TCP: buffers (sockstat) and socket structures (slab; both ends are on this machine). */
static int64_t kernel_tcp_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/net/sockstat", "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *mem = strncmp(line, "TCP:", 4) == 0 ? strstr(line, "mem ") : NULL;
		if (mem != NULL)
			kib += strtol(mem + 4, NULL, 10) * 4;
	}
	if (f != NULL)
		fclose(f);
	f = fopen("/proc/meminfo", "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "SUnreclaim:", 11) == 0)
			kib += strtol(line + 11, NULL, 10);
	if (f != NULL)
		fclose(f);
	return kib / 2;
}

static int idle(struct options *o)
{
	int64_t before = 0, kernel = 0;
	struct wire **w = calloc(o->connections + 8, sizeof(*w));
	for (unsigned i = 0; i < o->connections + 8; i++) {
		if (i ==
		    8) { /* what the first connections set up for all is not counted */
			sleep(1);
			before = wire_rss_kib(o->pid);
			kernel = kernel_tcp_kib();
		}
		w[i] = open_as(o, i);
		command(w[i], "SELECT INBOX", NULL);
		if (!wire_puts(w[i], "a2 IDLE\r\n") || !wire_line(w[i]))
			return 1;
	}
	sleep(2);
	double n = o->connections;
	printf("{\"connections\":%u,\"rss_kib_each\":%.1f,\"kernel_tcp_kib_each\":%.1f}\n",
	       o->connections, (double)(wire_rss_kib(o->pid) - before) / n,
	       (double)(kernel_tcp_kib() - kernel) / n);
	for (unsigned i = 0; i < o->connections + 8; i++) {
		wire_close(w[i]);
		free(w[i]);
	}
	return 0;
}

static int noop(struct options *o)
{
	struct wire **w = calloc(o->connections, sizeof(*w));
	size_t n = 0, cap = 1 << 20;
	int64_t *us = malloc(cap * sizeof(*us));
	for (unsigned i = 0; i < o->connections; i++) {
		w[i] = open_as(o, i);
		command(w[i], "SELECT INBOX", NULL);
	}
	printf("ready\n");
	fflush(stdout);
	for (int64_t end = wire_now_us() + o->seconds * 1000000LL;
	     wire_now_us() < end && n < cap;) {
		int64_t start = wire_now_us();
		command(w[n % o->connections], "NOOP", NULL);
		us[n++] = wire_now_us() - start;
	}
	printf("{\"connections\":%u,\"noops\":%zu,\"p50_ms\":%.2f,\"p99_ms\":%.2f}\n",
	       o->connections, n, (double)wire_percentile(us, n, 50) / 1e3,
	       (double)wire_percentile(us, n, 99) / 1e3);
	return 0;
}

static void append_small(struct options *o, size_t user, unsigned count)
{
	char text[700];
	struct wire *w = open_as(o, user);
	unsigned sent = 0, done = 0;
	while (done < count) {
		for (; sent < count && sent - done < 200; sent++) {
			char m[500];
			int n = snprintf(
				m, sizeof(m),
				"From: Load <load@example.com>\r\nTo: <you@example.com>\r\n"
				"Subject: small %u\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n"
				"Message-ID: <small.%u@load.example.com>\r\n\r\nMessage %u.\r\n",
				sent, sent, sent);
			snprintf(text, sizeof(text), "b%u APPEND INBOX {%d+}\r\n%s\r\n",
				 sent, n, m);
			if (!wire_puts(w, text))
				break;
		}
		snprintf(text, sizeof(text), "b%u", done++);
		if (!wire_imap(w, text, NULL)) {
			fprintf(stderr, "APPEND: %s\n", w->error);
			exit(1);
		}
	}
	wire_close(w);
	free(w);
}

static int append(struct options *o)
{
	append_small(o, 0, o->count);
	printf("{\"appended\":%u}\n", o->count);
	return 0;
}

static void *storer(void *arg)
{
	struct options *o = arg;
	struct wire *w = open_as(o, 0);
	command(w, "SELECT INBOX", NULL);
	for (bool on = true; !o->stop;
	     on = !on) /* a mark of its own, so that every round changes every row */
		command(w,
			on ? "STORE 1:* +FLAGS.SILENT (\\Flagged)"
			   : "STORE 1:* -FLAGS.SILENT (\\Flagged)",
			NULL);
	wire_close(w);
	free(w);
	return NULL;
}

static void fetch_for(struct wire *w, unsigned seconds, int64_t *us, size_t cap,
		      size_t *n)
{
	*n = 0;
	for (int64_t end = wire_now_us() + seconds * 1000000LL;
	     wire_now_us() < end && *n < cap;) {
		int64_t start = wire_now_us();
		command(w, "FETCH 1:20 (FLAGS ENVELOPE)", NULL);
		us[(*n)++] = wire_now_us() - start;
	}
}

static int stall(struct options *o)
{
	pthread_t *t = calloc(o->connections, sizeof(*t));
	size_t cap = 1 << 20, n;
	int64_t *us = malloc(cap * sizeof(*us));
	append_small(o, 1, 20);
	struct wire *w = open_as(o, 1);
	command(w, "SELECT INBOX", NULL);
	fetch_for(w, 1, us, cap, &n);
	double alone = (double)wire_percentile(us, n, 99) / 1e3;
	for (unsigned i = 0; i < o->connections; i++)
		pthread_create(&t[i], NULL, storer, o);
	sleep(1);
	fetch_for(w, o->seconds, us, cap, &n);
	printf("{\"storing_sessions\":%u,\"fetches\":%zu,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"p99_alone_ms\":%.2f}\n",
	       o->connections, n, (double)wire_percentile(us, n, 50) / 1e3,
	       (double)wire_percentile(us, n, 99) / 1e3, alone);
	fflush(stdout);
	o->stop = true;
	for (unsigned i = 0; i < o->connections; i++)
		pthread_join(t[i], NULL);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct options *);
	} modes[] = { { "fetch", fetch }, { "flags", flags }, { "idle", idle },
		      { "noop", noop },	  { "stall", stall }, { "append", append } };
	struct options o = {
		.tls = 'i', .connections = 16, .runs = 5, .seconds = 5, .count = 2000
	};
	for (int i = 2; i + 1 < argc; i += 2) {
		const char *a = argv[i], *v = argv[i + 1];
		unsigned n = (unsigned)strtoul(v, NULL, 10);
		if (strcmp(a, "--port") == 0)
			o.port = (uint16_t)n;
		else if (strcmp(a, "--users") == 0)
			o.n_user = wire_accounts(v, &o.user, &o.password);
		else if (strcmp(a, "--pid") == 0)
			o.pid = (int)n;
		else if (strcmp(a, "--connections") == 0)
			o.connections = n;
		else if (strcmp(a, "--runs") == 0)
			o.runs = n;
		else if (strcmp(a, "--seconds") == 0)
			o.seconds = n;
		else if (strcmp(a, "--count") == 0)
			o.count = n;
		else if (strcmp(a, "--tls") == 0)
			o.tls = v[0];
	}
	o.ctx = wire_tls_new();
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].name) == 0 && o.port != 0 && o.n_user > 0)
			return modes[i].run(&o);
	fprintf(stderr, "usage: see the head of bench/load_imap.c\n");
	return 64;
}

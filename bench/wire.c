/* wire.c — see wire.h. */
#include "wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct ssl_ctx_st *wire_tls_new(void)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_verify(c, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(c, 1); /* a record in one read */
	return c;
}

static bool fail(struct wire *w, const char *what)
{
	snprintf(w->error, sizeof(w->error), "%s: %s", what,
		 errno ? strerror(errno) : "closed");
	return false;
}

bool wire_open(struct wire *w, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	w->ssl = NULL;
	w->have = w->at = 0;
	w->error[0] = '\0';
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->fd < 0 || connect(w->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		return fail(w, "connect");
	setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return true;
}

bool wire_start_tls(struct wire *w, struct ssl_ctx_st *ctx)
{
	w->ssl = SSL_new(ctx);
	SSL_set_fd(w->ssl, w->fd);
	SSL_set_tlsext_host_name(w->ssl, "localhost");
	errno = 0;
	return SSL_connect(w->ssl) == 1 || fail(w, "TLS");
}

bool wire_write(struct wire *w, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = w->ssl ? SSL_write(w->ssl, p, n > 1 << 30 ? 1 << 30 : (int)n)
				   : write(w->fd, p, n);
		if (k <= 0)
			return fail(w, "write");
		p += k;
		n -= (size_t)k;
	}
	return true;
}

bool wire_puts(struct wire *w, const char *s)
{
	return wire_write(w, s, strlen(s));
}

static bool refill(struct wire *w)
{
	errno = 0;
	ssize_t k = w->ssl ? SSL_read(w->ssl, w->in, sizeof(w->in))
			   : read(w->fd, w->in, sizeof(w->in));
	if (k <= 0)
		return fail(w, "read");
	w->at = 0;
	w->have = (size_t)k;
	return true;
}

bool wire_line(struct wire *w)
{
	w->line_n = 0;
	for (;;) {
		if (w->at == w->have && !refill(w))
			return false;
		char *nl = memchr(w->in + w->at, '\n', w->have - w->at);
		size_t n = nl ? (size_t)(nl + 1 - (w->in + w->at)) : w->have - w->at;
		if (w->line_n + n >= sizeof(w->line))
			return fail(w, "line too long");
		memcpy(w->line + w->line_n, w->in + w->at, n);
		w->line_n += n;
		w->at += n;
		if (nl != NULL)
			break;
	}
	while (w->line_n > 0 &&
	       (w->line[w->line_n - 1] == '\n' || w->line[w->line_n - 1] == '\r'))
		w->line_n--;
	w->line[w->line_n] = '\0';
	return true;
}

bool wire_skip(struct wire *w, size_t n)
{
	while (n > 0) {
		if (w->at == w->have && !refill(w))
			return false;
		size_t k = w->have - w->at < n ? w->have - w->at : n;
		w->at += k;
		n -= k;
	}
	return true;
}

bool wire_smtp(struct wire *w, char first)
{
	do {
		if (!wire_line(w))
			return false;
	} while (w->line_n > 3 && w->line[3] == '-');
	if (w->line[0] == first)
		return true;
	snprintf(w->error, sizeof(w->error), "%.190s", w->line);
	return false;
}

bool wire_imap(struct wire *w, const char *tag, size_t *lines)
{
	size_t tag_n = strlen(tag);
	for (;;) {
		if (!wire_line(w))
			return false;
		if (strncmp(w->line, tag, tag_n) == 0 && w->line[tag_n] == ' ')
			break;
		if (lines != NULL)
			++*lines;
		char *brace = w->line_n > 0 && w->line[w->line_n - 1] == '}'
				      ? strrchr(w->line, '{')
				      : NULL;
		if (brace != NULL && !wire_skip(w, strtoul(brace + 1, NULL, 10)))
			return false;
	}
	if (strncmp(w->line + tag_n + 1, "OK", 2) == 0)
		return true;
	snprintf(w->error, sizeof(w->error), "%.190s", w->line);
	return false;
}

void wire_close(struct wire *w)
{
	if (w->ssl != NULL)
		SSL_free(w->ssl);
	w->ssl = NULL;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

static bool auth_plain(struct wire *w, const char *user, const char *password)
{
	char raw[700], text[1000];
	int n = snprintf(raw, sizeof(raw), "%c%s%c%s", 0, user, 0, password);
	EVP_EncodeBlock((unsigned char *)text, (unsigned char *)raw, n);
	return wire_puts(w, "AUTH PLAIN ") && wire_puts(w, text) &&
	       wire_puts(w, "\r\n") && wire_smtp(w, '2');
}

bool wire_smtp_open(struct wire *w, uint16_t port, char tls, struct ssl_ctx_st *ctx,
		    const char *user, const char *password)
{
	if (!wire_open(w, port) || (tls == 'i' && !wire_start_tls(w, ctx)) ||
	    !wire_smtp(w, '2'))
		return false;
	if (!wire_puts(w, "EHLO load.example.com\r\n") || !wire_smtp(w, '2'))
		return false;
	if (tls == 's' &&
	    (!wire_puts(w, "STARTTLS\r\n") || !wire_smtp(w, '2') ||
	     !wire_start_tls(w, ctx) || !wire_puts(w, "EHLO load.example.com\r\n") ||
	     !wire_smtp(w, '2')))
		return false;
	return user == NULL || auth_plain(w, user, password);
}

bool wire_imap_open(struct wire *w, uint16_t port, char tls, struct ssl_ctx_st *ctx,
		    const char *user, const char *password)
{
	char text[1000];
	if (!wire_open(w, port) || (tls == 'i' && !wire_start_tls(w, ctx)) ||
	    !wire_line(w))
		return false;
	snprintf(text, sizeof(text), "a0 LOGIN \"%s\" \"%s\"\r\n", user, password);
	return wire_puts(w, text) && wire_imap(w, "a0", NULL);
}

int64_t wire_now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The first number behind key in a file of /proc; -1 when it is not there. */
static int64_t proc_number(int pid, const char *file, const char *key)
{
	char path[64], line[1024];
	int64_t v = -1;
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	FILE *f = fopen(path, "re");
	while (f != NULL && v < 0 && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			v = strtoll(line + strlen(key), NULL, 10);
	if (f != NULL)
		fclose(f);
	return v;
}

int64_t wire_cpu_us(int pid)
{
	char path[64], line[1024];
	unsigned long user = 0, system = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "re");
	if (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *p = strrchr(line, ')');
		if (p == NULL ||
		    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			   &user, &system) != 2)
			user = system = 0;
	}
	if (f != NULL)
		fclose(f);
	return (int64_t)(user + system) * 1000000 / sysconf(_SC_CLK_TCK);
}

int64_t wire_rss_kib(int pid)
{
	return proc_number(pid, "status", "VmRSS:");
}

int64_t wire_written(int pid)
{
	return proc_number(pid, "io", "write_bytes:");
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

int64_t wire_percentile(int64_t *v, size_t n, double p)
{
	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), compare);
	size_t i = (size_t)((double)n * p / 100.0);
	return v[i < n ? i : n - 1];
}

size_t wire_accounts(const char *file, char ***out_user, char ***out_password)
{
	char line[1024], user[512], password[512];
	size_t n = 0;
	FILE *f = fopen(file, "re");
	*out_user = *out_password = NULL;
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		int k = sscanf(line, "%511s %511s", user, password);
		if (k < 1)
			continue;
		*out_user = realloc(*out_user, (n + 1) * sizeof(char *));
		*out_password = realloc(*out_password, (n + 1) * sizeof(char *));
		(*out_user)[n] = strdup(user);
		(*out_password)[n++] = strdup(k == 2 ? password : "");
	}
	if (f != NULL)
		fclose(f);
	return n;
}

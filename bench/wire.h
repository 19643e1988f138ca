#pragma once
/* wire.h — a blocking client connection for load programs: TCP, optional TLS, buffered lines. One thread each.
 *
 * Every failure ends the program's connection, not the program: functions return false and wire_error says why. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_ctx_st;
struct ssl_st;
struct wire {
	int fd;
	struct ssl_st *ssl;
	size_t have, at;
	char in[65536];
	char line[65536]; /* the last line read, without CRLF */
	size_t line_n;
	char error[200];
};
struct ssl_ctx_st *wire_tls_new(void); /* takes any certificate: these are load programs on loopback */
bool wire_open(struct wire *w, uint16_t port); /* 127.0.0.1 */
bool wire_start_tls(struct wire *w, struct ssl_ctx_st *ctx);
bool wire_write(struct wire *w, const char *p, size_t n);
bool wire_puts(struct wire *w, const char *s);
bool wire_line(struct wire *w);
bool wire_skip(struct wire *w, size_t n); /* n octets of a literal */
/* SMTP: reads a whole reply; true when its code begins with this digit. */
bool wire_smtp(struct wire *w, char first);
/* IMAP: reads up to the line that begins with tag; true when it says OK. Counts untagged lines in *lines when given. */
bool wire_imap(struct wire *w, const char *tag, size_t *lines);
void wire_close(struct wire *w);

/* Opens, TLS, EHLO, AUTH PLAIN. tls: 'n' none, 'i' implicit, 's' STARTTLS. user NULL: no login. */
bool wire_smtp_open(struct wire *w, uint16_t port, char tls, struct ssl_ctx_st *ctx, const char *user, const char *password);
bool wire_imap_open(struct wire *w, uint16_t port, char tls, struct ssl_ctx_st *ctx, const char *user, const char *password);

int64_t wire_now_us(void);
/* CPU microseconds (user + system) and resident KiB of a process; bytes it wrote to disk. */
int64_t wire_cpu_us(int pid);
int64_t wire_rss_kib(int pid);
int64_t wire_written(int pid);
/* Sorts the n samples; the p-th percentile (0–100). */
int64_t wire_percentile(int64_t *v, size_t n, double p);
/* "user password" lines of a file, into arrays owned by the caller; how many. */
size_t wire_accounts(const char *file, char ***out_user, char ***out_password);

#pragma once
/* config.h — the one small, optional file, and its defaults. Read once at start, never
 * written by the server.
 *
 * Every fault is reported with file and line; an unknown key also with the nearest name
 * that exists. Without a file everything has a default. What the command line says wins.
 * docs/man/facteur.conf.5 is its manual. */
#include "base/log.h"
#include "base/status.h"

enum config_service { /* serve.c counts on this order: SMTP, IMAP, POP3 */
	SERVICE_SMTP,
	SERVICE_SUBMISSION,
	SERVICE_SUBMISSIONS,
	SERVICE_IMAP,
	SERVICE_IMAPS,
	SERVICE_POP3,
	SERVICE_POP3S,
	SERVICE_COUNT
};
struct config_listen {
	enum config_service service;
	char *address;
	uint16_t port;
	bool optional; /* a default: no IPv6 on this machine is no error */
};
struct config_certificate {
	char *cert_file, *key_file;
};
struct config {
	char *file; /* NULL: none was named */
	char *hostname, *data;
	uint64_t max_message;
	bool reject_bare_newline;
	uint64_t disk_reserve;  /* octets free below which nothing is accepted */
	uint64_t quota_bytes, quota_messages, quota_grace;
	bool over_quota_retry;
	unsigned keep_deleted, expire_trash, expire_junk; /* days */
	char language[3];
	unsigned workers; /* of the db pool */
	enum log_level log_level;
	struct config_listen *listen;
	size_t n_listen;
	struct config_certificate *certificate; /* none: the private CA's */
	size_t n_certificate;
};
struct config_flags {
	const char *file, *data, *hostname;
	const char *listen; /* the one address of all services */
	uint16_t base;      /* added to every standard port */
	bool has_base;      /* with it or with `listen`, listen sections are put aside */
};
/* Prints what is wrong on stderr and returns false; *out is untouched then. */
bool config_load(const struct config_flags *flags, struct config *out);
void config_free(struct config *c);
const char *config_service_name(enum config_service s);

#pragma once
/* status.h — how functions fail.
 *
 * enum status is what the caller branches on; struct err says why, once, where the
 * fault is known, for a peer or an operator to read. Out of memory is not a status:
 * it aborts (DESIGN, P4). */
#include <stdarg.h>

enum status {
	ST_OK = 0,
	ST_MORE,      /* needs more input, or has more to give */
	ST_WAIT,      /* parked: the caller is woken and tries again */
	ST_NOT_FOUND,
	ST_EXISTS,
	ST_INVALID,   /* what was asked for makes no sense: syntax, name, state */
	ST_LIMIT,     /* a limit of base/limits.h, a quota */
	ST_DENIED,    /* credentials or rights */
	ST_FULL,      /* no disk: try again later */
	ST_IO         /* damage or a failed device; see the text */
};
#define MUST_USE __attribute__((warn_unused_result))

/* What the peer is told; each protocol maps it to its own words in one function. */
enum err_code {
	ERR_NONE = 0,
	ERR_SYNTAX,
	ERR_CANNOT,         /* can never succeed: name not allowed, INBOX deleted */
	ERR_NO_MAILBOX,
	ERR_MAILBOX_EXISTS,
	ERR_HAS_CHILDREN,
	ERR_NO_MESSAGE,     /* expunged meanwhile */
	ERR_NO_ACCOUNT,
	ERR_NO_DOMAIN,
	ERR_EXISTS,         /* account, domain or alias is already there */
	ERR_OVERQUOTA,
	ERR_LIMIT,
	ERR_BAD_CHARSET,
	ERR_AUTH,           /* wrong user or password: never says which */
	ERR_DISABLED,
	ERR_DENIED,
	ERR_DISK_FULL,
	ERR_STOPPED,        /* a sync failed: the store takes nothing until restart */
	ERR_BUSY,           /* temporary, try again */
	ERR_CORRUPT,
	ERR_IO
};

struct err {
	enum err_code code;
	char text[236]; /* one sentence, UTF-8, no CR or LF */
};

/* Fills *e (NULL is fine) and returns the status that belongs to code. Control
 * characters become '?'. */
enum status err_set(struct err *e, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
enum status err_status(enum err_code code);
/* "no-mailbox", for logs and --json. */
const char *err_name(enum err_code code);
enum err_code err_code_of(const char *name); /* ERR_IO: of no code, or NULL */

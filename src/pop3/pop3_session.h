#pragma once
/* pop3_session.h — a POP3 session and what its command files share. Internal to pop3/.
 *
 * A session is the loop's while no job is out and the worker's otherwise
 * (work/session.h). `mem` lives as long as an exchange of AUTH does; everything else a
 * command needs lives in the command arena, `s.arena`. */
#include "auth/auth.h"
#include "base/limits.h"
#include "base/log.h"
#include "pop3/pop3.h"
#include "pop3/pop3_parse.h"
#include "pop3/pop3_stuff.h"
#include "store/store.h"
#include "work/session.h"

struct pop3_session;

/* RFC 1939 3; UPDATE is inside of QUIT */
enum { POP3_AUTHORIZATION = 1, POP3_TRANSACTION = 2 };
enum { POP3_LOGIN = 1 /* handles passwords: only under TLS; long lines */ };

struct pop3_cmd_def {
	const char *name;
	int states, flags;
	enum pop3_grammar grammar;
	enum frame where;
	enum step (*run)(struct pop3_session *p, struct out *o);
	const char *rfc;
};
extern const struct pop3_cmd_def pop3_cmd_user, pop3_cmd_pass, pop3_cmd_auth,
	pop3_cmd_stls, pop3_cmd_capa, pop3_cmd_quit, pop3_cmd_stat, pop3_cmd_list,
	pop3_cmd_retr, pop3_cmd_dele, pop3_cmd_noop, pop3_cmd_rset, pop3_cmd_top,
	pop3_cmd_uidl;
const struct pop3_cmd_def *pop3_cmd_find(slice keyword); /* NULL when there is none */

/* --- maildrop: INBOX as it was at login --------------------------------------------- */
struct pop3_message {
	uint64_t email, size;
	uint32_t uid;
	bool deleted; /* by this session; nobody else sees it before QUIT */
};
struct pop3_drop {
	uint32_t account;
	const struct store_view *view; /* keeps what others expunge readable */
	struct pop3_message *msg;      /* message n is msg[n - 1] */
	size_t n, n_deleted;
	uint64_t bytes, bytes_deleted;
};
enum status pop3_drop_open(struct store *s, uint32_t account, struct pop3_drop *out,
			   struct err *e) MUST_USE;
void pop3_drop_close(struct store *s, struct pop3_drop *d);
/* Message number → message; ERR_NO_MESSAGE when it is out of range or marked as
 * deleted. */
enum status pop3_drop_find(struct pop3_drop *d, uint32_t number,
			   struct pop3_message **out, struct err *e) MUST_USE;

struct pop3_stream;

struct pop3_session {
	struct session s; /* first */
	const struct pop3_ctx *ctx;
	int state;
	/* framer */
	size_t scanned; /* input looked at already: no LF in it */
	size_t dropped; /* of a line that is too long */
	slice line;	/* the unit being run, without line end */
	/* command */
	const struct pop3_cmd_def *cmd;
	struct pop3_args args;
	const char *refusal; /* what frame() found wrong */
	bool refusal_closes;
	size_t at; /* LIST, UIDL: next message; QUIT: next to expunge */
	size_t removed;
	struct pop3_stream *stream; /* in the command arena */
	/* AUTHORIZATION */
	char user[LIMIT_USER];
	size_t user_n; /* 0: no USER yet */
	struct sasl sasl;
	struct arena mem;
	const char *mechanism; /* for the log */
	unsigned tries, errors, preauth_commands;
	int64_t began_us; /* the first octet */
	/* TRANSACTION */
	char address[LIMIT_USER];
	size_t address_n;
	struct pop3_drop drop;
	uint32_t lock_id; /* for store_begin */
};

/* --- answers ------------------------------------------------------------------------ */
/* "-ERR text". Counts against LIMIT_POP3_ERRORS; the last one closes. */
enum step pop3_bad(struct pop3_session *p, struct out *o, const char *text);
/* A failure of ours or of the maildrop's, with its response code (RFC 3206, 2449 8).
 * Counts nothing. */
void pop3_err(struct out *o, const struct err *e);
/* Begins a log line with session, user and peer. */
void pop3_log(struct pop3_session *p, struct log_line *l, enum log_level level,
	      const char *event);

/* Tries the credentials and opens the maildrop: answers PASS and AUTH. Crypto worker. */
enum step pop3_login(struct pop3_session *p, slice user, slice password, struct out *o);
/* AUTH: one client line (or the initial response); frame() sends lines here while p->sasl
 * is under way. */
enum step pop3_auth_line(struct pop3_session *p, slice line, struct out *o);
/* RETR and TOP: sends the message, in steps. */
enum step pop3_send(struct pop3_session *p, bool is_top, struct out *o);
/* LIST and UIDL: line(o, number, message) for one message or all that are left, in
 * steps. */
typedef void (*pop3_line_fn)(struct pop3_session *p, struct out *o, uint32_t number,
			     const struct pop3_message *m);
enum step pop3_scan(struct pop3_session *p, struct out *o, pop3_line_fn line);

#pragma once
/* imap_session.h — one IMAP session: what the command files share.
 *
 * struct imap belongs to the loop between commands and to the worker during one
 * (work/session.h). A command is a struct imap_cmd in the command arena; run() may be
 * called several times for it (STEP_MORE, STEP_WAIT, STEP_COMMIT_MORE), its place is kept
 * in phase and arg. A command never writes its tagged line: it says how it ended with
 * imap_ok/imap_no/imap_bad and imap.c announces the mailbox's changes and writes the
 * line. */
#include "base/log.h"
#include "auth/auth.h"
#include "imap/imap.h"
#include "imap/imap_framer.h"
#include "imap/imap_parse.h"
#include "imap/imap_seqset.h"
#include "imap/imap_view.h"
#include "imap/imap_write.h"
#include "store/store.h"
#include "work/session.h"
#include <stdatomic.h>

enum imap_state { IMAP_NOT_AUTH = 1, IMAP_AUTH = 2, IMAP_SELECTED = 4 }; /* RFC 3501 3 */
#define IMAP_ANY   (IMAP_NOT_AUTH | IMAP_AUTH | IMAP_SELECTED)
#define IMAP_INSIDE (IMAP_AUTH | IMAP_SELECTED)

enum imap_cmd_flags {
	CMD_HERE = 1,      /* runs on the loop: blocks on nothing */
	CMD_CRYPTO = 2,    /* checks a password */
	CMD_PIPE = 4,      /* a write that may run before the session's earlier ones are durable */
	CMD_USES_SEQS = 8, /* no EXPUNGE while it runs, unless as UID … (RFC 3501 7.4.1) */
	CMD_UID = 16,      /* has a UID form */
	CMD_NAMES = 32,    /* changes the names of mailboxes: what follows waits for it */
	CMD_CLEAN = 64,    /* runs on the loop when the mailbox has not changed */
	CMD_ONLY_UID = 128,
	CMD_PUBLIC = 256   /* its arguments may be logged */
};
struct imap;
struct imap_cmd;
struct imap_cmd_def {
	slice name;
	unsigned states, flags;
	bool (*parse)(struct imap_parse *p, struct imap_cmd *c); /* from behind the name; NULL: no arguments */
	enum step (*run)(struct imap *im, struct imap_cmd *c, struct out *o);
	const char *rfc;
};
/* name as on the wire, any case; NULL: unknown. */
const struct imap_cmd_def *imap_cmd_find(slice name, bool uid);
const struct imap_cmd_def *imap_cmd_at(size_t i); /* the table, NULL behind its end */

/* Where the announcement of changes stands (imap_box.c). */
struct imap_sync {
	bool begun;
	struct store_changes ch;
	size_t at;
};
/* Waiting for a commit inside a command without a thread: imap_commit. */
struct imap_wait {
	struct done d;
	struct parked *park;
	_Atomic int state;
	enum status st;
	struct err e;
};
struct imap_cmd {
	const struct imap_cmd_def *def;
	slice tag;
	slice line;           /* all of it */
	bool uid;             /* UID form */
	bool ended;           /* the command has run; the end is being announced */
	enum step last;       /* how */
	int phase;
	void *arg;            /* the command's own */
	slice result;         /* "OK …", "NO …", "BAD …" without the tag */
	struct imap_sync sync;
	struct imap_wait wait;
	bool has_names;
	struct imap_flag_names names;
};

/* Rows the client knows at this modseq: what it was told as the answer to its own command
 * (no echo). */
struct imap_told {
	uint32_t lo, hi;
	uint64_t modseq;
};
struct imap_box { /* the selected mailbox; heap */
	struct store_watch watch;
	struct session_ref ref;
	_Atomic bool dirty, idling; /* set by the store's committer; asked by it */
	uint32_t account, mbox, uidvalidity;
	bool read_only;
	const struct store_view *base;
	struct imap_view view;
	uint32_t recent_from;       /* UIDs from here are \Recent in this session */
	uint32_t recent_taken;      /* up to here the store knows */
	size_t n_keywords;          /* announced in FLAGS */
	struct imap_told *told;
	size_t n_told, cap_told;
};
struct imap_append;
struct imap_scan;
struct imap {
	struct session s;
	const struct imap_ctx *ctx;
	enum imap_state state;
	enum {
		IMAP_DO_NOTHING, IMAP_DO_UNIT, IMAP_DO_WAKE, IMAP_DO_TIMEOUT, IMAP_DO_HTTP, IMAP_DO_LATE
	} todo;
	enum imap_unit unit;
	bool on_db;        /* this run may read the store */
	bool no_pipe;
	bool is_idling;
	unsigned errors;   /* BAD in a row */
	unsigned refused;  /* logins */
	unsigned preauth_commands;
	int64_t began_us;  /* the first octet */
	uint32_t account;
	slice input;
	struct imap_framer fr;
	struct imap_cmd *cmd;
	struct imap_box *box;
	struct imap_append *append;
	struct imap_scan *scan; /* of SEARCH */
	slice user;        /* heap */
	slice idle_tag;    /* heap */
	struct arena held; /* of a SASL exchange: empty otherwise */
	slice held_tag;    /* of AUTHENTICATE */
	struct sasl sasl;
};

/* --- how a command ends (imap_resp.c); each returns STEP_DONE --- */
enum step imap_ok(struct imap *im, struct imap_cmd *c, const char *code_and_text);
enum step imap_ok_slice(struct imap_cmd *c, slice code_and_text); /* in the command arena */
enum step imap_no(struct imap *im, struct imap_cmd *c, const struct err *e);
/* The same where ERR_NO_MAILBOX means the destination (RFC 3501 6.4.7: [TRYCREATE]). */
enum step imap_no_try_create(struct imap *im, struct imap_cmd *c, const struct err *e);
enum step imap_no_text(struct imap *im, struct imap_cmd *c, const char *code_and_text);
enum step imap_bad(struct imap *im, struct imap_cmd *c, const char *text);
enum step imap_bad_parse(struct imap *im, struct imap_cmd *c, const struct imap_parse *p);
/* "NO [CODE] text": the one mapping of errors to the wire. */
slice imap_no_line(struct arena *a, const struct err *e, bool try_create);
slice imap_capabilities(const struct imap *im); /* static text, RFC 3501 7.2.1 */
bool imap_is_secure(const struct imap *im);

/* --- the store for commands (imap_box.c) --- */
/* ST_WAIT: return STEP_WAIT and come again. */
enum status imap_begin(struct imap *im, struct store_txn **out, struct err *e) MUST_USE;
/* Commits; false: return STEP_WAIT, c->wait is filled when run() comes again. True:
 * filled now. */
bool imap_commit(struct imap *im, struct imap_cmd *c, struct store_txn *t);
/* Names of the keyword bits, read once a command; announces new ones of the selected
 * mailbox (RFC 3501 7.2.6). */
enum status imap_names(struct imap *im, struct imap_cmd *c, struct out *o, struct err *e) MUST_USE;
void imap_write_permanent_flags(struct imap *im, const struct imap_flag_names *names, struct out *o);
/* Keyword names to bits; ST_LIMIT when there are too many. */
enum status imap_flags_bits(struct imap *im, struct imap_cmd *c, struct store_txn *t, const struct imap_flags *f,
			    struct store_flags *out, struct err *e) MUST_USE;

enum status imap_box_open(struct imap *im, uint32_t mbox, bool read_only, struct imap_box **out, struct err *e) MUST_USE;
void imap_box_close(struct imap *im); /* of im->box; fine when none */
bool imap_box_is_recent(const struct imap_box *b, uint32_t uid);
uint32_t imap_box_recents(const struct imap_box *b);
/* In a write to the selected mailbox anyway: what it showed as \Recent is taken (RFC 3501
 * 2.3.2). */
void imap_box_take_recent(struct imap *im, struct store_txn *t);
/* Tells the client what has changed. STEP_DONE, STEP_MORE (again), STEP_CLOSE (the
 * mailbox is gone). */
enum step imap_box_sync(struct imap *im, struct imap_cmd *c, bool may_expunge, struct out *o);
bool imap_box_has_news(const struct imap_box *b);
/* UIDs of a set in the client's numbering, ascending; false: a number that is not in use
 * (BAD, RFC 3501 9). */
bool imap_box_uids(struct imap *im, struct arena *a, const struct imap_seqset *set, bool uid, struct store_uids *out);
void imap_box_told(struct imap_box *b, const struct store_row *rows, size_t n);
/* "* 3 FETCH (UID 7 FLAGS (\Seen))" */
void imap_write_flags_row(struct imap *im, struct imap_cmd *c, uint32_t seq, const struct store_row *row, bool uid,
			  struct out *o);

/* --- commands that reach beyond their file --- */
enum step imap_login(struct imap *im, struct imap_cmd *c, slice user, slice password, struct out *o);
enum step imap_authenticate_line(struct imap *im, struct out *o); /* IMAP_UNIT_LINE while im->sasl is busy */
enum step imap_append_begin(struct imap *im, struct out *o);      /* IMAP_UNIT_APPEND */
enum step imap_append_chunk(struct imap *im);                     /* IMAP_UNIT_CHUNK */
slice imap_append_tag(const struct imap *im);
void imap_append_free(struct imap *im);                           /* fine when there is none */
enum step imap_idle_line(struct imap *im, struct imap_cmd *c, struct out *o);
struct imap_cmd *imap_cmd_new(struct imap *im, const struct imap_cmd_def *def, slice tag);
void imap_keep(slice *place, slice s);   /* a heap copy; what was there is freed */
void imap_log(const struct imap *im, struct log_line *l, enum log_level level, const char *event);

#pragma once
/* smtp_session.h — the inside of an SMTP session: state, transaction, units of input.
 * Internal to smtp/.
 *
 * The loop frames (smtp_session.c), a worker or the loop runs (the command files,
 * smtp_data.c, smtp_deliver.c); who has the session when: work/session.h. What one
 * run() answers is collected in `held` and moved out when the step is known, so that
 * nothing has been written when a delivery must wait for an account's lock. */
#include "auth/auth.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "smtp/smtp.h"
#include "smtp/smtp_framer.h"
#include "smtp/smtp_parse.h"
#include "store/intake.h"

#define SMTP_GROUP 32 /* pipelined commands run in one go */

/* --- transaction ------------------------------------------------------------------------------------------------ */

struct smtp_rcpt {
	struct smtp_rcpt *next;
	slice address;          /* as given: for <…> */
	uint32_t account;       /* 0: foreign, goes to the queue */
	slice account_address;  /* Delivered-To */
};

/* From MAIL to the end of its message. smtp_txn_reset() is the only way out (HAZARDS
 * 4). */
struct smtp_txn {
	struct arena mem;
	slice sender;           /* empty: <> */
	struct smtp_rcpt *first, *last;
	unsigned n_rcpt, n_rcpt_over; /* taken; refused as too many */
	bool is_open;           /* MAIL was taken */
	bool is_utf8, is_8bit;
	uint64_t size;          /* as MAIL said (RFC 1870); 0: not known */
	bool has_refused_rcpt;
	bool has_bdat;          /* a BDAT was taken: no DATA, no RCPT any more */
	bool is_delivering;     /* received and checked; waits for locks or for nothing */
	enum smtp_dots dots;
	struct intake *intake;
	enum status failed;     /* of the intake; ST_OK so far */
	struct err why;
	int64_t began_us;       /* first octet of text asked for */
	struct smtp_plan *plan; /* smtp_deliver.c */
};

/* --- units of input --------------------------------------------------------------------------------------------- */

enum smtp_mode { SMTP_MODE_LINES, SMTP_MODE_AUTH, SMTP_MODE_TEXT, SMTP_MODE_CHUNK };
enum smtp_unit_kind { SMTP_UNIT_LINES, SMTP_UNIT_TEXT, SMTP_UNIT_CHUNK, SMTP_UNIT_BYE };

struct smtp_item { /* one line of the unit */
	uint32_t off;
	uint16_t n;
	uint8_t line; /* enum smtp_line */
};
struct smtp_unit {
	enum smtp_unit_kind kind;
	unsigned n, next;       /* lines, and the one to run next */
	slice in;               /* the unit's octets */
	slice body;             /* text, chunk, or what stands behind the BDAT line that ends the group */
	bool has_body, is_last;
	bool is_plain;          /* SMTP_UNIT_TEXT: no line of the whole message is dot-stuffed */
	bool is_here;           /* runs on the loop: nothing may be read */
	const char *bye;        /* SMTP_UNIT_BYE: the 421 line */
	const char *why;        /* and the log's word for it */
	struct smtp_item item[SMTP_GROUP];
};

/* What a BDAT command will be answered when its octets are in (RFC 3030 2). */
enum smtp_bdat_verdict { BDAT_TAKEN, BDAT_SYNTAX, BDAT_SEQUENCE, BDAT_NO_RCPT };

struct smtp_session {
	struct session s; /* first */
	const struct smtp_ctx *ctx;
	bool is_submission;
	bool has_hello, is_esmtp, hello_is_name;
	enum smtp_mode mode;
	struct smtp_framer framer;
	int64_t drop_us;        /* framing: since when a bad line is being dropped */
	size_t need;            /* framing: the group ends in a BDAT that is whole at so much input */
	struct smtp_unit unit;
	struct smtp_txn txn;
	struct buf held;        /* answers of this run() */
	uint64_t bdat_size;     /* of the BDAT in progress */
	enum smtp_bdat_verdict bdat;
	bool bdat_is_last;
	int64_t body_us;        /* when the text or chunk in progress began, and what has come of it */
	uint64_t body_octets;
	uint32_t account;       /* after AUTH; 0 before */
	char *user;             /* heap; NULL before */
	struct sasl sasl;
	struct arena auth_mem;  /* of one AUTH exchange */
	unsigned errors, junk, auth_tries, messages;
	char hello[LIMIT_SMTP_DOMAIN + 1];
};

/* --- command table ------------------------------------------------------------------------------------------------ */

enum smtp_state { /* exactly one at a time: smtp_state() */
	SMTP_START = 1,  /* no EHLO or HELO yet */
	SMTP_READY = 2,
	SMTP_MAIL = 4,   /* MAIL taken */
	SMTP_RCPT = 8,   /* and a recipient */
	SMTP_BDAT = 16,  /* and a part of the message */
	SMTP_ANY = 31
};
enum smtp_cmd_flags {
	SMTP_CMD_ENDS = 1,      /* what follows can only be framed when it has run */
	SMTP_CMD_CRYPTO = 8,
	SMTP_CMD_ALONE = 16,    /* waits until earlier messages are durable */
	SMTP_CMD_JUNK = 32      /* counts against LIMIT_SMTP_JUNK */
};
enum smtp_act { /* what a command says */
	SMTP_NEXT,   /* answered */
	SMTP_CLOSE,
	SMTP_TLS,
	SMTP_WAIT,   /* run it again when woken */
	SMTP_DB,     /* run it again on the db pool: it has to read (unit.is_here) */
	SMTP_COMMIT  /* answered, when the ticket's commit is durable */
};
struct smtp_cmd { /* a parsed command; borrows from the unit */
	const struct smtp_cmd_def *def;
	slice rest;
	struct smtp_path path;
	struct smtp_params params;
	slice word, initial;     /* hello name; AUTH mechanism and initial response */
	bool has_initial, is_name, has_size, is_last;
	uint64_t size;
};
struct smtp_cmd_def {
	slice name;
	unsigned states, flags;
	const char *sequence;    /* the 503 text in another state */
	enum smtp_syntax (*parse)(struct smtp_session *ss, struct smtp_cmd *c);
	enum smtp_act (*run)(struct smtp_session *ss, struct smtp_cmd *c);
	const char *rfc;
};
extern const struct smtp_cmd_def smtp_cmd_ehlo, smtp_cmd_helo, smtp_cmd_mail, smtp_cmd_rcpt, smtp_cmd_data,
	smtp_cmd_bdat, smtp_cmd_rset, smtp_cmd_noop, smtp_cmd_quit, smtp_cmd_help, smtp_cmd_vrfy, smtp_cmd_expn,
	smtp_cmd_starttls, smtp_cmd_auth;
const struct smtp_cmd_def *smtp_cmd_find(slice verb); /* NULL: unknown */
enum smtp_syntax smtp_parse_nothing(struct smtp_session *ss, struct smtp_cmd *c);  /* no argument may stand there */
enum smtp_syntax smtp_parse_anything(struct smtp_session *ss, struct smtp_cmd *c);

/* --- shared by the files ------------------------------------------------------------------------------------------- */

static inline struct smtp_session *smtp_session_of(struct session *s)
{
	return (struct smtp_session *)s;
}
static inline uint64_t smtp_max_message(const struct smtp_session *ss)
{
	uint64_t max = ss->ctx->config->max_message;
	return max ? max : LIMIT_MESSAGE;
}
enum smtp_state smtp_state(const struct smtp_session *ss);
void smtp_txn_reset(struct smtp_session *ss);
/* An answer of one line; 5yz counts as an error of the client's. */
void smtp_reply(struct smtp_session *ss, unsigned code, const char *enhanced, const char *text);
/* Is there disk for a message? False when that cannot be said on the loop; *out_full: it has
 * been answered, 452 4.3.1. */
bool smtp_disk_asked(struct smtp_session *ss, bool *out_full);
/* A failure of the store in the client's words. */
void smtp_reply_err(struct smtp_session *ss, const struct err *e);

/* A log line with session, peer and user; then log_…(l, …), log_end(l). */
void smtp_log(const struct smtp_session *ss, struct log_line *l, enum log_level level, const char *event);
/* The usual one: key=value reason="…" */
void smtp_log_refused(const struct smtp_session *ss, const char *event, const char *key, slice value,
		      const char *reason);

/* smtp_frame.c */
enum frame smtp_frame(struct session *s, slice in, size_t *used);
/* smtp_cmd_auth.c: a line while an AUTH exchange is open */
enum smtp_act smtp_auth_line(struct smtp_session *ss, enum smtp_line what, slice line);
void smtp_auth_forget(struct smtp_session *ss);
/* smtp_data.c */
enum smtp_act smtp_run_text(struct smtp_session *ss);
enum smtp_act smtp_run_chunk(struct smtp_session *ss);
/* smtp_deliver.c: the message is complete. Again after SMTP_WAIT. */
enum smtp_act smtp_deliver(struct smtp_session *ss);

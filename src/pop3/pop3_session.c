/* pop3_session.c — the service: greeting, framer, dispatch, events. */
#include "pop3/pop3_session.h"
#include "base/alloc.h"

static struct pop3_session *of(struct session *s)
{
	return (struct pop3_session *)(void *)s;
}

static struct session *pop3_open(void *ctx, struct out *o)
{
	struct pop3_session *p = mem_new(sizeof(*p));

	p->ctx = ctx;
	p->state = POP3_AUTHORIZATION;
	arena_init(&p->s.arena);
	arena_init(&p->mem);
	/* RFC 1939 4. No "<…>": APOP is not offered. RFC 1939 3 deviation: before login
	 * the autologout timer is a minute */
	out_addf(o, "+OK %.*s POP3 server ready\r\n", FMT(p->ctx->hostname));
	session_timeout(&p->s, LIMIT_POP3_TIMEOUT_PREAUTH);
	return &p->s;
}

static void pop3_close(struct session *s)
{
	struct pop3_session *p = of(s);

	pop3_drop_close(p->ctx->store, &p->drop);
	arena_release(&p->s.arena);
	arena_release(&p->mem);
	mem_free(p);
}

/* --- framer ------------------------------------------------------------------------- */

static enum frame refuse(struct pop3_session *p, const char *text)
{
	p->cmd = NULL;
	p->refusal = text;
	return FRAME_HERE;
}

/* RFC 2449 4: commands have up to 255 octets; we take more, and the long lines of AUTH
 * and PASS. */
static bool is_too_long(const struct pop3_cmd_def *cmd, size_t n)
{
	if (cmd == &pop3_cmd_auth)
		return false;
	if (cmd == &pop3_cmd_pass)
		return n > LIMIT_PASSWORD + 5;
	return n > LIMIT_POP3_LINE - 2;
}

static const char *why_no_login(const struct pop3_session *p)
{
	return p->ctx->no_starttls
		       ? "passwords are not taken without TLS: use POP3 over TLS"
		       : "passwords are not taken without TLS: give STLS first";
}

/* A browser that was talked into it (HAZARDS 26): nothing of what it sends is answered
 * twice. OPTIONS is what it asks before a request that it would not send unasked. */
static bool is_http(slice line)
{
	static const slice methods[] = { S("GET "),	S("POST "),   S("HEAD "),
					 S("PUT "),	S("DELETE "), S("OPTIONS "),
					 S("CONNECT "), S("PATCH "),  S("TRACE ") };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (slice_starts(line, methods[i]))
			return true;
	return false;
}

static enum frame dispatch(struct pop3_session *p, slice line)
{
	slice keyword, rest;
	struct err e;

	if (p->state == POP3_AUTHORIZATION &&
	    ++p->preauth_commands > LIMIT_POP3_PREAUTH_COMMANDS) {
		p->refusal_closes = true;
		return refuse(p, "too many commands without a login");
	}
	if (p->sasl.state != SASL_NONE) {
		p->cmd = &pop3_cmd_auth;
		p->line = line;
		return FRAME_CRYPTO;
	}
	if (is_http(line)) {
		p->refusal_closes = true;
		return refuse(p, "unknown command");
	}
	if (pop3_parse_keyword(line, &keyword, &rest, &e) != ST_OK)
		return refuse(p, "unknown command or malformed line");
	p->cmd = pop3_cmd_find(keyword);
	if (!p->cmd)
		return refuse(p, "unknown command");
	if (is_too_long(p->cmd, line.n))
		return refuse(p, "line too long");
	if (!(p->cmd->states & p->state))
		return refuse(p, p->state == POP3_AUTHORIZATION ? "log in first"
								: "not after login");
	if ((p->cmd->flags & POP3_LOGIN) && !p->s.is_tls)
		return refuse(p, why_no_login(p));
	if (pop3_parse_args(p->cmd->grammar, rest, &p->args, &e) != ST_OK)
		return refuse(p, "malformed arguments");
	p->at = p->removed = 0;
	p->stream = NULL;
	return p->cmd->where;
}

/* A line without end: what has come is dropped and answered once, when its end comes or
 * when it is too much. */
static enum frame drop(struct pop3_session *p, size_t n, size_t *used)
{
	*used = n;
	p->scanned = 0;
	p->dropped += n;
	if (p->dropped <= LIMIT_READ_CHUNK)
		return FRAME_MORE;
	p->refusal_closes = true;
	return refuse(p, "line too long");
}

/* Octets now and then, of a line without end, are no way to stay. */
static bool is_late(struct pop3_session *p)
{
	int64_t now = session_mono_us(&p->s);

	if (!p->began_us)
		p->began_us = now;
	return p->state == POP3_AUTHORIZATION &&
	       now - p->began_us > (int64_t)LIMIT_PREAUTH_TIME * 1000;
}

static enum frame pop3_frame(struct session *s, slice in, size_t *used)
{
	struct pop3_session *p = of(s);
	size_t end = slice_chr(in, '\n', p->scanned);
	slice line;

	if (is_late(p)) {
		*used = in.n;
		p->refusal_closes = true;
		return refuse(p, "too long without a login");
	}
	if (end == in.n) {
		p->scanned = in.n;
		return in.n >= LIMIT_POP3_AUTH_LINE ? drop(p, in.n, used) : FRAME_MORE;
	}
	*used = end + 1;
	p->scanned = 0;
	p->refusal = NULL;
	if (p->dropped > 0) {
		p->dropped = 0;
		sasl_reset(&p->sasl);
		return refuse(p, "line too long");
	}
	line = slice_sub(in, 0, end);
	if (line.n == 0 || line.p[line.n - 1] != '\r') {
		sasl_reset(&p->sasl);
		return refuse(p, "lines end with CRLF"); /* RFC 1939 3 */
	}
	line.n--;
	return dispatch(p, line);
}

/* --- run ---------------------------------------------------------------------------- */

static enum step pop3_run(struct session *s, struct out *o)
{
	struct pop3_session *p = of(s);

	if (p->cmd == &pop3_cmd_auth && p->sasl.state != SASL_NONE)
		return pop3_auth_line(p, p->line, o);
	if (p->cmd)
		return p->cmd->run(p, o);
	if (!p->refusal_closes)
		return pop3_bad(p, o, p->refusal);
	(void)pop3_bad(p, o, p->refusal);
	return STEP_CLOSE;
}

static enum frame pop3_event(struct session *s, enum event ev, struct out *o)
{
	struct pop3_session *p = of(s);

	/* A line that nobody asked for would be taken for the next answer; RFC 1939 3: no
	 * response on time-out. */
	(void)o;
	if (ev == EVENT_SECURED) { /* RFC 2595 4: AUTHORIZATION from the start */
		p->user_n = 0;
		p->scanned = p->dropped = 0;
		sasl_reset(&p->sasl);
		arena_release(&p->mem);
	}
	return FRAME_MORE;
}

enum step pop3_bad(struct pop3_session *p, struct out *o, const char *text)
{
	out_addf(o, "-ERR %s\r\n", text);
	if (++p->errors < LIMIT_POP3_ERRORS)
		return STEP_DONE;
	return STEP_CLOSE;
}

/* RFC 3206 4: [SYS/TEMP] may pass, [SYS/PERM] needs an operator. Texts of err hold no CR
 * or LF. */
void pop3_err(struct out *o, const struct err *e)
{
	const char *code = "", *text = e->text;

	/* What is wrong with a file is for the log: its path is nobody's business. */
	if (e->code == ERR_DISK_FULL)
		text = "the disk of the server is full, try again later";
	else if (e->code == ERR_IO || e->code == ERR_STOPPED)
		text = "the disk of the server fails";

	if (e->code == ERR_DISK_FULL || e->code == ERR_BUSY || e->code == ERR_STOPPED ||
	    e->code == ERR_LIMIT)
		code = "[SYS/TEMP] ";
	else if (e->code == ERR_CORRUPT || e->code == ERR_IO || e->code == ERR_NO_MAILBOX)
		code = "[SYS/PERM] ";
	out_addf(o, "-ERR %s%s\r\n", code, text);
}

void pop3_log(struct pop3_session *p, struct log_line *l, enum log_level level,
	      const char *event)
{
	log_begin(l, level, event);
	log_cstr(l, "session", p->s.id);
	log_str(l, "user", slice_make(p->address, p->address_n));
	log_cstr(l, "peer", p->s.peer->addr);
}

const struct service pop3_service = {
	.name = "pop3",
	.alpn = S("pop3"),
	.input_max = LIMIT_POP3_AUTH_LINE,
	.open = pop3_open,
	.frame = pop3_frame,
	.run = pop3_run,
	.event = pop3_event,
	.close = pop3_close,
	.busy = S("-ERR [SYS/TEMP] too many connections from your address\r\n"),
};

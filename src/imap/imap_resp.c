/* imap_resp.c — how commands end: RFC 3501 7.1, response codes of RFC 5530 and 3501 7.1,
 * capabilities of 7.2.1. */
#include "imap/imap_session.h"
#include "base/alloc.h"

static enum step end(struct imap_cmd *c, slice result)
{
	c->result = result;
	return STEP_DONE;
}

enum step imap_ok(struct imap *im, struct imap_cmd *c, const char *text)
{
	return end(c, arena_join(&im->s.arena, SL("OK "), slice_str(text)));
}

enum step imap_ok_slice(struct imap_cmd *c, slice line)
{
	return end(c, line);
}

enum step imap_no_text(struct imap *im, struct imap_cmd *c, const char *text)
{
	return end(c, arena_join(&im->s.arena, SL("NO "), slice_str(text)));
}

enum step imap_bad(struct imap *im, struct imap_cmd *c, const char *text)
{
	im->errors++;
	return end(c, arena_join(&im->s.arena, SL("BAD "), slice_str(text)));
}

enum step imap_bad_parse(struct imap *im, struct imap_cmd *c, const struct imap_parse *p)
{
	im->errors++;
	return end(c, arena_fmt(&im->s.arena, "BAD octet %zu: %s", p->why_at + 1,
				p->why ? p->why : "syntax"));
}

static const char *no_code(enum err_code code, bool try_create)
{
	switch (code) {
	case ERR_NO_MAILBOX:
		return try_create ? "[TRYCREATE] " : "[NONEXISTENT] ";
	case ERR_MAILBOX_EXISTS:
	case ERR_EXISTS:
		return "[ALREADYEXISTS] ";
	case ERR_CANNOT:
	case ERR_HAS_CHILDREN:
	case ERR_SYNTAX:
		return "[CANNOT] ";
	case ERR_NO_MESSAGE:
		return "[EXPUNGEISSUED] ";
	case ERR_NO_ACCOUNT:
	case ERR_NO_DOMAIN:
		return "[NONEXISTENT] ";
	case ERR_OVERQUOTA:
		return "[OVERQUOTA] ";
	case ERR_LIMIT:
		return "[LIMIT] ";
	case ERR_BAD_CHARSET:
		return "[BADCHARSET (US-ASCII UTF-8)] ";
	case ERR_AUTH:
		return "[AUTHENTICATIONFAILED] ";
	case ERR_DISABLED:
		return "[AUTHORIZATIONFAILED] ";
	case ERR_DENIED:
		return "[NOPERM] ";
	case ERR_CORRUPT:
		return "[CORRUPTION] ";
	case ERR_DISK_FULL:
	case ERR_STOPPED:
	case ERR_BUSY:
	case ERR_IO:
		return "[UNAVAILABLE] ";
	case ERR_NONE:
		break;
	}
	return "";
}

/* What is wrong with a file is for the log: its path is nobody's business. */
static const char *no_text(const struct err *e)
{
	if (e->code == ERR_DISK_FULL)
		return "The disk of the server is full, try again later";
	if (e->code == ERR_IO || e->code == ERR_STOPPED)
		return "The disk of the server fails";
	return e->text[0] ? e->text : "Failed";
}

slice imap_no_line(struct arena *a, const struct err *e, bool try_create)
{
	slice line = arena_fmt(a, "NO %s%s", no_code(e->code, try_create), no_text(e));
	char *p = arena_cstr(a, line);

	for (size_t i = 0; i < line.n; i++) /* resp-text is 7-bit without controls */
		if ((unsigned char)p[i] < 0x20 || (unsigned char)p[i] > 0x7e)
			p[i] = '?';
	return slice_make(p, line.n);
}

static enum step no(struct imap *im, struct imap_cmd *c, const struct err *e,
		    bool try_create)
{
	if (e->code == ERR_CORRUPT || e->code == ERR_IO || e->code == ERR_STOPPED ||
	    e->code == ERR_DISK_FULL) {
		struct log_line l;

		imap_log(im, &l, LOG_LEVEL_ERROR, "imap.error");
		log_str(&l, "command", c->def ? c->def->name : SL(""));
		log_err(&l, e);
		log_end(&l);
	}
	return end(c, imap_no_line(&im->s.arena, e, try_create));
}

enum step imap_no(struct imap *im, struct imap_cmd *c, const struct err *e)
{
	return no(im, c, e, false);
}

enum step imap_no_try_create(struct imap *im, struct imap_cmd *c, const struct err *e)
{
	return no(im, c, e, true);
}

bool imap_is_secure(const struct imap *im)
{
	return im->s.is_tls || im->ctx->allow_plaintext;
}

#define EXTENSIONS "ID ENABLE IDLE NAMESPACE CHILDREN SPECIAL-USE UNSELECT UIDPLUS MOVE"
#define LOGINS	   "AUTH=PLAIN AUTH=LOGIN"
/* RFC 7888 4: never LITERAL- and LITERAL+ together. RFC 3501 6.2.3: LOGINDISABLED while
 * passwords would travel in clear. */
slice imap_capabilities(const struct imap *im)
{
	if (im->state != IMAP_NOT_AUTH)
		return SL("IMAP4rev1 LITERAL+ " EXTENSIONS);
	if (imap_is_secure(im))
		return im->s.is_tls || im->ctx->no_starttls
			       ? SL("IMAP4rev1 LITERAL- SASL-IR " EXTENSIONS " " LOGINS)
			       : SL("IMAP4rev1 LITERAL- SASL-IR " EXTENSIONS
				    " STARTTLS " LOGINS);
	return im->ctx->no_starttls
		       ? SL("IMAP4rev1 LITERAL- SASL-IR " EXTENSIONS " LOGINDISABLED")
		       : SL("IMAP4rev1 LITERAL- SASL-IR " EXTENSIONS
			    " STARTTLS LOGINDISABLED");
}

void imap_keep(slice *place, slice s)
{
	char *p = NULL;

	if (s.n) {
		p = mem_new(s.n);
		memcpy(p, s.p, s.n);
	}
	mem_free((char *)place->p);
	*place = slice_make(p, s.n);
}

void imap_log(const struct imap *im, struct log_line *l, enum log_level level,
	      const char *event)
{
	log_begin(l, level, event);
	log_cstr(l, "session", im->s.id);
	log_cstr(l, "peer", im->s.peer ? im->s.peer->addr : "");
	log_str(l, "user", im->user);
}

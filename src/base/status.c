#include "base/status.h"
#include "base/slice.h"
#include "base/utf8.h"

static const struct {
	enum status status;
	const char *name;
} codes[] = {
	[ERR_NONE] = { ST_OK, "none" },
	[ERR_SYNTAX] = { ST_INVALID, "syntax" },
	[ERR_CANNOT] = { ST_INVALID, "cannot" },
	[ERR_NO_MAILBOX] = { ST_NOT_FOUND, "no-mailbox" },
	[ERR_MAILBOX_EXISTS] = { ST_EXISTS, "mailbox-exists" },
	[ERR_HAS_CHILDREN] = { ST_INVALID, "has-children" },
	[ERR_NO_MESSAGE] = { ST_NOT_FOUND, "no-message" },
	[ERR_NO_ACCOUNT] = { ST_NOT_FOUND, "no-account" },
	[ERR_NO_DOMAIN] = { ST_NOT_FOUND, "no-domain" },
	[ERR_EXISTS] = { ST_EXISTS, "exists" },
	[ERR_OVERQUOTA] = { ST_LIMIT, "overquota" },
	[ERR_LIMIT] = { ST_LIMIT, "limit" },
	[ERR_BAD_CHARSET] = { ST_INVALID, "bad-charset" },
	[ERR_AUTH] = { ST_DENIED, "auth" },
	[ERR_DISABLED] = { ST_DENIED, "disabled" },
	[ERR_DENIED] = { ST_DENIED, "denied" },
	[ERR_DISK_FULL] = { ST_FULL, "disk-full" },
	[ERR_STOPPED] = { ST_IO, "stopped" },
	[ERR_BUSY] = { ST_FULL, "busy" },
	[ERR_CORRUPT] = { ST_IO, "corrupt" },
	[ERR_IO] = { ST_IO, "io" },
};

static bool is_known(enum err_code code)
{
	return (unsigned)code < sizeof(codes) / sizeof(codes[0]);
}

enum status err_status(enum err_code code)
{
	return is_known(code) ? codes[code].status : ST_IO;
}

const char *err_name(enum err_code code)
{
	return is_known(code) ? codes[code].name : "unknown";
}

enum err_code err_code_of(const char *name)
{
	for (int i = ERR_NONE + 1; name != NULL && i <= ERR_IO; i++)
		if (strcmp(err_name((enum err_code)i), name) == 0)
			return (enum err_code)i;
	return ERR_IO;
}

/* The text must be UTF-8 even when it was cut or quotes a peer: every stray byte becomes '?'. */
static void clean(char *text)
{
	slice s = slice_str(text);

	for (size_t at = 0; at < s.n;) {
		size_t start = at;
		int32_t cp = utf8_next(s, &at);

		if (cp < 0x20 || cp == 0x7f)
			text[start] = '?';
	}
}

enum status err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	if (e) {
		va_list ap;

		e->code = code;
		e->text[0] = '\0';
		va_start(ap, fmt);
		int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);

		va_end(ap);
		if (n >= (int)sizeof(e->text)) {
			size_t end = sizeof(e->text) - 1;

			/* Not in the middle of a character. */
			while (end > 0 &&
			       ((unsigned char)e->text[end - 1] & 0xc0) == 0x80)
				end--;
			if (end > 0 && (unsigned char)e->text[end - 1] >= 0xc0)
				end--;
			e->text[end] = '\0';
		}
		clean(e->text);
	}
	return err_status(code);
}

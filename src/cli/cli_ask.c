/* cli_ask.c — one request to the running server, or to the store itself when none
 * runs. */
#include "base/cleanup.h"
#include "cli/cli_store.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>

#define REPLY_MAX (256u << 20)

/* --- the running server --- */

/* False when the server hung up; its answer may be there all the same. */
static bool send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static json_t *read_reply(int fd, struct err *e)
{
	AUTO_BUF b;
	buf_init(&b, REPLY_MAX);
	while (buf_reserve(&b, 64u << 10)) {
		ssize_t k = read(fd, b.p + b.n, 64u << 10);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		b.n += (size_t)k;
	}
	json_t *reply = json_loadb(buf_slice(&b).p, b.n, 0, NULL);
	if (reply == NULL)
		err_set(e, ERR_BUSY,
			"the server hung up without an answer: its log says more");
	return reply;
}

static json_t *ask_server(int fd, const json_t *request, struct err *e)
{
	char *text = json_dumps(request, JSON_COMPACT);
	if (text != NULL && send_all(fd, text, strlen(text)))
		send_all(fd, "\n", 1);
	if (text != NULL)
		explicit_bzero(text, strlen(text)); /* a password may be in it */
	free(text);
	return read_reply(fd, e);
}

json_t *cli_ask(const struct cli *c, const json_t *request, struct err *e)
{
	umask(0077);
	for (int waited = 0;; waited += CLI_BUSY_STEP_MS) {
		struct cli_store s;
		*e = (struct err){ 0 };
		AUTO_FD fd = cli_connect(c, e);
		if (fd >= 0)
			return ask_server(fd, request, e);
		if (e->code != ERR_NONE)
			return NULL;
		if (cli_needs_server(request)) {
			err_set(e, ERR_BUSY, "no server is running on %s", c->data);
			return NULL;
		}
		if (cli_store_open(c, request, CLI_OWNER_PROCESS, &s, e) == ST_OK) {
			struct admin_ctx ctx = { .store = s.store, .auth = s.auth };
			json_t *reply = admin_run(&ctx, request);
			cli_store_close(&s);
			return reply;
		}
		if (e->code != ERR_BUSY || waited >= CLI_BUSY_WAIT_MS)
			return NULL;
		cli_pause_ms(CLI_BUSY_STEP_MS);
	}
}

/* --- the answer --- */

int cli_check_reply(const struct cli *c, const json_t *reply, const struct err *e)
{
	static const struct {
		enum err_code code;
		int exit;
	} exits[] = {
		{ ERR_SYNTAX, EX_USAGE },      { ERR_NO_ACCOUNT, EX_NOUSER },
		{ ERR_NO_DOMAIN, EX_NOUSER },  { ERR_NO_MAILBOX, EX_NOUSER },
		{ ERR_NO_MESSAGE, EX_NOUSER }, { ERR_EXISTS, EX_CANTCREAT },
		{ ERR_BUSY, EX_TEMPFAIL },     { ERR_DISK_FULL, EX_TEMPFAIL },
		{ ERR_DENIED, EX_NOPERM },     { ERR_CANNOT, EX_DATAERR },
		{ ERR_LIMIT, EX_DATAERR },     { ERR_CORRUPT, EX_DATAERR },
		{ ERR_STOPPED, EX_IOERR },     { ERR_IO, EX_IOERR },
	};
	if (reply != NULL && json_is_true(json_object_get(reply, "ok")))
		return EX_OK;
	const char *code = reply ? json_string_value(json_object_get(reply, "code"))
				 : err_name(e->code);
	const char *text = reply ? json_string_value(json_object_get(reply, "error"))
				 : e->text;
	if (c->json) {
		json_t *out = json_pack("{s:b, s:s, s:s}", "ok", 0, "code",
					code ? code : "io", "error", text ? text : "");
		json_dumpf(out, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(out);
	}
	fprintf(stderr, "facteur: %s\n", text ? text : "no answer");
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (code != NULL && strcmp(code, err_name(exits[i].code)) == 0)
			return exits[i].exit;
	return EX_UNAVAILABLE;
}

int cli_fail(const struct cli *c, const struct err *e)
{
	return cli_check_reply(c, NULL, e);
}

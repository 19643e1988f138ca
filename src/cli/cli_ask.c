/* cli_ask.c — one request to the running server, or to the store itself when none runs. */
#include "admin/admin.h"
#include "auth/auth.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "cli/cli.h"
#include "kv/kv.h"
#include "store/store.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>

#define REPLY_MAX (256u << 20)

/* A connected socket, -1 when no server listens there. */
static int connect_server(const struct cli *c)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/control.sock", c->data);
	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

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

static json_t *ask_server(int fd, const json_t *request, struct err *e)
{
	char *text = json_dumps(request, JSON_COMPACT);
	bool sent = text != NULL && send_all(fd, text, strlen(text)) && send_all(fd, "\n", 1);
	free(text);
	AUTO_BUF b;
	buf_init(&b, REPLY_MAX);
	while (sent) {
		if (!buf_reserve(&b, 64u << 10))
			break;
		ssize_t k = read(fd, b.p + b.n, 64u << 10);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		b.n += (size_t)k;
	}
	json_t *reply = json_loadb(b.p ? b.p : "", b.n, 0, NULL);
	if (reply == NULL)
		err_set(e, ERR_BUSY, "the server closed the control connection without an answer");
	return reply;
}

json_t *cli_offline(const struct cli *c, const json_t *request, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	struct clock clock;
	clock_init_real(&clock);
	/* Only the first step of a set-up makes a store: a mistyped --data must not. */
	const char *noun = json_string_value(json_object_get(request, "noun"));
	bool may_make = noun != NULL && strcmp(noun, "domain") == 0;
	struct kv_options opt = {
		.engine = KV_ROCKSDB,
		.mode = KV_COMMIT_INLINE,
		.dir = arena_fmt(&a, "%s/store", c->data).p,
		.read_only_probe = !may_make,
	};
	struct kv *kv;
	struct store *store;
	json_t *reply = NULL;
	if (may_make && io_mkdir(c->data, 0700, e) != ST_OK)
		return NULL;
	enum status st = kv_open(&opt, &kv, e);
	if (st == ST_NOT_FOUND)
		err_set(e, ERR_NO_DOMAIN, "no mail store in %s: facteur domain add DOMAIN makes one", c->data);
	if (st != ST_OK)
		return NULL;
	if (store_open(kv, &clock, &store, e) == ST_OK) {
		struct auth_options ao = { .clock = &clock };
		struct auth *auth = auth_new(store, &ao);
		struct admin_ctx ctx = { .store = store, .auth = auth };
		reply = admin_run(&ctx, request);
		auth_free(auth);
		store_close(store);
	}
	kv_close(kv);
	return reply;
}

json_t *cli_ask(const struct cli *c, const json_t *request, struct err *e)
{
	AUTO_FD fd = connect_server(c);
	if (fd >= 0)
		return ask_server(fd, request, e);
	return cli_offline(c, request, e);
}

int cli_check_reply(const struct cli *c, const json_t *reply, const struct err *e)
{
	static const struct {
		const char *code;
		int exit;
	} exits[] = {
		{ "syntax", EX_USAGE },	    { "no-account", EX_NOUSER },   { "no-domain", EX_NOUSER },
		{ "exists", EX_CANTCREAT }, { "busy", EX_TEMPFAIL },	   { "disk-full", EX_TEMPFAIL },
		{ "denied", EX_NOPERM },    { "cannot", EX_DATAERR },	   { "limit", EX_DATAERR },
		{ "stopped", EX_IOERR },    { "corrupt", EX_IOERR },	   { "io", EX_IOERR },
	};
	if (reply != NULL && json_is_true(json_object_get(reply, "ok")))
		return EX_OK;
	const char *code = reply ? json_string_value(json_object_get(reply, "code")) : err_name(e->code);
	const char *text = reply ? json_string_value(json_object_get(reply, "error")) : e->text;
	if (c->json) {
		json_t *out = json_pack("{s:b, s:s, s:s}", "ok", 0, "code", code ? code : "io", "error", text ? text : "");
		json_dumpf(out, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(out);
	}
	fprintf(stderr, "facteur: %s\n", text ? text : "no answer");
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (code != NULL && strcmp(code, exits[i].code) == 0)
			return exits[i].exit;
	return EX_UNAVAILABLE;
}

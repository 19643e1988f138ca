/* cli_ask.c — one request to the running server, or to the store itself when none
 * runs. */
#include "admin/admin.h"
#include "auth/auth.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "cli/cli.h"
#include "kv/kv.h"
#include "store/store.h"
#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>

#define REPLY_MAX    (256u << 20)
#define BUSY_WAIT_MS 5000
#define BUSY_STEP_MS 50

/* --- the running server --- */

/* A connected socket, or -1 with *e empty when no server listens there. */
static int connect_server(const struct cli *c, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/control.sock", c->data);
	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		return -1; /* no server could have bound it */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	if (errno == EACCES || errno == EPERM)
		err_set(e, ERR_DENIED,
			"%s belongs to another user: run this as that user or as root",
			c->data);
	else if (errno != ENOENT && errno != ECONNREFUSED && errno != ENOTDIR)
		err_set(e, ERR_IO, "%s: %s", sa.sun_path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

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

/* --- the store itself --- */

/* Files that root makes in another user's directory would lock that user out: become
 * the owner. For good: this process has nothing left to do as root. */
static enum status become_owner(const char *dir, struct err *e)
{
	struct stat st;
	if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
		return ST_OK;
	if (setgroups(0, NULL) != 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) != 0 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) != 0)
		return err_set(e, ERR_DENIED, "cannot become the owner of %s: %s", dir,
			       strerror(errno));
	return ST_OK;
}

/* Only the first step of a set-up makes a store: a mistyped --data must not. */
static bool may_make(const json_t *request)
{
	const char *noun = json_string_value(json_object_get(request, "noun"));
	const char *verb = json_string_value(json_object_get(request, "verb"));
	return noun && verb && strcmp(noun, "domain") == 0 && strcmp(verb, "add") == 0;
}

/* The store, with the directory locked in *out_lock, which outlives it. */
static enum status open_kv(const struct cli *c, const json_t *request, int *out_lock,
			   struct kv **out, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	bool make = may_make(request);
	struct kv_options opt = {
		.engine = KV_ROCKSDB,
		.mode = KV_COMMIT_INLINE,
		.dir = arena_fmt(&a, "%s/store", c->data).p,
		.read_only_probe = !make,
	};
	enum status st = make ? io_mkdir(c->data, 0700, e) : ST_OK;
	if (st == ST_OK)
		st = become_owner(c->data, e);
	if (st == ST_OK)
		st = cli_data_lock(c->data, out_lock, e);
	if (st == ST_OK)
		st = kv_open(&opt, out, e);
	if (st == ST_NOT_FOUND && !make)
		err_set(e, ERR_CANNOT,
			"there is no mail store in %s (another one is named with --data DIR; "
			"facteur domain add DOMAIN makes the first)",
			c->data);
	return st;
}

static json_t *ask_store(struct kv *kv, const json_t *request, struct err *e)
{
	struct clock clock;
	struct store *store;
	clock_init_real(&clock);
	if (store_open(kv, &clock, &store, e) != ST_OK)
		return NULL;
	struct auth_options ao = { .clock = &clock };
	struct auth *auth = auth_new(store, &ao);
	struct admin_ctx ctx = { .store = store, .auth = auth };
	json_t *reply = admin_run(&ctx, request);
	auth_free(auth);
	store_close(store);
	return reply;
}

static bool needs_server(const json_t *request)
{
	const char *noun = json_string_value(json_object_get(request, "noun"));
	const char *verb = json_string_value(json_object_get(request, "verb"));
	const struct admin_verb *v = admin_find(slice_str(noun), slice_str(verb));
	return v != NULL && v->needs_server;
}

static void pause_ms(long ms)
{
	const struct timespec t = { .tv_nsec = ms * 1000000L };
	nanosleep(&t, NULL);
}

json_t *cli_ask(const struct cli *c, const json_t *request, struct err *e)
{
	umask(0077);
	for (int waited = 0;; waited += BUSY_STEP_MS) {
		struct kv *kv;
		*e = (struct err){ 0 };
		AUTO_FD fd = connect_server(c, e);
		if (fd >= 0)
			return ask_server(fd, request, e);
		if (e->code != ERR_NONE)
			return NULL;
		if (needs_server(request)) {
			err_set(e, ERR_BUSY, "no server is running on %s", c->data);
			return NULL;
		}
		AUTO_FD lock = -1;
		if (open_kv(c, request, &lock, &kv, e) == ST_OK) {
			json_t *reply = ask_store(kv, request, e);
			kv_close(kv);
			return reply;
		}
		if (e->code != ERR_BUSY || waited >= BUSY_WAIT_MS)
			return NULL;
		pause_ms(BUSY_STEP_MS);
	}
}

/* --- the answer --- */

int cli_check_reply(const struct cli *c, const json_t *reply, const struct err *e)
{
	static const struct {
		enum err_code code;
		int exit;
	} exits[] = {
		{ ERR_SYNTAX, EX_USAGE },	{ ERR_NO_ACCOUNT, EX_NOUSER },
		{ ERR_NO_DOMAIN, EX_NOUSER },	{ ERR_NO_MAILBOX, EX_NOUSER },
		{ ERR_EXISTS, EX_CANTCREAT },	{ ERR_BUSY, EX_TEMPFAIL },
		{ ERR_DISK_FULL, EX_TEMPFAIL }, { ERR_DENIED, EX_NOPERM },
		{ ERR_CANNOT, EX_DATAERR },	{ ERR_LIMIT, EX_DATAERR },
		{ ERR_CORRUPT, EX_DATAERR },	{ ERR_STOPPED, EX_IOERR },
		{ ERR_IO, EX_IOERR },
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

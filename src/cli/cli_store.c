/* cli_store.c — where the command's verbs run: the socket of the server, or the store
 * opened here. */
#include "cli/cli_store.h"
#include "auth/auth.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "kv/kv.h"
#include "store/store.h"
#include "store/store_check.h"
#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

/* One command at a time reads a store that is on its disk's cache anyway. */
#define CLI_CACHE (8u << 20)

int cli_connect(const struct cli *c, struct err *e)
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

/* --- the store itself --- */

/* The kernel keeps credentials for each thread; only the library makes all of them
 * change together. */
static bool become(uid_t uid, gid_t gid, enum cli_owner owner)
{
	if (owner == CLI_OWNER_PROCESS)
		return setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
		       setresuid(uid, uid, uid) == 0;
	return syscall(SYS_setgroups, 0, NULL) == 0 &&
	       syscall(SYS_setresgid, gid, gid, gid) == 0 &&
	       syscall(SYS_setresuid, uid, uid, uid) == 0;
}

/* Files that root makes in another user's directory would lock that user out. */
static enum status become_owner(const char *dir, enum cli_owner owner, struct err *e)
{
	struct stat st;
	if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
		return ST_OK;
	if (!become(st.st_uid, st.st_gid, owner))
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

static bool is_repair(const json_t *request)
{
	const char *noun = json_string_value(json_object_get(request, "noun"));
	return noun && strcmp(noun, "check") == 0 &&
	       json_is_true(
		       json_object_get(json_object_get(request, "options"), "repair"));
}

/* One that the engine refuses for its damage is put together again by it, and one whose log has a
 * gap goes on behind it; both are told. */
static enum status open_repair(struct kv_options *opt, struct cli_store *s, struct err *e)
{
	struct kv_stat stat;
	struct err why;
	uint64_t gaps = 0;
	opt->salvage = true;
	bool is_rewritten = kv_rewrite(opt->dir, &gaps, &why) == ST_OK && gaps > 0;
	if (gaps > 0 && !is_rewritten)
		snprintf(
			s->mended, sizeof(s->mended),
			"blocks of rows cannot be read, and writing the others anew failed (%.150s)",
			why.text);
	enum status st = kv_open(opt, &s->kv, e);
	if (st != ST_OK && e->code == ERR_CORRUPT) {
		snprintf(
			s->mended, sizeof(s->mended),
			"the rows could not be opened (%.120s); what can be read of them "
			"was put together again",
			e->text);
		st = kv_repair(opt->dir, e);
		if (st == ST_OK)
			st = kv_open(opt, &s->kv, e);
	}
	if (st != ST_OK)
		return st;
	if (is_rewritten && s->mended[0] == '\0')
		snprintf(
			s->mended, sizeof(s->mended),
			"the rows in %llu damaged blocks could not be read; the others were "
			"written anew, what was there is kept in store/meta.damaged",
			(unsigned long long)gaps);
	kv_stat(s->kv, &stat);
	if (stat.lost)
		snprintf(s->mended, sizeof(s->mended),
			 "the log had a gap; %llu batches of changes are lost",
			 (unsigned long long)stat.lost);
	return ST_OK;
}

static enum status open_kv(const struct cli *c, bool make, bool repair,
			   enum cli_owner owner, struct cli_store *s, struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	struct kv_options opt = {
		.engine = KV_ROCKSDB,
		.mode = KV_COMMIT_INLINE,
		.dir = arena_fmt(&a, "%s/store", c->data).p,
		.read_only_probe = !make,
		.cache_bytes = CLI_CACHE,
	};
	enum status st = make ? io_mkdir(c->data, 0700, e) : ST_OK;
	if (st == ST_OK)
		st = become_owner(c->data, owner, e);
	if (st == ST_OK)
		st = cli_data_lock(c->data, &s->lock, e);
	if (st == ST_OK)
		st = repair ? open_repair(&opt, s, e) : kv_open(&opt, &s->kv, e);
	if (st == ST_NOT_FOUND && !make)
		err_set(e, ERR_CANNOT,
			"there is no mail store in %s (another one is named with --data DIR; "
			"facteur domain add DOMAIN makes the first)",
			c->data);
	return st;
}

enum status cli_store_open(const struct cli *c, const json_t *request,
			   enum cli_owner owner, struct cli_store *out, struct err *e)
{
	*out = (struct cli_store){ .lock = -1 };
	clock_init_real(&out->clock);
	bool repair = is_repair(request);
	enum status st = open_kv(c, may_make(request), repair, owner, out, e);
	if (st == ST_OK)
		st = store_open(out->kv, &out->clock, &out->store, e);
	if (st != ST_OK && out->kv != NULL && repair && e->code == ERR_CORRUPT) {
		uint32_t epoch;
		st = store_repair_format(out->kv, &out->clock, &epoch, e);
		if (st == ST_OK)
			st = store_open(out->kv, &out->clock, &out->store, e);
		snprintf(
			out->mended, sizeof(out->mended),
			"the row that says what the store is was lost and made again; old "
			"and new mail no longer meet in a thread");
	}
	if (st == ST_OK)
		store_policy_assume(out->store);
	if (st != ST_OK) {
		cli_store_close(out);
		return st;
	}
	struct auth_options ao = { .clock = &out->clock };
	out->auth = auth_new(out->store, &ao);
	return ST_OK;
}

void cli_store_close(struct cli_store *s)
{
	auth_free(s->auth);
	if (s->store != NULL)
		store_close(s->store);
	if (s->kv != NULL)
		kv_close(s->kv);
	if (s->lock >= 0)
		close(s->lock);
	*s = (struct cli_store){ .lock = -1 };
}

bool cli_needs_server(const json_t *request)
{
	const char *noun = json_string_value(json_object_get(request, "noun"));
	const char *verb = json_string_value(json_object_get(request, "verb"));
	const struct admin_verb *v = admin_find(slice_str(noun), slice_str(verb));
	return v != NULL && v->needs_server;
}

void cli_pause_ms(long ms)
{
	const struct timespec t = { .tv_nsec = ms * 1000000L };
	nanosleep(&t, NULL);
}

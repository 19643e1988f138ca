/* cli_restore.c — restore: a whole system into a new directory, or mail of one account into the one that is there
 * (cli_restore_mail.c). */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "cli/cli_restore.h"
#include "store/store.h"
#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sysexits.h>

struct whole {
	const struct cli_call *call;
	struct arena a;
	const char *set, *backup; /* the directory of backups, and the one of them */
	const char *data;
	struct backup_manifest m;
	struct buf list; /* of secrets, in the clear */
	slice *outside;
	size_t n_outside;
	struct backup_highest highest;
	bool noted; /* HIGHEST was written */
	uid_t uid;
	gid_t gid;
	mode_t mode;
	int dir; /* the open directory of data */
	bool chown;
	struct cli_progress shown;
};

/* --- where to ------------------------------------------------------------------------- */
static bool take_other(void *ctx, const char *name)
{
	/* What an interrupted restore left, and the root of a file system. */
	if (strcmp(name, BACKUP_RESTORING) == 0 || strcmp(name, "lost+found") == 0)
		return true;
	*(char **)ctx = memcpy(mem_new(strlen(name) + 1), name, strlen(name) + 1);
	return false;
}

static enum status owner_failed(const struct whole *w, struct err *e)
{
	return err_set(e, ERR_IO, "change the owner of %s: %s", w->data, strerror(errno));
}

/* As root: to whom the directory belongs, or else to whom the system belonged. Until all is
 * in its place it is root's alone, or else its owner could put a link where root is about to
 * write or to give away a file. Whose it was, `restoring` remembers. */
static enum status take_over(struct whole *w, bool was_there, int dir, struct err *e)
{
	struct stat st;
	struct io_stat left;
	if (geteuid() != 0)
		return ST_OK;
	if (fstat(dir, &st) != 0)
		return owner_failed(w, e);
	const struct passwd *pw = was_there || w->m.user.n == 0
					  ? NULL
					  : getpwnam(arena_cstr(&w->a, w->m.user));
	w->uid = pw != NULL ? pw->pw_uid : st.st_uid;
	w->gid = pw != NULL ? pw->pw_gid : st.st_gid;
	if (st.st_uid == 0 &&
	    io_stat_path(arena_fmt(&w->a, "%s/" BACKUP_RESTORING, w->data).p, &left,
			 NULL) == ST_OK) {
		w->uid = left.uid;
		w->gid = left.gid;
	}
	if (w->uid == 0)
		return ST_OK;
	w->mode = st.st_mode & 0777;
	w->dir = dir;
	w->chown = true;
	return fchmod(dir, 0700) == 0 && fchown(dir, 0, 0) == 0 ? ST_OK
								: owner_failed(w, e);
}

static enum status hand_over(const struct whole *w, struct err *e)
{
	if (!w->chown ||
	    (fchown(w->dir, w->uid, w->gid) == 0 && fchmod(w->dir, w->mode) == 0))
		return ST_OK;
	return owner_failed(w, e);
}

static enum status check_target(struct whole *w, int *lock, struct err *e)
{
	AUTO_MEM char *other = NULL;
	struct io_stat before;
	bool was_there = io_stat_path(w->data, &before, NULL) == ST_OK;
	enum status rc = io_mkdir(w->data, 0700, e);
	if (rc == ST_OK)
		rc = cli_data_lock(w->data, lock, e); /* a running server has it */
	if (rc == ST_OK)
		rc = take_over(w, was_there, *lock, e);
	if (rc == ST_OK)
		rc = io_list_dir(w->data, take_other, &other, e);
	if (rc == ST_OK && other != NULL)
		return err_set(e, ERR_EXISTS,
			       "%s is not empty (%s is there): a restore overwrites "
			       "nothing; name a new directory, or move the old one away",
			       w->data, other);
	return rc;
}

static enum status check_space(const struct whole *w, struct err *e)
{
	uint64_t free_bytes;
	enum status st = io_free_bytes(w->data, &free_bytes, e);
	if (st == ST_OK && free_bytes < w->m.bytes)
		return err_set(e, ERR_DISK_FULL,
			       "%s has room for %llu MiB, and the backup needs %llu",
			       w->data, (unsigned long long)(free_bytes >> 20),
			       (unsigned long long)(w->m.bytes >> 20) + 1);
	return st;
}

/* --- secrets -------------------------------------------------------------------------- */
/* Asked and opened first: a wrong passphrase shows at once, not behind hours of copying. */
static enum status open_secrets(struct whole *w, slice passphrase, struct err *e)
{
	AUTO_BUF sealed;
	unsigned char sha[32];
	const struct backup_file *f = backup_manifest_find(&w->m, SL(BACKUP_SECRETS));
	const char *path = arena_fmt(&w->a, "%s/" BACKUP_SECRETS, w->backup).p;
	buf_init(&sealed, LIMIT_BACKUP_SECRETS + 4096);
	enum status st = backup_hash_file(path, f->size, NULL, sha, e);
	if (st == ST_OK && memcmp(sha, f->sha, sizeof(sha)) != 0)
		return err_set(
			e, ERR_CORRUPT,
			"%s is damaged (--no-secrets restores the mail without it)",
			path);
	if (st == ST_OK)
		st = io_read_file(path, LIMIT_BACKUP_SECRETS + 4096, &sealed, e);
	return st == ST_OK
		       ? backup_secrets_open(buf_slice(&sealed), passphrase, &w->list, e)
		       : st;
}

/* --- who owns it ---------------------------------------------------------------------- */
struct owner {
	const struct whole *w;
	const char *dir;
	enum status st;
	struct err *e;
};

static bool give_entry(void *ctx, const char *name);

/* All that is in it; the directory itself comes last, with hand_over(). */
static enum status give_below(const struct whole *w, const char *dir, struct err *e)
{
	struct owner o = { w, dir, ST_OK, e };
	enum status st = io_list_dir(dir, give_entry, &o, e);
	return st == ST_OK ? o.st : st;
}

static bool give_entry(void *ctx, const char *name)
{
	struct owner *o = ctx;
	AUTO_ARENA a = { 0 };
	struct io_stat s;
	const char *path = arena_fmt(&a, "%s/%s", o->dir, name).p;
	o->st = io_stat_path(path, &s, o->e);
	if (o->st == ST_OK && s.kind == IO_KIND_DIR)
		o->st = give_below(o->w, path, o->e);
	if (o->st == ST_OK && lchown(path, o->w->uid, o->w->gid) != 0)
		o->st = err_set(o->e, ERR_IO, "change the owner of %s: %s", path,
				strerror(errno));
	return o->st == ST_OK;
}

/* --- doing it ------------------------------------------------------------------------- */
static enum status copy_back(struct whole *w, const char *restoring, struct err *e)
{
	struct clock clock;
	struct backup_progress p;
	clock_init_real(&clock);
	cli_backup_progress(&p, &w->shown, w->call->cli);
	p.all = w->m.bytes;
	enum status st = backup_highest_known(w->set, &w->highest, e);
	if (st == ST_OK)
		st = io_remove_tree(restoring, e);
	if (st == ST_OK)
		st = io_mkdir(restoring, 0700, e);
	if (st == ST_OK && w->chown && lchown(restoring, w->uid, w->gid) != 0)
		st = owner_failed(w, e);
	if (st == ST_OK)
		st = backup_restore_store(w->backup, &w->m,
					  arena_fmt(&w->a, "%s/store", restoring).p,
					  &clock, &w->highest, &p, e);
	cli_progress_clear(&w->shown);
	/* Before anything can give out an id: the next restore from here goes beyond. */
	if (st == ST_OK)
		w->noted = backup_highest_write(w->set, &w->highest, NULL) == ST_OK;
	return st;
}

static enum status put_in_place(struct whole *w, const char *restoring, struct err *e)
{
	enum status st = ST_OK;
	if (w->list.n > 0)
		st = backup_secrets_restore(buf_slice(&w->list), w->data, &w->a,
					    &w->outside, &w->n_outside, e);
	if (st == ST_OK && w->chown)
		st = give_below(w, w->data, e);
	if (st == ST_OK)
		st = io_rename(arena_fmt(&w->a, "%s/store", restoring).p,
			       arena_fmt(&w->a, "%s/store", w->data).p, e);
	return st == ST_OK ? io_remove_dir(restoring, e) : st;
}

static void print_result(const struct whole *w, const char *name)
{
	json_t *files = json_array();
	for (size_t i = 0; i < w->n_outside; i++)
		json_array_append_new(files, admin_text(w->outside[i]));
	json_t *v = json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "backup", name, "data",
			      w->data, "accounts", (json_int_t)w->m.accounts, "messages",
			      (json_int_t)w->m.messages, "epoch",
			      (json_int_t)w->highest.epoch, "secrets", w->list.n > 0);
	if (json_array_size(files) > 0)
		json_object_set(v, "outside", files);
	json_decref(files);
	cli_print(w->call->cli, v, NULL);
	json_decref(v);
	if (w->n_outside > 0 && !w->call->cli->json)
		printf("The files of \"outside\" are in %s/restored, with their whole paths: "
		       "put them where they belong.\n",
		       w->data);
	if (!w->noted)
		fprintf(stderr,
			"facteur: %s cannot be written to: a second restore from it gives "
			"out the same ids again, do not let both systems meet one client\n",
			w->set);
}

static enum status run(struct whole *w, const struct backup_entry *x, slice passphrase,
		       struct err *e)
{
	AUTO_FD lock = -1;
	const char *restoring = arena_fmt(&w->a, "%s/" BACKUP_RESTORING, w->data).p;
	enum status st = check_target(w, &lock, e);
	if (st == ST_OK)
		st = check_space(w, e);
	if (st == ST_OK && passphrase.n > 0)
		st = open_secrets(w, passphrase, e);
	if (st == ST_OK)
		st = copy_back(w, restoring, e);
	if (st == ST_OK)
		st = put_in_place(w, restoring, e);
	struct err ignored;
	enum status given = hand_over(w, st == ST_OK ? e : &ignored);
	if (st == ST_OK)
		st = given;
	if (st == ST_OK)
		print_result(w, x->name);
	return st;
}

static int restore_whole(const struct cli_call *call, const char *to)
{
	struct whole w = { .call = call, .set = call->args[0], .data = to };
	struct buf passphrase = { 0 };
	struct backup_entry x;
	struct err e = { 0 };
	AUTO_FD lock = -1;
	int rc = EX_OK;
	arena_init(&w.a);
	backup_manifest_init(&w.m);
	buf_init(&w.list, LIMIT_BACKUP_SECRETS);
	enum status st = cli_restore_find(call, &lock, &w.a, &x, &w.backup, &w.m, &e);
	if (st == ST_OK && cli_option(call, "no-secrets") == NULL &&
	    backup_manifest_find(&w.m, SL(BACKUP_SECRETS)) != NULL &&
	    !cli_backup_passphrase(call, false, &passphrase))
		rc = EX_USAGE;
	if (st == ST_OK && rc == EX_OK)
		st = run(&w, &x, buf_slice(&passphrase), &e);
	if (st != ST_OK)
		rc = cli_fail(call->cli, &e);
	cli_backup_forget(&passphrase);
	cli_backup_forget(&w.list);
	backup_manifest_done(&w.m);
	arena_release(&w.a);
	return rc;
}

enum status cli_restore_find(const struct cli_call *call, int *out_lock, struct arena *a,
			     struct backup_entry *out, const char **out_dir,
			     struct backup_manifest *m, struct err *e)
{
	const char *at = cli_option(call, "at");
	/* A whole restore writes HIGHEST; the other kind only reads. */
	bool shared = cli_option(call, "to") == NULL;
	enum status st = backup_lock(call->args[0], shared, out_lock, e);
	if (st == ST_OK)
		st = backup_find(call->args[0], slice_str(at), a, out, e);
	if (st != ST_OK)
		return st;
	*out_dir = arena_fmt(a, "%s/%s", call->args[0], out->name).p;
	return backup_manifest_read(m, *out_dir, false, e);
}

int cli_restore(const struct cli_call *call)
{
	static const char *const mail[] = { "mailbox", "uid", "message-id", "as",
					    "into" };
	const char *to = cli_option(call, "to"), *account = cli_option(call, "account");
	if ((to == NULL) == (account == NULL)) {
		fputs("facteur: restore takes --to DATADIR, for everything, or --account "
		      "ADDRESS, for mail of that account into the running system\n",
		      stderr);
		return EX_USAGE;
	}
	for (size_t i = 0; to != NULL && i < sizeof(mail) / sizeof(mail[0]); i++) {
		if (cli_option(call, mail[i]) != NULL) {
			fprintf(stderr,
				"facteur: --%s goes with --account, not with --to\n",
				mail[i]);
			return EX_USAGE;
		}
	}
	return to != NULL ? restore_whole(call, to) : cli_restore_mail(call, account);
}

/* cli_backup.c — backup, backup list, backup verify: the server makes a snapshot and holds it, the command copies. */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "cli/cli_backup.h"
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <sysexits.h>

/* --- passphrase ----------------------------------------------------------------------- */
bool cli_backup_passphrase(const struct cli_call *call, bool is_new, struct buf *out)
{
	const char *file = cli_option(call, "passphrase-file");
	char typed[LIMIT_PASSPHRASE + 2] = { 0 };
	struct err e = { 0 };
	buf_init(out, LIMIT_PASSPHRASE + 2);
	if (file == NULL) {
		bool ok = cli_read_passphrase(is_new, typed, sizeof(typed));
		buf_adds(out, ok ? typed : "");
		explicit_bzero(typed, sizeof(typed));
	} else if (io_read_file(file, LIMIT_PASSPHRASE, out, &e) != ST_OK) {
		fprintf(stderr, "facteur: %s\n", e.text);
		return false;
	}
	size_t end = slice_chr(buf_slice(out), '\n', 0);
	while (end > 0 && end <= out->n && out->p[end - 1] == '\r')
		end--;
	out->n = end < out->n ? end : out->n;
	if (out->n > 0)
		return true;
	fputs("facteur: no passphrase: the certificates, keys and settings in a backup are "
	      "encrypted with one (a line on stdin, --passphrase-file FILE, or --no-secrets to "
	      "leave them out)\n",
	      stderr);
	return false;
}

void cli_backup_forget(struct buf *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->cap);
	buf_done(b);
}

/* --- what lies beside the store ------------------------------------------------------- */
#define USED_FILES_MAX 256

struct beside {
	struct arena a;
	slice outside[USED_FILES_MAX];
	size_t n;
	slice missing;
};

static void add_outside(struct beside *b, slice path)
{
	if (path.n == 0 || path.p[0] != '/' || b->n == USED_FILES_MAX)
		return;
	for (size_t i = 0; i < b->n; i++)
		if (slice_eq(b->outside[i], path))
			return;
	b->outside[b->n++] = arena_dup(&b->a, path);
}

/* The server notes at its start what it uses outside the data directory. */
static enum status find_outside(struct beside *b, const struct cli_call *call,
				struct err *e)
{
	AUTO_BUF text;
	char path[PATH_MAX];
	const char *config = cli_option(call, "config");
	buf_init(&text, 1u << 20);
	enum status st =
		io_read_file(arena_fmt(&b->a, "%s/" CLI_USED_FILES, call->cli->data).p,
			     1u << 20, &text, e);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	for (slice rest = buf_slice(&text); rest.n > 0;)
		add_outside(b, slice_cut(&rest, '\n'));
	if (config == NULL)
		return ST_OK;
	if (realpath(config, path) == NULL)
		return err_set(e, ERR_IO, "%s: %s", config, strerror(errno));
	add_outside(b, slice_str(path));
	return ST_OK;
}

static enum status seal(const struct cli_call *call, slice passphrase, struct beside *b,
			struct buf *out, struct err *e)
{
	struct buf list;
	buf_init(&list, LIMIT_BACKUP_SECRETS);
	enum status st = find_outside(b, call, e);
	if (st == ST_OK)
		st = backup_secrets_collect(call->cli->data, b->outside, b->n, &list,
					    &b->a, &b->missing, e);
	if (st == ST_OK)
		st = backup_secrets_seal(buf_slice(&list), passphrase, out, e);
	cli_backup_forget(&list);
	return st;
}

/* --- the snapshot --------------------------------------------------------------------- */
struct snapshot {
	struct arena a;
	struct cli_stream *stream;
	struct backup_source source;
	struct kv_snapshot_file *segment;
	size_t cap;
	bool ready;
};

static uint64_t number(const json_t *v, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(v, key));
	return n > 0 ? (uint64_t)n : 0;
}

static bool take_segments(struct snapshot *s, const json_t *list)
{
	size_t i;
	const json_t *v;
	json_array_foreach(list, i, v)
	{
		json_int_t no = json_integer_value(json_array_get(v, 0));
		json_int_t bytes = json_integer_value(json_array_get(v, 1));
		if (no < 0 || no > UINT32_MAX || bytes < 0)
			return false;
		if (s->source.n_segments == s->cap) {
			s->cap = s->cap ? s->cap * 2 : 1024;
			s->segment = mem_grow(s->segment, s->cap, sizeof(*s->segment));
		}
		s->segment[s->source.n_segments++] =
			(struct kv_snapshot_file){ (uint32_t)no, (uint64_t)bytes };
	}
	return true;
}

static bool take_item(struct snapshot *s, const char *data, const json_t *v)
{
	const char *rows = json_string_value(json_object_get(v, "rows"));
	if (rows != NULL) {
		s->source.rows = arena_fmt(&s->a, "%s/%s", data, rows).p;
		s->source.epoch = (uint32_t)number(v, "epoch");
		s->source.uidvalidity = (uint32_t)number(v, "uidvalidity");
		s->source.accounts = number(v, "accounts");
		s->source.messages = number(v, "messages");
	}
	s->ready = json_is_true(json_object_get(v, "ready"));
	return take_segments(s, json_object_get(v, "segments"));
}

static enum status take_snapshot(struct snapshot *s, const struct cli_call *call,
				 struct err *e)
{
	json_t *request = json_pack("{s:s, s:s, s:[s], s:{}}", "noun", "backup", "verb",
				    "", "args", call->args[0], "options");
	if (request == NULL)
		return err_set(e, ERR_SYNTAX, "the name of the directory is not UTF-8");
	s->stream = cli_stream_open(call->cli, request, e);
	json_decref(request);
	if (s->stream == NULL)
		return err_status(e->code);
	while (!s->ready) {
		struct frame_got f;
		json_t *v = NULL;
		bool ok = frame_receive(cli_stream_conn(s->stream), &f, e) == ST_OK &&
			  (v = frame_json(&f, e)) != NULL;
		if (ok && !take_item(s, call->cli->data, v)) {
			err_set(e, ERR_CORRUPT,
				"the server's list of files makes no sense");
			ok = false;
		}
		json_decref(v);
		if (!ok)
			return err_status(e->code);
	}
	s->source.store = arena_fmt(&s->a, "%s/store", call->cli->data).p;
	s->source.segment = s->segment;
	return s->source.rows != NULL
		       ? ST_OK
		       : err_set(e, ERR_CORRUPT, "the server names no snapshot");
}

/* Everything is copied: did the server hold it until now? */
static enum status confirm(void *ctx, struct err *e)
{
	struct snapshot *s = ctx;
	struct frame_conn *c = cli_stream_conn(s->stream);
	struct frame_got f;
	enum status st = frame_send_json(c, FRAME_ITEM, json_pack("{s:b}", "done", 1), e);
	if (st == ST_OK)
		st = frame_receive(c, &f, e);
	if (st == ST_OK && f.type == FRAME_RESULT)
		return ST_OK;
	return err_set(
		e, ERR_BUSY,
		"the server gave its snapshot up before all was copied: the backup "
		"is not finished, the next one goes on with it");
}

static void snapshot_done(struct snapshot *s)
{
	cli_stream_close(s->stream);
	mem_free(s->segment);
	arena_release(&s->a);
}

/* --- backup --------------------------------------------------------------------------- */
static void show(void *ctx, uint64_t done, uint64_t all)
{
	cli_progress_set(ctx, done >> 20, all >> 20, 0);
}

void cli_backup_progress(struct backup_progress *p, struct cli_progress *shown,
			 const struct cli *c)
{
	cli_progress_init(shown, c, "MiB");
	*p = (struct backup_progress){ .fn = show, .ctx = shown };
}

/* A backup inside of what it backs up would hold itself. */
static enum status check_dir(const char *dir, const char *data, struct err *e)
{
	char d[PATH_MAX], b[PATH_MAX];
	enum status st = io_mkdir(dir, 0700, e);
	if (st != ST_OK)
		return st;
	if (realpath(data, d) == NULL)
		return err_set(e, ERR_CANNOT, "%s: %s", data, strerror(errno));
	if (realpath(dir, b) == NULL)
		return err_set(e, ERR_CANNOT, "%s: %s", dir, strerror(errno));
	size_t n = strlen(d);
	if (strncmp(b, d, n) == 0 && (b[n] == '/' || b[n] == '\0'))
		return err_set(e, ERR_CANNOT,
			       "%s lies in the data directory: a backup has to be "
			       "elsewhere, on another disk if there is one",
			       dir);
	return ST_OK;
}

static slice owner_of(const char *data, struct arena *a)
{
	struct io_stat st;
	if (io_stat_path(data, &st, NULL) != ST_OK)
		return SL("");
	const struct passwd *pw = getpwuid(st.uid);
	slice name = slice_str(pw != NULL ? pw->pw_name : "");
	for (size_t i = 0; i < name.n; i++) /* as MANIFEST takes it */
		if (!is_alpha(name.p[i]) && !is_digit(name.p[i]) && name.p[i] != '-' &&
		    name.p[i] != '_')
			return SL("");
	return arena_dup(a, name);
}

static void print_result(const struct cli *c, const struct backup_result *r,
			 const struct snapshot *s, const struct beside *b, bool secrets)
{
	json_t *v = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "backup",
			      r->name, "accounts", (json_int_t)s->source.accounts,
			      "messages", (json_int_t)s->source.messages, "files",
			      (json_int_t)r->files, "linked", (json_int_t)r->linked,
			      "bytes", (json_int_t)r->bytes, "copied",
			      (json_int_t)r->bytes_copied, "removed",
			      (json_int_t)r->removed, "secrets", secrets);
	if (b->missing.n > 0)
		json_object_set_new(v, "missing", admin_text(b->missing));
	cli_print(c, v, NULL);
	json_decref(v);
}

static enum status run(const struct cli_call *call, uint64_t keep, slice passphrase,
		       struct err *e)
{
	struct snapshot s = { 0 };
	struct beside b = { 0 };
	struct backup_result r;
	struct cli_progress shown;
	struct clock clock;
	struct backup_options opt = { .dir = call->args[0],
				      .keep = (size_t)keep,
				      .full = cli_option(call, "full") != NULL,
				      .confirm = confirm,
				      .ctx = &s };
	AUTO_BUF sealed;
	buf_init(&sealed, LIMIT_BACKUP_SECRETS + 4096);
	clock_init_real(&clock);
	arena_init(&s.a);
	arena_init(&b.a);
	cli_backup_progress(&opt.progress, &shown, call->cli);
	enum status st = check_dir(opt.dir, call->cli->data, e);
	if (st == ST_OK && passphrase.n > 0)
		st = seal(call, passphrase, &b, &sealed, e);
	opt.now = clock_now_s(&clock);
	opt.user = owner_of(call->cli->data, &b.a);
	opt.secrets = buf_slice(&sealed);
	if (st == ST_OK)
		st = take_snapshot(&s, call, e);
	if (st == ST_OK)
		st = backup_make(&s.source, &opt, &r, e);
	cli_progress_clear(&shown);
	if (st == ST_OK)
		print_result(call->cli, &r, &s, &b, passphrase.n > 0);
	snapshot_done(&s);
	arena_release(&b.a);
	return st;
}

int cli_backup(const struct cli_call *call)
{
	struct err e = { 0 };
	struct buf passphrase = { 0 };
	const char *given = cli_option(call, "keep");
	uint64_t keep = 0;
	if (given != NULL &&
	    (!slice_u64(slice_str(given), LIMIT_BACKUPS, &keep) || keep == 0)) {
		fputs("facteur: --keep takes a number of backups, 1 at least\n", stderr);
		return EX_USAGE;
	}
	if (cli_option(call, "no-secrets") == NULL &&
	    !cli_backup_passphrase(call, true, &passphrase)) {
		buf_done(&passphrase);
		return EX_USAGE;
	}
	enum status st = run(call, keep, buf_slice(&passphrase), &e);
	cli_backup_forget(&passphrase);
	return st == ST_OK ? EX_OK : cli_fail(call->cli, &e);
}

/* --- list ----------------------------------------------------------------------------- */
static json_t *entry_row(const char *dir, const struct backup_entry *x)
{
	AUTO_ARENA a = { 0 };
	struct backup_manifest m;
	struct err e = { 0 };
	backup_manifest_init(&m);
	enum status st = backup_manifest_read(&m, arena_fmt(&a, "%s/%s", dir, x->name).p,
					      !x->finished, &e);
	const char *state = !x->finished  ? "unfinished"
			    : st != ST_OK ? "damaged"
					  : "finished";
	json_t *v = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:o}", "backup",
			      x->name, "state", state, "accounts", (json_int_t)m.accounts,
			      "messages", (json_int_t)m.messages, "files",
			      (json_int_t)m.n, "bytes", (json_int_t)m.bytes, "secrets",
			      backup_manifest_find(&m, SL(BACKUP_SECRETS)) != NULL,
			      "program", admin_text(m.program));
	backup_manifest_done(&m);
	return v;
}

int cli_backup_list(const struct cli_call *call)
{
	AUTO_ARENA a = { 0 };
	struct backup_entry *list;
	size_t n;
	struct err e = { 0 };
	if (backup_list(call->args[0], &a, &list, &n, &e) != ST_OK)
		return cli_fail(call->cli, &e);
	json_t *rows = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows, entry_row(call->args[0], &list[i]));
	cli_print(call->cli, rows, call->verb->columns);
	json_decref(rows);
	return EX_OK;
}

/* --- verify --------------------------------------------------------------------------- */
struct verify {
	const struct cli *c;
	struct cli_progress shown;
	const char *name;
	json_t *faults;
};

static void found(void *ctx, slice path, const char *what)
{
	struct verify *v = ctx;
	cli_progress_clear(&v->shown);
	json_array_append_new(v->faults, json_pack("{s:s, s:o, s:o}", "backup", v->name,
						   "file", admin_text(path), "fault",
						   admin_text(slice_str(what))));
	if (!v->c->json) {
		printf("%s/%.*s: ", v->name, FMT(path));
		cli_put_clean(stdout, slice_str(what));
		putchar('\n');
	}
}

static void verify_one(struct verify *v, const char *dir, struct backup_verify *bv)
{
	AUTO_ARENA a = { 0 };
	struct err e = { 0 };
	if (backup_verify(arena_fmt(&a, "%s/%s", dir, v->name).p, bv, &e) != ST_OK)
		found(v, SL(BACKUP_MANIFEST), e.text);
}

static int verify(const struct cli_call *call, const struct backup_entry *list, size_t n)
{
	struct verify v = { .c = call->cli, .faults = json_array() };
	struct backup_verify bv = { .found = found, .ctx = &v };
	json_int_t done = 0;
	cli_backup_progress(&bv.progress, &v.shown, call->cli);
	for (size_t i = 0; i < n; i++) {
		v.name = list[i].name;
		if (list[i].finished) {
			verify_one(&v, call->args[0], &bv);
			done++;
		}
	}
	cli_progress_clear(&v.shown);
	size_t faults = json_array_size(v.faults);
	json_t *r = json_pack("{s:I, s:I, s:I}", "backups", done, "files",
			      (json_int_t)bv.files, "bytes", (json_int_t)bv.bytes);
	if (call->cli->json)
		json_object_set(r, "faults", v.faults);
	else
		json_object_set_new(r, "faults", json_integer((json_int_t)faults));
	cli_print(call->cli, r, NULL);
	json_decref(r);
	json_decref(v.faults);
	return faults > 0 ? EX_DATAERR : EX_OK;
}

int cli_backup_verify(const struct cli_call *call)
{
	AUTO_ARENA a = { 0 };
	AUTO_FD lock = -1;
	struct backup_entry one, *list = &one;
	size_t n = 1;
	struct err e = { 0 };
	const char *at = cli_option(call, "at");
	enum status st = backup_lock(call->args[0], true, &lock, &e);
	if (st == ST_OK && cli_option(call, "all") != NULL)
		st = backup_list(call->args[0], &a, &list, &n, &e);
	else if (st == ST_OK)
		st = backup_find(call->args[0], slice_str(at), &a, &one, &e);
	return st == ST_OK ? verify(call, list, n) : cli_fail(call->cli, &e);
}

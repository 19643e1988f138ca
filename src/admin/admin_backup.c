/* admin_backup.c — backup and restore, as far as they are the store's business; the command copies the files
 * (cli/cli_backup.c, cli/cli_restore.c).
 *
 * backup: a snapshot is made and held until the other side hangs up.
 *	→ ITEM {"rows": "…", "epoch": n, "uidvalidity": n, "accounts": n, "messages": n}
 *	→ ITEM {"segments": [[number, octets], …]}, any number of times
 *	→ ITEM {"ready": true}; rows is a path below the data directory
 *	← ITEM {"done": true}: all is copied; the answer says that the snapshot stood until then
 *	→ RESULT {}
 *
 * restore: options.account is made with options.verifier when it is not there; what follows is an import
 * (transfer/import.h). */
#include "admin/admin_verbs.h"
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "store/store.h"
#include "store/store_restore.h"
#include "transfer/frame.h"
#include "transfer/import.h"

#define SEGMENTS_PART 10000

static enum status send_item(struct frame_conn *c, json_t *v, struct err *e)
{
	return frame_send_json(c, FRAME_ITEM, v, e);
}

static enum status send_segments(struct frame_conn *c, const struct kv_snapshot *s,
				 struct err *e)
{
	const struct kv_snapshot_file *f;
	size_t n = kv_snapshot_files(s, &f);
	enum status st = ST_OK;
	for (size_t i = 0; i < n && st == ST_OK;) {
		json_t *list = json_array();
		for (size_t k = 0; k < SEGMENTS_PART && i < n; k++, i++)
			json_array_append_new(list, json_pack("[I, I]",
							      (json_int_t)f[i].segment,
							      (json_int_t)f[i].bytes));
		st = send_item(c, json_pack("{s:o}", "segments", list), e);
	}
	return st;
}

/* Until the other side is done or gone. */
static enum status hold(struct frame_conn *c, struct err *e)
{
	struct frame_got f;
	enum status st = frame_receive(c, &f, e);
	if (st != ST_OK)
		return st;
	return frame_send_json(c, FRAME_RESULT, json_object(), e);
}

static enum status tell(const struct admin_ctx *ctx, struct frame_conn *c,
			const struct kv_snapshot *s, struct err *e)
{
	struct store_facts f;
	enum status st = store_facts(ctx->store, &f, e);
	if (st == ST_OK)
		st = send_item(c,
			       json_pack("{s:s, s:I, s:I, s:I, s:I}", "rows",
					 BACKUP_SNAPSHOT_ROWS, "epoch",
					 (json_int_t)f.epoch, "uidvalidity",
					 (json_int_t)f.uidvalidity, "accounts",
					 (json_int_t)f.accounts, "messages",
					 (json_int_t)f.messages),
			       e);
	if (st == ST_OK)
		st = send_segments(c, s, e);
	if (st == ST_OK)
		st = send_item(c, json_pack("{s:b}", "ready", 1), e);
	return st == ST_OK ? hold(c, e) : st;
}

static enum status serve_backup(const struct admin_ctx *ctx, const json_t *args,
				const json_t *options, int fd, const _Atomic bool *stop,
				struct err *e)
{
	(void)args;
	(void)options;
	struct kv_snapshot *s;
	struct frame_conn c;
	AUTO_FD lock = -1;
	AUTO_ARENA a;
	arena_init(&a);
	const char *rows = arena_fmt(&a, "%s/" BACKUP_SNAPSHOT_ROWS, ctx->data).p;
	enum status st = backup_snapshot_room(ctx->data, &lock, e);
	if (st == ST_OK)
		st = store_snapshot(ctx->store, rows, &s, e);
	if (st == ST_OK) {
		frame_conn_init(&c, fd, stop);
		st = tell(ctx, &c, s, e);
		frame_conn_done(&c);
		kv_snapshot_free(s);
	}
	if (lock >= 0) {
		struct err ignored; /* the next backup, or the next start, removes it */
		(void)!io_remove_tree(rows, &ignored);
	}
	return st;
}

/* --- restore -------------------------------------------------------------------------- */
static enum status find_account(const struct admin_ctx *ctx, slice address,
				slice verifier, uint32_t *out, struct err *e)
{
	struct store_account acct;
	AUTO_ARENA a;
	arena_init(&a);
	enum status st = store_account_get(ctx->store, address, &a, &acct, e);
	if (st == ST_OK) {
		*out = acct.id;
		return ST_OK;
	}
	if (e->code != ERR_NO_ACCOUNT || verifier.n == 0)
		return st;
	return store_account_add(ctx->store, address, verifier, out, e);
}

static enum status serve_restore(const struct admin_ctx *ctx, const json_t *args,
				 const json_t *options, int fd, const _Atomic bool *stop,
				 struct err *e)
{
	(void)args;
	uint32_t account = 0;
	enum status st = find_account(ctx, admin_option(options, "account"),
				      admin_option(options, "verifier"), &account, e);
	return st == ST_OK ? import_serve(ctx->store, account, fd, stop, e) : st;
}

static json_t *run_nothing(const struct admin_ctx *ctx, const json_t *args,
			   const json_t *options, struct err *e)
{
	(void)ctx;
	(void)args;
	(void)options;
	(void)!err_set(e, ERR_CANNOT, "the command reads the backups itself");
	return NULL;
}

const struct admin_verb admin_backup = {
	.noun = "backup",
	.verb = "",
	.args = "DIR",
	.n_args = 1,
	.options = ":keep=N :full :no-secrets :passphrase-file=FILE :config=FILE",
	.serve = serve_backup,
	.help = "add a backup to those in DIR, while the server runs or not",
};
const struct admin_verb admin_backup_list = {
	.noun = "backup",
	.verb = "list",
	.args = "DIR",
	.n_args = 1,
	.run = run_nothing,
	.columns = "backup state accounts messages files bytes secrets program",
	.help = "the backups in DIR",
};
const struct admin_verb admin_backup_verify = {
	.noun = "backup",
	.verb = "verify",
	.args = "DIR",
	.n_args = 1,
	.options = ":at=TIME :all",
	.run = run_nothing,
	.help = "read a backup again: the last one, that of a time, or all",
};
const struct admin_verb admin_restore = {
	.noun = "restore",
	.verb = "",
	.args = "DIR",
	.n_args = 1,
	.options =
		":to=DATADIR :at=TIME :account=ADDRESS :mailbox=NAME :uid=N :message-id=ID "
		":as=ADDRESS :into=MAILBOX :passphrase-file=FILE :no-secrets @account @verifier",
	.serve = serve_restore,
	.help = "everything into a new directory, or mail of one account into the system",
};

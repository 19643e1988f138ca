/* admin_transfer.c — export, import: the store's side of both. Files are the command's
 * (cli/cli_export.c, cli/cli_import_mail.c): no path ever comes here. */
#include "admin/admin_verbs.h"
#include "base/cleanup.h"
#include "store/store.h"
#include "transfer/export.h"
#include "transfer/import.h"

static enum status serve_export(const struct admin_ctx *ctx, const json_t *args,
				const json_t *options, int fd, const _Atomic bool *stop,
				struct err *e)
{
	return export_serve(ctx->store, admin_arg(args, 0),
			    admin_option(options, "mailbox"), fd, stop, e);
}

static enum status serve_import(const struct admin_ctx *ctx, const json_t *args,
				const json_t *options, int fd, const _Atomic bool *stop,
				struct err *e)
{
	AUTO_ARENA a;
	arena_init(&a);
	struct store_account acct;
	(void)options;
	enum status st = store_account_get(ctx->store, admin_arg(args, 0), &a, &acct, e);
	return st == ST_OK ? import_serve(ctx->store, acct.id, fd, stop, e) : st;
}

const struct admin_verb admin_export = {
	.noun = "export",
	.verb = "",
	.args = "ADDRESS|DOMAIN|all",
	.n_args = 1,
	.options = "!:to=DIR :format=maildir|mbox mailbox=NAME",
	.serve = serve_export,
	.help = "write mail to a Maildir or mboxes; run again to go on, or to add what is new",
};
const struct admin_verb admin_import = {
	.noun = "import",
	.verb = "",
	.args = "ADDRESS",
	.n_args = 1,
	.options = "!:from=PATH :format=maildir|mbox :mailbox=NAME :keep-uids :dry-run",
	.serve = serve_import,
	.help = "read a Maildir, an mbox or a directory of them into an account; may be run again",
};

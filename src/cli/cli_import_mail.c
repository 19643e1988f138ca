/* cli_import_mail.c — import: files of the user who called become messages in the store. */
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/cli_transfer.h"
#include "transfer/source.h"
#include <fcntl.h>
#include <sysexits.h>

struct import_run {
	const struct cli *cli;
	bool dry;
	struct cli_progress progress;
	uint64_t all, done, bytes;
	uint64_t refused, incomplete, added, present;
	json_t *boxes, *list; /* --json */
};

static void on_total(void *ctx, uint64_t messages)
{
	((struct import_run *)ctx)->all += messages;
}

static void on_progress(void *ctx, uint64_t messages, uint64_t bytes)
{
	struct import_run *r = ctx;
	r->done += messages;
	r->bytes += bytes;
	cli_progress_set(&r->progress, r->done, r->all, r->bytes);
}

static void on_refused(void *ctx, slice box, slice name, const char *why)
{
	struct import_run *r = ctx;
	r->refused++;
	cli_progress_clear(&r->progress);
	if (r->cli->json) {
		json_array_append_new(r->list,
				      json_pack("{s:o, s:o, s:o}", "mailbox",
						frame_text(box), "name", frame_text(name),
						"reason", frame_text(slice_str(why))));
		return;
	}
	cli_put_clean(stdout, box);
	fputs(box.n > 0 && name.n > 0 ? ": " : "", stdout);
	cli_put_clean(stdout, name);
	fputs(": ", stdout);
	cli_put_clean(stdout, slice_str(why));
	putchar('\n');
}

static void print_report(const struct import_run *r, const struct source_report *x)
{
	cli_put_clean(stdout, x->box);
	if (r->dry)
		printf(": %llu messages, %llu octets to import",
		       (unsigned long long)x->found, (unsigned long long)x->found_bytes);
	else
		printf(": %llu messages imported, %llu octets, verified%s",
		       (unsigned long long)x->store.verified,
		       (unsigned long long)x->store.verified_bytes,
		       x->is_complete ? "" : ": NOT ALL");
	if (x->store.present > 0)
		printf("; %llu there before", (unsigned long long)x->store.present);
	if (x->unreadable + x->store.refused > 0)
		printf("; %llu refused",
		       (unsigned long long)(x->unreadable + x->store.refused));
	if (x->mended > 0)
		printf("; %llu with mixed line ends", (unsigned long long)x->mended);
	putchar('\n');
}

static void on_report(void *ctx, const struct source_report *x)
{
	struct import_run *r = ctx;
	r->incomplete += !x->is_complete;
	r->added += x->store.added;
	r->present += x->store.present;
	cli_progress_clear(&r->progress);
	if (!r->cli->json) {
		print_report(r, x);
		return;
	}
	json_array_append_new(
		r->boxes,
		json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "mailbox",
			  frame_text(x->box), "found", (json_int_t)x->found,
			  "found_bytes", (json_int_t)x->found_bytes, "messages",
			  (json_int_t)x->store.verified, "bytes",
			  (json_int_t)x->store.verified_bytes, "present",
			  (json_int_t)x->store.present, "refused",
			  (json_int_t)(x->unreadable + x->store.refused), "mended",
			  (json_int_t)x->mended, "complete", x->is_complete));
}

static int summary(struct import_run *r)
{
	bool ok = r->refused == 0 && r->incomplete == 0;
	if (r->cli->json) {
		json_t *out = json_pack("{s:b, s:b, s:I, s:I, s:O, s:O}", "ok", ok,
					"dry_run", r->dry, "imported",
					(json_int_t)r->added, "present",
					(json_int_t)r->present, "mailboxes", r->boxes,
					"refused", r->list);
		cli_print(r->cli, out, NULL);
		json_decref(out);
	} else if (!r->cli->quiet) {
		puts(ok ? "all there" : "not all is there: see above");
	}
	return ok ? EX_OK : EX_DATAERR;
}

/* --- where it comes from --- */

struct place {
	int root;
	slice file; /* below root; empty: root itself */
	bool is_maildir;
};

/* A file is opened by its directory and its name, so that nothing follows links. */
static enum status open_place(const char *path, const char *format, struct place *out,
			      struct err *e)
{
	struct io_stat st;
	AUTO_ARENA a;
	arena_init(&a);
	slice p = slice_str(path);
	while (p.n > 1 && p.p[p.n - 1] == '/')
		p.n--;
	enum status rc = io_stat_path(path, &st, e);
	if (rc == ST_OK && st.kind == IO_KIND_OTHER) {
		/* a link that the administrator named: followed once, here */
		rc = io_open(path, O_RDONLY | O_DIRECTORY, 0, &out->root, e);
	} else if (rc == ST_OK && st.kind == IO_KIND_DIR) {
		rc = io_open(path, O_RDONLY | O_DIRECTORY, 0, &out->root, e);
	} else if (rc == ST_OK) {
		size_t slash = slice_rchr(p, '/');
		const char *dir = slash == p.n ? "."
				  : slash == 0 ? "/"
					       : arena_cstr(&a, slice_sub(p, 0, slash));
		out->file = slash == p.n ? p : slice_from(p, slash + 1);
		rc = io_open(dir, O_RDONLY | O_DIRECTORY, 0, &out->root, e);
	}
	if (rc != ST_OK)
		return rc;
	out->is_maildir = format != NULL ? strcmp(format, "maildir") == 0
					 : out->file.n == 0 && maildir_is_one(out->root);
	if (out->is_maildir && !maildir_is_one(out->root))
		return err_set(e, ERR_CANNOT, "%s is no Maildir: it has no cur", path);
	return ST_OK;
}

static enum status read_all(struct cli_stream *stream, const struct cli_call *call,
			    struct import_run *r, const struct place *from, struct err *e)
{
	struct source_watch w = { .total = on_total,
				  .progress = on_progress,
				  .refused = on_refused,
				  .report = on_report,
				  .ctx = r };
	struct source src;
	struct import_client client;
	slice box = slice_str(cli_option(call, "mailbox"));
	source_init(&src, &w);
	import_client_init(&client, cli_stream_conn(stream), &source_events, &src);
	src.client = r->dry ? NULL : &client;
	src.keep_uids = cli_option(call, "keep-uids") != NULL;
	src.only = from->is_maildir || from->file.n == 0 ? box : SL("");
	enum status st = from->is_maildir
				 ? maildir_source(&src, from->root, e)
				 : mbox_source(&src, from->root, from->file, box, e);
	if (st == ST_OK)
		st = import_finish(&client, e);
	import_client_done(&client);
	source_done(&src);
	return st;
}

static int run(const struct cli_call *call, struct place *from)
{
	struct err e = { 0 };
	int rc = EX_USAGE;
	struct import_run r = { .cli = call->cli,
				.dry = cli_option(call, "dry-run") != NULL,
				.boxes = json_array(),
				.list = json_array() };
	struct cli_stream *s = NULL;
	json_t *request = cli_request(call);
	if (request != NULL && (s = cli_stream_open(call->cli, request, &e)) == NULL)
		rc = cli_fail(call->cli, &e);
	if (s != NULL) {
		cli_progress_init(&r.progress, call->cli, "messages");
		enum status st = read_all(s, call, &r, from, &e);
		cli_progress_clear(&r.progress);
		rc = st == ST_OK ? summary(&r) : cli_fail(call->cli, &e);
		if (st != ST_OK && !r.dry && r.done > 0)
			fputs("facteur: stopped; run the same command again: what is in the account is not imported twice\n",
			      stderr);
	}
	cli_stream_close(s);
	json_decref(request);
	json_decref(r.boxes);
	json_decref(r.list);
	return rc;
}

int cli_import_mail(const struct cli_call *call)
{
	const char *path = cli_option(call, "from"), *format = cli_option(call, "format");
	struct place from = { .root = -1, .file = SL("") };
	struct err e = { 0 };
	if (path == NULL || path[0] == '\0') {
		fputs("facteur: import needs --from PATH\n", stderr);
		return EX_USAGE;
	}
	if (format != NULL && strcmp(format, "maildir") != 0 &&
	    strcmp(format, "mbox") != 0) {
		fputs("facteur: --format is maildir or mbox\n", stderr);
		return EX_USAGE;
	}
	enum status st = open_place(path, format, &from, &e);
	int rc = st == ST_OK ? run(call, &from) : EX_NOINPUT;
	if (st != ST_OK)
		(void)cli_fail(call->cli, &e);
	if (from.root >= 0)
		close(from.root);
	return rc;
}

/* cli_export.c — export: what the store sends becomes files of the user who called. */
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/cli_transfer.h"
#include "transfer/maildir_sink.h"
#include "transfer/mbox_sink.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>

struct export_run {
	const struct cli *cli;
	struct cli_progress progress;
	uint64_t all, done, bytes;
	uint64_t written, failed, incomplete;
	json_t *boxes, *refused; /* --json */
};

static void on_total(void *ctx, uint64_t messages, uint64_t bytes)
{
	struct export_run *r = ctx;
	(void)bytes;
	r->all += messages;
}

static void on_progress(void *ctx, uint64_t messages, uint64_t bytes)
{
	struct export_run *r = ctx;
	r->done += messages;
	r->bytes += bytes;
	cli_progress_set(&r->progress, r->done, r->all, r->bytes);
}

static void on_failed(void *ctx, slice account, slice box, uint32_t uid, slice why)
{
	struct export_run *r = ctx;
	r->failed++;
	cli_progress_clear(&r->progress);
	if (r->cli->json) {
		json_array_append_new(r->refused,
				      json_pack("{s:o, s:o, s:I, s:o}", "account",
						frame_text(account), "mailbox",
						frame_text(box), "uid", (json_int_t)uid,
						"reason", frame_text(why)));
		return;
	}
	cli_put_clean(stdout, account);
	fputs(box.n > 0 ? " " : "", stdout);
	cli_put_clean(stdout, box);
	if (uid != 0)
		printf(" UID %u", uid);
	fputs(": ", stdout);
	cli_put_clean(stdout, why);
	putchar('\n');
}

static void on_report(void *ctx, const struct export_report *x)
{
	struct export_run *r = ctx;
	r->incomplete += !x->is_complete;
	r->done += x->had - x->gone;
	r->written += x->written;
	if (r->cli->json) {
		json_array_append_new(
			r->boxes,
			json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b}",
				  "account", frame_text(x->account), "mailbox",
				  frame_text(x->box), "written", (json_int_t)x->written,
				  "had", (json_int_t)x->had, "gone", (json_int_t)x->gone,
				  "messages", (json_int_t)x->verified, "bytes",
				  (json_int_t)x->verified_bytes, "failed",
				  (json_int_t)x->failed, "complete", x->is_complete));
		return;
	}
	cli_progress_clear(&r->progress);
	cli_put_clean(stdout, x->account);
	putchar(' ');
	cli_put_clean(stdout, x->box);
	printf(": %llu messages, %llu octets, verified%s",
	       (unsigned long long)x->verified, (unsigned long long)x->verified_bytes,
	       x->is_complete ? "" : ": NOT ALL");
	if (x->had > 0)
		printf("; %llu of them there before", (unsigned long long)x->had);
	if (x->gone > 0)
		printf(", %llu no longer in the store", (unsigned long long)x->gone);
	if (x->failed > 0)
		printf("; %llu could not be read", (unsigned long long)x->failed);
	putchar('\n');
}

static int open_target(const char *dir, int *out_fd, struct err *e)
{
	struct err made = { 0 };
	mode_t old = umask(0077);
	enum status st = io_mkdir(dir, 0700, &made);
	umask(old);
	if (st == ST_OK || made.code == ERR_EXISTS)
		st = io_open(dir, O_RDONLY | O_DIRECTORY, 0, out_fd, e);
	else
		*e = made;
	return st == ST_OK ? EX_OK : EX_CANTCREAT;
}

static enum status receive(struct cli_stream *s, struct export_run *r, int root,
			   bool many, bool is_mbox, struct err *e)
{
	struct export_watch w = { .total = on_total,
				  .progress = on_progress,
				  .report = on_report,
				  .failed = on_failed,
				  .ctx = r };
	enum status st;
	if (is_mbox) {
		struct mbox_sink *sink = mbox_sink_new(root, many, &w);
		st = export_receive(cli_stream_conn(s), &mbox_sink_ops, sink, e);
		mbox_sink_free(sink);
		return st;
	}
	struct maildir_sink *sink = maildir_sink_new(root, many, &w);
	st = export_receive(cli_stream_conn(s), &maildir_sink_ops, sink, e);
	if (st == ST_OK)
		st = maildir_sink_finish(sink, e);
	maildir_sink_free(sink);
	return st;
}

static int summary(struct export_run *r, const char *dir)
{
	bool ok = r->failed == 0 && r->incomplete == 0;
	if (r->cli->json) {
		json_t *out = json_pack("{s:b, s:I, s:I, s:O, s:O}", "ok", ok, "written",
					(json_int_t)r->written, "bytes",
					(json_int_t)r->bytes, "mailboxes", r->boxes,
					"refused", r->refused);
		cli_print(r->cli, out, NULL);
		json_decref(out);
	} else if (!r->cli->quiet) {
		cli_put_clean(stdout, slice_str(dir));
		printf(": %s\n", ok ? "all there" : "not all is there: see above");
	}
	return ok ? EX_OK : EX_DATAERR;
}

static int run(const struct cli_call *call, const char *dir, bool is_mbox)
{
	struct err e = { 0 };
	struct export_run r = { .cli = call->cli,
				.boxes = json_array(),
				.refused = json_array() };
	bool many = strchr(call->args[0], '@') == NULL;
	AUTO_FD root = -1;
	int rc = EX_USAGE;
	struct cli_stream *s = NULL;
	json_t *request = cli_request(call);
	if (request != NULL && (s = cli_stream_open(call->cli, request, &e)) == NULL)
		rc = cli_fail(call->cli, &e);
	if (s != NULL && (rc = open_target(dir, &root, &e)) != EX_OK)
		(void)cli_fail(call->cli, &e);
	if (s != NULL && rc == EX_OK) {
		cli_progress_init(&r.progress, call->cli, "messages");
		enum status st = receive(s, &r, root, many, is_mbox, &e);
		cli_progress_clear(&r.progress);
		rc = st == ST_OK ? summary(&r, dir) : cli_fail(call->cli, &e);
		if (st != ST_OK && r.bytes > 0)
			fputs("facteur: stopped; what is written is whole, and the same command goes on from there\n",
			      stderr);
	}
	cli_stream_close(s);
	json_decref(request);
	json_decref(r.boxes);
	json_decref(r.refused);
	return rc;
}

int cli_export(const struct cli_call *call)
{
	const char *dir = cli_option(call, "to"), *format = cli_option(call, "format");
	bool is_mbox = format != NULL && strcmp(format, "mbox") == 0;
	if (dir == NULL || dir[0] == '\0') {
		fputs("facteur: export needs --to DIR\n", stderr);
		return EX_USAGE;
	}
	if (format != NULL && !is_mbox && strcmp(format, "maildir") != 0) {
		fputs("facteur: --format is maildir or mbox\n", stderr);
		return EX_USAGE;
	}
	return run(call, dir, is_mbox);
}

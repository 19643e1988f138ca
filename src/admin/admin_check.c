/* admin_check.c — check: the walk of store/store_check.h, told as it goes.
 *
 *	→ PROGRESS {"done": n, "all": n, "unit": "messages"}
 *	→ NOTE {"text": "a sentence", "code": "body", "fate": "left", "account": …, "mailbox": …,
 *	  "uid": …, "subject": …, "message-id": …, "remedy": …}, one for each damage
 *	→ RESULT {"accounts": n, …, "found": n, "repaired": n, "lost": n, "left": n, "aside": FILE,
 *	  "exit": 0 | 65}
 *
 * It goes on while the other side is slow, and ends when it hangs up or *stop becomes true. */
#include "admin/admin_verbs.h"
#include "base/cleanup.h"
#include "store/store_check.h"
#include "transfer/frame.h"
#include <sysexits.h>
#include <time.h>

#define PROGRESS_EVERY_MS 250

struct check_run {
	struct frame_conn conn;
	bool repair, broken; /* broken: the other side is gone */
	_Atomic bool stop;
	const _Atomic bool *stop_server;
	int64_t told_ms;
	struct err e;
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void send_frame(struct check_run *r, enum frame_type type, json_t *v)
{
	if (r->broken)
		json_decref(v);
	else if (frame_send_json(&r->conn, type, v, &r->e) != ST_OK ||
		 frame_flush(&r->conn, &r->e) != ST_OK)
		r->broken = true;
	if (r->broken || (r->stop_server != NULL && atomic_load(r->stop_server)))
		atomic_store(&r->stop, true);
}

static const char *fate_word(enum store_check_fate f)
{
	switch (f) {
	case CHECK_LEFT:
		return "left";
	case CHECK_REPAIRED:
		return "repaired";
	case CHECK_LOST:
		return "lost";
	case CHECK_HELPLESS:
		break;
	}
	return "helpless";
}

/* "ann@example.org, INBOX, UID 7 (Lunch, <a@b>): …; repaired: …" */
static void sentence(struct buf *b, const struct store_check_finding *f)
{
	if (f->address.n)
		buf_addf(b, "%.*s: ", FMT(f->address));
	else if (f->account)
		buf_addf(b, "account %u: ", f->account);
	if (f->mailbox.n)
		buf_addf(b, "%.*s, ", FMT(f->mailbox));
	if (f->uid)
		buf_addf(b, "UID %u", f->uid);
	if (f->subject.n || f->message_id.n)
		buf_addf(b, "%s(\"%.*s\"%s%.*s%s)", f->uid ? " " : "", FMT(f->subject),
			 f->message_id.n ? ", <" : "", FMT(f->message_id),
			 f->message_id.n ? ">" : "");
	if (f->mailbox.n || f->uid)
		buf_adds(b, f->uid ? ": " : "");
	buf_add(b, f->text);
	switch (f->fate) {
	case CHECK_LEFT:
		if (f->remedy)
			buf_addf(b, " (--repair: %s)", f->remedy);
		break;
	case CHECK_REPAIRED:
		buf_addf(b, "; repaired: %s", f->remedy);
		break;
	case CHECK_LOST:
		buf_addf(b, "; repaired, not without loss: %s", f->remedy);
		break;
	case CHECK_HELPLESS:
		buf_adds(b, strcmp(f->code, "engine") == 0
				    ? "; only a repair without a server can write the "
				      "other rows anew"
				    : "; a repair can do nothing about it");
		break;
	}
}

static void note_found(void *ctx, const struct store_check_finding *f)
{
	struct check_run *r = ctx;
	AUTO_BUF b;
	buf_init(&b, 16u << 10);
	sentence(&b, f);
	send_frame(r, FRAME_NOTE,
		   json_pack("{s:o, s:s, s:s, s:o, s:o, s:I, s:o, s:o, s:s}", "text",
			     frame_text(buf_slice(&b)), "code", f->code, "fate",
			     fate_word(f->fate), "account", frame_text(f->address),
			     "mailbox", frame_text(f->mailbox), "uid", (json_int_t)f->uid,
			     "subject", frame_text(f->subject), "message-id",
			     frame_text(f->message_id), "remedy",
			     f->remedy ? f->remedy : ""));
}

static void note_progress(void *ctx, const struct store_check_progress *p)
{
	struct check_run *r = ctx;
	int64_t now = now_ms();
	if (now - r->told_ms < PROGRESS_EVERY_MS)
		return;
	r->told_ms = now;
	unsigned shift = p->octets ? 20 : 0;
	send_frame(r, FRAME_PROGRESS,
		   json_pack("{s:I, s:I, s:s}", "done", (json_int_t)(p->done >> shift),
			     "all", (json_int_t)(p->all >> shift), "unit",
			     p->octets ? "MiB of bodies" : p->unit));
}

static json_t *summary(const struct store_check_result *r)
{
	json_t *v = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "accounts",
			      (json_int_t)r->accounts, "mailboxes",
			      (json_int_t)r->mailboxes, "messages",
			      (json_int_t)r->messages, "bodies", (json_int_t)r->bodies,
			      "found", (json_int_t)r->found, "repaired",
			      (json_int_t)r->repaired, "lost", (json_int_t)r->lost,
			      "left", (json_int_t)r->left, "exit",
			      r->left ? EX_DATAERR : EX_OK);
	const char *state = r->found == 0 ? "clean" : r->left ? "damaged" : "repaired";
	json_object_set_new(v, "state", json_string(state));
	if (r->aside_file[0])
		json_object_set_new(v, "aside", frame_text(slice_str(r->aside_file)));
	return v;
}

static enum status serve_check(const struct admin_ctx *ctx, const json_t *args,
			       const json_t *options, int fd, const _Atomic bool *stop,
			       struct err *e)
{
	struct check_run r = { .repair = json_is_true(json_object_get(options, "repair")),
			       .stop_server = stop };
	struct store_check_result result;
	AUTO_ARENA a;
	arena_init(&a);
	struct store_check_options o = {
		.repair = r.repair,
		.quick = json_is_true(json_object_get(options, "quick")),
		.address = json_array_size(args) ? admin_arg(args, 0) : SL(""),
		.aside_dir = arena_fmt(&a, "%s/aside", ctx->data).p,
		.stop = &r.stop,
		.found = note_found,
		.progress = note_progress,
		.ctx = &r,
	};
	frame_conn_init(&r.conn, fd, stop);
	bool mended = ctx->mended != NULL && ctx->mended[0] != '\0';
	if (mended)
		note_found(&r,
			   &(struct store_check_finding){
				   .fate = CHECK_LOST,
				   .code = "store",
				   .text = slice_str(ctx->mended),
				   .remedy = "the check goes on with what is there" });
	enum status st = store_check(ctx->store, &o, &result, e);
	result.found += mended;
	result.lost += mended;
	if (st == ST_OK && result.stopped)
		st = r.broken
			     ? err_set(e, r.e.code, "%s", r.e.text)
			     : err_set(e, ERR_BUSY,
				       "the server is shutting down: the check did not end");
	if (st == ST_OK)
		st = frame_send_json(&r.conn, FRAME_RESULT, summary(&result), e);
	frame_conn_done(&r.conn);
	return st;
}

const struct admin_verb admin_check_verb = {
	.noun = "check",
	.verb = "",
	.args = "[ADDRESS]",
	.n_args = 0,
	.options = "repair quick",
	.serve = serve_check,
	.help = "read the whole store, or one account, and compare it with itself",
};

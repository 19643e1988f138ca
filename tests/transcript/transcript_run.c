/* transcript_run.c — one dialogue, whole, by line, byte by byte, and cut at every
 * offset. */
#include "transcript.h"
#include "base/log.h"
#include "net/conn.h"

#define CONNS	   10
#define CUTS_FRONT 160 /* lines up to twice as long are cut everywhere */
#define CUTS_BACK  160

enum how { WHOLE, BY_LINE, BY_BYTE, CUT_FRONT, CUT_BACK, HANG_UP };
struct mode {
	enum how how;
	size_t at; /* CUT_*: octets in the first or last piece; HANG_UP: client lines sent */
};

struct run {
	const struct dialogue *d;
	struct mode mode;
	struct world w;
	struct vars vars;
	struct conn *conn[CONNS];
	struct buf pending[CONNS]; /* WHOLE: what stands together */
	bool skip[CONNS];
	size_t longest;	   /* client line, for the cuts */
	bool silent;	   /* a dialogue that is to fail says nothing */
	size_t sent;	   /* client lines */
	struct conn *gone; /* hung up */
	bool failed;
};

static void show(const char *what, slice s)
{
	fprintf(stderr, "  %s ", what);
	for (size_t i = 0; i < s.n && i < 2000; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\r')
			fputs("\\r", stderr);
		else if (c == '\n')
			fputs("\\n", stderr);
		else if (c < 32 || c == 127)
			fprintf(stderr, "\\x%02x", c);
		else
			fputc(c, stderr);
	}
	fputc('\n', stderr);
}

static void fail(struct run *r, const struct tstep *t, const char *what, slice want,
		 slice got)
{
	static const char *const names[] = { "whole",
					     "by line",
					     "byte by byte",
					     "cut from the front",
					     "cut from the back",
					     "hanging up" };

	if (!r->silent) {
		fprintf(stderr, "%s:%u: %s (%s", r->d->file, t ? t->line : r->d->line,
			what, names[r->mode.how]);
		if (r->mode.how >= CUT_FRONT)
			fprintf(stderr, " at %zu", r->mode.at);
		fputs(")\n", stderr);
		if (want.n > 0)
			show("want", want);
		show("got ", got);
	}
	r->failed = true;
}

static struct conn *connection(struct run *r, const struct tstep *t)
{
	if (!r->conn[t->conn]) {
		r->conn[t->conn] =
			world_connect(&r->w, t->kind == T_OPEN ? &t->peer : &r->d->peer);
		if (!r->conn[t->conn]) {
			fail(r, t, "this program has no such service", SL(""),
			     r->d->peer.service);
			return NULL;
		}
	}
	return r->conn[t->conn];
}

static void push(struct run *r, struct conn *c, slice bytes)
{
	if (bytes.n == 0)
		return;
	conn_sim_send(c, bytes);
	world_settle(&r->w);
}

/* HAZARDS 15: the client goes away at any moment, with anything under way; or closes its side. */
static void hang_up(struct run *r, struct conn *c)
{
	if (r->mode.at % 2)
		conn_abort(c);
	else
		conn_sim_eof(c);
	world_settle(&r->w);
}

/* One line, or many that stand together, the way the mode says. */
static void send_bytes(struct run *r, struct conn *c, slice bytes)
{
	size_t first = bytes.n;

	r->sent++;
	switch (r->mode.how) {
	case WHOLE:
	case BY_LINE:
		break;
	case HANG_UP:
		if (r->sent > r->mode.at)
			r->gone = c;
		if (r->gone)
			first = bytes.n / 2;
		break;
	case BY_BYTE:
		for (size_t i = 0; i < bytes.n; i++)
			push(r, c, slice_sub(bytes, i, 1));
		return;
	case CUT_FRONT:
		first = r->mode.at < bytes.n ? r->mode.at : bytes.n;
		break;
	case CUT_BACK:
		first = r->mode.at < bytes.n ? bytes.n - r->mode.at : bytes.n;
		break;
	}
	push(r, c, slice_sub(bytes, 0, first));
	if (r->gone)
		hang_up(r, c);
	else
		push(r, c, slice_from(bytes, first));
}

static void step_client(struct run *r, const struct tstep *t, const struct tstep *next)
{
	struct conn *c = connection(r, t);
	slice text = t->kind == T_CLIENT_RAW ? transcript_unescape(&r->w.mem, t->text)
					     : t->text;
	struct buf *b = &r->pending[t->conn];

	if (!c)
		return;
	text = transcript_expand(&r->w.mem, &r->vars, text);
	if (text.n > r->longest)
		r->longest = text.n;
	if (r->mode.how != WHOLE) {
		send_bytes(r, c, text);
		return;
	}
	buf_add(b, text);
	if (next && next->conn == t->conn &&
	    (next->kind == T_CLIENT || next->kind == T_CLIENT_RAW))
		return;
	send_bytes(r, c, buf_slice(b));
	buf_reset(b);
}

static void step_server(struct run *r, const struct tstep *t)
{
	struct conn *c = connection(r, t);
	slice pattern = transcript_expand(&r->w.mem, NULL, t->text);

	while (c) {
		slice got = conn_sim_received(c), line;
		size_t end = slice_find(got, SL("\r\n"), 0);

		if (end == got.n) {
			fail(r, t, got.n ? "half a line" : "nothing came", pattern, got);
			return;
		}
		line = arena_dup(&r->w.mem, slice_sub(got, 0, end));
		if (slice_chr(line, '\n', 0) < line.n ||
		    slice_chr(line, '\r', 0) < line.n) {
			fail(r, t, "a bare CR or LF", pattern, line); /* P6 */
			return;
		}
		if (transcript_match(pattern, line, &r->vars)) {
			conn_sim_take(c, end + 2);
			r->skip[t->conn] = false;
			world_settle(&r->w);
			return;
		}
		if (!r->skip[t->conn]) {
			fail(r, t, "another line", pattern, line);
			return;
		}
		conn_sim_take(c, end + 2);
	}
}

static void step_server_raw(struct run *r, const struct tstep *t)
{
	struct conn *c = connection(r, t);
	slice want = transcript_expand(&r->w.mem, &r->vars,
				       transcript_unescape(&r->w.mem, t->text)),
	      got;

	if (!c)
		return;
	got = conn_sim_received(c);
	if (!slice_starts(got, want)) {
		fail(r, t, "other octets", want, got);
		return;
	}
	conn_sim_take(c, want.n);
}

static void step_state(struct run *r, const struct tstep *t)
{
	struct conn *c = connection(r, t);
	slice got;

	if (!c)
		return;
	got = conn_sim_received(c);
	if (t->kind != T_TLS && got.n > 0)
		fail(r, t, "something unread", SL(""), got);
	else if (t->kind == T_CLOSED && !conn_sim_is_closed(c))
		fail(r, t, "still open", SL(""), got);
	else if (t->kind == T_QUIET && conn_sim_is_closed(c))
		fail(r, t, "closed", SL(""), got);
	else if (t->kind == T_TLS && !conn_is_tls(c))
		fail(r, t, "not secured", SL(""), got);
}

static void step_do(struct run *r, const struct tstep *t, const struct tstep *next)
{
	struct err e = { 0 };
	struct conn *c;

	switch (t->kind) {
	case T_CLIENT:
	case T_CLIENT_RAW:
		step_client(r, t, next);
		return;
	case T_SERVER:
		step_server(r, t);
		return;
	case T_SERVER_RAW:
		step_server_raw(r, t);
		return;
	case T_SKIP:
		r->skip[t->conn] = true;
		return;
	case T_OPEN:
		if (r->conn[t->conn])
			fail(r, t, "open already", SL(""), SL(""));
		else
			(void)connection(r, t);
		return;
	case T_TLS:
	case T_CLOSED:
	case T_QUIET:
		step_state(r, t);
		return;
	case T_EOF:
	case T_WINDOW:
		c = connection(r, t);
		if (!c)
			return;
		if (t->kind == T_EOF)
			conn_sim_eof(c);
		else
			conn_sim_window(c, t->number < 0 ? SIZE_MAX : (size_t)t->number);
		world_settle(&r->w);
		return;
	case T_TIME:
		world_advance(&r->w, t->number);
		return;
	case T_DELIVER:
		if (!world_deliver(&r->w, t, &e))
			fail(r, t, "not delivered", SL(""), slice_str(e.text));
		return;
	case T_FAIL:
		if (!world_fail(&r->w, t->text))
			fail(r, t, "no such failure", SL(""), t->text);
		return;
	case T_DISK:
		if (!world_disk(&r->w, t->text))
			fail(r, t, "low or fine", SL(""), t->text);
		return;
	case T_QUOTA:
	case T_DISABLE:
	case T_ENABLE:
	case T_PASSWD:
		if (!world_account(&r->w, t, &e))
			fail(r, t, "account not changed", SL(""), slice_str(e.text));
		return;
	}
}

static void at_end(struct run *r)
{
	for (unsigned i = 1; i < CONNS && !r->failed; i++)
		if (r->conn[i] && conn_sim_received(r->conn[i]).n > 0)
			fail(r, NULL, "unread at the end", SL(""),
			     conn_sim_received(r->conn[i]));
}

/* Nobody says anything any more: within an hour the server lets go of who has gone. (An
 * IDLE of another may last for ever.) */
static void let_go(struct run *r)
{
	world_advance(&r->w, 3600ll * 1000000);
	if (!r->failed && !conn_sim_is_closed(r->gone))
		fail(r, NULL, "open an hour later", SL(""), SL(""));
}

static bool run_once(const struct dialogue *d, struct mode mode, bool silent,
		     size_t *longest)
{
	struct run r = { .d = d, .mode = mode, .silent = silent };

	world_init(&r.w);
	for (unsigned i = 0; i < CONNS; i++)
		buf_init(&r.pending[i], 64u << 20);
	for (size_t i = 0; i < d->n && !r.failed && !r.gone; i++)
		step_do(&r, &d->steps[i], i + 1 < d->n ? &d->steps[i + 1] : NULL);
	if (r.gone)
		let_go(&r);
	else
		at_end(&r);
	for (unsigned i = 0; i < CONNS; i++)
		buf_done(&r.pending[i]);
	world_done(&r.w);
	if (longest)
		*longest = r.longest;
	return !r.failed;
}

bool transcript_run(const struct dialogue *d, size_t *runs)
{
	size_t longest = 0, lines = 0;
	bool ok = run_once(d, (struct mode){ WHOLE, 0 }, d->fails, &longest);

	++*runs;
	if (d->fails) {
		if (ok)
			fprintf(stderr, "%s:%u: held, and should not\n", d->file,
				d->line);
		return !ok;
	}
	if (!ok || d->once)
		return ok;
	for (enum how how = BY_LINE; ok && how <= CUT_BACK; how++) {
		size_t cuts = how == CUT_FRONT	? CUTS_FRONT
			      : how == CUT_BACK ? CUTS_BACK
						: 1;

		if (how == CUT_BACK && longest <= CUTS_FRONT + 1)
			break; /* the cuts from the front were all there are */
		for (size_t at = 1; ok && at <= cuts && (how < CUT_FRONT || at < longest);
		     at++) {
			ok = run_once(d, (struct mode){ how, at }, false, NULL);
			++*runs;
		}
	}
	for (size_t i = 0; i < d->n; i++)
		lines += d->steps[i].kind == T_CLIENT || d->steps[i].kind == T_CLIENT_RAW;
	for (size_t at = 0; ok && at < lines; at++) {
		ok = run_once(d, (struct mode){ HANG_UP, at }, false, NULL);
		++*runs;
	}
	return ok;
}

int main(int argc, char **argv)
{
	struct dialogues all = { 0 };
	struct arena mem;
	size_t runs = 0, failed = 0;
	bool ok = true;

	log_set_level(getenv("TRANSCRIPT_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_NONE);
	arena_init(&mem);
	for (int i = 1; i < argc; i++)
		ok = transcript_parse(argv[i], &mem, &all) && ok;
	for (size_t i = 0; i < all.n; i++)
		failed += !transcript_run(&all.list[i], &runs);
	printf("%zu dialogues, %zu failed, %zu runs\n", all.n, failed, runs);
	for (size_t i = 0; i < all.n; i++)
		free(all.list[i].steps);
	free(all.list);
	arena_release(&mem);
	return ok && failed == 0 && all.n > 0 ? 0 : 1;
}

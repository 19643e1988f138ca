/* cli_stream.c — conversations with stream verbs, wherever the verb runs. */
#include "base/cleanup.h"
#include "cli/cli_store.h"
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>

struct cli_stream {
	struct frame_conn conn;
	int fd;
	/* without a server: */
	bool has_thread;
	pthread_t thread;
	int far; /* the verb's end */
	const struct cli *cli;
	json_t *request;
};

/* --- the verb on a thread of this process --- */

static bool send_reply(int fd, json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT);
	size_t n = text != NULL ? strlen(text) : 0;
	bool ok = text != NULL && send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n &&
		  send(fd, "\n", 1, MSG_NOSIGNAL) == 1;
	free(text);
	json_decref(reply);
	return ok;
}

static void *verb_main(void *arg)
{
	struct cli_stream *s = arg;
	struct cli_store st;
	struct err e = { 0 };
	const struct admin_verb *v = admin_check(s->request, &e);
	if (v == NULL ||
	    cli_store_open(s->cli, s->request, CLI_OWNER_THREAD, &st, &e) != ST_OK) {
		send_reply(s->far, admin_error_reply(&e));
	} else {
		struct admin_ctx ctx = { .store = st.store,
					 .auth = st.auth,
					 .data = s->cli->data,
					 .mended = st.mended };
		if (send_reply(s->far, admin_stream_reply()))
			(void)!admin_serve(&ctx, v, s->request, s->far, NULL, &e);
		cli_store_close(&st);
	}
	shutdown(s->far, SHUT_RDWR);
	return NULL;
}

/* --- opening ------------------------------------------------------------------------ */

/* Up to the newline and not an octet more: frames are behind it. */
static json_t *read_line(int fd, struct err *e)
{
	AUTO_BUF b;
	char c = 0;
	buf_init(&b, 64u << 10);
	for (;;) {
		ssize_t k = recv(fd, &c, 1, 0);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0 || c == '\n' || b.full)
			break;
		buf_addc(&b, c);
	}
	json_t *reply = json_loadb(buf_slice(&b).p, b.n, 0, NULL);
	if (reply == NULL)
		err_set(e, ERR_BUSY,
			"the server hung up without an answer: its log says more");
	return reply;
}

/* The line that says whether the verb takes the request. */
static bool is_taken(int fd, struct err *e)
{
	json_t *reply = read_line(fd, e);
	bool ok = json_is_true(json_object_get(reply, "ok"));
	if (reply != NULL && !ok) {
		const char *text = json_string_value(json_object_get(reply, "error"));
		err_set(e, err_code_of(json_string_value(json_object_get(reply, "code"))),
			"%s", text != NULL ? text : "no answer");
	}
	json_decref(reply);
	return ok;
}

static bool ask_server(struct cli_stream *s, struct err *e)
{
	char *text = json_dumps(s->request, JSON_COMPACT);
	size_t n = text != NULL ? strlen(text) : 0;
	bool ok = text != NULL;
	if (ok)
		text[n] = '\n'; /* the NUL's place: the reader counts */
	for (size_t at = 0; ok && at <= n;) {
		ssize_t k = send(s->fd, text + at, n + 1 - at, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		ok = k > 0;
		at += ok ? (size_t)k : 0;
	}
	if (text != NULL)
		explicit_bzero(text, n + 1); /* a passphrase may be in it */
	free(text);
	return is_taken(s->fd, e);
}

static bool run_here(struct cli_stream *s, struct err *e)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
		err_set(e, ERR_IO, "no pair of sockets: %s", strerror(errno));
		return false;
	}
	s->fd = pair[0];
	s->far = pair[1];
	s->has_thread = pthread_create(&s->thread, NULL, verb_main, s) == 0;
	if (!s->has_thread) {
		err_set(e, ERR_BUSY, "no thread to be had");
		return false;
	}
	return is_taken(s->fd, e);
}

/* Hangs up and waits for the thread. */
static void hang_up(struct cli_stream *s)
{
	if (s->fd >= 0)
		shutdown(s->fd, SHUT_RDWR);
	if (s->has_thread)
		pthread_join(s->thread, NULL);
	if (s->fd >= 0)
		close(s->fd);
	if (s->far >= 0)
		close(s->far);
	s->has_thread = false;
	s->fd = s->far = -1;
}

static bool try_open(struct cli_stream *s, struct err *e)
{
	*e = (struct err){ 0 };
	s->fd = cli_connect(s->cli, e);
	if (s->fd >= 0)
		return ask_server(s, e);
	if (e->code != ERR_NONE)
		return false;
	if (cli_needs_server(s->request)) {
		err_set(e, ERR_BUSY, "no server is running on %s", s->cli->data);
		return false;
	}
	return run_here(s, e);
}

struct cli_stream *cli_stream_open(const struct cli *c, const json_t *request,
				   struct err *e)
{
	struct cli_stream *s = mem_new(sizeof(*s));
	*s = (struct cli_stream){
		.fd = -1, .far = -1, .cli = c, .request = json_deep_copy(request)
	};
	umask(0077);
	for (int waited = 0;; waited += CLI_BUSY_STEP_MS) {
		if (try_open(s, e)) {
			frame_conn_init(&s->conn, s->fd, NULL);
			return s;
		}
		hang_up(s);
		if (e->code != ERR_BUSY || waited >= CLI_BUSY_WAIT_MS) {
			json_decref(s->request);
			mem_free(s);
			return NULL;
		}
		cli_pause_ms(CLI_BUSY_STEP_MS);
	}
}

struct frame_conn *cli_stream_conn(struct cli_stream *s)
{
	return &s->conn;
}

void cli_stream_close(struct cli_stream *s)
{
	if (s == NULL)
		return;
	frame_conn_done(&s->conn);
	hang_up(s);
	json_decref(s->request);
	mem_free(s);
}

/* --- verbs without a client side of their own --------------------------------------- */

static void show_progress(struct cli_progress *p, json_t *v)
{
	const char *unit = json_string_value(json_object_get(v, "unit"));
	if (unit != NULL)
		p->unit = unit;
	cli_progress_set(p, (uint64_t)json_integer_value(json_object_get(v, "done")),
			 (uint64_t)json_integer_value(json_object_get(v, "all")), 0);
	p->unit = "";
}

static void show_note(const struct cli *c, const json_t *v)
{
	const json_t *text = json_object_get(v, "text");
	if (!c->json && json_is_string(text)) {
		cli_put_clean(stdout, slice_make(json_string_value(text),
						 json_string_length(text)));
		putchar('\n');
	} else {
		cli_print(c, v, NULL);
	}
}

static int show_result(const struct cli_call *call, const json_t *v)
{
	cli_print(call->cli, v, call->verb->columns);
	const json_t *rc = json_object_get(v, "exit");
	return json_is_integer(rc) ? (int)json_integer_value(rc) : EX_OK;
}

static int converse(const struct cli_call *call, struct frame_conn *conn)
{
	struct cli_progress p;
	struct frame_got f;
	struct err e = { 0 };
	cli_progress_init(&p, call->cli, "");
	for (;;) {
		json_t *v = NULL;
		if (frame_receive(conn, &f, &e) != ST_OK ||
		    (v = frame_json(&f, &e)) == NULL) {
			cli_progress_clear(&p);
			return cli_fail(call->cli, &e);
		}
		if (f.type != FRAME_PROGRESS)
			cli_progress_clear(&p);
		int rc = -1;
		if (f.type == FRAME_PROGRESS)
			show_progress(&p, v);
		else if (f.type == FRAME_RESULT)
			rc = show_result(call, v);
		else
			show_note(call->cli, v);
		json_decref(v);
		if (rc >= 0)
			return rc;
	}
}

int cli_stream_run(const struct cli_call *call)
{
	struct err e = { 0 };
	json_t *request = cli_request(call);
	if (request == NULL)
		return EX_USAGE;
	struct cli_stream *s = cli_stream_open(call->cli, request, &e);
	json_decref(request);
	int rc = s != NULL ? converse(call, cli_stream_conn(s)) : cli_fail(call->cli, &e);
	cli_stream_close(s);
	return rc;
}

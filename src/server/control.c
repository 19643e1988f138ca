/* control.c — accept, check who asks, run the verb, answer. */
#include "server/control.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#define CONTROL_TIMEOUT_S      10
#define NO_DESCRIPTOR_PAUSE_MS 200

struct control {
	struct admin_ctx ctx;
	char *path;
	int fd, stop_fd;
	_Atomic bool stop; /* streams look at it */
	_Atomic unsigned streams;
	unsigned n_threads;
	pthread_t thread[LIMIT_CONTROL_THREADS];
};

static void control_free(struct control *c)
{
	if (c->stop_fd >= 0)
		close(c->stop_fd);
	close(c->fd);
	unlink(c->path);
	mem_free(c->path);
	mem_free(c);
}

static bool is_allowed(int fd, struct ucred *cred)
{
	socklen_t n = sizeof(*cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &n) != 0)
		return false;
	return cred->uid == 0 || cred->uid == geteuid();
}

/* Up to the newline; false on end, error, time-out or too much. */
static bool read_request(int fd, struct buf *b)
{
	for (;;) {
		if (!buf_reserve(b, 16u << 10))
			return false;
		ssize_t k = read(fd, b->p + b->n, 16u << 10);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		b->n += (size_t)k;
		if (b->p[b->n - 1] == '\n')
			return true;
	}
}

static bool write_all(int fd, slice s)
{
	while (s.n > 0) {
		ssize_t k = send(fd, s.p, s.n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		s = slice_from(s, (size_t)k);
	}
	return true;
}

static void write_reply(int fd, const json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT);
	write_all(fd, slice_str(text));
	free(text);
}

static void log_request(const json_t *request, const json_t *reply,
			const struct ucred *cred)
{
	struct log_line l;
	log_begin(&l, LOG_LEVEL_INFO, "control.request");
	log_cstr(&l, "noun", json_string_value(json_object_get(request, "noun")));
	log_cstr(&l, "verb", json_string_value(json_object_get(request, "verb")));
	log_cstr(&l, "arg",
		 json_string_value(json_array_get(json_object_get(request, "args"), 0)));
	log_int(&l, "uid", (int64_t)cred->uid);
	log_cstr(&l, "reason", json_string_value(json_object_get(reply, "error")));
	log_end(&l);
}

static void refuse(int fd, const struct ucred *cred)
{
	static const char why[] = "only root and the user the server runs as may ask it";
	json_t *reply = json_pack("{s:b, s:s, s:s}", "ok", 0, "code",
				  err_name(ERR_DENIED), "error", why);
	struct log_line l;
	write_reply(fd, reply);
	json_decref(reply);
	log_begin(&l, LOG_LEVEL_WARN, "control.refused");
	log_int(&l, "uid", (int64_t)cred->uid);
	log_cstr(&l, "reason", why);
	log_end(&l);
}

/* Behind the reply line both sides take their time: the verb waits with *stop in view. */
static void serve_stream(struct control *c, int fd, const struct admin_verb *v,
			 const json_t *request, const struct ucred *cred)
{
	struct err e = { 0 };
	struct log_line l;
	json_t *reply;
	if (atomic_fetch_add(&c->streams, 1) >= LIMIT_CONTROL_STREAMS) {
		err_set(&e, ERR_BUSY, "%d long commands are running already",
			LIMIT_CONTROL_STREAMS);
		reply = admin_error_reply(&e);
	} else {
		reply = admin_stream_reply();
	}
	log_request(request, reply, cred);
	write_reply(fd, reply);
	json_decref(reply);
	if (e.code == ERR_NONE && write_all(fd, SL("\n"))) {
		enum status st = admin_serve(&c->ctx, v, request, fd, &c->stop, &e);
		log_begin(&l, st == ST_OK ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
			  "control.stream.end");
		log_cstr(&l, "noun", v->noun);
		log_cstr(&l, "verb", v->verb);
		log_int(&l, "uid", (int64_t)cred->uid);
		if (st != ST_OK)
			log_err(&l, &e);
		log_end(&l);
	}
	atomic_fetch_sub(&c->streams, 1);
}

static void serve_one(struct control *c, int fd)
{
	struct ucred cred = { 0 };
	struct err e = { 0 };
	struct timeval tv = { .tv_sec = CONTROL_TIMEOUT_S };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (!is_allowed(fd, &cred)) {
		refuse(fd, &cred);
		return;
	}
	AUTO_BUF b;
	buf_init(&b, LIMIT_CONTROL_REQUEST);
	if (!read_request(fd, &b))
		return;
	json_t *request = json_loadb(b.p, b.n, 0, NULL);
	const struct admin_verb *v = admin_check(request, &e);
	if (v != NULL && v->serve != NULL) {
		buf_done(&b);
		serve_stream(c, fd, v, request, &cred);
	} else {
		json_t *reply = v != NULL ? admin_run(&c->ctx, request)
					  : admin_error_reply(&e);
		log_request(request, reply, &cred);
		write_reply(fd, reply);
		json_decref(reply);
	}
	json_decref(request);
}

/* Each thread accepts for itself. The listening socket does not block: who wakes too
 * late finds nothing and waits again. */
static void *control_main(void *arg)
{
	struct control *c = arg;
	struct pollfd p[2] = { { .fd = c->stop_fd, .events = POLLIN },
			       { .fd = c->fd, .events = POLLIN } };
	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents != 0)
			return NULL;
		int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			serve_one(c, fd);
			close(fd);
		} else if (errno != EAGAIN && errno != EINTR) {
			/* EMFILE: the backlog would wake us at once. */
			poll(p, 1, NO_DESCRIPTOR_PAUSE_MS);
		}
	}
}

static void control_join(struct control *c)
{
	uint64_t one = 1;
	atomic_store(&c->stop, true);
	while (write(c->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	for (unsigned i = 0; i < c->n_threads; i++)
		pthread_join(c->thread[i], NULL);
	c->n_threads = 0;
}

/* A bound and listening socket; the process's umask is 077 (serve.c). */
static enum status bind_socket(const char *path, int *out, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, ERR_LIMIT,
			       "the path %s is too long for a Unix socket (107 octets)",
			       path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    chmod(path, 0600) != 0 || listen(fd, 64) != 0) {
		enum status st = err_set(e, ERR_IO, "control socket %s: %s", path,
					 strerror(errno));
		if (fd >= 0)
			close(fd);
		return st;
	}
	*out = fd;
	return ST_OK;
}

enum status control_open(const char *path, const struct admin_ctx *ctx,
			 struct control **out, struct err *e)
{
	int fd;
	enum status st = bind_socket(path, &fd, e);
	if (st != ST_OK)
		return st;
	struct control *c = mem_new(sizeof(*c));
	c->ctx = *ctx;
	c->path = memcpy(mem_new(strlen(path) + 1), path, strlen(path) + 1);
	c->fd = fd;
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	while (c->stop_fd >= 0 && c->n_threads < LIMIT_CONTROL_THREADS &&
	       pthread_create(&c->thread[c->n_threads], NULL, control_main, c) == 0)
		c->n_threads++;
	if (c->n_threads == LIMIT_CONTROL_THREADS) {
		*out = c;
		return ST_OK;
	}
	if (c->stop_fd >= 0)
		control_join(c);
	st = err_set(e, ERR_IO, "control socket: no thread or no descriptor to be had");
	control_free(c);
	return st;
}

void control_close(struct control *c)
{
	if (c == NULL)
		return;
	control_join(c);
	control_free(c);
}

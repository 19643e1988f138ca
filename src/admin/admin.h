#pragma once
/* admin.h — what an administrator can ask for: one table of nouns and verbs over store,
 * auth and sessions.
 *
 * The same verbs run inside the server (control socket, server/control.c) and in the
 * command itself when no server is running (cli/cli_ask.c). Requests and results are
 * JSON values; blocking, any worker thread.
 *
 *	request  {"noun": "user", "verb": "add", "args": ["ann@example.org"],
 *	          "options": {"password": "…"}}
 *	reply    {"ok": true, "result": …}
 *	         {"ok": false, "code": "exists", "error": "…"}
 *
 * A stream verb (backup, export, import, check) answers {"ok": true, "result": {"stream": true}} and a newline, and
 * from then on both sides speak frames (transfer/frame.h) on the same descriptor until one hangs up. Without a server
 * the command makes a socket pair and runs the verb on a thread of its own, so that it always speaks frames. */
#include "base/slice.h"
#include "base/status.h"
#include <jansson.h>
#include <stdatomic.h>

struct store;
struct auth;
struct worker_ctx;

struct admin_ctx {
	struct store *store;
	struct auth *auth;
	struct worker_ctx *workers; /* NULL: no server is running; who and kick say so */
};

struct admin_verb {
	const char *noun, *verb; /* verb "" for `who` and `kick` */
	const char *args;        /* usage: "ADDRESS TARGET"; their number is checked */
	unsigned n_args;
	const char *options;     /* options the verb takes, blank-separated: "repair" (a switch), "as=" (a value) */
	const char *columns;     /* of the table printed for lists; NULL: one object */
	const char *help;
	bool needs_server;       /* asks about the running server, not about the store */
	/* Returns the result (new reference), or NULL with *e filled. */
	json_t *(*run)(const struct admin_ctx *ctx, const json_t *args,
		       const json_t *options, struct err *e);
	/* Stream verbs, instead of run: the whole conversation behind the first line. fd stays the caller's. An error
	 * is told the peer as its last frame. *stop becomes true when the server shuts down. */
	enum status (*serve)(const struct admin_ctx *ctx, const json_t *args,
			     const json_t *options, int fd, const _Atomic bool *stop, struct err *e);
};
extern const struct admin_verb *const admin_verbs[]; /* NULL at the end */

const struct admin_verb *admin_find(slice noun, slice verb); /* NULL: unknown */
/* Checks the request against the table and runs it. Always gives a reply object (new
 * reference). */
json_t *admin_run(const struct admin_ctx *ctx, const json_t *request);

/* For the verbs: argument i as a slice (it is there: the number was checked); an option
 * or the empty slice. */
slice admin_arg(const json_t *args, size_t i);
slice admin_option(const json_t *options, const char *name);
/* A JSON string of bytes that may not be UTF-8: malformed ones become U+FFFD. */
json_t *admin_text(slice s);

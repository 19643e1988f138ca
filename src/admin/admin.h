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
 * A stream verb (backup, export, import, check) answers {"ok": true, "result": {"stream":
 * true}} and a newline, and from then on both sides speak frames (transfer/frame.h) on the
 * same descriptor until one hangs up. Without a server the command makes a socket pair and
 * runs the verb on a thread of its own, so that it always speaks frames. */
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
	const char *mended;         /* check: what had to be mended to open the store, or "" */
	const char *data;           /* the data directory: backup; set where streams are served */
};

/* args: words of the usage, "ADDRESS TARGET". A word in brackets may be left out, one that
 * ends in "..." stands for any number: "DIR [ADDRESS...]".
 * options: blank-separated, each may be given once. "repair" is a switch (true in the
 * request), "as=ADDRESS" takes a value (a string; the word behind = is for the help).
 * "@lines" belongs to the request alone: the command makes it and nobody types it. ":to=DIR"
 * belongs to the command alone: it is typed and never sent. "!" in front of it all: the help
 * shows that it must be given. */
struct admin_verb {
	const char *noun, *verb; /* verb "" for `who` and `kick` */
	const char *args;
	unsigned n_args;         /* how many must be there */
	const char *options;
	const char *columns;     /* of the table printed for lists; NULL: one object */
	const char *help;
	bool needs_server;       /* asks about the running server, not about the store */
	/* Returns the result (new reference), or NULL with *e filled. */
	json_t *(*run)(const struct admin_ctx *ctx, const json_t *args,
		       const json_t *options, struct err *e);
	/* Stream verbs, instead of run: the whole conversation behind the first line. fd
	 * stays the caller's, who also tells the peer of an error as the last frame
	 * (admin_serve). *stop becomes true when the server shuts down. */
	enum status (*serve)(const struct admin_ctx *ctx, const json_t *args,
			     const json_t *options, int fd, const _Atomic bool *stop,
			     struct err *e);
};
extern const struct admin_verb *const admin_verbs[]; /* NULL at the end */

const struct admin_verb *admin_find(slice noun, slice verb); /* NULL: unknown */
/* The most words a verb takes; SIZE_MAX: any number. */
size_t admin_args_max(const struct admin_verb *v);
/* Takes the next option off *rest, v->options at first; false at the end. */
struct admin_option {
	slice name, value;   /* value: the help's word for it */
	bool takes_value, is_internal /* @ */, is_local /* : */, is_needed /* ! */;
};
bool admin_option_next(slice *rest, struct admin_option *out);
/* The verb of a request whose form is right; NULL with *e filled. */
const struct admin_verb *admin_check(const json_t *request, struct err *e);
/* Checks the request against the table and runs it. Always gives a reply object (new
 * reference). Not for stream verbs. */
json_t *admin_run(const struct admin_ctx *ctx, const json_t *request);
/* The conversation of a stream verb whose request was checked and answered with
 * admin_stream_reply. An error is the last frame the peer gets, and returned. */
enum status admin_serve(const struct admin_ctx *ctx, const struct admin_verb *v,
			const json_t *request, int fd, const _Atomic bool *stop,
			struct err *e);
/* {"ok": true, "result": {"stream": true}}, and {"ok": false, …}: new references. */
json_t *admin_stream_reply(void);
json_t *admin_error_reply(const struct err *e);

/* For the verbs: argument i as a slice (it is there: the number was checked); an option
 * or the empty slice. */
slice admin_arg(const json_t *args, size_t i);
slice admin_option(const json_t *options, const char *name);
bool admin_switch(const json_t *options, const char *name);
/* A JSON string of bytes that may not be UTF-8: malformed ones become U+FFFD. */
json_t *admin_text(slice s);

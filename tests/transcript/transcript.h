#pragma once
/* transcript.h — the runner of the dialogues in tests/transcript (README.md there has the
 * format).
 *
 * transcript_parse.c reads a file into dialogues, transcript_pattern.c matches lines,
 * transcript_world.c is the server they run against, transcript_run.c runs one in every
 * way. A program is these and one file that names its services. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"

struct service;

enum step_kind {
	T_CLIENT,
	T_CLIENT_RAW,
	T_SERVER,
	T_SERVER_RAW,
	T_SKIP,
	T_OPEN,
	T_TLS,
	T_EOF,
	T_CLOSED,
	T_QUIET,
	T_TIME,
	T_WINDOW,
	T_DELIVER,
	T_DISABLE,
	T_ENABLE,
	T_PASSWD,
	T_FAIL,
	T_QUOTA,
	T_DISK
};
struct peer_options {
	slice service, addr;
	bool tls;
};
struct tstep {
	enum step_kind kind;
	unsigned conn; /* 1–9 */
	unsigned line;
	slice text;
	int64_t number;		  /* T_TIME: µs; T_WINDOW: octets, -1 all */
	struct peer_options peer; /* T_OPEN */
	slice prefix, body;	  /* T_DELIVER */
};
struct dialogue {
	const char *file;
	unsigned line;
	struct peer_options peer;
	bool fails, once;
	struct tstep *steps;
	size_t n, cap;
};
struct dialogues {
	struct dialogue *list;
	size_t n, cap;
};
/* False when the file cannot be read or holds a line that is not understood (said on
 * stderr). */
bool transcript_parse(const char *file, struct arena *mem, struct dialogues *out);

/* Escapes \r \n \t \0 \\ \xHH. */
slice transcript_unescape(struct arena *mem, slice s);

#define VARS_MAX 64
struct vars {
	slice name[VARS_MAX], value[VARS_MAX];
	size_t n;
};
/* {b64:…} and {rep:N:…}, and with vars {name} too. */
slice transcript_expand(struct arena *mem, const struct vars *vars, slice s);
/* True when all of text fits; what the pattern keeps is then in vars (borrowed from
 * text). */
bool transcript_match(slice pattern, slice text, struct vars *vars);

struct world {
	struct clock clock;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct worker_ctx *workers;
	struct arena mem;
};
struct transcript_service {
	const char *name;
	const struct service *svc;
	void *(*make_ctx)(struct world *w, bool implicit_tls); /* in w->mem */
};
extern const struct transcript_service
	transcript_services[]; /* the program's; ends with a NULL name */

void world_init(struct world *w);
void world_done(struct world *w);
void world_settle(struct world *w);		 /* until nothing is left to do */
void world_advance(struct world *w, int64_t us); /* timers fire in order */
bool world_deliver(struct world *w, const struct tstep *t, struct err *e);
bool world_account(struct world *w, const struct tstep *t, struct err *e);
bool world_disk(struct world *w, slice how);
bool world_fail(struct world *w, slice how); /* the next commit does not reach the disk */
struct conn *world_connect(struct world *w, const struct peer_options *o);

/* Runs d in every way; false and one report on stderr at the first that does not hold.
 * Adds to *runs. */
bool transcript_run(const struct dialogue *d, size_t *runs);

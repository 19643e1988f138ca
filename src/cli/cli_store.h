#pragma once
/* cli_store.h — inside of cli/: the server's socket, and the store itself when no server
 * runs. */
#include "base/clock.h"
#include "cli/cli.h"

/* A connected socket, or -1; then *e is empty when no server listens there. */
int cli_connect(const struct cli *c, struct err *e);

/* The store, with its directory locked. */
struct cli_store {
	int lock;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct clock clock;
	char mended[300]; /* check --repair: what had to be mended to open it; empty: nothing */
};
/* Becomes the owner of the directory, when root asks: the whole process for good, or this
 * thread alone (and those that it starts). ERR_BUSY: somebody else has it open. */
enum cli_owner { CLI_OWNER_PROCESS, CLI_OWNER_THREAD };
enum status cli_store_open(const struct cli *c, const json_t *request,
			   enum cli_owner owner, struct cli_store *out,
			   struct err *e) MUST_USE;
void cli_store_close(struct cli_store *s);

/* Another command, or a server that is starting, has the store: how long it is waited for. */
#define CLI_BUSY_WAIT_MS 5000
#define CLI_BUSY_STEP_MS 50
void cli_pause_ms(long ms);
bool cli_needs_server(const json_t *request);

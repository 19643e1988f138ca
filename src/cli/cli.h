#pragma once
/* cli.h — the command: facteur [--data DIR] [--json] NOUN VERB ARGUMENT…
 *
 * Talks to the running server through DIR/control.sock; when none is running it opens
 * the store itself, as the user who owns DIR. The verbs are those of admin/admin.h.
 * Exit codes are those of sysexits.h. One thread. */
#include "base/slice.h"
#include "base/status.h"
#include <jansson.h>

#define FACTEUR_DEFAULT_DATA "/var/lib/facteur"

struct cli {
	const char *data; /* the data directory */
	bool json;
};

/* All of argv but `serve`; returns the exit code. */
int cli_main(int argc, char **argv);
/* The data directory when none is named: $FACTEUR_DATA, or FACTEUR_DEFAULT_DATA. */
const char *cli_default_data(void);
/* Server and command alike have the directory to themselves before they open the store in
 * it: the engine renames and removes its logs before it takes a lock of its own. ERR_BUSY
 * when somebody else has it; ST_NOT_FOUND without a directory. Free with close(). */
enum status cli_data_lock(const char *dir, int *out_fd, struct err *e) MUST_USE;

/* Sends one request and gives the reply (new reference); NULL with *e filled when
 * neither a server nor a store could be asked. Waits a few seconds for a store that
 * another command, or a server that is starting, has open. */
json_t *cli_ask(const struct cli *c, const json_t *request, struct err *e);
/* Reports a reply that is an error (or *e when reply is NULL) and gives the exit code;
 * 0 when it is fine. */
int cli_check_reply(const struct cli *c, const json_t *reply, const struct err *e);
/* Prints the result as a table with these columns, or as "key: value" lines, or as
 * JSON. */
void cli_print(const struct cli *c, const json_t *result, const char *columns);

/* From a terminal (asked twice) or as one line of a pipe; false when there was none.
 * NUL-terminated, at most max - 1 octets. */
bool cli_read_password(const char *address, char *out, size_t max);
/* Reads FILE and sends it in parts, with a progress bar on a terminal; returns the exit
 * code. */
int cli_import(const struct cli *c, const char *file);

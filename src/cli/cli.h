#pragma once
/* cli.h — the command: facteur [--data DIR] [--json] [--quiet] NOUN VERB ARGUMENT…
 *
 * Talks to the running server through DIR/control.sock; when none is running it opens
 * the store itself, as the user who owns DIR. The verbs are those of admin/admin.h; some
 * have a client side of their own (cli_main.c has the list), for the files the command
 * reads and writes as the user who called it. Exit codes are those of sysexits.h. One
 * thread, but for the verb of a stream when no server runs. */
#include "admin/admin.h"
#include "base/slice.h"
#include "base/status.h"
#include "transfer/frame.h"
#include <jansson.h>
#include <time.h>

#define FACTEUR_DEFAULT_DATA "/var/lib/facteur"

struct cli {
	const char *data; /* the data directory */
	bool json, quiet;
};

/* A command line that fits the table. Values are argv's own octets. */
#define CLI_OPTIONS 16
struct cli_call {
	const struct cli *cli;
	const struct admin_verb *verb;
	const char *const *args;
	size_t n_args;
	struct {
		slice name;
		const char *value; /* "" for a switch */
	} option[CLI_OPTIONS];
	size_t n_options;
};
/* The value of an option, "" for a switch; NULL: not given. */
const char *cli_option(const struct cli_call *call, const char *name);
/* The request: arguments, and options that are not local. NULL, and told, when they are
 * not UTF-8. */
json_t *cli_request(const struct cli_call *call);
/* cli_options.c: takes argv[*i], an option of v, moving *i over its value. False, and told,
 * when v has none of that name (the nearest is named), its value is missing, or it was
 * given before. v NULL: no command has been named yet. */
bool cli_option_take(struct cli_call *call, const struct admin_verb *v, int argc,
		     char **argv, int *i);

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
/* Reports *e as cli_check_reply does. */
int cli_fail(const struct cli *c, const struct err *e);
/* Prints the result as a table with these columns, or as "key: value" lines, or as
 * JSON. */
void cli_print(const struct cli *c, const json_t *result, const char *columns);
/* Text from outside, for a terminal: control characters become '?'. */
void cli_put_clean(FILE *f, slice s);

/* From a terminal (asked twice) or as one line of a pipe; false when there was none.
 * NUL-terminated, at most max - 1 octets. */
bool cli_read_password(const char *address, char *out, size_t max);
/* The same for a backup's passphrase; a new one is asked for twice. */
bool cli_read_passphrase(bool is_new, char *out, size_t max);
/* cli_backup.c, cli_restore.c: the files of backups are the command's business. */
int cli_backup(const struct cli_call *call);
int cli_backup_list(const struct cli_call *call);
int cli_backup_verify(const struct cli_call *call);
int cli_restore(const struct cli_call *call);
/* Reads FILE and sends it in parts, with a progress bar on a terminal; returns the exit
 * code. */
int cli_import(const struct cli *c, const char *file);

/* --- stream verbs: cli_stream.c ------------------------------------------------------ */
/* A conversation with a stream verb: in the server, or on a thread of this process that
 * has opened the store. The thread alone becomes the owner of the data directory; this
 * one keeps its user, for the files it reads and writes. */
struct cli_stream;
/* Opens it with a checked reply behind it, so that frames may go both ways. NULL with *e
 * filled. */
struct cli_stream *cli_stream_open(const struct cli *c, const json_t *request,
				   struct err *e);
struct frame_conn *cli_stream_conn(struct cli_stream *s);
void cli_stream_close(struct cli_stream *s); /* hangs up, waits for the thread; NULL is fine */
/* The client side of verbs that need none: progress shown, notes printed (the "text" of
 * one, or "key: value" lines; JSON lines with --json), the result printed with the verb's
 * columns. A result with an integer "exit" gives the exit code. */
int cli_stream_run(const struct cli_call *call);

/* --- progress: cli_progress.c -------------------------------------------------------- */
/* On a terminal a bar with count, rate and time left; otherwise a plain line every ten
 * seconds; with --json or --quiet nothing. All on stderr. */
struct cli_progress {
	bool on, bar, shown;
	const char *unit;       /* "messages" */
	struct timespec start, last;
};
void cli_progress_init(struct cli_progress *p, const struct cli *c, const char *unit);
/* all 0: unknown. bytes 0: not said. Cheap: looks at the clock and shows now and then. */
void cli_progress_set(struct cli_progress *p, uint64_t done, uint64_t all, uint64_t bytes);
/* Takes the bar off the terminal, before anything else is printed. */
void cli_progress_clear(struct cli_progress *p);

/* cli_main.c — arguments to request, reply to output. */
#include "admin/admin.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/cli_help.h"
#include "cli/cli_transfer.h"
#include <sysexits.h>

/* `user import FILE`: the file is read here, the verb takes its lines. */
static int user_import(const struct cli_call *call)
{
	return cli_import(call->cli, call->args[0]);
}

/* Verbs with a client side of their own. reads_file: FILE stands for the verb's arguments. */
static const struct client {
	const char *noun, *verb;
	int (*run)(const struct cli_call *call);
	bool reads_file;
} clients[] = {
	{ "user", "import", user_import, true },
	{ "export", "", cli_export, false },
	{ "import", "", cli_import_mail, false },
	{ "backup", "", cli_backup, false },
	{ "backup", "list", cli_backup_list, false },
	{ "backup", "verify", cli_backup_verify, false },
	{ "restore", "", cli_restore, false },
};

static const struct client *client_of(const struct admin_verb *v)
{
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++)
		if (strcmp(clients[i].noun, v->noun) == 0 &&
		    strcmp(clients[i].verb, v->verb) == 0)
			return &clients[i];
	return NULL;
}

#define WORDS_MAX 24

struct parsed {
	struct cli cli;
	const char *words[WORDS_MAX];
	size_t n_words;
	struct cli_call call; /* the options so far */
	bool help, version;
};

/* The verb that the words so far name, and how many of them are its name. */
static const struct admin_verb *verb_of(const struct parsed *p, size_t *out_n)
{
	const char *noun = p->n_words > 0 ? p->words[0] : "",
		   *verb = p->n_words > 1 ? p->words[1] : "";
	const struct admin_verb *v =
		p->n_words > 1 ? admin_find(slice_str(noun), slice_str(verb)) : NULL;
	*out_n = v != NULL ? 2 : 1; /* "backup list DIR", and "backup DIR" */
	return v != NULL ? v : admin_find(slice_str(noun), SL(""));
}

/* The value of "--name value" or "--name=value"; moves *i. NULL: it is not this option.
 * *bad: it is, and has no value. */
static const char *option_value(int argc, char **argv, int *i, const char *name,
				bool *bad)
{
	size_t n = strlen(name);
	if (strncmp(argv[*i], name, n) != 0)
		return NULL;
	if (argv[*i][n] == '=')
		return argv[*i] + n + 1;
	if (argv[*i][n] != '\0')
		return NULL;
	if (*i + 1 < argc)
		return argv[++*i];
	*bad = true;
	return "";
}

static bool take_option(struct parsed *p, int argc, char **argv, int *i)
{
	const char *a = argv[*i], *v;
	bool bad = false;
	size_t n;
	if (strcmp(a, "--json") == 0)
		p->cli.json = true;
	else if (strcmp(a, "--quiet") == 0 || strcmp(a, "-q") == 0)
		p->cli.quiet = true;
	else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)
		p->help = true;
	else if (strcmp(a, "--version") == 0)
		p->version = true;
	else if ((v = option_value(argc, argv, i, "--data", &bad)) != NULL)
		p->cli.data = v;
	else
		return cli_option_take(&p->call, verb_of(p, &n), argc, argv, i);
	if (bad || p->cli.data[0] == '\0') {
		fprintf(stderr, "facteur: %s needs a value\n", a);
		return false;
	}
	return true;
}

static bool parse(int argc, char **argv, struct parsed *p)
{
	bool plain = false;
	for (int i = 1; i < argc; i++) {
		if (!plain && strcmp(argv[i], "--") == 0) {
			plain = true;
		} else if (!plain && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (!take_option(p, argc, argv, &i))
				return false;
		} else if (p->n_words < sizeof(p->words) / sizeof(p->words[0])) {
			p->words[p->n_words++] = argv[i];
		} else {
			fputs("facteur: too many words (facteur --help lists the commands)\n",
			      stderr);
			return false;
		}
	}
	return true;
}

static bool takes_password(const struct admin_verb *v)
{
	slice rest = slice_str(v->options);
	struct admin_option o;
	while (admin_option_next(&rest, &o))
		if (slice_eq(o.name, SL("password")))
			return true;
	return false;
}

/* Adds the password that was not on the command line; false, and told, when a password is
 * wanted and none came. */
static bool ask_password(const struct cli_call *call, json_t *request)
{
	char typed[LIMIT_PASSWORD + 2];
	bool ok;
	if (!takes_password(call->verb) || cli_option(call, "generate") != NULL ||
	    cli_option(call, "password") != NULL)
		return true;
	if (!cli_read_password(call->args[0], typed, sizeof(typed))) {
		fputs("facteur: no password given (a line on stdin, --generate, or --password WORD)\n",
		      stderr);
		return false;
	}
	ok = json_object_set_new(json_object_get(request, "options"), "password",
				 json_string(typed)) == 0;
	explicit_bzero(typed, sizeof(typed));
	if (!ok)
		fputs("facteur: the password must be UTF-8\n", stderr);
	return ok;
}

static int ask_and_print(const struct cli_call *call)
{
	struct err e = { 0 };
	json_t *request = cli_request(call);
	if (request == NULL || !ask_password(call, request)) {
		json_decref(request);
		return EX_USAGE;
	}
	json_t *reply = cli_ask(call->cli, request, &e);
	int rc = cli_check_reply(call->cli, reply, &e);
	if (rc == EX_OK)
		cli_print(call->cli, json_object_get(reply, "result"),
			  call->verb->columns);
	json_decref(reply);
	json_decref(request);
	return rc;
}

static int run_verb(const struct parsed *p, const struct admin_verb *v, size_t n_name)
{
	const struct client *cl = client_of(v);
	struct cli_call call = p->call;
	size_t min = v->n_args, max = admin_args_max(v);
	call.cli = &p->cli;
	call.verb = v;
	call.args = p->words + n_name;
	call.n_args = p->n_words - n_name;
	if (p->help) {
		cli_help_verb(stdout, v);
		return EX_OK;
	}
	if (cl != NULL && cl->reads_file)
		min = max = 1;
	if (call.n_args < min || call.n_args > max) {
		cli_help_usage(stderr, v);
		return EX_USAGE;
	}
	if (cli_option(&call, "generate") != NULL &&
	    cli_option(&call, "password") != NULL) {
		fputs("facteur: --generate and --password exclude each other\n", stderr);
		return EX_USAGE;
	}
	if (cl != NULL)
		return cl->run(&call);
	return v->serve != NULL ? cli_stream_run(&call) : ask_and_print(&call);
}

static int run(const struct parsed *p)
{
	const char *noun = p->n_words > 0 ? p->words[0] : "",
		   *verb = p->n_words > 1 ? p->words[1] : "";
	size_t n_name;
	const struct admin_verb *v = verb_of(p, &n_name);
	if (v != NULL)
		return run_verb(p, v, n_name);
	if (p->help && p->n_words == 1 && cli_help_noun(stdout, noun) > 0)
		return EX_OK;
	if (p->help || strcmp(noun, "help") == 0) {
		cli_help_all(stdout);
		return EX_OK;
	}
	if (p->version || strcmp(noun, "version") == 0) {
		puts("facteur " FACTEUR_VERSION);
		return EX_OK;
	}
	if (p->n_words == 0) {
		cli_help_all(stderr);
		return EX_USAGE;
	}
	cli_help_unknown(stderr, noun, verb);
	return EX_USAGE;
}

int cli_main(int argc, char **argv)
{
	struct parsed p = { .cli.data = cli_default_data() };
	if (!parse(argc, argv, &p))
		return EX_USAGE;
	int rc = run(&p);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("facteur: the output could not be written\n", stderr);
		rc = rc == EX_OK ? EX_IOERR : rc;
	}
	return rc;
}

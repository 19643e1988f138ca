/* cli_main.c — arguments to request, reply to output. */
#include "admin/admin.h"
#include "base/limits.h"
#include "cli/cli.h"
#include <sysexits.h>

#define HELP_COLUMN 44

/* `user import FILE`: the file is read here, the verb takes its lines. */
static bool is_import(const struct admin_verb *v)
{
	return strcmp(v->noun, "user") == 0 && strcmp(v->verb, "import") == 0;
}

static const char *usage_of(const struct admin_verb *v)
{
	return is_import(v) ? "FILE" : v->args;
}

static void help_line(FILE *f, const struct admin_verb *v)
{
	int n = fprintf(f, "  %s%s%s %s", v->noun, v->verb[0] ? " " : "", v->verb,
			usage_of(v));
	fprintf(f, "%*s%s\n", n < HELP_COLUMN ? HELP_COLUMN - n : 1, "", v->help);
}

/* All commands, or those of one noun; how many. */
static size_t help_lines(FILE *f, const char *noun)
{
	size_t n = 0;
	for (size_t i = 0; admin_verbs[i] != NULL; i++) {
		if (noun == NULL || strcmp(noun, admin_verbs[i]->noun) == 0) {
			help_line(f, admin_verbs[i]);
			n++;
		}
	}
	return n;
}

static void usage(FILE *f)
{
	fputs("usage: facteur [--data DIR] [--json] COMMAND\n\n"
	      "  serve [--config FILE]                     run the mail system (serve --help)\n",
	      f);
	help_lines(f, NULL);
	fputs("  version                                   what this program is\n\n"
	      "--data DIR is where the system keeps everything (or $FACTEUR_DATA, or " FACTEUR_DEFAULT_DATA
	      ").\n"
	      "user add and passwd ask for the password, or read it as one line from a pipe;\n"
	      "--generate makes one and prints it, --password WORD takes it from the command\n"
	      "line (where other users of the machine can see it).\n",
	      f);
}

struct parsed {
	struct cli cli;
	const char *words[8];
	size_t n_words;
	const char *password;
	bool generate, help, version;
};

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
	if (strcmp(a, "--json") == 0)
		p->cli.json = true;
	else if (strcmp(a, "--generate") == 0)
		p->generate = true;
	else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)
		p->help = true;
	else if (strcmp(a, "--version") == 0)
		p->version = true;
	else if ((v = option_value(argc, argv, i, "--data", &bad)) != NULL)
		p->cli.data = v;
	else if ((v = option_value(argc, argv, i, "--password", &bad)) != NULL)
		p->password = v;
	else {
		fprintf(stderr,
			"facteur: unknown option %s (facteur --help lists them)\n", a);
		return false;
	}
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
	return v->options != NULL && strcmp(v->options, "password") == 0;
}

/* Options of the request; NULL, and told, when a password is wanted and none came. */
static json_t *make_options(const struct admin_verb *v, const struct parsed *p,
			    const char *address)
{
	char typed[LIMIT_PASSWORD + 2];
	const char *given = p->password;
	if (!takes_password(v) || p->generate)
		return json_object();
	if (given == NULL && cli_read_password(address, typed, sizeof(typed)))
		given = typed;
	json_t *word = given != NULL ? json_string(given) : NULL;
	explicit_bzero(typed, sizeof(typed));
	if (word != NULL)
		return json_pack("{s:o}", "password", word);
	fputs(given ? "facteur: the password must be UTF-8\n"
		    : "facteur: no password given (a line on stdin, --generate, or --password WORD)\n",
	      stderr);
	return NULL;
}

/* The words as a JSON array; NULL, and told, when one is not UTF-8. */
static json_t *make_args(const char *const *args, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *s = json_string(args[i]);
		if (s == NULL) {
			fputs("facteur: arguments must be UTF-8\n", stderr);
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, s);
	}
	return list;
}

static int ask_and_print(const struct parsed *p, const struct admin_verb *v,
			 const json_t *request)
{
	struct err e = { 0 };
	json_t *reply = cli_ask(&p->cli, request, &e);
	int rc = cli_check_reply(&p->cli, reply, &e);
	if (rc == EX_OK)
		cli_print(&p->cli, json_object_get(reply, "result"), v->columns);
	json_decref(reply);
	return rc;
}

static int run_verb(const struct parsed *p, const struct admin_verb *v,
		    const char *const *args, size_t n_args)
{
	const char *password_option = p->generate   ? "--generate"
				      : p->password ? "--password"
						    : NULL;
	if (n_args != (is_import(v) ? 1 : v->n_args)) {
		fprintf(stderr, "usage: facteur %s%s%s%s%s\n", v->noun,
			v->verb[0] ? " " : "", v->verb, usage_of(v)[0] ? " " : "",
			usage_of(v));
		return EX_USAGE;
	}
	if (password_option != NULL && !takes_password(v)) {
		fprintf(stderr, "facteur: %s %s takes no %s\n", v->noun, v->verb,
			password_option);
		return EX_USAGE;
	}
	if (p->generate && p->password != NULL) {
		fputs("facteur: --generate and --password exclude each other\n", stderr);
		return EX_USAGE;
	}
	if (is_import(v))
		return cli_import(&p->cli, args[0]);
	json_t *list = make_args(args, n_args);
	json_t *options = list != NULL ? make_options(v, p, n_args > 0 ? args[0] : "")
				       : NULL;
	if (options == NULL) {
		json_decref(list);
		return EX_USAGE;
	}
	json_t *request = json_pack("{s:s, s:s, s:o, s:o}", "noun", v->noun, "verb",
				    v->verb, "args", list, "options", options);
	int rc = ask_and_print(p, v, request);
	json_decref(request);
	return rc;
}

static int unknown(const char *noun, const char *verb)
{
	fprintf(stderr, "facteur: unknown command: %s%s%s\n", noun, verb[0] ? " " : "",
		verb);
	if (help_lines(stderr, noun) == 0)
		fputs("facteur --help lists the commands\n", stderr);
	return EX_USAGE;
}

static int run(const struct parsed *p)
{
	const char *noun = p->n_words > 0 ? p->words[0] : "",
		   *verb = p->n_words > 1 ? p->words[1] : "";
	if (p->help || strcmp(noun, "help") == 0) {
		usage(stdout);
		return EX_OK;
	}
	if (p->version || strcmp(noun, "version") == 0) {
		puts("facteur " FACTEUR_VERSION);
		return EX_OK;
	}
	if (p->n_words == 0) {
		usage(stderr);
		return EX_USAGE;
	}
	const struct admin_verb *v = admin_find(slice_str(noun), SL(""));
	if (v != NULL)
		return run_verb(p, v, p->words + 1, p->n_words - 1);
	v = admin_find(slice_str(noun), slice_str(verb));
	if (v != NULL)
		return run_verb(p, v, p->words + 2, p->n_words - 2);
	return unknown(noun, verb);
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

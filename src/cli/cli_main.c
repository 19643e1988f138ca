/* cli_main.c — arguments to request, reply to output. */
#include "admin/admin.h"
#include "base/limits.h"
#include "cli/cli.h"
#include <sysexits.h>

const char *cli_default_data(void)
{
	const char *d = getenv("FACTEUR_DATA");
	return d != NULL && d[0] != '\0' ? d : FACTEUR_DEFAULT_DATA;
}

static void usage(FILE *f)
{
	fputs("usage: facteur [--data DIR] [--json] COMMAND\n\n"
	      "  serve [--config FILE]                     run the mail system\n",
	      f);
	for (size_t i = 0; admin_verbs[i] != NULL; i++) {
		const struct admin_verb *v = admin_verbs[i];
		const char *args = v == admin_find(SL("user"), SL("import")) ? "FILE" : v->args;
		int n = fprintf(f, "  %s%s%s %s", v->noun, v->verb[0] ? " " : "", v->verb, args);
		fprintf(f, "%*s%s\n", n < 44 ? 44 - n : 1, "", v->help);
	}
	fputs("  version                                   what this program is\n\n"
	      "user add and passwd ask for the password, or read it as one line from a pipe;\n"
	      "--generate makes one and prints it, --password WORD takes it from the command line\n"
	      "(where other users of the machine can see it).\n",
	      f);
}

struct parsed {
	struct cli cli;
	const char *words[8];
	size_t n_words;
	const char *password;
	bool generate, help;
};

/* The value of "--name value" or "--name=value"; moves *i. NULL: not this option. "" with *bad: no value. */
static const char *option_value(int argc, char **argv, int *i, const char *name, bool *bad)
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

static bool parse(int argc, char **argv, struct parsed *p)
{
	bool plain = false, bad = false;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *v;
		if (!plain && strcmp(a, "--") == 0)
			plain = true;
		else if (plain || a[0] != '-') {
			if (p->n_words == sizeof(p->words) / sizeof(p->words[0]))
				return false;
			p->words[p->n_words++] = a;
		} else if (strcmp(a, "--json") == 0)
			p->cli.json = true;
		else if (strcmp(a, "--generate") == 0)
			p->generate = true;
		else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)
			p->help = true;
		else if ((v = option_value(argc, argv, &i, "--data", &bad)) != NULL)
			p->cli.data = v;
		else if ((v = option_value(argc, argv, &i, "--password", &bad)) != NULL)
			p->password = v;
		else {
			fprintf(stderr, "facteur: unknown option %s\n", a);
			return false;
		}
		if (bad) {
			fprintf(stderr, "facteur: %s needs a value\n", a);
			return false;
		}
	}
	return true;
}

static bool takes_password(const struct admin_verb *v)
{
	return v->options != NULL && strcmp(v->options, "password") == 0;
}

/* Options of the request; NULL when a password is wanted and none came. */
static json_t *make_options(const struct admin_verb *v, const struct parsed *p, const char *address)
{
	json_t *options = json_object();
	char password[LIMIT_PASSWORD + 2];
	if (!takes_password(v) || p->generate)
		return options;
	const char *given = p->password;
	if (given == NULL && cli_read_password(address, password, sizeof(password)))
		given = password;
	json_t *s = given != NULL ? json_string(given) : NULL;
	if (s == NULL) {
		fputs(given ? "facteur: the password must be UTF-8\n"
			    : "facteur: no password given (a line on stdin, --generate, or --password WORD)\n",
		      stderr);
		json_decref(options);
		options = NULL;
	} else {
		json_object_set_new(options, "password", s);
	}
	explicit_bzero(password, sizeof(password));
	return options;
}

static int run_verb(const struct parsed *p, const struct admin_verb *v, const char *const *args, size_t n_args)
{
	if (n_args != v->n_args) {
		fprintf(stderr, "usage: facteur %s%s%s %s\n", v->noun, v->verb[0] ? " " : "", v->verb, v->args);
		return EX_USAGE;
	}
	json_t *options = make_options(v, p, n_args > 0 ? args[0] : "");
	if (options == NULL)
		return EX_USAGE;
	json_t *list = json_array();
	for (size_t i = 0; i < n_args; i++) {
		json_t *s = json_string(args[i]);
		if (s == NULL) {
			fputs("facteur: arguments must be UTF-8\n", stderr);
			json_decref(list);
			json_decref(options);
			return EX_USAGE;
		}
		json_array_append_new(list, s);
	}
	json_t *request = json_pack("{s:s, s:s, s:o, s:o}", "noun", v->noun, "verb", v->verb, "args", list, "options",
				    options);
	struct err e = { 0 };
	json_t *reply = cli_ask(&p->cli, request, &e);
	int rc = cli_check_reply(&p->cli, reply, &e);
	if (rc == EX_OK)
		cli_print(&p->cli, json_object_get(reply, "result"), v->columns);
	json_decref(request);
	json_decref(reply);
	return rc;
}

int cli_main(int argc, char **argv)
{
	struct parsed p = { .cli.data = cli_default_data() };
	if (!parse(argc, argv, &p))
		return EX_USAGE;
	if (p.help || p.n_words == 0) {
		usage(p.help ? stdout : stderr);
		return p.help ? EX_OK : EX_USAGE;
	}
	slice noun = slice_str(p.words[0]), verb = slice_str(p.n_words > 1 ? p.words[1] : "");
	if (slice_eq(noun, SL("version"))) {
		printf("facteur %s\n", FACTEUR_VERSION);
		return EX_OK;
	}
	if (slice_eq(noun, SL("user")) && slice_eq(verb, SL("import")) && p.n_words == 3)
		return cli_import(&p.cli, p.words[2]);
	const struct admin_verb *v = admin_find(noun, SL(""));
	if (v != NULL)
		return run_verb(&p, v, p.words + 1, p.n_words - 1);
	v = admin_find(noun, verb);
	if (v != NULL)
		return run_verb(&p, v, p.words + 2, p.n_words - 2);
	fprintf(stderr, "facteur: unknown command: %s %s (facteur --help lists them)\n", noun.p, verb.p);
	return EX_USAGE;
}

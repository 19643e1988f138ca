/* main.c — where facteur begins. `facteur serve` runs the mail system, everything else
 * is the command (cli/).
 *
 * The reader's path from here: serve.c opens store, workers and listeners; each
 * listener names a struct service (work/session.h); the services' command tables are
 * imap/imap_cmds.c, smtp/smtp_cmds.c and pop3/pop3_cmds.c. */
#include "cli/cli.h"
#include "server/serve.h"
#include <sysexits.h>

static int serve_usage(FILE *f, int rc)
{
	fputs("usage: facteur serve [--config FILE] [--data DIR] [--hostname NAME]\n"
	      "                     [--listen ADDRESS] [--base PORT]\n"
	      "  --config FILE     settings; see facteur.conf(5)\n"
	      "  --data DIR        where everything is kept (" FACTEUR_DEFAULT_DATA ")\n"
	      "  --hostname NAME   in greetings, Received fields and the private certificate\n"
	      "  --listen ADDRESS  the one address of all services\n"
	      "  --base PORT       listen on PORT + the standard numbers: 20025 and 20993 for 20000\n",
	      f);
	return rc;
}

static bool take_base(struct config_flags *f, const char *s)
{
	uint64_t v;
	if (!slice_u64(slice_str(s), 65535 - 995, &v))
		return false;
	f->base = (uint16_t)v;
	f->has_base = true;
	return true;
}

static bool take_option(struct config_flags *f, slice name, const char *value)
{
	if (slice_eq(name, SL("--config")))
		f->file = value;
	else if (slice_eq(name, SL("--data")))
		f->data = value;
	else if (slice_eq(name, SL("--hostname")))
		f->hostname = value;
	else if (slice_eq(name, SL("--listen")))
		f->listen = value;
	else
		return take_base(f, value);
	return true;
}

static bool is_option(slice name)
{
	return slice_eq(name, SL("--config")) || slice_eq(name, SL("--data")) ||
	       slice_eq(name, SL("--hostname")) || slice_eq(name, SL("--listen")) ||
	       slice_eq(name, SL("--base"));
}

static int serve_main(int argc, char **argv)
{
	struct config_flags f = { 0 };
	bool seen = false;
	for (int i = 1; i < argc; i++) {
		slice rest = slice_str(argv[i]), name = slice_cut(&rest, '=');
		const char *value = argv[i] + name.n + 1;
		if (!seen && strcmp(argv[i], "serve") == 0) {
			seen = true;
			continue;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return serve_usage(stdout, EX_OK);
		bool known = is_option(name);
		if (known && argv[i][name.n] != '=')
			value = i + 1 < argc ? argv[++i] : NULL;
		if (!known || value == NULL || !take_option(&f, name, value)) {
			fprintf(stderr, "facteur: serve: %.*s: %s\n", FMT(name),
				!known		? "not known here"
				: value == NULL ? "needs a value"
						: "expected a port up to 64540");
			return serve_usage(stderr, EX_USAGE);
		}
	}
	struct config cfg;
	if (!config_load(&f, &cfg))
		return EX_CONFIG;
	int rc = serve_run(&cfg);
	config_free(&cfg);
	return rc;
}

/* Is the first word that is neither an option nor an option's value `serve`? */
static bool is_serve(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--data") == 0 || strcmp(argv[i], "--config") == 0 ||
		    strcmp(argv[i], "--hostname") == 0 ||
		    strcmp(argv[i], "--listen") == 0 || strcmp(argv[i], "--base") == 0)
			i++;
		else if (argv[i][0] != '-')
			return strcmp(argv[i], "serve") == 0;
	}
	return false;
}

int main(int argc, char **argv)
{
	return is_serve(argc, argv) ? serve_main(argc, argv) : cli_main(argc, argv);
}

/* main.c — where facteur begins. `facteur serve` runs the mail system, everything else is the command (cli/).
 *
 * The reader's path from here: serve.c opens store, workers and listeners; each listener names a struct service
 * (work/session.h); the services' command tables are imap/imap_cmds.c, smtp/smtp_cmds.c and pop3/pop3_cmds.c. */
#include "cli/cli.h"
#include "server/serve.h"
#include <sysexits.h>

static int serve_usage(void)
{
	fputs("usage: facteur serve [--config FILE] [--data DIR] [--hostname NAME]\n"
	      "                     [--listen ADDRESS] [--base PORT]\n"
	      "  --base PORT   listen on PORT + the standard numbers, e.g. 20025 and 20993 for 20000\n",
	      stderr);
	return EX_USAGE;
}

static bool take_base(const char *s, uint16_t *out)
{
	uint64_t v;
	if (!slice_u64(slice_str(s), 64500, &v))
		return false;
	*out = (uint16_t)v;
	return true;
}

static int serve_main(int argc, char **argv)
{
	struct config_flags f = { 0 };
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (strcmp(name, "serve") == 0)
			continue;
		if (value == NULL)
			return serve_usage();
		if (strcmp(name, "--config") == 0)
			f.file = value;
		else if (strcmp(name, "--data") == 0)
			f.data = value;
		else if (strcmp(name, "--hostname") == 0)
			f.hostname = value;
		else if (strcmp(name, "--listen") == 0)
			f.listen = value;
		else if (strcmp(name, "--base") != 0 || !take_base(value, &f.base))
			return serve_usage();
		i++;
	}
	struct config cfg;
	if (!config_load(&f, &cfg))
		return EX_CONFIG;
	int rc = serve_run(&cfg);
	config_free(&cfg);
	return rc;
}

/* The first word that is neither an option nor an option's value. */
static bool is_serve(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--data") == 0 || strcmp(argv[i], "--config") == 0)
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

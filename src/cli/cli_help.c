/* cli_help.c — what the command says about itself: all of it from the table of verbs, but
 * for what each option means. */
#include "cli/cli_help.h"

#define HELP_COLUMN   44
#define OPTION_COLUMN 26
#define WIDTH	      90 /* longer usages go on in the next line */

/* noun NULL: of every command that has it; the first that fits. */
static const struct option_text {
	const char *noun, *verb, *option, *text;
} texts[] = {
	{ "user", NULL, "password",
	  "this password; other users of the machine can see it" },
	{ "user", NULL, "generate", "make a password and print it" },
	{ "user", "remove", "now", "for good: nothing is kept for undelete" },
	{ "mailbox", "undelete", "since",
	  "deleted then or later: 2026-11-22, 2026-11-22T10:30 (UTC), 2h" },
	{ "mailbox", "undelete", "message-id", "only messages with this Message-ID" },
	{ "mailbox", "undelete", "list",
	  "show what would come back, and change nothing" },
	{ "quota", "set", "bytes",
	  "octets, or 500K, 50M, 2G, 1T; none; default (facteur.conf)" },
	{ "quota", "set", "messages", "a number; none; default (facteur.conf)" },
	{ "backup", NULL, "keep",
	  "then remove all but the last N; without it, none is removed" },
	{ "backup", NULL, "full",
	  "copy what has not changed as well, instead of linking it" },
	{ "backup", NULL, "config",
	  "the configuration to take along; else the server's last" },
	{ "backup", NULL, "no-secrets", "without certificates, keys and configuration" },
	{ "backup", "verify", "at",
	  "the last one made then or before: 2026-11-22T23:30:00Z" },
	{ "backup", "verify", "all", "all backups" },
	{ "restore", NULL, "to", "everything, into this new or empty data directory" },
	{ "restore", NULL, "at",
	  "from the last backup made then or before: 2026-11-22T23:30:00Z" },
	{ "restore", NULL, "account",
	  "mail of this account, into the system (it may be running)" },
	{ "restore", NULL, "mailbox", "of this mailbox alone" },
	{ "restore", NULL, "uid", "this message of the mailbox alone" },
	{ "restore", NULL, "message-id", "messages with this Message-ID alone" },
	{ "restore", NULL, "as", "into another account" },
	{ "restore", NULL, "into", "into another mailbox, made when it is absent" },
	{ "restore", NULL, "no-secrets",
	  "leave certificates, keys and configuration out" },
	{ NULL, NULL, "passphrase-file",
	  "the passphrase is its first line; else it is asked for" },
	{ "check", NULL, "repair",
	  "mend what follows from the rest, put aside what does not" },
	{ "check", NULL, "quick", "do not read the bodies of messages" },
	{ "export", NULL, "to", "the directory; made when it is absent" },
	{ "export", NULL, "format", "maildir when it is not given" },
	{ "export", NULL, "mailbox", "this mailbox alone" },
	{ "import", NULL, "from", "a Maildir, an mbox, or a directory of mboxes" },
	{ "import", NULL, "format", "what it is; else it is seen" },
	{ "import", NULL, "mailbox",
	  "where one mbox goes; otherwise, this mailbox alone" },
	{ "import", NULL, "keep-uids",
	  "with the UIDs of dovecot-uidlist, into mailboxes not used yet" },
	{ "import", NULL, "dry-run", "read everything, change nothing" },
};

const char *cli_help_option(const struct admin_verb *v, slice option)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct option_text *t = &texts[i];
		if ((t->noun == NULL || strcmp(t->noun, v->noun) == 0) &&
		    (t->verb == NULL || strcmp(t->verb, v->verb) == 0) &&
		    slice_eq(option, slice_str(t->option)))
			return t->text;
	}
	return NULL;
}

/* --- lines ---------------------------------------------------------------------------- */

struct line {
	FILE *f;
	size_t at, indent; /* of the lines behind the first */
	bool is_begun, is_wrapped;
};

static void put(struct line *l, slice word)
{
	if (l->at + 1 + word.n > WIDTH) {
		fprintf(l->f, "\n%*s", (int)l->indent, "");
		l->at = l->indent;
		l->is_wrapped = true;
	} else if (l->is_begun) {
		fputc(' ', l->f);
		l->at++;
	}
	l->is_begun = true;
	fwrite(word.p, 1, word.n, l->f);
	l->at += word.n;
}

/* "--as ADDRESS"; cut where it does not fit: no option of ours is that long. */
static slice option_word(const struct admin_option *o, char *room, size_t max)
{
	slice value = o->value.n > 0 ? o->value : SL("VALUE");
	int n = o->takes_value
			? snprintf(room, max, "--%.*s %.*s", FMT(o->name), FMT(value))
			: snprintf(room, max, "--%.*s", FMT(o->name));
	return slice_make(room, (size_t)n < max ? (size_t)n : max - 1);
}

/* "user add ADDRESS [--password WORD]" */
static void put_usage(struct line *l, const struct admin_verb *v)
{
	slice rest = slice_str(v->options), args = slice_str(v->args);
	struct admin_option o;
	bool is_file = strcmp(v->noun, "user") == 0 && strcmp(v->verb, "import") == 0;
	put(l, slice_str(v->noun));
	if (v->verb[0] != '\0')
		put(l, slice_str(v->verb));
	if (is_file) /* the command reads it, the verb takes its lines */
		args = SL("FILE");
	while (args.n > 0)
		put(l, slice_cut(&args, ' '));
	while (admin_option_next(&rest, &o)) {
		char word[96], room[100];
		slice w = option_word(&o, word, sizeof(word));
		if (o.is_internal)
			continue;
		int n = snprintf(room, sizeof(room), o.is_needed ? "%.*s" : "[%.*s]",
				 FMT(w));
		put(l, slice_make(room, (size_t)n));
	}
}

static void put_verb(FILE *f, const struct admin_verb *v)
{
	struct line l = { .f = f, .at = 2, .indent = 6 };
	fputs("  ", f);
	put_usage(&l, v);
	if (l.is_wrapped || l.at + 1 > HELP_COLUMN) {
		fputc('\n', f);
		l.at = 0;
	}
	fprintf(f, "%*s%s\n", (int)(HELP_COLUMN - l.at), "", v->help);
}

size_t cli_help_noun(FILE *f, const char *noun)
{
	size_t n = 0;
	for (size_t i = 0; admin_verbs[i] != NULL; i++) {
		if (noun == NULL || strcmp(noun, admin_verbs[i]->noun) == 0) {
			put_verb(f, admin_verbs[i]);
			n++;
		}
	}
	return n;
}

void cli_help_usage(FILE *f, const struct admin_verb *v)
{
	static const char begin[] = "usage: facteur ";
	struct line l = { .f = f, .at = sizeof(begin) - 1, .indent = sizeof(begin) - 1 };
	fputs(begin, f);
	put_usage(&l, v);
	fputc('\n', f);
}

void cli_help_verb(FILE *f, const struct admin_verb *v)
{
	slice rest = slice_str(v->options);
	struct admin_option o;
	bool is_first = true;
	cli_help_usage(f, v);
	fprintf(f, "%s\n", v->help);
	while (admin_option_next(&rest, &o)) {
		char room[96];
		const char *text = cli_help_option(v, o.name);
		if (o.is_internal)
			continue;
		slice w = option_word(&o, room, sizeof(room));
		fprintf(f, "%s  %-*.*s  %s\n", is_first ? "\n" : "", OPTION_COLUMN,
			FMT(w), text != NULL ? text : "");
		is_first = false;
	}
}

void cli_help_all(FILE *f)
{
	fputs("usage: facteur [--data DIR] [--json] [--quiet] COMMAND\n\n"
	      "  serve [--config FILE]                     run the mail system (serve --help)\n",
	      f);
	cli_help_noun(f, NULL);
	fputs("  version                                   what this program is\n\n"
	      "--data DIR is where the system keeps everything (or $FACTEUR_DATA, or " FACTEUR_DEFAULT_DATA
	      ").\n"
	      "--json prints results as JSON, --quiet leaves out how far a long command is.\n"
	      "--help behind a command tells what its options mean.\n"
	      "user add and passwd ask for the password, or read it as one line from a pipe.\n",
	      f);
}

static slice nearest_noun(slice noun)
{
	slice best = SL("");
	size_t best_d = noun.n / 2 + 1;
	for (size_t i = 0; admin_verbs[i] != NULL; i++) {
		slice s = slice_str(admin_verbs[i]->noun);
		size_t d = slice_distance(s, noun);
		if (d < best_d) {
			best_d = d;
			best = s;
		}
	}
	return best;
}

void cli_help_unknown(FILE *f, const char *noun, const char *verb)
{
	slice word = slice_str(noun), near = nearest_noun(word);
	bool is_noun = slice_eq(near, word);
	if (is_noun && verb[0] == '\0')
		fprintf(f, "facteur: %.*s what? It is one of these:\n", FMT(word));
	else
		fprintf(f, "facteur: unknown command: %.*s%s%s%s", FMT(word),
			verb[0] ? " " : "", verb, is_noun ? "; there are\n" : "");
	if (is_noun)
		cli_help_noun(f, noun);
	else if (near.n > 0)
		fprintf(f, "; did you mean %.*s?\n", FMT(near));
	else
		fputs(" (facteur --help lists the commands)\n", f);
}

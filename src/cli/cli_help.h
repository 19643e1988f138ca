#pragma once
/* cli_help.h — usage, help, and what is said to a command that does not exist. Lines of at
 * most 90 columns, but for a help text that is longer by itself. */
#include "cli/cli.h"
#include <stdio.h>

void cli_help_all(FILE *f);
/* The commands of one noun, all for NULL; how many there are. */
size_t cli_help_noun(FILE *f, const char *noun);
/* "usage: facteur …" alone; with what the command does and what its options mean. */
void cli_help_usage(FILE *f, const struct admin_verb *v);
void cli_help_verb(FILE *f, const struct admin_verb *v);
/* What an option means; NULL: nothing is said about it. */
const char *cli_help_option(const struct admin_verb *v, slice option);
/* Names the nearest command, or the verbs of the noun. */
void cli_help_unknown(FILE *f, const char *noun, const char *verb);

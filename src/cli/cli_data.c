/* cli_data.c — the data directory when none is named. */
#include "cli/cli.h"
#include <stdlib.h>

const char *cli_default_data(void)
{
	const char *d = getenv("FACTEUR_DATA");
	return d != NULL && d[0] != '\0' ? d : FACTEUR_DEFAULT_DATA;
}

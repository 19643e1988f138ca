#pragma once
/* cli_transfer.h — the client sides of export and import (cli_main.c lists them). */
#include "cli/cli.h"

int cli_export(const struct cli_call *call);
int cli_import_mail(const struct cli_call *call);

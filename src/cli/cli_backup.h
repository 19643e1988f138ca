#pragma once
/* cli_backup.h — what backup and restore share on the command's side. */
#include "backup/backup.h"
#include "cli/cli.h"

/* In the data directory: paths of the files outside it that the server uses, one a line. serve writes it. */
#define CLI_USED_FILES "used-files"

/* --passphrase-file, a pipe, or the terminal; false, and told, when there is none. Inits out in any case. */
bool cli_backup_passphrase(const struct cli_call *call, bool is_new, struct buf *out);
void cli_backup_forget(struct buf *b); /* wiped and freed */
/* Shows a copy on the terminal, in MiB. */
void cli_backup_progress(struct backup_progress *p, struct cli_progress *shown, const struct cli *c);

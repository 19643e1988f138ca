#pragma once
/* cli_restore.h — the two kinds of restore. */
#include "cli/cli_backup.h"

/* The backup that the options ask for, locked; its directory, in a, and its MANIFEST. */
enum status cli_restore_find(const struct cli_call *call, int *out_lock, struct arena *a,
			     struct backup_entry *out, const char **out_dir,
			     struct backup_manifest *m, struct err *e) MUST_USE;
/* cli_restore_mail.c */
int cli_restore_mail(const struct cli_call *call, const char *account);

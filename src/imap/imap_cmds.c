/* imap_cmds.c — the index of the protocol: every command, in the order of RFC 3501 6. */
#include "imap/imap_cmds.h"

static const struct imap_cmd_def *const table[] = {
	&imap_cmd_capability, &imap_cmd_noop,	     &imap_cmd_logout,
	&imap_cmd_id,	      &imap_cmd_starttls,    &imap_cmd_authenticate,
	&imap_cmd_login,      &imap_cmd_enable,	     &imap_cmd_select,
	&imap_cmd_examine,    &imap_cmd_create,	     &imap_cmd_delete,
	&imap_cmd_rename,     &imap_cmd_subscribe,   &imap_cmd_unsubscribe,
	&imap_cmd_list,	      &imap_cmd_lsub,	     &imap_cmd_namespace,
	&imap_cmd_status,     &imap_cmd_append,	     &imap_cmd_idle,
	&imap_cmd_check,      &imap_cmd_close,	     &imap_cmd_unselect,
	&imap_cmd_expunge,    &imap_cmd_uid_expunge, &imap_cmd_search,
	&imap_cmd_fetch,      &imap_cmd_store,	     &imap_cmd_copy,
	&imap_cmd_move,
};

const struct imap_cmd_def *imap_cmd_at(size_t i)
{
	return i < sizeof(table) / sizeof(table[0]) ? table[i] : NULL;
}

const struct imap_cmd_def *imap_cmd_find(slice name, bool uid)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (uid ? !(table[i]->flags & (CMD_UID | CMD_ONLY_UID))
			: table[i]->flags & CMD_ONLY_UID)
			continue;
		if (slice_ieq(table[i]->name, name))
			return table[i];
	}
	return NULL;
}

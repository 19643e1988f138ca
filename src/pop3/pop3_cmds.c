/* pop3_cmds.c — the index of the protocol: every command, where it may be given and what
 * describes it. */
#include "pop3/pop3_session.h"

static const struct pop3_cmd_def *const commands[] = {
	&pop3_cmd_retr, &pop3_cmd_dele, &pop3_cmd_list, &pop3_cmd_uidl, &pop3_cmd_top,
	&pop3_cmd_stat, &pop3_cmd_noop, &pop3_cmd_rset, &pop3_cmd_quit, &pop3_cmd_capa,
	&pop3_cmd_stls, &pop3_cmd_user, &pop3_cmd_pass, &pop3_cmd_auth,
};

const struct pop3_cmd_def *pop3_cmd_find(slice keyword)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (slice_ieq(keyword, slice_str(commands[i]->name)))
			return commands[i];
	return NULL;
}

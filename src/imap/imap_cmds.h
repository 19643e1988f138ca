#pragma once
/* imap_cmds.h — one definition per command; imap_cmds.c is the table. const, any
 * thread. */
#include "imap/imap_session.h"

extern const struct imap_cmd_def imap_cmd_capability;
extern const struct imap_cmd_def imap_cmd_noop;
extern const struct imap_cmd_def imap_cmd_logout;
extern const struct imap_cmd_def imap_cmd_id;
extern const struct imap_cmd_def imap_cmd_starttls;
extern const struct imap_cmd_def imap_cmd_authenticate;
extern const struct imap_cmd_def imap_cmd_login;
extern const struct imap_cmd_def imap_cmd_enable;
extern const struct imap_cmd_def imap_cmd_select;
extern const struct imap_cmd_def imap_cmd_examine;
extern const struct imap_cmd_def imap_cmd_create;
extern const struct imap_cmd_def imap_cmd_delete;
extern const struct imap_cmd_def imap_cmd_rename;
extern const struct imap_cmd_def imap_cmd_subscribe;
extern const struct imap_cmd_def imap_cmd_unsubscribe;
extern const struct imap_cmd_def imap_cmd_list;
extern const struct imap_cmd_def imap_cmd_lsub;
extern const struct imap_cmd_def imap_cmd_namespace;
extern const struct imap_cmd_def imap_cmd_status;
extern const struct imap_cmd_def imap_cmd_append;
extern const struct imap_cmd_def imap_cmd_idle;
extern const struct imap_cmd_def imap_cmd_check;
extern const struct imap_cmd_def imap_cmd_close;
extern const struct imap_cmd_def imap_cmd_unselect;
extern const struct imap_cmd_def imap_cmd_expunge;
extern const struct imap_cmd_def imap_cmd_uid_expunge;
extern const struct imap_cmd_def imap_cmd_search;
extern const struct imap_cmd_def imap_cmd_fetch;
extern const struct imap_cmd_def imap_cmd_store;
extern const struct imap_cmd_def imap_cmd_copy;
extern const struct imap_cmd_def imap_cmd_move;

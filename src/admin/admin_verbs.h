#pragma once
/* admin_verbs.h — the rows of the table in admin.c, by the file that holds them. */
#include "admin/admin.h"

/* admin_domain.c */
extern const struct admin_verb admin_domain_add, admin_domain_list, admin_domain_remove;
/* admin_user.c */
extern const struct admin_verb admin_user_add, admin_user_passwd, admin_user_rename,
	admin_user_disable, admin_user_enable, admin_user_list, admin_user_remove,
	admin_user_language;
/* admin_quota.c */
extern const struct admin_verb admin_quota_set, admin_quota_show, admin_quota_list;
/* admin_undelete.c */
extern const struct admin_verb admin_mailbox_expire, admin_mailbox_undelete,
	admin_user_undelete, admin_user_removed;
/* admin_import.c */
extern const struct admin_verb admin_user_import;
/* admin_alias.c */
extern const struct admin_verb admin_alias_add, admin_alias_list, admin_alias_remove;
/* admin_mailbox.c */
extern const struct admin_verb admin_mailbox_list, admin_queue_list;
/* admin_backup.c */
extern const struct admin_verb admin_backup, admin_backup_list, admin_backup_verify,
	admin_restore;
/* admin_check.c (admin_check() is in admin.h) */
extern const struct admin_verb admin_check_verb;
/* admin_session.c */
extern const struct admin_verb admin_who, admin_kick;
/* admin_transfer.c */
extern const struct admin_verb admin_export, admin_import;

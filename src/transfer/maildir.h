#pragma once
/* maildir.h — names and small files of a Maildir++, as Dovecot writes them. Pure: text in,
 * text out.
 *
 *	DIR/cur DIR/new DIR/tmp        INBOX
 *	DIR/.Sub.Folder/{cur,new,tmp}  Sub/Folder, each part in modified UTF-7
 *	DIR/.Sub.Folder/maildirfolder  empty
 *	…/dovecot-uidlist              UIDVALIDITY, UIDs, names without flags
 *	…/dovecot-keywords             "0 $Forwarded": the letters a… of this folder
 *	DIR/subscriptions              a name a line
 *
 * A dot inside a part, which Maildir++ has no way to write, becomes "%2e", as Dovecot does
 * with mailbox_list_storage_escape_char = %; and "%25" is a '%' that could be taken for one
 * of these. Files we write carry UID and UIDVALIDITY in their name, so that the directory itself says what an
 * interrupted export has done: "1700000000.F7V1699.facteur,S=1043,W=1070:2,FS". */
#include "base/arena.h"
#include "base/buf.h"

#define MAILDIR_LETTERS 26

/* "Sub/Folder" → ".Sub.Folder", "INBOX" → "". */
void maildir_folder_write(struct buf *out, slice mailbox);
/* A directory's name to a mailbox; the empty one is INBOX. False: not a folder's name. What
 * is no modified UTF-7 is taken as UTF-8. */
bool maildir_folder_read(struct arena *a, slice dir, slice *out);

struct maildir_name {
	slice base;        /* up to ":2,"; what dovecot-uidlist calls it */
	uint32_t flags;    /* enum store_flag */
	uint32_t letters;  /* bit i: 'a' + i */
	bool is_passed;    /* P: resent, forwarded, bounced */
	/* in the names we write; 0: not ours */
	uint32_t uid, uidvalidity;
	int64_t date;
	uint64_t size, vsize; /* S=, W=: octets of the file, and with CRLF; 0: not said */
};
void maildir_name_write(struct buf *out, const struct maildir_name *n);
/* Any file's name: what is not known is left out. */
void maildir_name_read(slice file, struct maildir_name *out);

/* dovecot-uidlist */
void maildir_uidlist_head(struct buf *out, uint32_t uidvalidity, uint32_t uidnext);
void maildir_uidlist_line(struct buf *out, uint32_t uid, slice base);
/* First line: "3 V1275660208 N25022 G…", or "1 1275660208 25022". */
bool maildir_uidlist_read_head(slice line, uint32_t *out_uidvalidity,
			       uint32_t *out_uidnext);
bool maildir_uidlist_read_line(slice line, uint32_t *out_uid, slice *out_base);

/* dovecot-keywords: letter and word of a line; false: none. */
bool maildir_keyword_read(slice line, unsigned *out_letter, slice *out_word);

/* A line of subscriptions, with parts between dots, or, in a file that begins with
 * "V\t2", between tabs. False: no name. */
bool maildir_subscription_read(struct arena *a, slice line, bool is_v2, slice *out);

#pragma once
/* present.h — what a mailbox holds before an import, to know a message that is there
 * already.
 *
 * 16 octets a message: size and INTERNALDATE as a hash, and the UID. Only when both agree
 * are the octets looked at (the SHA-256 of the body, or of prefix and body). Each message
 * is found once, so that two equal ones stay two. One thread. */
#include "base/status.h"
#include "store/store.h"

struct present_set;
struct present_set *present_new(struct store *s, uint32_t account, uint32_t mbox,
				struct err *e); /* NULL with *e filled */
void present_free(struct present_set *p);
/* True when the mailbox held it; takes it out. */
bool present_take(struct present_set *p, const struct intake_info *info, int64_t date);

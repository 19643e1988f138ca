#pragma once
/* intake.h — receiving a message: one chain of taps over chunks of any size.
 *
 *	bytes → stored form (CRLF repair, NUL noticed, top fields removed)
 *	      → size → SHA-256 → MIME parser → blob upload
 *
 * Memory is proportional to the structure, never to the message. Worker threads; one
 * owner at a time. SMTP gives the body after dot-unstuffing, IMAP the literal. Used by
 * store_add and store_queue_add, any number of times in one transaction. */
#include "base/arena.h"
#include "base/status.h"
#include "kv/kv.h"

struct intake;
struct kv;
struct store;
enum intake_flags {
	/* SMTP: Return-Path fields of the header are removed (RFC 5321 4.4) */
	INTAKE_STRIP_TRACE = 1,
};
struct intake *intake_new(struct store *s, unsigned flags, uint64_t max_size);
/* ST_LIMIT when max_size is passed; further bytes are then counted and dropped, so that
 * the peer may finish. */
enum status intake_write(struct intake *in, slice chunk, struct err *e) MUST_USE;
enum status intake_end(struct intake *in, struct err *e) MUST_USE;
void intake_free(struct intake *in); /* before or after the transaction; NULL is fine */

struct intake_info { /* after intake_end */
	uint64_t size;             /* stored */
	bool had_nul, had_bare_cr_or_lf, has_8bit;
	unsigned received_fields;  /* loop detection, RFC 5321 6.3 */
	unsigned from_fields;
	struct blob_id blob;
	slice message_id;          /* without <>; empty when absent */
	slice digest;
};
const struct intake_info *intake_get(const struct intake *in);
/* True when the header holds "Delivered-To: address" (ASCII case ignored): a loop (RFC
 * 5321 6.3). */
bool intake_was_delivered_to(const struct intake *in, slice address);

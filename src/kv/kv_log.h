#pragma once
/* kv_log.h — the one log: batch records in segments, and how to walk them (docs/adr/0007-one-log.md).
 *
 * A log segment is a sequence of batch records, each beginning at a multiple of KV_LOG_ALIGN. Little-endian:
 *
 *	 0 magic "FSB1"   4 version 1         8 MAC of the other 56 octets
 *	16 segment       20 crc32c of rows   24 sequence, one more for each batch of the store's life
 *	32 octets of bodies                  40 octets of rows
 *	48 crc32c over the headers of the bodies' chunk records, one after the other     52 zero
 *	64 bodies: chunk records (kv_segment.c), one behind the other
 *	   rows: 1 put, 2 delete; length of key, length of value (varints); key; value
 *
 * The MAC is SipHash under a key that only the store knows (DIR/FORMAT): strangers choose the bodies, and one could hold
 * what looks like a record. A record counts when its MAC is right, its segment is the file's number, its sequence is the
 * next one, and the rows agree with their sum. One batch at most is written and not synced, so bodies need
 * proof in the last record alone: the sum over their headers binds each to its place, and each header the octets.
 *
 * Old records in a segment that is used again carry another number; zeros and the end of the file end the
 * log as well. Which record is the last: kv_replay.c. Readers are one thread's each. */
#include "base/buf.h"
#include "base/hash.h"

#define KV_LOG_ALIGN  512u
#define KV_LOG_HEADER 64u

static inline uint64_t kv_log_align(uint64_t off)
{
	return (off + KV_LOG_ALIGN - 1) & ~(uint64_t)(KV_LOG_ALIGN - 1);
}

struct kv_log_head {
	uint32_t segment, rows_crc, bodies_crc;
	uint64_t seq, bodies, rows; /* bodies, rows: octets */
};
void kv_log_head_write(unsigned char dst[KV_LOG_HEADER], const struct kv_log_head *h, const struct siphash_key *key);
bool kv_log_head_read(const unsigned char src[KV_LOG_HEADER], const struct siphash_key *key,
		      struct kv_log_head *out);

/* --- rows of a record ---------------------------------------------------------------------------------- */
struct kv_log_row {
	slice key, value; /* borrowed from the rows */
	bool del;
};
void kv_log_row_put(struct buf *b, slice key, slice value);
void kv_log_row_del(struct buf *b, slice key);
/* *rest moves on. False at the end, and when the rest makes no sense (then it is not empty). */
bool kv_log_row_next(slice *rest, struct kv_log_row *out);

/* --- records of a segment ------------------------------------------------------------------------------ */
struct kv_log_reader {
	const struct siphash_key *key;
	int fd;
	uint32_t segment;
	uint64_t at, end; /* where the next record would begin; nothing is read from end on */
	uint64_t seq;	  /* of the record before; 0: any sequence will do */
	/* what kv_log_next found */
	uint64_t off;
	struct kv_log_head head;
	struct buf rows_buf;
	slice rows;
};
/* fd stays the caller's. end: kv_log's own end, or the size of the file. */
void kv_log_reader_init(struct kv_log_reader *r, const struct siphash_key *key, int fd, uint32_t segment,
			uint64_t from, uint64_t end);
void kv_log_reader_done(struct kv_log_reader *r);
/* ST_OK: off, head and rows are of the record at `at`, which moves behind it. ST_NOT_FOUND: no record is there.
 * ST_INVALID: one was, its header is right and the rest is not. ST_IO: it cannot be read. */
enum status kv_log_next(struct kv_log_reader *r, struct err *e) MUST_USE;
/* Looks from `at` on for a header of a sequence ≥ least, at any place a record may begin, and leaves `at` there.
 * ST_NOT_FOUND: there is none. For what is behind damage. */
enum status kv_log_seek(struct kv_log_reader *r, uint64_t least, struct err *e) MUST_USE;
/* Is the record after the one found there? Its header says so: the one found has then been synced. */
bool kv_log_is_followed(const struct kv_log_reader *r);
/* Are the bodies of the record found those that were written? ST_OK, ST_INVALID, ST_IO. */
enum status kv_log_bodies_check(const struct kv_log_reader *r, struct err *e) MUST_USE;

/* --- rows of its own ----------------------------------------------------------------------------------- */
/* Row 'L': up to where the engine's rows have what the log has. Every batch puts it into the engine (it is not in
 * the log), so a flush of the engine carries it along, and that is where replay begins. */
#define KV_KEY_PLACE "L"
struct kv_place {
	uint32_t segment; /* 0: no log segment yet */
	uint64_t end;	  /* octets of it that are log */
	uint64_t seq;	  /* of the last batch */
	uint64_t bodies;  /* octets of bodies in this segment so far */
	uint32_t next_no; /* every number given to a segment is below */
};
void kv_place_write(struct buf *b, const struct kv_place *p);
bool kv_place_read(slice row, struct kv_place *out);

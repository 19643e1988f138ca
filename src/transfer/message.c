/* message.c — the head of a message in a stream. */
#include "transfer/message.h"
#include "base/limits.h"

#define VERSION 1

void transfer_message_write(struct buf *out, const struct transfer_message *m)
{
	buf_put_u8(out, VERSION);
	buf_put_varint(out, m->tag);
	buf_put_varint(out, m->uid);
	buf_put_varint(out, m->flags);
	buf_put_u64(out, (uint64_t)m->date);
	buf_put_varint(out, m->size);
	buf_put_bytes(out, m->keywords);
}

bool transfer_message_read(slice s, struct transfer_message *out)
{
	struct rd r = rd_init(s);
	if (rd_u8(&r) != VERSION)
		return false;
	struct transfer_message m = { .tag = rd_varint(&r) };
	uint64_t uid = rd_varint(&r), flags = rd_varint(&r);
	m.date = (int64_t)rd_u64(&r);
	m.size = rd_varint(&r);
	m.keywords = rd_bytes(&r);
	if (r.bad || rd_left(&r) != 0 || uid > UINT32_MAX || flags > UINT32_MAX)
		return false;
	m.uid = (uint32_t)uid;
	m.flags = (uint32_t)flags;
	*out = m;
	return true;
}

bool transfer_is_keyword(slice s)
{
	if (s.n == 0 || s.n > LIMIT_KEYWORD)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c <= 32 || c >= 127 || memchr("(){%*\"\\]", c, 8) != NULL)
			return false;
	}
	return true;
}

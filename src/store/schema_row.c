/* schema_row.c — rows. */
#include "store/schema.h"

static bool version_is(struct rd *r)
{
	return rd_u8(r) == SCHEMA_ROW;
}

/* 1 or 2; anything else is damage, and 0. */
static uint8_t version_of(struct rd *r)
{
	uint8_t v = rd_u8(r);

	return v == SCHEMA_ROW || v == SCHEMA_ROW_2 ? v : 0;
}

static bool ended(const struct rd *r)
{
	return !r->bad && rd_left(r) == 0;
}

void row_format_write(struct buf *b, const struct row_format *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u32(b, r->format);
	buf_put_u32(b, r->epoch);
	buf_put_u64(b, (uint64_t)r->created);
	buf_put_u64(b, r->k0);
	buf_put_u64(b, r->k1);
}

bool row_format_read(slice s, struct row_format *r)
{
	struct rd d = rd_init(s);

	/* any version: the format number decides, and stands at the same place for ever
	 */
	rd_u8(&d);
	r->format = rd_u32(&d);
	r->epoch = rd_u32(&d);
	r->created = (int64_t)rd_u64(&d);
	r->k0 = rd_u64(&d);
	r->k1 = rd_u64(&d);
	return !d.bad;
}

void row_directory_write(struct buf *b, const struct row_directory *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u32(b, r->next_account);
	buf_put_u32(b, r->admin);
	buf_put_u64(b, r->last_queue);
}

bool row_directory_read(slice s, struct row_directory *r)
{
	struct rd d = rd_init(s);

	if (!version_is(&d))
		return false;
	r->next_account = rd_u32(&d);
	r->admin = rd_u32(&d);
	r->last_queue = rd_u64(&d);
	return ended(&d);
}

void row_domain_write(struct buf *b, const struct row_domain *r)
{
	buf_put_u8(b, SCHEMA_ROW_2);
	buf_put_u64(b, (uint64_t)r->created);
	buf_put_varint(b, r->quota_bytes);
	buf_put_varint(b, r->quota_messages);
}

bool row_domain_read(slice s, struct row_domain *r)
{
	struct rd d = rd_init(s);
	uint8_t version = version_of(&d);

	if (!version)
		return false;
	*r = (struct row_domain){ .created = (int64_t)rd_u64(&d) };
	if (version == SCHEMA_ROW_2) {
		r->quota_bytes = rd_varint(&d);
		r->quota_messages = rd_varint(&d);
	}
	return ended(&d);
}

enum { POLICY_LIMITS = 1, POLICY_EXPIRY = 2 };

void row_policy_write(struct buf *b, const struct row_policy *r)
{
	const struct store_policy *p = &r->policy;

	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u8(b, (uint8_t)((r->has_limits ? POLICY_LIMITS : 0) |
				(r->has_expiry ? POLICY_EXPIRY : 0)));
	buf_put_varint(b, p->quota_bytes);
	buf_put_varint(b, p->quota_messages);
	buf_put_varint(b, p->quota_grace);
	buf_put_u32(b, p->keep_days);
	buf_put_u32(b, p->expire_trash_days);
	buf_put_u32(b, p->expire_junk_days);
	buf_put_bytes(b, slice_str(p->language));
}

static bool language_read(struct rd *d, char out[3])
{
	slice l = rd_bytes(d);

	memset(out, 0, 3);
	if (d->bad || (l.n != 0 && l.n != 2))
		return false;
	if (l.n)
		memcpy(out, l.p, l.n);
	return true;
}

bool row_policy_read(slice s, struct row_policy *r)
{
	struct rd d = rd_init(s);
	struct store_policy *p = &r->policy;

	if (!version_is(&d))
		return false;
	uint8_t bits = rd_u8(&d);

	r->has_limits = bits & POLICY_LIMITS;
	r->has_expiry = bits & POLICY_EXPIRY;
	p->quota_bytes = rd_varint(&d);
	p->quota_messages = rd_varint(&d);
	p->quota_grace = rd_varint(&d);
	p->keep_days = rd_u32(&d);
	p->expire_trash_days = rd_u32(&d);
	p->expire_junk_days = rd_u32(&d);
	return language_read(&d, p->language) && ended(&d);
}

void row_trusted_time_write(struct buf *b, const struct row_trusted_time *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u64(b, (uint64_t)r->trusted);
	buf_put_u64(b, (uint64_t)r->jump_to);
	buf_put_u64(b, (uint64_t)r->jump_held);
	buf_put_u64(b, (uint64_t)r->saved_since);
}

bool row_trusted_time_read(slice s, struct row_trusted_time *r)
{
	struct rd d = rd_init(s);

	if (!version_is(&d))
		return false;
	r->trusted = (int64_t)rd_u64(&d);
	r->jump_to = (int64_t)rd_u64(&d);
	r->jump_held = (int64_t)rd_u64(&d);
	r->saved_since = (int64_t)rd_u64(&d);
	return ended(&d);
}

enum { LOGIN_ALIAS = 1, LOGIN_DISABLED = 2 };

void row_login_write(struct buf *b, const struct row_login *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u8(b, (uint8_t)((r->is_alias ? LOGIN_ALIAS : 0) |
				(r->disabled ? LOGIN_DISABLED : 0)));
	buf_put_u32(b, r->account);
	buf_put_u64(b, (uint64_t)r->created);
	buf_put_bytes(b, r->verifier);
}

bool row_login_read(slice s, struct row_login *r)
{
	struct rd d = rd_init(s);

	if (!version_is(&d))
		return false;
	uint8_t bits = rd_u8(&d);

	r->is_alias = bits & LOGIN_ALIAS;
	r->disabled = bits & LOGIN_DISABLED;
	r->account = rd_u32(&d);
	r->created = (int64_t)rd_u64(&d);
	r->verifier = rd_bytes(&d);
	return ended(&d);
}

enum { ACCOUNT_QUOTA_BYTES = 1, ACCOUNT_QUOTA_MESSAGES = 2 };

void row_account_write(struct buf *b, const struct row_account *r)
{
	buf_put_u8(b, SCHEMA_ROW_2);
	buf_put_u64(b, r->modseq);
	buf_put_u64(b, r->next_email);
	buf_put_u32(b, r->next_mbox);
	buf_put_varint(b, r->n_mbox);
	buf_put_varint(b, r->log_floor);
	buf_put_varint(b, r->bytes);
	buf_put_varint(b, r->messages);
	buf_put_varint(b, r->quota_bytes);
	for (int i = 0; i < SCHEMA_ROLES; i++)
		buf_put_u32(b, r->role[i]);
	buf_put_u8(b, (uint8_t)((r->has_quota_bytes ? ACCOUNT_QUOTA_BYTES : 0) |
				(r->has_quota_messages ? ACCOUNT_QUOTA_MESSAGES : 0)));
	buf_put_varint(b, r->quota_messages);
	buf_put_varint(b, r->held_bytes);
	buf_put_varint(b, r->held_messages);
	buf_put_u8(b, r->warned);
	buf_put_bytes(b, slice_str(r->language));
}

bool row_account_read(slice s, struct row_account *r)
{
	struct rd d = rd_init(s);
	uint8_t version = version_of(&d);

	if (!version)
		return false;
	*r = (struct row_account){ 0 };
	r->modseq = rd_u64(&d);
	r->next_email = rd_u64(&d);
	r->next_mbox = rd_u32(&d);
	r->n_mbox = (uint32_t)rd_varint(&d);
	r->log_floor = rd_varint(&d);
	r->bytes = rd_varint(&d);
	r->messages = rd_varint(&d);
	r->quota_bytes = rd_varint(&d);
	for (int i = 0; i < SCHEMA_ROLES; i++)
		r->role[i] = rd_u32(&d);
	if (version == SCHEMA_ROW)
		return ended(&d);
	uint8_t bits = rd_u8(&d);

	r->has_quota_bytes = bits & ACCOUNT_QUOTA_BYTES;
	r->has_quota_messages = bits & ACCOUNT_QUOTA_MESSAGES;
	r->quota_messages = rd_varint(&d);
	r->held_bytes = rd_varint(&d);
	r->held_messages = rd_varint(&d);
	r->warned = rd_u8(&d);
	return language_read(&d, r->language) && ended(&d);
}

void row_mbox_write(struct buf *b, const struct row_mbox *r)
{
	buf_put_u8(b, SCHEMA_ROW_2);
	buf_put_u8(b, r->exists);
	buf_put_u8(b, r->role);
	buf_put_u32(b, r->parent);
	buf_put_u32(b, r->uidvalidity);
	buf_put_u32(b, r->uidnext);
	buf_put_u32(b, r->first_recent);
	buf_put_varint(b, r->messages);
	buf_put_varint(b, r->unseen);
	buf_put_varint(b, r->deleted);
	buf_put_varint(b, r->modseq);
	buf_put_varint(b, r->bytes);
	buf_put_bytes(b, r->name);
	buf_put_varint(b, r->expire);
	buf_put_varint(b, r->expired_to);
}

bool row_mbox_read(slice s, struct row_mbox *r)
{
	struct rd d = rd_init(s);
	uint8_t version = version_of(&d);

	if (!version)
		return false;
	*r = (struct row_mbox){ 0 };
	r->exists = rd_u8(&d);
	r->role = rd_u8(&d);
	r->parent = rd_u32(&d);
	r->uidvalidity = rd_u32(&d);
	r->uidnext = rd_u32(&d);
	r->first_recent = rd_u32(&d);
	r->messages = (uint32_t)rd_varint(&d);
	r->unseen = (uint32_t)rd_varint(&d);
	r->deleted = (uint32_t)rd_varint(&d);
	r->modseq = rd_varint(&d);
	r->bytes = rd_varint(&d);
	r->name = rd_bytes(&d);
	if (version == SCHEMA_ROW_2) {
		r->expire = (uint16_t)rd_varint(&d);
		r->expired_to = (uint32_t)rd_varint(&d);
	}
	return ended(&d) && r->role < SCHEMA_ROLES;
}

static void put64(unsigned char *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}

static uint64_t get64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

enum { MESSAGE_PLACED = 1 };

void row_message_write(unsigned char out[ROW_MESSAGE_SIZE], const struct row_message *r)
{
	out[0] = SCHEMA_ROW_2;
	out[1] = (unsigned char)r->row.flags.sys;
	out[2] = r->placed ? MESSAGE_PLACED : 0;
	put64(out + 3, r->row.email);
	put64(out + 11, r->row.modseq);
	put64(out + 19, r->row.flags.kw);
	put64(out + 27, (uint64_t)r->row.internal_date);
	put64(out + 35, r->row.size);
	put64(out + 43, (uint64_t)r->row.saved);
}

bool row_message_read(slice s, uint32_t uid, struct row_message *r)
{
	bool has_saved = s.n == ROW_MESSAGE_SIZE && s.p[0] == SCHEMA_ROW_2;

	if (!has_saved && (s.n != ROW_MESSAGE_SIZE_1 || s.p[0] != SCHEMA_ROW))
		return false;
	r->row = (struct store_row){
		.uid = uid,
		.flags = { (unsigned char)s.p[1], get64(s.p + 19) },
		.email = get64(s.p + 3),
		.modseq = get64(s.p + 11),
		.internal_date = (int64_t)get64(s.p + 27),
		.size = get64(s.p + 35),
		.saved = has_saved ? (int64_t)get64(s.p + 43) : 0,
	};
	r->placed = s.p[2] & MESSAGE_PLACED;
	return true;
}

static void blob_write(struct buf *b, const struct blob_id *id)
{
	buf_add(b, slice_make(id->h, sizeof(id->h)));
}

static void blob_read(struct rd *d, struct blob_id *id)
{
	slice h = rd_raw(d, sizeof(id->h));

	if (!d->bad)
		memcpy(id->h, h.p, sizeof(id->h));
}

void row_email_write(struct buf *b, const struct row_email *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u8(b, r->digest_kind);
	buf_put_u64(b, (uint64_t)r->received);
	buf_put_u64(b, r->thread);
	buf_put_u64(b, r->reported);
	buf_put_u32(b, r->mbox);
	buf_put_u32(b, r->uid);
	blob_write(b, &r->blob);
	buf_put_varint(b, r->blob_size);
	buf_put_u64(b, r->msgid);
	buf_put_u64(b, r->root);
	buf_put_bytes(b, r->prefix);
	buf_put_bytes(b, r->preview);
	if (r->digest_kind == DIGEST_BLOB) {
		blob_write(b, &r->digest_blob);
		buf_put_varint(b, r->digest_size);
	} else {
		buf_put_bytes(b, r->digest);
	}
}

static void email_read(struct rd *d, struct row_email *r)
{
	r->digest_kind = rd_u8(d);
	r->received = (int64_t)rd_u64(d);
	r->thread = rd_u64(d);
	r->reported = rd_u64(d);
	r->mbox = rd_u32(d);
	r->uid = rd_u32(d);
	blob_read(d, &r->blob);
	r->blob_size = rd_varint(d);
	r->msgid = rd_u64(d);
	r->root = rd_u64(d);
	r->prefix = rd_bytes(d);
	r->preview = rd_bytes(d);
	if (r->digest_kind == DIGEST_BLOB) {
		blob_read(d, &r->digest_blob);
		r->digest_size = rd_varint(d);
	} else {
		r->digest = rd_bytes(d);
	}
}

bool row_email_read(slice s, struct row_email *r)
{
	struct rd d = rd_init(s);

	*r = (struct row_email){ 0 };
	if (!version_is(&d))
		return false;
	email_read(&d, r);
	return ended(&d) && r->digest_kind <= DIGEST_BLOB;
}

void row_places_write(struct buf *b, const struct row_places *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	for (size_t i = 0; i < r->n; i++) {
		buf_put_u32(b, r->at[i].mbox);
		buf_put_u32(b, r->at[i].uid);
	}
}

bool row_places_read(slice s, struct arena *a, struct row_places *r)
{
	struct rd d = rd_init(s);

	if (!version_is(&d) || rd_left(&d) % 8)
		return false;
	r->n = rd_left(&d) / 8;
	r->at = arena_array(a, r->n + 1,
			    sizeof(*r->at)); /* room for one more: a copy adds one */
	for (size_t i = 0; i < r->n; i++) {
		r->at[i].mbox = rd_u32(&d);
		r->at[i].uid = rd_u32(&d);
	}
	return ended(&d);
}

void row_msgid_write(struct buf *b, const struct row_msgid *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u64(b, r->thread);
	buf_put_u64(b, r->email);
}

bool row_msgid_read(slice s, struct row_msgid *r)
{
	struct rd d = rd_init(s);

	if (!version_is(&d))
		return false;
	r->thread = rd_u64(&d);
	r->email = rd_u64(&d);
	return ended(&d);
}

enum { GONE_LAST = 1, GONE_MOVED = 2 };

void row_gone_write(struct buf *b, const struct row_gone *r)
{
	unsigned char m[ROW_MESSAGE_SIZE];

	row_message_write(m, &r->msg);
	buf_put_u8(b, SCHEMA_ROW_2);
	buf_put_u8(b, (uint8_t)((r->last ? GONE_LAST : 0) | (r->moved ? GONE_MOVED : 0)));
	buf_put_u64(b, r->modseq);
	buf_put_u64(b, (uint64_t)r->time);
	buf_add(b, slice_make(m, sizeof(m)));
}

/* Version 1 has one byte for `last`, 0 or 1, and a message of version 1. */
bool row_gone_read(slice s, uint32_t uid, struct row_gone *r)
{
	struct rd d = rd_init(s);

	if (!version_of(&d))
		return false;
	uint8_t bits = rd_u8(&d);

	r->last = bits & GONE_LAST;
	r->moved = bits & GONE_MOVED;
	r->modseq = rd_u64(&d);
	r->time = (int64_t)rd_u64(&d);
	return !d.bad && row_message_read(rd_raw(&d, rd_left(&d)), uid, &r->msg);
}

void row_kept_mbox_write(struct buf *b, const struct row_kept_mbox *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u64(b, (uint64_t)r->time);
	buf_put_bytes(b, r->path);
	row_mbox_write(b, &r->mbox);
}

bool row_kept_mbox_read(slice s, struct row_kept_mbox *r)
{
	struct rd d = rd_init(s);

	if (!version_is(&d))
		return false;
	r->time = (int64_t)rd_u64(&d);
	r->path = rd_bytes(&d);
	return !d.bad && row_mbox_read(slice_make(d.p, rd_left(&d)), &r->mbox);
}

void row_kept_account_write(struct buf *b, const struct row_kept_account *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u64(b, (uint64_t)r->time);
	buf_put_bytes(b, r->address);
	buf_put_bytes(b, r->login);
	buf_put_bytes(b, r->account);
	buf_put_bytes(b, r->aliases);
}

bool row_kept_account_read(slice s, struct row_kept_account *r)
{
	struct rd d = rd_init(s);

	if (!version_is(&d))
		return false;
	r->time = (int64_t)rd_u64(&d);
	r->address = rd_bytes(&d);
	r->login = rd_bytes(&d);
	r->account = rd_bytes(&d);
	r->aliases = rd_bytes(&d);
	return ended(&d);
}

void row_log_start(struct buf *b)
{
	buf_put_u8(b, SCHEMA_ROW);
}

static size_t run_length(const uint32_t *uid, size_t n)
{
	size_t len = 1;

	while (len < n && uid[len] == uid[len - 1] + 1)
		len++;
	return len;
}

void row_log_entry(struct buf *b, enum log_op op, uint32_t mbox, const uint32_t *uid,
		   size_t n)
{
	uint32_t runs = 0, at = 0;

	for (size_t i = 0; i < n; i += run_length(uid + i, n - i))
		runs++;
	buf_put_u8(b, (uint8_t)op);
	buf_put_u32(b, mbox);
	buf_put_varint(b, runs);
	for (size_t i = 0; i < n;) {
		size_t len = run_length(uid + i, n - i);

		buf_put_varint(b, uid[i] - at);
		buf_put_varint(b, len);
		at = uid[i] + (uint32_t)len;
		i += len;
	}
}

bool row_log_read(slice s, struct row_log *r)
{
	*r = (struct row_log){ .r = rd_init(s) };
	return version_is(&r->r);
}

bool row_log_run(struct row_log *r, uint32_t *out_first, uint32_t *out_n)
{
	if (r->runs == 0)
		return false;
	r->runs--;
	uint64_t first = r->at + rd_varint(&r->r);
	uint64_t n = rd_varint(&r->r);

	if (r->r.bad || first > UINT32_MAX || n == 0 || n > UINT32_MAX - first) {
		r->bad = true;
		r->runs = 0;
		return false;
	}
	r->at = (uint32_t)(first + n);
	*out_first = (uint32_t)first;
	*out_n = (uint32_t)n;
	return true;
}

bool row_log_next(struct row_log *r)
{
	uint32_t first, n;

	while (row_log_run(r, &first, &n))
		;
	if (r->bad || rd_left(&r->r) == 0)
		return false;
	uint8_t op = rd_u8(&r->r);

	r->mbox = rd_u32(&r->r);
	uint64_t runs = rd_varint(&r->r);

	if (r->r.bad || op < LOG_ADDED || op > LOG_MAILBOX || runs > UINT32_MAX) {
		r->bad = true;
		return false;
	}
	r->op = (enum log_op)op;
	r->runs = (uint32_t)runs;
	r->at = 0;
	return true;
}

enum { QUEUE_8BIT = 1, QUEUE_UTF8 = 2 };

void row_queue_write(struct buf *b, const struct store_queue_entry *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u8(b, (uint8_t)((r->body_8bit ? QUEUE_8BIT : 0) |
				(r->smtputf8 ? QUEUE_UTF8 : 0)));
	buf_put_u64(b, r->id);
	buf_put_u64(b, (uint64_t)r->queued);
	buf_put_u64(b, (uint64_t)r->due);
	buf_put_u32(b, r->account);
	buf_put_varint(b, r->size);
	blob_write(b, &r->blob);
	buf_put_bytes(b, r->state);
	buf_put_bytes(b, r->sender);
	buf_put_bytes(b, r->prefix);
	buf_put_varint(b, r->n_rcpt);
	for (size_t i = 0; i < r->n_rcpt; i++)
		buf_put_bytes(b, r->rcpt[i]);
}

bool row_queue_read(slice s, struct arena *a, struct store_queue_entry *r)
{
	struct rd d = rd_init(s);

	*r = (struct store_queue_entry){ 0 };
	if (!version_is(&d))
		return false;
	uint8_t bits = rd_u8(&d);

	r->body_8bit = bits & QUEUE_8BIT;
	r->smtputf8 = bits & QUEUE_UTF8;
	r->id = rd_u64(&d);
	r->queued = (int64_t)rd_u64(&d);
	r->due = (int64_t)rd_u64(&d);
	r->account = rd_u32(&d);
	r->size = rd_varint(&d);
	blob_read(&d, &r->blob);
	r->state = arena_dup(a, rd_bytes(&d));
	r->sender = arena_dup(a, rd_bytes(&d));
	r->prefix = arena_dup(a, rd_bytes(&d));
	uint64_t n = rd_varint(&d);

	if (d.bad || n > rd_left(&d)) /* each takes a byte at least */
		return false;
	r->n_rcpt = (size_t)n;
	r->rcpt = arena_array(a, r->n_rcpt, sizeof(*r->rcpt));
	for (size_t i = 0; i < r->n_rcpt; i++)
		r->rcpt[i] = arena_dup(a, rd_bytes(&d));
	return ended(&d);
}

void row_handoff_write(struct buf *b, const struct row_handoff *r)
{
	buf_put_u8(b, SCHEMA_ROW);
	buf_put_u32(b, r->place.account);
	buf_put_u32(b, r->place.mbox);
	buf_put_u32(b, r->place.flags.sys);
	buf_put_u64(b, r->place.flags.kw);
	buf_put_u64(b, (uint64_t)r->place.internal_date);
	buf_put_bytes(b, r->message_id);
	row_email_write(b, &r->email);
}

bool row_handoff_read(slice s, struct row_handoff *r)
{
	struct rd d = rd_init(s);

	*r = (struct row_handoff){ 0 };
	if (!version_is(&d))
		return false;
	r->place.account = rd_u32(&d);
	r->place.mbox = rd_u32(&d);
	r->place.flags.sys = rd_u32(&d);
	r->place.flags.kw = rd_u64(&d);
	r->place.internal_date = (int64_t)rd_u64(&d);
	r->message_id = rd_bytes(&d);
	if (d.bad)
		return false;
	bool ok = row_email_read(slice_make(d.p, rd_left(&d)), &r->email);

	r->place.prefix = r->email.prefix;
	return ok;
}

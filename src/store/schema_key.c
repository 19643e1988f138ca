/* schema_key.c — keys. */
#include "store/schema.h"

static void add_u8(struct skey *k, unsigned v)
{
	k->b[k->n++] = (unsigned char)v;
}

static void add_u32(struct skey *k, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(k->b + k->n, &v, 4);
	k->n += 4;
}

static void add_u64(struct skey *k, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(k->b + k->n, &v, 8);
	k->n += 8;
}

static struct skey key_of(char c)
{
	struct skey k = { .n = 1 };

	k.b[0] = (unsigned char)c;
	return k;
}

void skey_next_prefix(struct skey *k)
{
	while (k->n && k->b[k->n - 1] == 0xff)
		k->n--;
	if (k->n)
		k->b[k->n - 1]++;
}

static struct skey key_two(char c, char d)
{
	struct skey k = key_of(c);

	add_u8(&k, (unsigned char)d);
	return k;
}

struct skey key_format(void)
{
	return key_two('S', 'f');
}

struct skey key_directory(void)
{
	return key_two('S', 'd');
}

struct skey key_uidvalidity(uint32_t v)
{
	struct skey k = key_of('V');

	add_u32(&k, v);
	return k;
}

static slice key_join(struct arena *a, slice front, slice back)
{
	char *p = arena_alloc(a, front.n + back.n + 1);

	memcpy(p, front.p, front.n);
	if (back.n)
		memcpy(p + front.n, back.p, back.n);
	return slice_make(p, front.n + back.n);
}

slice key_domain(struct arena *a, slice domain)
{
	return key_join(a, SL("D"), domain);
}

slice key_login(struct arena *a, slice domain, slice local)
{
	char *p = arena_alloc(a, 3 + domain.n + local.n);

	p[0] = 'U';
	p[1] = 'n';
	memcpy(p + 2, domain.p, domain.n);
	p[2 + domain.n] = 0;
	if (local.n)
		memcpy(p + 3 + domain.n, local.p, local.n);
	return slice_make(p, 3 + domain.n + local.n);
}

struct skey key_login_prefix(void)
{
	return key_two('U', 'n');
}

struct skey key_account_address(uint32_t account)
{
	struct skey k = key_two('U', 'i');

	add_u32(&k, account);
	return k;
}

struct skey key_account_prefix(uint32_t account)
{
	struct skey k = key_of('A');

	add_u32(&k, account);
	return k;
}

struct skey key_account_type(uint32_t account, char type)
{
	struct skey k = key_account_prefix(account);

	add_u8(&k, (unsigned char)type);
	return k;
}

struct skey key_account(uint32_t account)
{
	return key_account_type(account, 'a');
}

struct skey key_mbox(uint32_t account, uint32_t mbox)
{
	struct skey k = key_account_type(account, 'f');

	add_u32(&k, mbox);
	return k;
}

slice key_name(struct arena *a, uint32_t account, uint32_t parent, slice name)
{
	struct skey k = key_account_type(account, 'F');

	add_u32(&k, parent);
	return key_join(a, skey_slice(&k), name);
}

slice key_subscription(struct arena *a, uint32_t account, slice name)
{
	struct skey k = key_account_type(account, 'b');

	return key_join(a, skey_slice(&k), name);
}

struct skey key_messages(uint32_t account, uint32_t mbox)
{
	struct skey k = key_account_type(account, 'm');

	add_u32(&k, mbox);
	return k;
}

struct skey key_message(uint32_t account, uint32_t mbox, uint32_t uid)
{
	struct skey k = key_messages(account, mbox);

	add_u32(&k, uid);
	return k;
}

uint32_t key_message_uid(slice key)
{
	uint32_t v;

	if (key.n < 14)
		return 0;
	memcpy(&v, key.p + 10, 4);
	return __builtin_bswap32(v);
}

uint32_t key_account_of(slice key)
{
	struct rd r = rd_init(slice_from(key, 1));

	return rd_u32(&r);
}

static struct skey key_id(uint32_t account, char type, uint64_t id)
{
	struct skey k = key_account_type(account, type);

	add_u64(&k, id);
	return k;
}

struct skey key_email(uint32_t account, uint64_t email)
{
	return key_id(account, 'e', email);
}

struct skey key_places(uint32_t account, uint64_t email)
{
	return key_id(account, 'g', email);
}

struct skey key_msgid(uint32_t account, uint64_t hash)
{
	return key_id(account, 'T', hash);
}

struct skey key_thread(uint32_t account, uint64_t thread, uint64_t email)
{
	struct skey k = key_id(account, 't', thread);

	add_u64(&k, email);
	return k;
}

struct skey key_log(uint32_t account, uint64_t modseq, uint8_t part)
{
	struct skey k = key_id(account, 'l', modseq);

	add_u8(&k, part);
	return k;
}

struct skey key_keyword(uint32_t account, uint8_t bit)
{
	struct skey k = key_account_type(account, 'k');

	add_u8(&k, bit);
	return k;
}

static struct skey key_gone_type(uint32_t account, char type)
{
	struct skey k = key_of('X');

	add_u32(&k, account);
	add_u8(&k, (unsigned char)type);
	return k;
}

struct skey key_gone(uint32_t account, uint32_t mbox, uint32_t uid)
{
	struct skey k = key_gone_type(account, 'x');

	add_u32(&k, mbox);
	add_u32(&k, uid);
	return k;
}

struct skey key_gone_mbox(uint32_t account, uint32_t mbox)
{
	struct skey k = key_gone_type(account, 'f');

	add_u32(&k, mbox);
	return k;
}

struct skey key_gone_log(uint32_t account)
{
	return key_gone_type(account, 'l');
}

struct skey key_gone_account(uint32_t account)
{
	return key_gone_type(account, 'z');
}

struct skey key_gone_prefix(void)
{
	return key_of('X');
}

struct skey key_kept_prefix(uint32_t account)
{
	return key_account_type(account, 'x');
}

struct skey key_kept(uint32_t account, int64_t time, uint32_t mbox, uint32_t uid)
{
	struct skey k = key_kept_prefix(account);

	add_u64(&k, time < 0 ? 0 : (uint64_t)time);
	add_u32(&k, mbox);
	add_u32(&k, uid);
	return k;
}

bool key_kept_read(slice key, int64_t *time, uint32_t *mbox, uint32_t *uid)
{
	struct rd r = rd_init(slice_from(key, 6));

	*time = (int64_t)rd_u64(&r);
	*mbox = rd_u32(&r);
	*uid = rd_u32(&r);
	return !r.bad && rd_left(&r) == 0 && *time >= 0;
}

struct skey key_kept_mbox(uint32_t account, uint32_t mbox)
{
	struct skey k = key_account_type(account, 'd');

	add_u32(&k, mbox);
	return k;
}

struct skey key_kept_account_prefix(void)
{
	return key_of('Y');
}

struct skey key_kept_account(uint32_t account)
{
	struct skey k = key_kept_account_prefix();

	add_u32(&k, account);
	return k;
}

struct skey key_kept_due_from(int64_t time)
{
	struct skey k = key_of('Z');

	add_u64(&k, time < 0 ? 0 : (uint64_t)time);
	return k;
}

struct skey key_kept_due(const struct kept_due *d)
{
	struct skey k = key_kept_due_from(d->time);

	add_u8(&k, d->kind);
	add_u32(&k, d->account);
	add_u32(&k, d->mbox);
	return k;
}

bool key_kept_due_read(slice key, struct kept_due *out)
{
	struct rd r = rd_init(slice_from(key, 1));
	uint8_t kind;

	out->time = (int64_t)rd_u64(&r);
	kind = rd_u8(&r);
	out->kind = (enum kept_kind)kind;
	out->account = rd_u32(&r);
	out->mbox = rd_u32(&r);
	return !r.bad && rd_left(&r) == 0 && out->time >= 0 &&
	       (kind == KEPT_MESSAGES || kind == KEPT_MAILBOX || kind == KEPT_ACCOUNT);
}

struct skey key_policy(void)
{
	return key_two('S', 'p');
}

struct skey key_trusted_time(void)
{
	return key_two('S', 't');
}

struct skey key_reference(const struct blob_id *blob, uint32_t account, uint64_t email)
{
	struct skey k = key_of('r');

	memcpy(k.b + k.n, blob->h, sizeof(blob->h));
	k.n += sizeof(blob->h);
	add_u32(&k, account);
	add_u64(&k, email);
	return k;
}

struct skey key_queue(uint64_t id)
{
	struct skey k = key_of('q');

	add_u64(&k, id);
	return k;
}

struct skey key_queue_prefix(void)
{
	return key_of('q');
}

struct skey key_queue_due(int64_t due, uint64_t id)
{
	struct skey k = key_of('Q');

	add_u64(&k, due < 0 ? 0 : (uint64_t)due);
	add_u64(&k, id);
	return k;
}

struct skey key_handoff(uint32_t account, uint64_t random)
{
	struct skey k = key_of('H');

	add_u32(&k, account);
	add_u64(&k, random);
	return k;
}

struct skey key_handoff_prefix(void)
{
	return key_of('H');
}

/* kv_format.c — the file FORMAT: whose directory this is, of which version, and the log's key.
 *
 *	facteur store 2
 *	life 00112233445566778899aabbccddeeff
 *	key 00112233445566778899aabbccddeeff
 *
 * Format 1 had the first line alone. `life` is drawn when a store is made and when one is restored: it tells apart two
 * that have a past in common. FORMAT is written last, when the store is complete; until then the file NEW says that one is
 * being made, so a directory where that was interrupted is neither a store nor somebody else's. */
#include "kv/kv_internal.h"
#include "base/cleanup.h"
#include "base/io.h"

#define NAME	 "facteur store "
#define FILE_MAX 256u
#define NEW_TEXT "A store is being made here.\n"

static enum status join(char dst[4096], const char *dir, const char *name, struct err *e)
{
	int n = snprintf(dst, 4096, "%s/%s", dir, name);
	if (n < 0 || n >= 4096 - 32)
		return err_set(e, ERR_CANNOT, "the path %s is too long", dir);
	return ST_OK;
}

static bool is_there(const char *dir, const char *name)
{
	char path[4096];
	struct io_stat s;
	struct err e;

	return join(path, dir, name, &e) == ST_OK && io_stat_path(path, &s, &e) == ST_OK;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "NAME hex\n" of 16 octets; *s moves behind it. */
static bool take_line(slice *s, slice name, unsigned char out[16])
{
	if (!slice_starts(*s, name) || s->n < name.n + 33 || s->p[name.n + 32] != '\n')
		return false;
	for (size_t i = 0; i < 16; i++) {
		int high = hex_digit(s->p[name.n + 2 * i]),
		    low = hex_digit(s->p[name.n + 2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char)(high << 4 | low);
	}
	*s = slice_from(*s, name.n + 33);
	return true;
}

static enum status parse(const char *dir, slice s, struct kv_format *out, struct err *e)
{
	struct kv_format f = { 0 };
	uint64_t number;
	size_t end = slice_chr(s, '\n', 0);

	if (!slice_starts(s, SL(NAME)))
		return err_set(
			e, ERR_CANNOT,
			"%s is not a store of Facteur: its file FORMAT says something else",
			dir);
	if (end == s.n ||
	    !slice_u64(slice_sub(s, sizeof(NAME) - 1, end - sizeof(NAME) + 1), UINT32_MAX,
		       &number))
		return err_set(e, ERR_CANNOT,
			       "the file FORMAT of the store %s is cut short", dir);
	if (number > KV_FORMAT || number == 0)
		return err_set(
			e, ERR_CANNOT,
			"%s was written by a newer Facteur (\"%.*s\"); this one reads up to "
			"\"" NAME "%u\" and leaves it alone",
			dir, FMT(slice_sub(s, 0, end < 40 ? end : 40)), KV_FORMAT);
	f.number = (unsigned)number;
	s = slice_from(s, end + 1);
	unsigned char key[16];
	if (number >= 2) {
		if (!take_line(&s, SL("life "), f.life) ||
		    !take_line(&s, SL("key "), key))
			return err_set(e, ERR_CANNOT,
				       "the file FORMAT of the store %s is cut short",
				       dir);
		memcpy(&f.key.k0, key, 8);
		memcpy(&f.key.k1, key + 8, 8);
	}
	if (s.n)
		return err_set(
			e, ERR_CANNOT,
			"%s is not a store of Facteur: its file FORMAT says something else",
			dir);
	*out = f;
	return ST_OK;
}

/* Both parts of a store that FORMAT speaks of. */
static enum status check_parts(const char *dir, struct err *e)
{
	if (!is_there(dir, "meta/CURRENT"))
		return err_set(e, ERR_CANNOT,
			       "the store %s is not complete: meta/CURRENT is missing",
			       dir);
	if (!is_there(dir, "bodies"))
		return err_set(e, ERR_CANNOT,
			       "the store %s is not complete: bodies is missing", dir);
	return ST_OK;
}

enum status kv_format_read(const char *dir, struct kv_format *out, bool *out_making,
			   struct err *e)
{
	char path[4096];
	AUTO_BUF b = { 0 };
	enum status st = join(path, dir, "FORMAT", e);

	if (st != ST_OK)
		return st;
	buf_init(&b, FILE_MAX);
	st = io_read_file(path, FILE_MAX, &b, e);
	if (st == ST_OK && (st = parse(dir, buf_slice(&b), out, e)) == ST_OK)
		return out->number == 1 && !is_there(dir, "meta") ? ST_OK
								  : check_parts(dir, e);
	if (st == ST_LIMIT)
		return err_set(
			e, ERR_CANNOT,
			"%s is not a store of Facteur: its file FORMAT says something else",
			dir);
	if (st != ST_NOT_FOUND)
		return st;
	bool making = is_there(dir, "NEW");
	if (!making && (is_there(dir, "meta") || is_there(dir, "bodies")))
		return err_set(
			e, ERR_CANNOT,
			"%s is not a store of Facteur: it has meta but no file FORMAT",
			dir);
	*out_making = making;
	err_set(e, ERR_CANNOT, "there is no store in %s", dir);
	return ST_NOT_FOUND;
}

static void add_line(struct buf *b, const char *name, const unsigned char p[16])
{
	buf_adds(b, name);
	for (size_t i = 0; i < 16; i++)
		buf_addf(b, "%02x", p[i]);
	buf_addc(b, '\n');
}

enum status kv_format_write(const char *dir, struct kv_format *f, struct err *e)
{
	static const unsigned char none[16];
	unsigned char key[16];
	char path[4096];
	AUTO_BUF b = { 0 };
	enum status st = join(path, dir, "FORMAT", e);

	if (st != ST_OK)
		return st;
	if (memcmp(f->life, none, sizeof(none)) == 0) {
		random_bytes(f->life, sizeof(f->life));
		random_bytes(&f->key, sizeof(f->key));
	}
	f->number = KV_FORMAT;
	memcpy(key, &f->key.k0, 8);
	memcpy(key + 8, &f->key.k1, 8);
	buf_init(&b, FILE_MAX);
	buf_addf(&b, NAME "%u\n", f->number);
	add_line(&b, "life ", f->life);
	add_line(&b, "key ", key);
	return io_write_file(path, buf_slice(&b), 0600, e);
}

enum status kv_format_begin(const char *dir, struct err *e)
{
	char path[4096];
	enum status st = join(path, dir, "NEW", e);

	if (st == ST_OK)
		st = io_mkdir(dir, 0700, e);
	return st == ST_OK ? io_write_file(path, SL(NEW_TEXT), 0600, e) : st;
}

enum status kv_format_end(const char *dir, struct err *e)
{
	char path[4096];
	enum status st = join(path, dir, "NEW", e);

	if (st == ST_OK)
		st = io_unlink(path, e);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

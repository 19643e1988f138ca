/* backup_secrets.c — secrets.enc: what is needed beside the store, for no eyes but the owner's.
 *
 *	"facteur secrets 1\n", passes u32, KiB u32, lanes u32, salt 16, nonce 12: the head
 *	ciphertext, tag 16: AES-256-GCM over the list, the head authenticated with it
 *
 * The key is Argon2id (RFC 9106) of the passphrase. The list is rows of kind, mode, path and
 * content, each written with buf_put_*. */
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/limits.h"
#include <argon2.h>
#include <limits.h>
#include <openssl/evp.h>

#define MAGIC	"facteur secrets 1\n"
#define MAGIC_N (sizeof(MAGIC) - 1)
#define SALT	16
#define NONCE	12
#define TAG	16
#define HEAD_N	(MAGIC_N + 3 * 4 + SALT + NONCE)
/* RFC 9106 4, the second recommended option. */
#define PASSES 3
#define KIB    (64u << 10)
#define LANES  4
/* What is asked of us by a file: no more than this machine can be expected to give. */
#define PASSES_MAX 64
#define KIB_MAX	   (4u << 20)
#define LANES_MAX  64
#define DIR_DEPTH  16

/* --- the list ------------------------------------------------------------------------- */
void backup_secret_write(struct buf *b, const struct backup_secret *s)
{
	buf_put_u8(b, (uint8_t)s->kind);
	buf_put_u32(b, s->mode);
	buf_put_bytes(b, s->path);
	buf_put_bytes(b, s->content);
}

/* No empty component, none of . and .., no NUL: nothing that leads out of where it is put. */
static bool leads_nowhere_else(slice path)
{
	slice rest = path;

	if (path.n == 0 || path.n >= PATH_MAX / 2 || slice_chr(path, '\0', 0) < path.n ||
	    path.p[path.n - 1] == '/')
		return false;
	while (rest.n) {
		slice c = slice_cut(&rest, '/');

		if (c.n == 0 || c.n > NAME_MAX || slice_eq(c, SL(".")) ||
		    slice_eq(c, SL("..")))
			return false;
	}
	return true;
}

bool backup_secret_read(struct rd *r, struct backup_secret *out, bool *bad)
{
	uint8_t kind = rd_u8(r);

	*bad = true;
	if (kind == SECRET_END) {
		*bad = r->bad || rd_left(r) > 0;
		return false;
	}
	struct backup_secret s = { .kind = kind, .mode = rd_u32(r) };

	s.path = rd_bytes(r);
	s.content = rd_bytes(r);
	if (r->bad || kind > SECRET_OUTSIDE || s.mode > 0777)
		return false;
	if (kind == SECRET_OUTSIDE && (s.path.n == 0 || s.path.p[0] != '/'))
		return false;
	if (!leads_nowhere_else(kind == SECRET_OUTSIDE ? slice_from(s.path, 1) : s.path))
		return false;
	*bad = false;
	*out = s;
	return true;
}

/* --- collecting ----------------------------------------------------------------------- */
struct collect {
	const char *data;
	struct buf *out;
	struct arena *a;
	slice below; /* path under data: empty, or with / at its end */
	int depth;
	enum status st;
	struct err *e;
};

static enum status add_file(struct collect *c, enum backup_secret_kind kind,
			    const char *file, slice path, unsigned mode)
{
	AUTO_BUF b = { 0 };

	buf_init(&b, LIMIT_BACKUP_SECRETS);
	enum status st = io_read_file(file, LIMIT_BACKUP_SECRETS, &b, c->e);

	if (st == ST_OK) {
		struct backup_secret s = { kind, mode & 0777, path, buf_slice(&b) };

		backup_secret_write(c->out, &s);
		if (c->out->full)
			st = err_set(c->e, ERR_LIMIT,
				     "%s: what lies beside the store is more than %u MiB",
				     file, LIMIT_BACKUP_SECRETS >> 20);
	}
	if (b.p)
		explicit_bzero(b.p, b.cap);
	return st;
}

static bool take_entry(void *ctx, const char *name)
{
	struct collect *c = ctx;
	struct io_stat st;
	slice path = arena_fmt(c->a, "%.*s%s", FMT(c->below), name);
	const char *file = arena_fmt(c->a, "%s/%.*s", c->data, FMT(path)).p;

	if (c->depth == 0 && strcmp(name, "store") == 0)
		return true;
	c->st = io_stat_path(file, &st, c->e);
	if (c->st == ST_NOT_FOUND) {
		c->st = ST_OK; /* gone meanwhile */
	} else if (c->st == ST_OK && st.kind == IO_KIND_FILE) {
		c->st = add_file(c, SECRET_DATA, file, path, st.mode);
	} else if (c->st == ST_OK && st.kind == IO_KIND_DIR) {
		struct collect in = *c;

		if (++in.depth > DIR_DEPTH) {
			c->st = err_set(c->e, ERR_LIMIT, "%s: too deep", file);
			return false;
		}
		in.below = arena_fmt(c->a, "%.*s/", FMT(path));
		c->st = io_list_dir(file, take_entry, &in, c->e);
		if (c->st == ST_OK)
			c->st = in.st;
	}
	return c->st == ST_OK;
}

enum status backup_secrets_collect(const char *data, const slice *outside, size_t n,
				   struct buf *out, struct arena *a, slice *missing,
				   struct err *e)
{
	struct collect c = { .data = data, .out = out, .a = a, .e = e };
	enum status st = io_list_dir(data, take_entry, &c, e);

	*missing = SL("");
	if (st == ST_OK)
		st = c.st;
	for (size_t i = 0; i < n && st == ST_OK; i++) {
		const char *file = arena_cstr(a, outside[i]);
		struct io_stat s;

		st = io_stat_path(file, &s, e);
		if (st == ST_OK) /* a link is followed: certificates are often one */
			st = add_file(&c, SECRET_OUTSIDE, file, outside[i],
				      s.kind == IO_KIND_FILE ? s.mode : 0600);
		if (st == ST_NOT_FOUND) {
			*missing = arena_fmt(a, "%.*s%s%.*s", FMT(*missing),
					     missing->n ? ", " : "", FMT(outside[i]));
			st = ST_OK;
		}
	}
	buf_put_u8(out, SECRET_END);
	if (st == ST_OK && out->full)
		st = err_set(e, ERR_LIMIT,
			     "what lies beside the store is more than %u MiB",
			     LIMIT_BACKUP_SECRETS >> 20);
	return st;
}

/* --- sealing -------------------------------------------------------------------------- */
struct kdf {
	uint32_t passes, kib, lanes;
	unsigned char salt[SALT], nonce[NONCE];
};

static enum status derive(const struct kdf *k, slice passphrase, unsigned char key[32],
			  struct err *e)
{
	int rc = argon2id_hash_raw(k->passes, k->kib, k->lanes, passphrase.p,
				   passphrase.n, k->salt, SALT, key, 32);

	return rc == ARGON2_OK
		       ? ST_OK
		       : err_set(e, ERR_IO, "Argon2: %s", argon2_error_message(rc));
}

static void free_cipher(EVP_CIPHER_CTX **c)
{
	EVP_CIPHER_CTX_free(*c);
}
#define AUTO_CIPHER __attribute__((cleanup(free_cipher))) EVP_CIPHER_CTX *

static bool gcm(EVP_CIPHER_CTX *c, bool seal, const unsigned char key[32],
		const struct kdf *k, slice head, slice in, unsigned char *out,
		unsigned char tag[TAG])
{
	int n = 0, last = 0;

	if (!c || in.n > INT_MAX ||
	    EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, k->nonce, seal) != 1 ||
	    EVP_CipherUpdate(c, NULL, &n, (const unsigned char *)head.p, (int)head.n) !=
		    1 ||
	    EVP_CipherUpdate(c, out, &n, (const unsigned char *)in.p, (int)in.n) != 1)
		return false;
	if (!seal && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) != 1)
		return false;
	if (EVP_CipherFinal_ex(c, out + n, &last) != 1)
		return false;
	return !seal || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1;
}

enum status backup_secrets_seal(slice list, slice passphrase, struct buf *out,
				struct err *e)
{
	AUTO_CIPHER c = EVP_CIPHER_CTX_new();
	struct kdf k = { PASSES, KIB, LANES, { 0 }, { 0 } };
	unsigned char key[32], tag[TAG];
	size_t at = out->n;

	random_bytes(k.salt, SALT);
	random_bytes(k.nonce, NONCE);
	enum status st = derive(&k, passphrase, key, e);

	if (st != ST_OK)
		return st;
	buf_add(out, SL(MAGIC));
	buf_put_u32(out, k.passes);
	buf_put_u32(out, k.kib);
	buf_put_u32(out, k.lanes);
	buf_add(out, slice_make(k.salt, SALT));
	buf_add(out, slice_make(k.nonce, NONCE));
	if (!buf_reserve(out, list.n + TAG))
		st = err_set(e, ERR_LIMIT, "too much for " BACKUP_SECRETS);
	else if (!gcm(c, true, key, &k, slice_make(out->p + at, HEAD_N), list,
		      (unsigned char *)out->p + out->n, tag))
		st = err_set(e, ERR_IO, "AES-256-GCM is not available");
	else {
		out->n += list.n;
		buf_add(out, slice_make(tag, TAG));
	}
	explicit_bzero(key, sizeof(key));
	return st;
}

static bool read_kdf(slice sealed, struct kdf *k)
{
	struct rd r = rd_init(sealed);

	rd_raw(&r, MAGIC_N);
	k->passes = rd_u32(&r);
	k->kib = rd_u32(&r);
	k->lanes = rd_u32(&r);
	slice salt = rd_raw(&r, SALT), nonce = rd_raw(&r, NONCE);

	if (r.bad || k->passes == 0 || k->passes > PASSES_MAX || k->kib < 8 ||
	    k->kib > KIB_MAX || k->lanes == 0 || k->lanes > LANES_MAX)
		return false;
	memcpy(k->salt, salt.p, SALT);
	memcpy(k->nonce, nonce.p, NONCE);
	return true;
}

enum status backup_secrets_open(slice sealed, slice passphrase, struct buf *out,
				struct err *e)
{
	AUTO_CIPHER c = EVP_CIPHER_CTX_new();
	struct kdf k;
	unsigned char key[32], tag[TAG];

	if (!slice_starts(sealed, SL(MAGIC)) || sealed.n < HEAD_N + TAG ||
	    !read_kdf(sealed, &k))
		return err_set(e, ERR_CORRUPT,
			       BACKUP_SECRETS " is damaged, or of another program");
	slice in = slice_sub(sealed, HEAD_N, sealed.n - HEAD_N - TAG);

	memcpy(tag, sealed.p + sealed.n - TAG, TAG);
	enum status st = derive(&k, passphrase, key, e);

	if (st != ST_OK)
		return st;
	if (!buf_reserve(out, in.n))
		st = err_set(e, ERR_LIMIT, BACKUP_SECRETS " is too large");
	else if (!gcm(c, false, key, &k, slice_sub(sealed, 0, HEAD_N), in,
		      (unsigned char *)out->p + out->n, tag))
		st = err_set(e, ERR_DENIED,
			     "the passphrase is wrong, or " BACKUP_SECRETS
			     " is damaged (facteur backup verify tells which)");
	else
		out->n += in.n;
	explicit_bzero(key, sizeof(key));
	return st;
}

/* --- putting back --------------------------------------------------------------------- */
/* Every directory above file. */
static enum status make_above(struct arena *a, const char *file, size_t from,
			      struct err *e)
{
	slice s = slice_str(file);

	for (size_t at = slice_chr(s, '/', from); at < s.n;
	     at = slice_chr(s, '/', at + 1)) {
		enum status st = io_mkdir(arena_cstr(a, slice_sub(s, 0, at)), 0700, e);

		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

enum status backup_secrets_restore(slice list, const char *data, struct arena *a,
				   slice **out_outside, size_t *out_n, struct err *e)
{
	struct rd r = rd_init(list);
	struct backup_secret s;
	size_t n = 0, cap = 16;
	slice *names = arena_array(a, cap, sizeof(*names));
	bool bad;

	while (backup_secret_read(&r, &s, &bad)) {
		bool out = s.kind == SECRET_OUTSIDE;
		const char *file = arena_fmt(a, "%s/%s%.*s", data, out ? "restored" : "",
					     FMT(s.path))
					   .p;
		enum status st = make_above(a, file, strlen(data) + 1, e);

		if (st == ST_OK)
			st = io_write_file(file, s.content, (mode_t)s.mode, e);
		if (st != ST_OK)
			return st;
		if (!out)
			continue;
		if (n == cap) {
			slice *old = names;

			cap *= 2;
			names = arena_array(a, cap, sizeof(*names));
			memcpy(names, old, n * sizeof(*names));
		}
		names[n++] = arena_dup(a, s.path);
	}
	if (bad)
		return err_set(e, ERR_CORRUPT, BACKUP_SECRETS ": its list is damaged");
	*out_outside = names;
	*out_n = n;
	return ST_OK;
}

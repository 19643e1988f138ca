/* fuzz_transfer_maildir.c — names of files and folders, and the lines of a Maildir's small files.
 *
 * What was read and is written is read as the same; a folder's name never leads out of its directory. */
#include "base/cleanup.h"
#include "transfer/maildir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(x)                          \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void folder(slice s)
{
	AUTO_ARENA a = { 0 };
	AUTO_BUF b = { 0 };
	slice name, again;

	arena_init(&a);
	buf_init(&b, 16 * s.n + 64);
	if (!maildir_folder_read(&a, s, &name))
		return;
	CHECK(slice_chr(name, '\0', 0) == name.n && slice_chr(name, '\n', 0) == name.n);
	maildir_folder_write(&b, name);
	CHECK(slice_chr(buf_slice(&b), '/', 0) == b.n);
	CHECK(b.n == 0 || (b.p[0] == '.' && b.n > 1 && b.p[1] != '.'));
	CHECK(maildir_folder_read(&a, buf_slice(&b), &again) && slice_eq(again, name));
	(void)!maildir_subscription_read(&a, s, true, &again);
}

static void file(slice s)
{
	AUTO_BUF b = { 0 };
	struct maildir_name n, again;

	buf_init(&b, s.n + 256);
	maildir_name_read(s, &n);
	CHECK(n.base.n <= s.n && n.letters < 1u << MAILDIR_LETTERS);
	if (n.base.n == 0)
		return;
	maildir_name_write(&b, &n);
	maildir_name_read(buf_slice(&b), &again);
	CHECK(slice_eq(again.base, n.base) && again.flags == n.flags &&
	      again.letters == n.letters && again.uid == n.uid && again.size == n.size);
}

static void lines(slice s)
{
	AUTO_BUF b = { 0 };
	uint32_t v, next, uid, uid2;
	unsigned letter;
	slice base, base2;

	buf_init(&b, s.n + 256);
	if (maildir_uidlist_read_line(s, &uid, &base)) {
		maildir_uidlist_line(&b, uid, base);
		CHECK(maildir_uidlist_read_line(buf_slice(&b), &uid2, &base2));
		CHECK(uid == uid2);
	}
	if (maildir_uidlist_read_head(s, &v, &next))
		CHECK(v != 0);
	if (maildir_keyword_read(s, &letter, &base))
		CHECK(letter < MAILDIR_LETTERS && base.n > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	slice s = slice_make(data, n);

	folder(s);
	file(s);
	lines(s);
	return 0;
}

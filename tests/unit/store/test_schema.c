/* test_schema.c — rows: read(write(x)) = x; a row cut short or of another version is
 * refused, never read beyond. */
#include "store_test.h"
#include "store/schema.h"

static void test_keys_sort_as_their_numbers(void **state)
{
	struct skey k[] = { key_message(1, 1, 1),   key_message(1, 1, 2),
			    key_message(1, 1, 256), key_message(1, 2, 1),
			    key_message(1, 256, 1), key_message(2, 0, 0),
			    key_message(256, 0, 0) };

	(void)state;
	for (size_t i = 1; i < sizeof(k) / sizeof(k[0]); i++)
		assert_int_equal(slice_cmp(skey_slice(&k[i - 1]), skey_slice(&k[i])), -1);
	assert_int_equal(key_message_uid(skey_slice(&k[2])), 256);
	struct skey p = key_messages(1, 0xffffffffu),
		    max = key_message(1, 0xffffffffu, 0xffffffffu);

	skey_next_prefix(&p);
	assert_int_equal(slice_cmp(skey_slice(&max), skey_slice(&p)), -1);
}

/* Each prefix in a heap block of exactly its size, so that reading beyond shows. */
#define CUT(b, read)                                        \
	do {                                                \
		for (size_t n = 0; n <= (b).n; n++) {       \
			char *p = malloc(n ? n : 1);        \
			memcpy(p, (b).p, n);                \
			slice s = slice_make(p, n);         \
			assert_int_equal(read, n == (b).n); \
			if (n && n == (b).n) {              \
				p[0] = 99;                  \
				assert_false(read);         \
			}                                   \
			free(p);                            \
		}                                           \
	} while (0)

static void test_rows_cut_short_or_of_another_version_are_refused(void **state)
{
	AUTO_BUF b;
	AUTO_ARENA a;
	struct row_directory d = { 7, 8, 9 }, d2;
	struct row_login l = { .account = 3,
			       .created = 4,
			       .verifier = S("{X}y"),
			       .disabled = true },
			 l2;
	struct row_account acct = { .modseq = 1,
				    .next_email = 2,
				    .bytes = 300,
				    .role = { 0, 5 } },
			   acct2;
	struct row_mbox m = { .uidnext = 6,
			      .modseq = 70000,
			      .name = S("box"),
			      .exists = true },
			m2;
	struct row_msgid id = { 1, 2 }, id2;
	struct row_gone g = { 1, 2, true, { { .uid = 5, .email = 6 }, true } }, g2;
	struct row_email em = { .received = 1,
				.prefix = S("P: q\r\n"),
				.preview = S(""),
				.digest = S("dig") },
			 em2;
	slice rcpt[] = { S("a"), S("b") };
	struct store_queue_entry q = { .id = 1,
				       .sender = S("s"),
				       .rcpt = rcpt,
				       .n_rcpt = 2,
				       .state = S("w"),
				       .prefix = S("p") },
				 q2;

	(void)state;
	arena_init(&a);
	buf_init(&b, 1u << 16);
	row_directory_write(&b, &d);
	CUT(b, row_directory_read(s, &d2));
	assert_memory_equal(&d, &d2, sizeof(d));
	buf_reset(&b);
	row_login_write(&b, &l);
	CUT(b, row_login_read(s, &l2));
	buf_reset(&b);
	row_account_write(&b, &acct);
	CUT(b, row_account_read(s, &acct2));
	assert_memory_equal(&acct, &acct2, sizeof(acct));
	buf_reset(&b);
	row_mbox_write(&b, &m);
	CUT(b, row_mbox_read(s, &m2));
	assert_int_equal(m2.modseq, 70000);
	buf_reset(&b);
	row_msgid_write(&b, &id);
	CUT(b, row_msgid_read(s, &id2));
	buf_reset(&b);
	row_gone_write(&b, &g);
	CUT(b, row_gone_read(s, 5, &g2));
	buf_reset(&b);
	row_email_write(&b, &em);
	CUT(b, row_email_read(s, &em2));
	buf_reset(&b);
	row_queue_write(&b, &q);
	CUT(b, row_queue_read(s, &a, &q2));
}

static void test_the_change_log_gives_back_what_was_written_and_survives_damage(
	void **state)
{
	AUTO_BUF b;
	const uint32_t uid[] = { 1, 2, 3, 7, 9, 10, 4294967294u };
	struct row_log r;
	uint32_t first, n, seen = 0;

	(void)state;
	buf_init(&b, 4096);
	row_log_start(&b);
	row_log_entry(&b, LOG_MAILBOX, 8, NULL, 0);
	row_log_entry(&b, LOG_EXPUNGED, 9, uid, 7);
	row_log_entry(&b, LOG_ADDED, 10, uid, 1);
	assert_true(row_log_read(buf_slice(&b), &r));
	assert_true(row_log_next(&r));
	assert_int_equal(r.op, LOG_MAILBOX);
	assert_false(row_log_run(&r, &first, &n));
	assert_true(row_log_next(&r));
	assert_int_equal(r.mbox, 9);
	while (row_log_run(&r, &first, &n))
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(first + i, uid[seen++]);
	assert_int_equal(seen, 7);
	assert_true(row_log_next(&r));
	assert_int_equal(r.op, LOG_ADDED);
	assert_false(row_log_next(&r)); /* what was not read is skipped */
	assert_false(r.bad);
	for (size_t at = 0; at < b.n;
	     at++) { /* any byte may be anything: it ends, and within the row */
		for (int v = 0; v < 256; v += 5) {
			char *p = malloc(b.n);

			memcpy(p, b.p, b.n);
			p[at] = (char)v;
			if (row_log_read(slice_make(p, b.n), &r))
				while (row_log_next(&r))
					;
			free(p);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_sort_as_their_numbers),
		cmocka_unit_test(test_rows_cut_short_or_of_another_version_are_refused),
		cmocka_unit_test(
			test_the_change_log_gives_back_what_was_written_and_survives_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

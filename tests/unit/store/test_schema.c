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
				    .role = { 0, 5 },
				    .has_quota_messages = true,
				    .quota_messages = 7,
				    .held_bytes = 8,
				    .held_messages = 9,
				    .warned = 80,
				    .language = "en" },
			   acct2;
	struct row_mbox m = { .uidnext = 6,
			      .modseq = 70000,
			      .name = S("box"),
			      .exists = true,
			      .expire = 31,
			      .expired_to = 5 },
			m2;
	struct row_msgid id = { 1, 2 }, id2;
	struct row_gone g = { .modseq = 1,
			      .time = 2,
			      .moved = true,
			      .msg = { { .uid = 5, .email = 6, .saved = 9 }, true } },
			g2;
	struct row_domain dom = { 4, 1ull << 40, 3 }, dom2;
	struct row_policy pol = { { 1, 2, 3, 4, 5, 6, "fr" }, true, true }, pol2;
	struct row_trusted_time tt = { 1, 2, 3, 4 }, tt2;
	struct row_kept_mbox km = { 5, S("a/box"), m }, km2;
	struct row_kept_account ka = { 6, S("a@b"), S("login"), S("acct"), S("c@b\n") },
				ka2;
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
	AUTO_BUF again;

	buf_init(&again, 4096);
	row_account_write(&again, &acct2);
	assert_true(slice_eq(buf_slice(&again), buf_slice(&b)));
	assert_true(acct2.warned == 80 && acct2.held_messages == 9);
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
	assert_true(g2.moved && !g2.last && g2.msg.row.saved == 9);
	buf_reset(&b);
	row_domain_write(&b, &dom);
	CUT(b, row_domain_read(s, &dom2));
	assert_memory_equal(&dom, &dom2, sizeof(dom));
	buf_reset(&b);
	row_policy_write(&b, &pol);
	CUT(b, row_policy_read(s, &pol2));
	assert_string_equal(pol2.policy.language, "fr");
	assert_true(pol2.has_limits && pol2.has_expiry && pol2.policy.keep_days == 4);
	buf_reset(&b);
	row_trusted_time_write(&b, &tt);
	CUT(b, row_trusted_time_read(s, &tt2));
	assert_memory_equal(&tt, &tt2, sizeof(tt));
	buf_reset(&b);
	row_kept_mbox_write(&b, &km);
	CUT(b, row_kept_mbox_read(s, &km2));
	assert_int_equal(km2.mbox.expire, 31);
	buf_reset(&b);
	row_kept_account_write(&b, &ka);
	CUT(b, row_kept_account_read(s, &ka2));
	assert_true(
		row_kept_account_read(buf_slice(&b), &ka2)); /* CUT's copies are gone */
	assert_true(slice_eq(ka2.aliases, ka.aliases));
	buf_reset(&b);
	row_email_write(&b, &em);
	CUT(b, row_email_read(s, &em2));
	buf_reset(&b);
	row_queue_write(&b, &q);
	CUT(b, row_queue_read(s, &a, &q2));
}

/* As the first release wrote them. */
static void test_rows_of_version_1_are_read(void **state)
{
	AUTO_BUF b;
	struct row_domain d;
	struct row_account a;
	struct row_mbox m;
	struct row_message msg;
	struct row_gone g;

	(void)state;
	buf_init(&b, 4096);
	buf_put_u8(&b, 1);
	buf_put_u64(&b, 77);
	assert_true(row_domain_read(buf_slice(&b), &d));
	assert_true(d.created == 77 && d.quota_bytes == 0);

	buf_reset(&b);
	buf_put_u8(&b, 1);
	buf_put_u64(&b, 5);
	buf_put_u64(&b, 6);
	buf_put_u32(&b, 7);
	for (unsigned i = 0; i < 5; i++) /* n_mbox, floor, bytes, messages, quota */
		buf_put_varint(&b, 300 + i);
	for (int i = 0; i < SCHEMA_ROLES; i++)
		buf_put_u32(&b, (uint32_t)i);
	assert_true(row_account_read(buf_slice(&b), &a));
	assert_true(a.bytes == 302 && a.messages == 303 && a.role[2] == 2);
	assert_true(!a.has_quota_bytes && a.held_bytes == 0 && a.language[0] == 0);

	buf_reset(&b);
	buf_put_u8(&b, 1);
	buf_put_u8(&b, 1);
	buf_put_u8(&b, ROLE_TRASH);
	for (uint32_t i = 0; i < 4; i++)
		buf_put_u32(&b, i);
	for (unsigned i = 0; i < 5; i++)
		buf_put_varint(&b, 300 + i);
	buf_put_bytes(&b, SL("Trash"));
	assert_true(row_mbox_read(buf_slice(&b), &m));
	assert_true(m.role == ROLE_TRASH && m.bytes == 304 && m.expire == 0);

	char row[ROW_MESSAGE_SIZE_1] = { 1, FLAG_SEEN, 0, 0, 0, 0, 0, 0, 0, 0, 9 };

	assert_true(row_message_read(slice_make(row, sizeof(row)), 4, &msg));
	assert_true(msg.row.email == 9 && msg.row.uid == 4 && msg.row.saved == 0);

	buf_reset(&b);
	buf_put_u8(&b, 1);
	buf_put_u8(&b, 1);
	buf_put_u64(&b, 11);
	buf_put_u64(&b, 12);
	buf_add(&b, slice_make(row, sizeof(row)));
	assert_true(row_gone_read(buf_slice(&b), 4, &g));
	assert_true(g.last && !g.moved && g.time == 12 && g.msg.row.email == 9);
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
		cmocka_unit_test(test_rows_of_version_1_are_read),
		cmocka_unit_test(test_rows_cut_short_or_of_another_version_are_refused),
		cmocka_unit_test(
			test_the_change_log_gives_back_what_was_written_and_survives_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

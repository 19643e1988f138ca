/* test_buf.c — base/buf.h */
#include "base/buf.h"
#include <setjmp.h>
#include <cmocka.h>

static void appends_add_up(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(buf_slice(&b).n, 0);
	assert_non_null(buf_slice(&b).p);
	buf_add(&b, SL("a"));
	buf_add(&b, (slice){ 0 });
	buf_addc(&b, 'b');
	buf_adds(&b, "cd");
	buf_addu(&b, 0);
	buf_addu(&b, UINT64_MAX);
	buf_addf(&b, "<%s:%03d>", "x", 7);
	assert_true(slice_eq(buf_slice(&b), SL("abcd018446744073709551615<x:007>")));
	assert_false(b.full);
	buf_done(&b);
}

static void an_append_beyond_max_adds_nothing_and_is_remembered(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 5);
	buf_add(&b, SL("abc"));
	buf_add(&b, SL("def"));
	assert_true(b.full);
	buf_add(&b, SL("g")); /* would fit, but there would be a hole before it */
	assert_true(slice_eq(buf_slice(&b), SL("abc")));
	buf_reset(&b);
	assert_false(b.full);
	buf_addf(&b, "%s", "12345");
	assert_false(b.full);
	assert_true(slice_eq(buf_slice(&b), SL("12345")));
	buf_addf(&b, "%d", 6);
	assert_true(b.full);
	assert_true(slice_eq(buf_slice(&b), SL("12345")));
	buf_done(&b);
}

static void reserve_refuses_what_cannot_be(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, SIZE_MAX);
	buf_addc(&b, 'x');
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_true(b.full);
	buf_done(&b);
	buf_init(&b, 100);
	assert_true(buf_reserve(&b, 100));
	memset(b.p, 'y', 100);
	b.n = 100;
	assert_false(buf_reserve(&b, 1));
	buf_done(&b);
}

static void a_buffer_grows_to_exactly_max(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100003);
	for (size_t i = 0; i < 100003; i++)
		buf_addc(&b, (char)('a' + i % 26));
	assert_false(b.full);
	assert_int_equal(b.n, 100003);
	assert_true(b.cap <= 100003);
	for (size_t i = 0; i < b.n; i++)
		assert_int_equal(b.p[i], 'a' + i % 26);
	buf_addc(&b, '!');
	assert_true(b.full);
	buf_done(&b);
}

static void drop_removes_at_the_front(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100);
	buf_drop(&b, 3);
	buf_add(&b, SL("hello"));
	buf_drop(&b, 2);
	assert_true(slice_eq(buf_slice(&b), SL("llo")));
	buf_drop(&b, 99);
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

static const uint64_t numbers[] = { 0,		1,	    127,	128,
				    255,	256,	    16383,	16384,
				    UINT32_MAX, 1ull << 32, 1ull << 63, UINT64_MAX - 1,
				    UINT64_MAX };

static void what_is_put_is_read(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 10000);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		buf_put_u8(&b, (uint8_t)numbers[i]);
		buf_put_u16(&b, (uint16_t)numbers[i]);
		buf_put_u32(&b, (uint32_t)numbers[i]);
		buf_put_u64(&b, numbers[i]);
		buf_put_varint(&b, numbers[i]);
		buf_put_bytes(&b, SL("x\0\r\n"));
		buf_put_bytes(&b, SL(""));
	}
	struct rd r = rd_init(buf_slice(&b));

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_int_equal(rd_u8(&r), (uint8_t)numbers[i]);
		assert_int_equal(rd_u16(&r), (uint16_t)numbers[i]);
		assert_int_equal(rd_u32(&r), (uint32_t)numbers[i]);
		assert_true(rd_u64(&r) == numbers[i]);
		assert_true(rd_varint(&r) == numbers[i]);
		assert_true(slice_eq(rd_bytes(&r), SL("x\0\r\n")));
		assert_int_equal(rd_bytes(&r).n, 0);
	}
	assert_false(r.bad);
	assert_int_equal(rd_left(&r), 0);
	buf_done(&b);
}

static void fields_are_big_endian(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100);
	buf_put_u16(&b, 0x0102);
	buf_put_u32(&b, 0x03040506);
	buf_put_u64(&b, 0x0708090a0b0c0d0e);
	assert_true(slice_eq(buf_slice(&b), SL("\1\2\3\4\5\6\7\10\11\12\13\14\15\16")));
	buf_done(&b);
}

static void a_field_is_added_whole_or_not_at_all(void **state)
{
	(void)state;
	for (size_t max = 0; max < 6; max++) {
		struct buf b;

		buf_init(&b, max);
		buf_put_bytes(&b, SL("12345"));
		assert_true(b.full);
		assert_int_equal(b.n, 0);
		buf_done(&b);
	}
}

static void a_reader_cut_anywhere_is_bad_and_stays_bad(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100);
	buf_put_u8(&b, 1);
	buf_put_u32(&b, 2);
	buf_put_varint(&b, 300);
	buf_put_bytes(&b, SL("abc"));
	for (size_t n = 0; n < b.n; n++) {
		/* A heap copy of the exact size, for the address sanitizer. */
		struct buf cut;

		buf_init(&cut, 100);
		buf_add(&cut, slice_make(b.p, n));
		struct rd r = rd_init(buf_slice(&cut));

		rd_u8(&r);
		rd_u32(&r);
		rd_varint(&r);
		rd_bytes(&r);
		assert_true(r.bad);
		assert_int_equal(rd_left(&r), 0);
		assert_int_equal(rd_u64(&r), 0);
		assert_int_equal(rd_raw(&r, 1).n, 0);
		assert_int_equal(rd_raw(&r, 0).n, 0);
		buf_done(&cut);
	}
	buf_done(&b);
}

static void a_varint_beyond_64_bits_is_bad(void **state)
{
	(void)state;
	static const slice bad[] = {
		S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
		S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		S("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
		S("\x80"),
		S(""),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rd r = rd_init(bad[i]);

		assert_int_equal(rd_varint(&r), 0);
		assert_true(r.bad);
	}
	struct rd r = rd_init(SL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));

	assert_true(rd_varint(&r) == UINT64_MAX);
	assert_false(r.bad);
}

static void a_length_beyond_the_end_is_bad(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100);
	buf_put_varint(&b, UINT64_MAX);
	buf_add(&b, SL("abc"));
	struct rd r = rd_init(buf_slice(&b));

	assert_int_equal(rd_bytes(&r).n, 0);
	assert_true(r.bad);
	buf_done(&b);
	r = rd_init((slice){ 0 });
	assert_int_equal(rd_raw(&r, 0).n, 0);
	assert_false(r.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_add_up),
		cmocka_unit_test(an_append_beyond_max_adds_nothing_and_is_remembered),
		cmocka_unit_test(reserve_refuses_what_cannot_be),
		cmocka_unit_test(a_buffer_grows_to_exactly_max),
		cmocka_unit_test(drop_removes_at_the_front),
		cmocka_unit_test(what_is_put_is_read),
		cmocka_unit_test(fields_are_big_endian),
		cmocka_unit_test(a_field_is_added_whole_or_not_at_all),
		cmocka_unit_test(a_reader_cut_anywhere_is_bad_and_stays_bad),
		cmocka_unit_test(a_varint_beyond_64_bits_is_bad),
		cmocka_unit_test(a_length_beyond_the_end_is_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

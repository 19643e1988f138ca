/* Random sequences of commands against a reference state machine that knows nothing of
 * the server (HAZARDS 4): the codes of every answer and the number of messages filed
 * must be the same, however the octets are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/log.h"
#include "smtp_world.h"

enum verb {
	EHLO,
	HELO,
	MAIL,
	MAIL_BAD,
	MAIL_BIG,
	RCPT,
	RCPT_UNKNOWN,
	RCPT_RELAY,
	RCPT_BAD,
	DATA,
	DATA_NUL,
	BDAT,
	BDAT_LAST,
	BDAT_NUL,
	BDAT_BAD,
	BDAT_UNSIZED,
	RSET,
	NOOP,
	VRFY,
	UNKNOWN,
	TOO_LONG,
	BARE,
	VERBS
};

/* --- the reference: what each command is answered ----------------------------------------------------------------------- */
struct model {
	bool hello, mail, rcpt, refused, bdat, nul, closed;
	unsigned errors, junk, filed;
};

static void over(struct model *m)
{
	m->mail = m->rcpt = m->refused = m->bdat = m->nul = false;
}

static unsigned no_rcpt(const struct model *m)
{
	return m->mail && m->refused ? 554 : 503;
}

/* The message is complete, or has failed before that. */
static unsigned filed(struct model *m, bool has_nul)
{
	over(m);
	if (has_nul)
		return 550;
	m->filed++;
	m->errors = m->junk = 0;
	return 250;
}

static unsigned body_chunk(struct model *m, enum verb v)
{
	if (v != BDAT_LAST)
		m->junk++;
	if (v == BDAT_BAD)
		over(m);
	if (v == BDAT_BAD)
		return 501;
	if (!m->mail || !m->rcpt)
		return no_rcpt(m);
	m->bdat = true;
	m->nul |= v == BDAT_NUL;
	return v == BDAT_LAST ? filed(m, m->nul) : 250;
}

static unsigned answer(struct model *m, enum verb v)
{
	switch (v) {
	case EHLO:
		m->junk += m->hello;
		over(m);
		return m->hello = true, 250;
	case HELO:
		m->junk++;
		over(m);
		return m->hello = true, 250;
	case MAIL:
		return !m->hello || m->mail ? 503 : (m->mail = true, 250);
	case MAIL_BAD:
		return 501;
	case MAIL_BIG:
		return !m->hello || m->mail ? 503 : 552;
	case RCPT:
		return !m->mail || m->bdat ? 503 : (m->rcpt = true, 250);
	case RCPT_UNKNOWN:
	case RCPT_RELAY:
		return !m->mail || m->bdat ? 503 : (m->refused = true, 550);
	case RCPT_BAD:
		m->refused |= m->mail;
		return 501;
	case DATA:
	case DATA_NUL:
		if (m->bdat)
			return over(m), 503;
		return m->rcpt ? 354 : no_rcpt(m);
	case BDAT:
	case BDAT_LAST:
	case BDAT_NUL:
	case BDAT_BAD:
		return body_chunk(m, v);
	case BDAT_UNSIZED:
		return over(m), 501;
	case RSET:
		m->junk++;
		return over(m), 250;
	case NOOP:
		return m->junk++, 250;
	case VRFY:
		return m->junk++, 252;
	case UNKNOWN:
	case TOO_LONG:
	case BARE:
	case VERBS:
		break;
	}
	return 500;
}

static unsigned model_step(struct model *m, enum verb v)
{
	if (m->errors >= LIMIT_SMTP_ERRORS || m->junk > LIMIT_SMTP_JUNK)
		return m->closed = true, 421;
	unsigned code = answer(m, v);
	m->errors += code >= 500;
	return code;
}

/* --- the client ------------------------------------------------------------------------------------------------------------ */

static const slice said[VERBS] = {
	[EHLO] = S("EHLO client.example.com\r\n"),
	[HELO] = S("HELO client.example.com\r\n"),
	[MAIL] = S("MAIL FROM:<x@y.example> SIZE=100\r\n"),
	[MAIL_BAD] = S("MAIL FROM:<x@y..example>\r\n"),
	[MAIL_BIG] = S("MAIL FROM:<x@y.example> SIZE=999999999999\r\n"),
	[RCPT] = S("RCPT TO:<ann@example.org>\r\n"),
	[RCPT_UNKNOWN] = S("RCPT TO:<nobody@example.org>\r\n"),
	[RCPT_RELAY] = S("RCPT TO:<ann@elsewhere.example>\r\n"),
	[RCPT_BAD] = S("RCPT TO:<ann>\r\n"),
	[DATA] = S("DATA\r\n"),
	[DATA_NUL] = S("DATA\r\n"),
	[BDAT] = S("BDAT 10\r\nQUIT\r\n.\r\nx"),
	[BDAT_LAST] = S("BDAT 10 LAST\r\nRSET\r\n.\r\n."),
	[BDAT_NUL] = S("BDAT 3\r\nx\0y"),
	[BDAT_BAD] = S("BDAT 6 FIRST\r\nQUIT\r\n"),
	[BDAT_UNSIZED] = S("BDAT ten\r\n"),
	[RSET] = S("RSET\r\n"),
	[NOOP] = S("NOOP\r\n"),
	[VRFY] = S("VRFY ann\r\n"),
	[UNKNOWN] = S("XYZZY ann\r\n"),
	[TOO_LONG] = S(""), /* written by say() */
	[BARE] = S("NOOP\nRSET\r\n"),
};

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	return *seed ^= *seed << 17;
}

static void say(struct buf *b, enum verb v, unsigned code)
{
	buf_add(b, said[v]);
	if (v == TOO_LONG) {
		for (unsigned i = 0; i < 3000; i++)
			buf_addc(b, 'x');
		buf_adds(b, "\r\n");
	}
	if (code == 354)
		buf_add(b,
			v == DATA
				? SL("Subject: x\r\n\r\nQUIT\r\n..\r\n\n.\nRSET\r\n.\r\n")
				: SL("Subject: \0\r\n.\r\n"));
}

/* Likely enough to get somewhere: half the time what a good client would say. */
static enum verb choose(const struct model *m, uint64_t *seed)
{
	if (next(seed) % 2)
		return (enum verb)(next(seed) % VERBS);
	if (!m->hello)
		return EHLO;
	return !m->mail		? MAIL
	       : !m->rcpt	? RCPT
	       : m->bdat	? BDAT_LAST
	       : next(seed) % 2 ? DATA
				: BDAT;
}

static void expect(struct buf *codes, unsigned code)
{
	buf_addf(codes, "%u ", code);
}

static void play(struct model *m, uint64_t *seed, struct buf *sent, struct buf *codes)
{
	expect(codes, 220);
	for (unsigned i = 0, n = (unsigned)(next(seed) % 60); i < n && !m->closed; i++) {
		enum verb v = choose(m, seed);
		unsigned code = model_step(m, v);
		say(sent, v, m->closed ? 0 : code);
		expect(codes, code);
		if (code == 354) {
			code = filed(m, v == DATA_NUL);
			m->errors += code >= 500;
			expect(codes, code);
		}
	}
}

/* The code of every answer: the lines whose fourth octet is a blank. */
static void read_codes(slice got, struct buf *codes)
{
	while (got.n > 0) {
		slice line = slice_cut(&got, '\n');
		if (line.n > 3 && line.p[3] == ' ')
			buf_addf(codes, "%.3s ", line.p);
	}
}

static void answers_are_those_of_the_reference(void **state)
{
	uint64_t seed = 0x5eed5eed;
	struct smtp_world w;
	int64_t total = 0;
	(void)state;
	log_set_level(LOG_LEVEL_NONE);
	world_init(&w, NULL);
	for (int round = 0; round < 1500; round++) {
		struct model m = { .hello = false };
		struct buf sent, want, got;
		uint64_t was = seed;
		buf_init(&sent, 1 << 20);
		buf_init(&want, 1 << 20);
		buf_init(&got, 1 << 20);
		play(&m, &seed, &sent, &want);
		struct conn *c = world_connect(&w, &smtp_service_mx, false);
		size_t most = round % 3 == 0 ? sent.n + 1 : round % 3 == 1 ? 200 : 7;
		for (size_t at = 0; at < sent.n && !conn_sim_is_closed(c);) {
			size_t n = 1 + next(&seed) % most;
			conn_sim_send(c, slice_sub(buf_slice(&sent), at, n));
			world_settle(&w);
			at += n;
		}
		read_codes(conn_sim_received(c), &got);
		total += m.filed;
		if (!slice_eq(buf_slice(&got), buf_slice(&want)) ||
		    conn_sim_is_closed(c) != m.closed ||
		    (round % 50 == 0 && world_inbox(&w, SL("ann@example.org")) != total))
			fail_msg("seed %llx\nsaid %.*s\nwant %.*s\ngot  %.*s",
				 (unsigned long long)was, (int)sent.n, sent.p,
				 (int)want.n, want.p, (int)got.n, got.p);
		if (!conn_sim_is_closed(c)) {
			conn_sim_eof(c);
			world_settle(&w);
		}
		conn_sim_free(c);
		buf_done(&sent);
		buf_done(&want);
		buf_done(&got);
	}
	assert_true(total > 300);
	assert_int_equal(world_inbox(&w, SL("ann@example.org")), total);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(
		answers_are_those_of_the_reference) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#pragma once
/* auth.h — who is it: passwords, throttling, SASL PLAIN and LOGIN.
 *
 * auth_password blocks (Argon2id) and belongs on the crypto pool. An unknown user costs
 * the same as a wrong password (HAZARDS 25). A proven (account, secret) is remembered for
 * an hour under a key drawn at start, so that clients which log in every minute cost
 * microseconds; a change of the verifier, disabling or removal voids it at once.
 *
 * Delay, don't ban: the answer to a failure is held back 0, 1, 2, 4 … 15 s per address
 * (IPv4 /32, IPv6 /64) by the number of *distinct* wrong passwords in the last while; the
 * same wrong password again does not raise it. So is the answer to a right password from
 * such an address, unless it was proven within the hour or the account has used the
 * address within 30 days: else a guesser would hang up early and try on. Loopback is not
 * delayed unless asked for.
 *
 * Any thread; one struct auth serves all protocols. Passwords are wiped where we own the
 * copy; input and arenas are the callers', who call auth_wipe when the answer is known. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"

struct store;
struct auth;
struct auth_options {
	const struct clock *clock;
	bool delay_loopback;
	unsigned argon2_kib,
		argon2_passes; /* 0: 19 MiB, 2 passes, 1 lane (OWASP); tests take less */
};
struct auth *auth_new(struct store *s, const struct auth_options *opt);
void auth_free(struct auth *a);

struct auth_user {
	uint32_t account;
	slice address; /* in the arena */
	bool is_admin;
};
/* user: the account's address (an alias is not a login). On failure ERR_AUTH (never says
 * which), ERR_DISABLED (right password, account disabled), ERR_BUSY; *out_delay_ms (set
 * in every case, also with ST_OK) is how long the answer must wait (session.delay_ms).
 * reason (for the log only) is a static text: "unknown user", "wrong password", "account
 * disabled"; empty with ST_OK. */
enum status auth_password(struct auth *a, slice user, slice password,
			  const unsigned char net[16], bool is_loopback,
			  struct arena *mem, struct auth_user *out, int64_t *out_delay_ms,
			  const char **out_reason, struct err *e) MUST_USE;

/* Overwrites a password, or the line it came in, where it stands: memory that the caller
 * owns and nobody needs any more, never a constant. */
void auth_wipe(slice secret);

/* "{ARGON2ID}$argon2id$v=19$…" for a new password. ERR_SYNTAX when it is empty or longer
 * than LIMIT_PASSWORD. */
enum status auth_hash(struct auth *a, slice password, struct arena *mem, slice *out,
		      struct err *e) MUST_USE;
/* Takes {PLAIN}, {CRYPT}, {SHA512-CRYPT}, {SHA256-CRYPT}, {BLF-CRYPT}, {MD5-CRYPT},
 * {ARGON2ID}, {ARGON2I} or no scheme (crypt(3)) as in Dovecot's passwd-file and gives our
 * verifier: crypt hashes are kept, PLAIN is hashed — with a cheap salted SHA-512-crypt
 * when bulk is set, so that thousands take seconds — ; ERR_SYNTAX names what is wrong. */
enum status auth_import_verifier(struct auth *a, slice scheme_hash, bool bulk,
				 struct arena *mem, slice *out, struct err *e) MUST_USE;
/* True when the verifier fits the password (no throttle, no memory): tests and tools. */
bool auth_verifier_matches(slice verifier, slice password);

/* --- SASL --------------------------------------------------------------------------- */
/* RFC 4616: message = [authzid] NUL authcid NUL passwd. authzid must be empty or equal to
 * authcid, else ERR_AUTH. */
enum status sasl_plain_parse(slice message, slice *out_user, slice *out_password,
			     struct err *e) MUST_USE;

/* The server's side of AUTH PLAIN and LOGIN, one step per client line, the same for SMTP,
 * IMAP and POP3. The arena must live from sasl_start to the end of the exchange: the
 * session's, not a command's. SASL_BAD and SASL_CANCELLED end it. */
struct sasl {
	enum { SASL_NONE, SASL_PLAIN, SASL_LOGIN_USER, SASL_LOGIN_PASSWORD } state;
	slice user; /* in the arena */
};
enum sasl_result { SASL_CHALLENGE, SASL_CREDENTIALS, SASL_CANCELLED, SASL_BAD };
/* initial: the client's first response still in base64 ("=" is the empty one, RFC 4954
 * 4); NULL when it sent none. Unknown mechanism: SASL_BAD. SASL_CHALLENGE: *out_challenge
 * is base64 to send behind "334 " or "+ ". */
enum sasl_result sasl_start(struct sasl *s, slice mechanism, const slice *initial,
			    struct arena *a, slice *out_challenge, slice *out_user,
			    slice *out_password);
enum sasl_result sasl_step(struct sasl *s, slice line, struct arena *a,
			   slice *out_challenge, slice *out_user,
			   slice *out_password); /* "*" cancels */
void sasl_reset(struct sasl *s);

#pragma once
/* tls.h — OpenSSL contexts per service: TLS 1.2+, SNI, resumption, ALPN, certificates re-read in place.
 *
 * A struct tls_ctx is reference-counted and immutable; tls_store holds the current one and swaps it at reload, so
 * that open connections keep theirs (SIGHUP drops nobody). ALPN: a client that offers a list without our name gets alert 120
 * (ALPACA, HAZARDS 26); without a list it passes; services without a name (port 25) ignore it unless it holds
 * h2 or http/1.1. Session id context is per service: no ticket works on another one. */
#include "base/slice.h"
#include "base/status.h"

struct tls_store;
/* Certificates by name: cert_file may hold a chain. The first pair is the default for clients without SNI. */
struct tls_pair {
	const char *cert_file, *key_file;
};
enum status tls_store_new(const struct tls_pair *pairs, size_t n, struct tls_store **out, struct err *e) MUST_USE;
enum status tls_store_reload(struct tls_store *s, struct err *e) MUST_USE; /* on failure the old ones stay */
void tls_store_free(struct tls_store *s);
/* Makes a private CA and a certificate for names (DNS or IP), P-256, 825 days, into dir (ca.pem, ca.key,
 * cert.pem, key.pem; keys 0600). Leaves a CA that is there alone; makes the certificate anew when a name is missing or it
 * expires within 30 days. */
enum status tls_make_private_ca(const char *dir, const char *const *names, size_t n, int64_t now_s,
				struct err *e) MUST_USE;

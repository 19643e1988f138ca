#pragma once
/* control.h — the Unix socket that the command talks to: DATA/control.sock, mode 0600.
 *
 * One request a connection: a JSON line in, a JSON reply out (admin/admin.h), or, for
 * stream verbs, a conversation in frames behind it. Peer credentials are checked: root and
 * the server's own user only, others get a reply that says so. A fixed number of threads
 * (LIMIT_CONTROL_THREADS) serves a connection each, and streams never take the last two,
 * so that a backup of hours does not keep `who` waiting. Time-outs on requests; it parses
 * nothing from the network. */
#include "admin/admin.h"

struct control;
/* The caller holds the store's lock: a socket left there belongs to nobody. */
enum status control_open(const char *path, const struct admin_ctx *ctx,
			 struct control **out, struct err *e) MUST_USE;
/* Finishes the requests in hand, stops the streams, removes the socket. NULL is fine. */
void control_close(struct control *c);

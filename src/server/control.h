#pragma once
/* control.h — the Unix socket that the command talks to: DATA/control.sock, mode 0600.
 *
 * One request a connection: a JSON line in, a JSON reply out (admin/admin.h). Peer credentials are checked: root and the
 * server's own user only. One thread serves one connection at a time, with time-outs; it parses nothing from the network. */
#include "admin/admin.h"

struct control;
enum status control_open(const char *path, const struct admin_ctx *ctx, struct control **out, struct err *e) MUST_USE;
void control_close(struct control *c); /* finishes the request in hand, removes the socket */

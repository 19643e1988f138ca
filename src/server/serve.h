#pragma once
/* serve.h — the running mail system: opens everything in order, waits for signals,
 * closes in reverse order.
 *
 * SIGTERM, SIGINT: stop taking connections, say 421/BYE, finish what is acknowledged,
 * exit 0. SIGHUP: read the certificates again; open connections keep theirs. Exit
 * codes: sysexits.h; EX_DATAERR when the data is not ours to read (another version,
 * damaged). */
#include "server/config.h"

int serve_run(const struct config *cfg);

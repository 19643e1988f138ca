/* load_handshake.c — opens TLS connections as fast as they go and drops each after its handshake.
 *
 *	load_handshake --port P [--threads 8] [--seconds 5]
 *
 * No resumption: every handshake costs the server a signature. Prints one line of JSON. */
#include "wire.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flood {
	uint16_t port;
	int64_t end_us;
	struct ssl_ctx_st *ctx;
	_Atomic int64_t done, failed;
};

static void *flood_main(void *arg)
{
	struct flood *f = arg;
	struct wire *w = calloc(1, sizeof(*w));
	while (wire_now_us() < f->end_us) {
		if (wire_open(w, f->port) && wire_start_tls(w, f->ctx))
			f->done++;
		else
			f->failed++;
		wire_close(w);
	}
	free(w);
	return NULL;
}

int main(int argc, char **argv)
{
	struct flood f = { 0 };
	unsigned threads = 8, seconds = 5;
	pthread_t t[256];
	for (int i = 1; i + 1 < argc; i += 2) {
		unsigned n = (unsigned)strtoul(argv[i + 1], NULL, 10);
		if (strcmp(argv[i], "--port") == 0)
			f.port = (uint16_t)n;
		else if (strcmp(argv[i], "--threads") == 0)
			threads = n < 256 ? n : 256;
		else if (strcmp(argv[i], "--seconds") == 0)
			seconds = n;
	}
	f.ctx = wire_tls_new();
	f.end_us = wire_now_us() + seconds * 1000000LL;
	for (unsigned i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, flood_main, &f);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	printf("{\"threads\":%u,\"seconds\":%u,\"handshakes_per_second\":%.0f,\"refused\":%" PRId64
	       "}\n",
	       threads, seconds, (double)f.done / seconds, (int64_t)f.failed);
	return 0;
}

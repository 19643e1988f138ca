#pragma once
/* banned.h — included before everything: calls that have hurt mail servers do not
 * compile (HAZARDS 9, 33). */
#ifndef __cplusplus
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#undef alloca
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok system popen execl execlp \
	execle tmpnam mktemp atoi atol alloca strncpy strncat
#endif

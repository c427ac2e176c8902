/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/guard.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Whatever else frees a text of jansson's may use free(): the memory is malloc()'s own. */
static void wiping_free(void *memory)
{
    if (memory)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

void guard_process(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    json_set_alloc_funcs(malloc, wiping_free);
}

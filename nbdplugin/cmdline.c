/* SPDX-License-Identifier: Apache-2.0 */
#include "nbdplugin/cmdline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define ARGUMENTS_MAX (1 << 20)

/* /proc/self/cmdline: the arguments, each with a zero byte behind it. */
char **cmdline_read(void)
{
    _cleanup_fclose_ FILE *f = fopen("/proc/self/cmdline", "re");
    char *text = calloc(1, ARGUMENTS_MAX), **argv = NULL;
    size_t length = f && text ? fread(text, 1, ARGUMENTS_MAX - 1, f) : 0, n = 0;

    if (length > 0)
        argv = calloc(length + 1, sizeof(*argv));
    if (!argv) {
        free(text);
        return NULL;
    }
    for (size_t at = 0; at < length; at += strlen(text + at) + 1)
        argv[n++] = text + at;
    return argv;
}

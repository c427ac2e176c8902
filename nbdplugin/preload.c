/* SPDX-License-Identifier: Apache-2.0 */
/* The way of nbdkit's vddk plugin, which starts nbdkit again for the sake of its environment. */
#include "nbdplugin/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"
#include "nbdplugin/cmdline.h"

#define NAME "slipway-hangup.so"
#define TRIED "SLIPWAY_HANGUP_TRIED"
#define FIRST_HANDED_OVER 3 /* sd_listen_fds(3) */

static bool is_handed_over(void)
{
    int listens = 0;
    socklen_t length = sizeof(listens);

    return getsockopt(FIRST_HANDED_OVER, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 &&
           listens;
}

static char *library_path(void)
{
    _cleanup_free_ char *copy = NULL;
    char *path;
    Dl_info info;

    if (!dladdr((void *)(uintptr_t)preload_hangup, &info) || !info.dli_fname)
        return NULL;
    copy = str_dup(info.dli_fname);
    path = str_format("%s/%s", dirname(copy), NAME);
    if (access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

void preload_hangup(void)
{
    const char *others = getenv("LD_PRELOAD");
    _cleanup_free_ char *library = NULL, *value = NULL;
    char **argv;

    if (dlsym(RTLD_DEFAULT, "slipway_hangup")) {
        unsetenv(TRIED);
        return;
    }
    if (is_handed_over())
        return;
    library = library_path();
    if (!library)
        return;
    if (getenv(TRIED)) /* it was, and did not work */
        return;
    argv = cmdline_read();
    value = str_format("%s%s%s", others ? others : "", others && *others ? ":" : "", library);
    if (!argv || setenv("LD_PRELOAD", value, true) < 0 || setenv(TRIED, "1", true) < 0)
        return;
    execv("/proc/self/exe", argv);
    log_warning("nbdkit could not be started again with %s: %s", library, strerror(errno));
}

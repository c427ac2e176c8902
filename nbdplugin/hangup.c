/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into nbdkit by the plugin (preload.c).
 *
 * nbdkit 1.32.4 and 1.32.5 abort when a client goes away while several threads are about to answer
 * it: one of them fails to send and closes the socket, the next one asserts that it is open
 * (bugzilla.redhat.com 2173054; mended in 1.33.10 by nbdkit's commit 9d82aa4f).  A guest that is
 * destroyed would take the engine with it, and with that whatever else the engine serves.
 *
 * So, for calls of nbdkit's own only: sending to a client that is gone succeeds, as nobody is there
 * who could tell, and a connection is given up a moment after nothing on it can block any more, when
 * the threads that were about to answer have done so.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MOMENT_NS (100 * 1000 * 1000)

extern const bool slipway_hangup;
const bool slipway_hangup = true; /* preload.c looks for it */

static ssize_t (*real_send)(int, const void *, size_t, int);
static int (*real_shutdown)(int, int);
static uintptr_t program_begin, program_end;

/* The first object is the program. */
static int note_program(struct dl_phdr_info *info, size_t size, void *context)
{
    program_begin = UINTPTR_MAX;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        program_begin = begin < program_begin ? begin : program_begin;
        if (begin + info->dlpi_phdr[i].p_memsz > program_end)
            program_end = begin + info->dlpi_phdr[i].p_memsz;
    }
    return 1;
}

/* What nbdkit runs is not to have this: it is the last entry (preload.c). */
static void leave_environment(void)
{
    char *list = getenv("LD_PRELOAD"), *last = list ? strrchr(list, ':') : NULL;

    if (last)
        *last = '\0';
    else
        unsetenv("LD_PRELOAD");
}

__attribute__((constructor)) static void prepare(void)
{
    leave_environment();
    real_send = (ssize_t(*)(int, const void *, size_t, int))(uintptr_t)dlsym(RTLD_NEXT, "send");
    real_shutdown = (int (*)(int, int))(uintptr_t)dlsym(RTLD_NEXT, "shutdown");
    dl_iterate_phdr(note_program, NULL);
}

static bool by_program(const void *caller)
{
    return (uintptr_t)caller >= program_begin && (uintptr_t)caller < program_end;
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
    ssize_t r = real_send(fd, data, length, flags);

    if (r < 0 && (errno == EPIPE || errno == ECONNRESET) &&
        by_program(__builtin_return_address(0)))
        return (ssize_t)length;
    return r;
}

int shutdown(int fd, int how)
{
    struct timespec moment = {0, MOMENT_NS};
    int r;

    if (how != SHUT_WR || !by_program(__builtin_return_address(0)))
        return real_shutdown(fd, how);
    r = real_shutdown(fd, SHUT_RDWR);
    nanosleep(&moment, NULL);
    return r;
}

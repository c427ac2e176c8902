/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's event loop.  The embedded driver runs inside this process and lives by it; remote
 * connections need it to notice that the other end is gone.
 */
#include "orchestrator/node/node.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <string.h>

#include "base/str.h"

static pthread_mutex_t events_lock = PTHREAD_MUTEX_INITIALIZER;
static bool events_run;   /* guarded by events_lock */
static bool leave_at_end; /* guarded by events_lock */

static void *events_loop(void *unused)
{
    (void)unused;
    for (;;)
        if (virEventRunDefaultImpl() < 0)
            virResetLastError();
    return NULL;
}

/* Waking the loop needs something in it to wait for; without any timer it would poll for ever. */
static void tick(int timer, void *unused)
{
    (void)timer;
    (void)unused;
}

static int events_begin(struct error **err)
{
    pthread_t thread;
    int r;

    /* The embedded driver would write to our standard error; errors come back to the caller anyway.
     */
    setenv("LIBVIRT_LOG_OUTPUTS", "4:syslog:slipway", 0);
    if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
        return error_set(err, EIO, "libvirt's event loop cannot be set up: %s",
                         virGetLastErrorMessage());
    virEventAddTimeout(1000, tick, NULL, NULL);
    r = pthread_create(&thread, NULL, events_loop, NULL);
    if (r != 0)
        return error_set_errno(err, r, "cannot start the thread of libvirt's event loop");
    pthread_detach(thread);
    return 0;
}

static void leave(int status, void *unused)
{
    (void)unused;
    fflush(NULL);
    _exit(status);
}

void node_expect(const char *uri)
{
    LOCK_FOR_SCOPE(&events_lock);

    if (leave_at_end || !str_starts(uri, "qemu:///embed"))
        return;
    leave_at_end = true;
    on_exit(leave, NULL);
}

int node_events_start(struct error **err)
{
    LOCK_FOR_SCOPE(&events_lock);
    int r = events_run ? 0 : events_begin(err);

    if (r == 0)
        events_run = true;
    return r;
}

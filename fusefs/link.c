/* SPDX-License-Identifier: Apache-2.0 */
#include "fusefs/link.h"

#include <errno.h>
#include <libnbd.h>
#include <stddef.h>

#include "base/clock.h"

#define ANSWER_NS (5 * NS_PER_S)

static int drive(struct nbd_handle *nbd, bool (*cancelled)(void *), void *context)
{
    uint64_t start = clock_now_ns();

    while (nbd_aio_is_connecting(nbd)) {
        if (cancelled(context))
            return -ECANCELED;
        if (clock_now_ns() - start > ANSWER_NS || nbd_poll(nbd, 100) < 0)
            return -ECONNREFUSED;
    }
    return nbd_aio_is_negotiating(nbd) || nbd_aio_is_ready(nbd) ? 0 : -ECONNREFUSED;
}

/* Two steps: that there is an engine, and that it has the export. */
static int negotiate(struct nbd_handle *nbd, const char *socket, const char *export_name,
                     bool (*cancelled)(void *), void *context)
{
    int r;

    if (nbd_set_opt_mode(nbd, true) < 0 || nbd_set_export_name(nbd, export_name) < 0 ||
        nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
        nbd_set_pread_initialize(nbd, false) < 0)
        return -ENOMEM;
    if (nbd_aio_connect_unix(nbd, socket) < 0)
        return -ECONNREFUSED;
    r = drive(nbd, cancelled, context);
    if (r < 0)
        return r;
    if (nbd_aio_opt_go(nbd, NBD_NULL_COMPLETION) < 0)
        return -ECONNREFUSED;
    r = drive(nbd, cancelled, context);
    return r < 0 ? r : nbd_aio_is_ready(nbd) ? 0 : -ENOENT;
}

int link_open(const char *socket, const char *export_name, bool (*cancelled)(void *),
              void *context, struct nbd_handle **ret_nbd)
{
    struct nbd_handle *nbd = nbd_create();
    int r = nbd ? negotiate(nbd, socket, export_name, cancelled, context) : -ENOMEM;

    if (r < 0) {
        nbd_close(nbd);
        return r;
    }
    *ret_nbd = nbd;
    return 0;
}

int link_size(struct nbd_handle *nbd, uint64_t *ret_size)
{
    int64_t size = nbd_get_size(nbd);

    *ret_size = size < 0 ? 0 : (uint64_t)size;
    return size < 0 ? -EIO : 0;
}

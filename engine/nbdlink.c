/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/nbdlink.h"

#include <libnbd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

int nbd_link_errno(int fallback)
{
    int code = nbd_get_errno();

    return code > 0 ? code : fallback;
}

const char *nbd_link_sentence(void)
{
    const char *text = nbd_get_error(), *colon;

    while (text && (str_starts(text, "nbd_") || str_starts(text, "handshake: ")) &&
           (colon = strstr(text, ": ")))
        text = colon + 2;
    return text ? text : "the NBD connection failed";
}

/* All that keeps us from a server is one kind of failure, except what is wrong with the URI. */
static int connect_failure(const char *uri, struct error **err)
{
    int code = nbd_link_errno(ECONNREFUSED);
    const char *advice = code == EINVAL   ? "see nbd_connect_uri(3) for what a URI may be"
                         : code == ENOENT && strstr(nbd_link_sentence(), "export")
                             ? "see the names it has with 'nbdinfo --list'"
                             : "is the NBD server running, and is it there that it listens?";

    return error_set(err, code == EINVAL || code == ETIMEDOUT ? code : ECONNREFUSED,
                     "cannot connect to %s: %s; %s", uri, nbd_link_sentence(), advice);
}

int nbd_link_failed(struct nbd_link *link)
{
    snprintf(link->failure, sizeof(link->failure), "%s", nbd_link_sentence());
    return -nbd_link_errno(EIO);
}

int nbd_link_poll_fd(struct nbd_link *link, short *ret_events)
{
    unsigned direction = nbd_aio_get_direction(link->nbd);

    *ret_events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                          (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
    return nbd_aio_get_fd(link->nbd);
}

/* One notification for what poll reported.  1: something was done. */
static int notify(struct nbd_handle *nbd, short revents, unsigned direction)
{
    if ((revents & (POLLIN | POLLHUP)) && (direction & LIBNBD_AIO_DIRECTION_READ))
        return nbd_aio_notify_read(nbd) < 0 ? -1 : 1;
    if ((revents & POLLOUT) && (direction & LIBNBD_AIO_DIRECTION_WRITE))
        return nbd_aio_notify_write(nbd) < 0 ? -1 : 1;
    return revents & (POLLERR | POLLNVAL | POLLHUP) ? -1 : 0;
}

int nbd_link_pump(struct nbd_link *link)
{
    int moved = 0;

    for (int turn = 0; turn < 64; turn++) {
        unsigned direction = nbd_aio_get_direction(link->nbd);
        struct pollfd p = {.events = 0};
        int r;

        p.fd = nbd_link_poll_fd(link, &p.events);
        if (poll(&p, 1, 0) <= 0)
            return moved;
        r = notify(link->nbd, p.revents, direction);
        if (r < 0 || nbd_aio_is_dead(link->nbd) || nbd_aio_is_closed(link->nbd)) {
            nbd_link_failed(link);
            return -ECONNRESET;
        }
        if (r == 0)
            return moved;
        moved |= (p.revents & POLLIN) != 0;
    }
    return moved;
}

/* Drives the handshake: a server that serves another client first may leave us waiting. */
static int handshake(struct nbd_handle *nbd, const char *uri, uint64_t timeout_ns,
                     bool (*cancelled)(void *), void *context, struct error **err)
{
    uint64_t start = clock_now_ns();

    if (nbd_aio_connect_uri(nbd, uri) < 0)
        return connect_failure(uri, err);
    while (nbd_aio_is_connecting(nbd)) {
        if (cancelled && cancelled(context))
            return error_set(err, ECANCELED, "connecting to %s was cancelled", uri);
        if (clock_now_ns() - start > timeout_ns)
            return error_set(err, ETIMEDOUT,
                             "%s does not answer; is the NBD server running, and does it accept "
                             "one more client?", uri);
        if (nbd_poll(nbd, 100) < 0)
            return connect_failure(uri, err);
    }
    if (!nbd_aio_is_ready(nbd))
        return connect_failure(uri, err);
    return 0;
}

int nbd_link_open(struct nbd_link *link, const char *uri, const char *const *contexts,
                  uint64_t timeout_ns, bool (*cancelled)(void *), void *context,
                  struct error **err)
{
    link->nbd = nbd_create();
    if (!link->nbd)
        return error_set(err, ENOMEM, "cannot use %s: %s", uri, nbd_link_sentence());
    /* libnbd clears each buffer before a read unless told not to: a quarter of a copy's CPU time.
     * A failed read's buffer is never looked at here. */
    if (nbd_set_pread_initialize(link->nbd, false) < 0 ||
        nbd_set_uri_allow_local_file(link->nbd, true) < 0)
        return error_set(err, EINVAL, "cannot use %s: %s", uri, nbd_link_sentence());
    for (; contexts && *contexts; contexts++)
        if (nbd_add_meta_context(link->nbd, *contexts) < 0)
            return error_set(err, EINVAL, "cannot use %s: %s", uri, nbd_link_sentence());
    return handshake(link->nbd, uri, timeout_ns, cancelled, context, err);
}

void nbd_link_done(struct nbd_link *link)
{
    nbd_close(link->nbd);
    link->nbd = NULL;
}

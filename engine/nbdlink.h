/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One NBD connection as reader-nbd.c and writer-nbd.c need it: made without blocking for good, and
 * moved by whoever waits.  libnbd's failures become sentences without the names of its functions.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct nbd_handle;

struct nbd_link {
    struct nbd_handle *nbd;
    char failure[512]; /* the sentence for the last failure of a transfer */
};

/*
 * Connects.  contexts: meta contexts to ask for, NULL-terminated; the server need not have them.
 * cancelled() is asked while waiting.  ECONNREFUSED for all that keeps us away, ETIMEDOUT, EINVAL
 * for a URI that is none.  nbd_link_done() is owed in any case.
 */
int nbd_link_open(struct nbd_link *link, const char *uri, const char *const *contexts,
                  uint64_t timeout_ns, bool (*cancelled)(void *), void *context,
                  struct error **err);
void nbd_link_done(struct nbd_link *link);

/* Moves bytes without blocking.  1: something came, 0: nothing did, -ECONNRESET: it is gone. */
int nbd_link_pump(struct nbd_link *link);

/* What to wait for. */
int nbd_link_poll_fd(struct nbd_link *link, short *ret_events);

/* Keeps libnbd's last sentence in link->failure; returns -errno. */
int nbd_link_failed(struct nbd_link *link);

/* libnbd's last error: positive errno, and its sentence. */
int nbd_link_errno(int fallback);
const char *nbd_link_sentence(void);

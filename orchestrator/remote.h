/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way in over TCP: TLS with certificates on both sides.  Each connection has a thread that
 * shakes hands, decides on the role by the certificate's names, and relays the bytes into one end
 * of a socket pair; the other end is handed to the HTTP server, which knows nothing of TLS.
 */
#pragma once

#include "base/error.h"
#include "orchestrator/access.h"
#include "orchestrator/options.h"

struct remote;

/* Takes a connected socket (consumed) of somebody whose role is known.  -errno: it was closed. */
typedef int remote_take_fn(void *context, int fd, const struct access_peer *peer);

/* Listens on options->listen, ADDRESS:PORT; says in the log where when the port was 0.  EINVAL when
 * an option is missing or a file is wrong. */
int remote_start(const struct options *options, remote_take_fn *take, void *context,
                 struct remote **ret_remote, struct error **err);

/* Ends all connections. */
void remote_stop(struct remote *remote);

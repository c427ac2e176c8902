/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP on a unix socket: one thread per connection, bodies of at most API_BODY_MAX bytes. */
#pragma once

#include "orchestrator/daemon.h"

struct httpd;

/*
 * Listens on daemon->options->socket_path (mode 0660, of the writing group), and, when there is a
 * reading group, on the same path with ".ro" behind it (0660, of that group; there everybody, root
 * too, may only look: a file has one group, and access lists are not on every file system).
 * With options->listen also over TCP, see remote.h.  Replaces sockets nobody listens on.  The
 * caller owns the state folder, so a live listener there is somebody else's: EBUSY.
 */
int httpd_start(struct daemon *daemon, struct httpd **ret_httpd, struct error **err);

/* Ends all connections (events_close() must have been called) and removes the sockets. */
void httpd_stop(struct httpd *httpd);

/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP on a unix socket: one thread per connection, bodies of at most API_BODY_MAX bytes. */
#pragma once

#include "orchestrator/daemon.h"

struct httpd;

/* Listens on daemon->options->socket_path (mode 0660), replacing a socket nobody listens on.  The
 * caller owns the state folder, so a live listener there is somebody else's: EBUSY. */
int httpd_start(struct daemon *daemon, struct httpd **ret_httpd, struct error **err);

/* Ends all connections (events_close() must have been called) and removes the socket. */
void httpd_stop(struct httpd *httpd);

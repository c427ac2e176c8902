/* SPDX-License-Identifier: Apache-2.0 */
/* Talking to slipwayd: HTTP over its unix socket, or the one beside it (".ro") for whoever may only
 * look. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include "base/error.h"

/*
 * In the place of a socket's path there may be "https://HOST:PORT" everywhere below.  Then our
 * certificate, its key and the CA whose certificate slipwayd must show (NULL: those the system
 * trusts) are the files named here; strings must stay valid.
 */
struct client_identity {
    const char *cert, *key, *ca;
};
void client_identify(const struct client_identity *identity);

/* One request.  body may be NULL (not consumed); *ret_answer (may be NULL) is a new reference,
 * NULL for an empty answer.  Errors of slipwayd come back with its code and sentence; when it does
 * not run, ECONNREFUSED and a sentence that says how to start it; when its socket is not for us,
 * EACCES. */
int client_call(const char *socket, const char *method, const char *path, const json_t *body,
                json_t **ret_answer, struct error **err);

/* Reads a stream of events; each is handed to fn (borrowed) until fn returns non-zero, which ends
 * the stream without an error when positive, or the connection ends (ECONNRESET). */
typedef int client_event_fn(const json_t *event, void *context);
int client_stream(const char *socket, const char *path, client_event_fn *fn, void *context,
                  struct error **err);

/* "/v1/PREFIX/NAME/SUFFIX" with NAME escaped; suffix may be NULL.  The caller frees. */
char *client_path(const char *prefix, const char *name, const char *suffix);

/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP API without HTTP: routes, their handlers, and errors as status codes.  docs/api.yaml
 * describes it; a test compares the two. */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include "orchestrator/access.h"
#include "orchestrator/daemon.h"

#define API_BODY_MAX (1 << 20)

struct api_request {
    const char *method;
    const char *path;
    const char *body; /* may be NULL */
    size_t body_length;
    const char *since; /* query parameter, or NULL */
    const struct access_peer *peer; /* who asks; identified when it is a write or refused */
};

struct api_answer {
    unsigned status;
    json_t *body;                /* owned; NULL for a stream or 204 */
    char *text;                  /* owned; not NULL: sent as it is, instead of body */
    const char *type;            /* of text */
    struct event_stream *stream; /* owned; not NULL: lines of events without end */
    const char *allow;           /* for 405 */
    char allow_text[40];
    const char *route; /* the pattern that fitted, or NULL */
};

/* Answers a request, when its peer may ask it; who asks for changes is logged and recorded. */
void api_handle(struct daemon *d, const struct api_request *request, struct api_answer *answer);

/* Answers with this error; frees it. */
void api_fail(struct api_answer *answer, struct error *err);

/* The HTTP status for a positive errno. */
unsigned api_status(int code);

/* "METHOD /path" of every route, one a line. */
void api_dump_routes(FILE *out);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens, as lines of JSON for whoever listens.  Durable events carry "seq", their number in
 * the journal; progress does not.  Publishing never waits for a listener: one that is too slow
 * gets {"event": "lost"} and goes on with the newest.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include "base/error.h"
#include "orchestrator/journal.h"

struct events;
struct event_stream;

struct events *events_new(struct journal *journal);
struct events *events_free(struct events *events);

/* Hands a body to the listeners; consumes body.  seq 0: not in the journal. */
void events_publish(struct events *events, const char *migration, int64_t seq, json_t *body);

/* Writes a body to the journal and publishes it; consumes body.  A journal that cannot be written
 * does not stop it from being published. */
void events_record(struct events *events, const char *migration, json_t *body);

/* Ends all streams now and in future. */
void events_close(struct events *events);

/* migration NULL: all.  since < 0: only what happens from now on; otherwise what the journal holds
 * after this number comes first. */
struct event_stream *event_stream_open(struct events *events, const char *migration,
                                       int64_t since);
void event_stream_close(struct event_stream *stream);

/* The next line with its '\n' (owned by the caller); NULL after timeout_ns without one.
 * -ESHUTDOWN when the daemon ends. */
int event_stream_next(struct event_stream *stream, uint64_t timeout_ns, char **ret_line);

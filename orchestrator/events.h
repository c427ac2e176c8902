/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens, as lines of JSON for whoever listens.
 *
 * Durable events are numbered: "seq" is their number in the journal, each one once, for ever.  The
 * number of the newest is the generation of everything that slipwayd shows.  Others (progress, and
 * "migration": what has become different about one) are gone with the process; they carry the
 * "generation" they belong to.  All lines of one run of slipwayd have a "tick", one after the other.
 *
 * A snapshot has a cursor, "GENERATION.TICK.EPOCH": a stream since that goes on exactly there.
 * Publishing never waits for a listener: one that is too slow, or comes too late, gets
 * {"event": "reset"} and takes a new snapshot.
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

/*
 * Numbered events are published in the order of their numbers: whoever writes one to the journal
 * brackets that, the change it tells of and events_publish() with these.  Taken before
 * daemon->lock.
 */
void events_begin(struct events *events);
void events_end(struct events *events);

/* Hands a body to the listeners; consumes body.  seq 0: not in the journal; otherwise between
 * events_begin() and events_end().  May be called with daemon->lock held. */
void events_publish(struct events *events, const char *migration, int64_t seq, json_t *body);

/* Writes a body to the journal and publishes it; consumes body.  A journal that cannot be written
 * does not stop it from being published. */
void events_record(struct events *events, const char *migration, json_t *body);

/* The same between events_begin() and events_end(), together with the change it tells of. */
void events_record_begun(struct events *events, const char *migration, json_t *body);

/* Ends all streams now and in future. */
void events_close(struct events *events);

/* Adds "generation", "cursor" and "epoch" to a snapshot: what was published until now is in it.
 * With daemon->lock held, if the snapshot shows what that guards. */
void events_stamp(struct events *events, json_t *snapshot);

/* How many were published since slipwayd began, and how many numbered there are. */
void events_count(struct events *events, uint64_t *ret_published, int64_t *ret_generation);

/*
 * migration NULL: all.  since: NULL for what happens from now on, the number of an event ("0": all
 * that the journal holds), or a cursor.  -EINVAL: it is neither.
 */
int event_stream_open(struct events *events, const char *migration, const char *since,
                      struct event_stream **ret_stream, struct error **err);
void event_stream_close(struct event_stream *stream);

/* The next line with its '\n' (owned by the caller); NULL after timeout_ns without one.  The first
 * one is {"event": "hello"}.  -ESHUTDOWN when the daemon ends. */
int event_stream_next(struct event_stream *stream, uint64_t timeout_ns, char **ret_line);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of the newest lines; each stream remembers the index it will read next.  A stream with
 * `since` reads the journal first and then skips what it has seen there.
 */
#include "orchestrator/events.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/fields.h"

#define RING_LENGTH 1024
#define REPLAY_CHUNK 200

struct event {
    int64_t seq;
    char *migration;
    char *line;
};

struct events {
    struct journal *journal;
    pthread_mutex_t lock; /* guards what follows; innermost */
    pthread_cond_t changed;
    struct event ring[RING_LENGTH]; /* event number n is at n % RING_LENGTH */
    uint64_t next;                  /* number of the next event */
    bool closed;
};

struct event_stream {
    struct events *events;
    char *migration;
    uint64_t next;
    int64_t seen_seq;
    bool replaying;
    json_t *replay; /* rows of the journal still to be sent */
    size_t replay_at;
};

struct events *events_new(struct journal *journal)
{
    struct events *e = mem_new(1, sizeof(*e));
    pthread_condattr_t attr;

    e->journal = journal;
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->changed, &attr);
    pthread_condattr_destroy(&attr);
    return e;
}

struct events *events_free(struct events *e)
{
    if (!e)
        return NULL;
    for (size_t i = 0; i < RING_LENGTH; i++) {
        free(e->ring[i].migration);
        free(e->ring[i].line);
    }
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    free(e);
    return NULL;
}

static char *event_line(const char *migration, int64_t seq, int64_t time_ns, json_t *body)
{
    _cleanup_free_ char *text = NULL;
    char when[40];
    time_t seconds = (time_t)(time_ns / (int64_t)NS_PER_S);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    if (seq > 0)
        json_object_set_new(body, "seq", json_integer(seq));
    if (migration)
        json_object_set_new(body, "migration", json_string(migration));
    json_object_set_new(body, "time", json_sprintf("%s.%03dZ", when,
                                                   (int)(time_ns / (int64_t)NS_PER_MS % 1000)));
    text = json_dumps(body, JSON_COMPACT);
    return str_format("%s\n", text ? text : "{}");
}

void events_publish(struct events *e, const char *migration, int64_t seq, json_t *body)
{
    struct stamp now;
    struct event *slot;
    char *line;

    stamp_now(&now);
    line = event_line(migration, seq, now.wall_ns, body);
    json_decref(body);
    LOCK_FOR_SCOPE(&e->lock);
    slot = &e->ring[e->next++ % RING_LENGTH];
    free(slot->line);
    slot->line = line;
    slot->seq = seq;
    str_replace(&slot->migration, migration);
    pthread_cond_broadcast(&e->changed);
}

void events_record(struct events *e, const char *migration, json_t *body)
{
    _cleanup_error_ struct error *err = NULL;
    int64_t seq = 0;

    if (journal_add_event(e->journal, migration, body, &seq, &err) < 0)
        log_warning("an event is not in the journal: %s", error_text(err));
    events_publish(e, migration, seq, body);
}

void events_close(struct events *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->closed = true;
    pthread_cond_broadcast(&e->changed);
}

struct event_stream *event_stream_open(struct events *e, const char *migration, int64_t since)
{
    struct event_stream *s = mem_new(1, sizeof(*s));

    s->events = e;
    s->migration = str_dup(migration);
    s->replaying = since >= 0;
    s->seen_seq = since;
    LOCK_FOR_SCOPE(&e->lock);
    s->next = e->next;
    return s;
}

void event_stream_close(struct event_stream *s)
{
    if (!s)
        return;
    free(s->migration);
    json_decref(s->replay);
    free(s);
}

/* The next line of the journal; NULL when the stream has caught up. */
static char *replay_line(struct event_stream *s)
{
    json_t *row;

    if (s->replay && s->replay_at == json_array_size(s->replay)) {
        s->replaying = s->replay_at == REPLAY_CHUNK;
        json_decref(s->replay);
        s->replay = NULL;
    }
    if (!s->replaying)
        return NULL;
    if (!s->replay) {
        s->replay_at = 0;
        if (journal_list_events(s->events->journal, s->migration, s->seen_seq, REPLAY_CHUNK,
                                &s->replay, NULL) < 0)
            s->replay = json_array();
    }
    row = json_array_get(s->replay, s->replay_at);
    if (!row)
        return replay_line(s);
    s->replay_at++;
    s->seen_seq = field_integer(row, "seq", 0);
    return event_line(field_string(row, "migration", NULL), s->seen_seq,
                      field_integer(row, "time_ns", 0), json_object_get(row, "body"));
}

/* The next line of the ring that concerns this stream; NULL when there is none yet. */
static char *ring_line_locked(struct event_stream *s)
{
    struct events *e = s->events;

    if (e->next - s->next > RING_LENGTH) {
        s->next = e->next;
        return str_dup("{\"event\":\"lost\"}\n");
    }
    while (s->next < e->next) {
        const struct event *event = &e->ring[s->next++ % RING_LENGTH];

        if (event->seq > 0 && event->seq <= s->seen_seq)
            continue;
        if (!s->migration || (event->migration && strcmp(event->migration, s->migration) == 0))
            return str_dup(event->line);
    }
    return NULL;
}

int event_stream_next(struct event_stream *s, uint64_t timeout_ns, char **ret_line)
{
    struct events *e = s->events;
    uint64_t until = clock_now_ns() + timeout_ns;
    struct timespec ts = {.tv_sec = (time_t)(until / NS_PER_S),
                          .tv_nsec = (long)(until % NS_PER_S)};

    *ret_line = replay_line(s);
    if (*ret_line)
        return 0;
    LOCK_FOR_SCOPE(&e->lock);
    for (;;) {
        *ret_line = ring_line_locked(s);
        if (*ret_line)
            return 0;
        if (e->closed)
            return -ESHUTDOWN;
        if (pthread_cond_timedwait(&e->changed, &e->lock, &ts) == ETIMEDOUT)
            return 0;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of the newest lines; each stream remembers the tick it will read next.  A stream that
 * begins with a number the ring does not reach reads the journal first and then skips what it has
 * seen there.
 */
#include "orchestrator/events.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"

#define RING_LENGTH 8192
#define REPLAY_CHUNK 200

struct event {
    int64_t seq;        /* 0: not numbered */
    int64_t generation; /* the newest numbered one then, itself included */
    char *migration;
    char *line;
};

struct events {
    struct journal *journal;
    char epoch[20];         /* of this run of slipwayd; never changes */
    pthread_mutex_t order;  /* from writing a numbered event until it is published */
    pthread_mutex_t lock;   /* guards what follows; innermost */
    pthread_cond_t changed;
    struct event ring[RING_LENGTH]; /* the event of tick n is at n % RING_LENGTH */
    uint64_t next;          /* tick of the next event */
    int64_t generation;     /* number of the newest numbered event */
    int64_t first_generation; /* when this run began */
    bool closed;
};

struct event_stream {
    struct events *events;
    char *migration;
    uint64_t next;
    int64_t seen_seq;
    bool greeted;
    const char *lost; /* what a reset has to tell: "events" or "progress"; NULL: nothing */
    bool replaying;
    json_t *replay; /* rows of the journal still to be sent */
    size_t replay_at;
};

static void make_epoch(char *epoch, size_t size)
{
    uint64_t number = 0;

    if (getrandom(&number, sizeof(number), 0) != sizeof(number))
        number = clock_now_ns();
    snprintf(epoch, size, "%016" PRIx64, number);
}

struct events *events_new(struct journal *journal)
{
    struct events *e = mem_new(1, sizeof(*e));
    pthread_condattr_t attr;

    e->journal = journal;
    make_epoch(e->epoch, sizeof(e->epoch));
    if (journal_newest_event(journal, NULL, &e->generation, NULL) < 0)
        e->generation = 0;
    e->first_generation = e->generation;
    pthread_mutex_init(&e->order, NULL);
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
    pthread_mutex_destroy(&e->order);
    free(e);
    return NULL;
}

static json_t *time_json(int64_t time_ns)
{
    time_t seconds = (time_t)(time_ns / (int64_t)NS_PER_S);
    char when[40];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    return json_sprintf("%s.%03dZ", when, (int)(time_ns / (int64_t)NS_PER_MS % 1000));
}

static char *body_line(const json_t *body)
{
    _cleanup_free_ char *text = json_dumps(body, JSON_COMPACT);

    return str_format("%s\n", text ? text : "{}");
}

/* Puts in what is common to all events. */
static void body_complete(json_t *body, const char *migration, int64_t seq, int64_t time_ns)
{
    if (seq > 0)
        json_object_set_new(body, "seq", json_integer(seq));
    if (migration)
        json_object_set_new(body, "migration", json_string(migration));
    json_object_set_new(body, "time", time_json(time_ns));
}

void events_begin(struct events *e)
{
    pthread_mutex_lock(&e->order);
}

void events_end(struct events *e)
{
    pthread_mutex_unlock(&e->order);
}

void events_publish(struct events *e, const char *migration, int64_t seq, json_t *body)
{
    struct stamp now;
    struct event *slot;

    stamp_now(&now);
    body_complete(body, migration, seq, now.wall_ns);
    LOCK_FOR_SCOPE(&e->lock);
    if (seq > 0)
        e->generation = seq;
    else
        json_object_set_new(body, "generation", json_integer(e->generation));
    json_object_set_new(body, "tick", json_integer((json_int_t)e->next));
    slot = &e->ring[e->next++ % RING_LENGTH];
    free(slot->line);
    slot->line = body_line(body);
    slot->seq = seq;
    slot->generation = e->generation;
    str_replace(&slot->migration, migration);
    pthread_cond_broadcast(&e->changed);
    json_decref(body);
}

void events_record_begun(struct events *e, const char *migration, json_t *body)
{
    _cleanup_error_ struct error *err = NULL;
    int64_t seq = 0;

    if (journal_add_event(e->journal, migration, body, &seq, &err) < 0)
        log_about(LOG_LEVEL_WARNING, LOG_KIND_JOURNAL, migration, NULL,
                  "an event is not in the journal: %s", error_text(err));
    events_publish(e, migration, seq, body);
}

void events_record(struct events *e, const char *migration, json_t *body)
{
    events_begin(e);
    events_record_begun(e, migration, body);
    events_end(e);
}

static char *cursor_locked(const struct events *e)
{
    return str_format("%" PRId64 ".%" PRIu64 ".%s", e->generation, e->next, e->epoch);
}

void events_stamp(struct events *e, json_t *snapshot)
{
    _cleanup_free_ char *cursor = NULL;

    LOCK_FOR_SCOPE(&e->lock);
    cursor = cursor_locked(e);
    json_object_set_new(snapshot, "generation", json_integer(e->generation));
    json_object_set_new(snapshot, "cursor", json_string(cursor));
    json_object_set_new(snapshot, "epoch", json_string(e->epoch));
}

void events_count(struct events *e, uint64_t *ret_published, int64_t *ret_generation)
{
    LOCK_FOR_SCOPE(&e->lock);
    *ret_published = e->next;
    *ret_generation = e->generation;
}

void events_close(struct events *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->closed = true;
    pthread_cond_broadcast(&e->changed);
}

struct cursor {
    int64_t generation;
    uint64_t tick;
    const char *epoch; /* inside the text; NULL: the number of an event only */
};

/* "GENERATION" or "GENERATION.TICK.EPOCH" */
static int cursor_parse(const char *text, struct cursor *ret, struct error **err)
{
    const char *digits = "0123456789";
    size_t whole = strspn(text, digits), part = 0;

    *ret = (struct cursor){0};
    if (text[whole] == '.')
        part = strspn(text + whole + 1, digits);
    if (whole == 0 || whole > 18 || part > 18 ||
        (text[whole] && (!part || text[whole + 1 + part] != '.')))
        return error_set(err, EINVAL, "since must be the number of an event, or the cursor of a "
                         "snapshot, not '%s'", text);
    ret->generation = strtoll(text, NULL, 10);
    if (!text[whole])
        return 0;
    ret->tick = strtoull(text + whole + 1, NULL, 10);
    ret->epoch = text + whole + 1 + part + 1;
    return 0;
}

static uint64_t ring_first_locked(const struct events *e)
{
    return e->next > RING_LENGTH ? e->next - RING_LENGTH : 0;
}

/* The tick behind the event of that number, when the ring has everything since. */
static bool ring_find_locked(const struct events *e, int64_t generation, uint64_t *ret_tick)
{
    uint64_t first = ring_first_locked(e);

    for (uint64_t tick = e->next; tick > first; tick--)
        if (e->ring[(tick - 1) % RING_LENGTH].seq == generation && generation > 0) {
            *ret_tick = tick;
            return true;
        }
    *ret_tick = 0;
    return first == 0 && generation == e->first_generation;
}

/* Decides where the stream begins: in the ring, or in the journal. */
static void begin_locked(struct event_stream *s, const struct cursor *c, int64_t oldest)
{
    struct events *e = s->events;

    s->seen_seq = c->generation;
    if (c->generation > e->generation) { /* of another journal */
        s->seen_seq = e->generation;
        s->lost = "events";
    } else if (c->epoch && strcmp(c->epoch, e->epoch) == 0 && c->tick <= e->next &&
               c->tick >= ring_first_locked(e)) {
        s->next = c->tick;
    } else if (!c->epoch && ring_find_locked(e, c->generation, &s->next)) {
        /* the ring has all */
    } else {
        s->replaying = true;
        s->next = e->next;
        s->lost = c->generation && c->generation + 1 < oldest ? "events" : "progress";
    }
}

int event_stream_open(struct events *e, const char *migration, const char *since,
                      struct event_stream **ret_stream, struct error **err)
{
    struct cursor cursor = {0};
    struct event_stream *s;
    int64_t oldest = 0, newest;
    int r = since ? cursor_parse(since, &cursor, err) : 0;

    if (r == 0 && since)
        r = journal_newest_event(e->journal, &oldest, &newest, err);
    if (r < 0)
        return r;
    s = mem_new(1, sizeof(*s));
    s->events = e;
    s->migration = str_dup(migration);
    *ret_stream = s;
    LOCK_FOR_SCOPE(&e->lock);
    s->next = e->next;
    s->seen_seq = -1;
    if (since)
        begin_locked(s, &cursor, oldest);
    return 0;
}

void event_stream_close(struct event_stream *s)
{
    if (!s)
        return;
    free(s->migration);
    json_decref(s->replay);
    free(s);
}

/* The first line, and the second one when something cannot be told any more. */
static char *greeting_line(struct event_stream *s)
{
    _cleanup_json_ json_t *body = json_pack("{s:s}", "event", s->greeted ? "reset" : "hello");

    if (s->greeted)
        json_object_set_new(body, "lost", json_string(s->lost));
    if (s->greeted)
        s->lost = NULL;
    s->greeted = true;
    events_stamp(s->events, body);
    return body_line(body);
}

static char *row_line(const json_t *row)
{
    json_t *body = json_object_get(row, "body");

    if (!json_is_object(body))
        return str_dup("{}\n");
    body_complete(body, field_string(row, "migration", NULL), field_integer(row, "seq", 0),
                  field_integer(row, "time_ns", 0));
    return body_line(body);
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
    return row_line(row);
}

/* The next line of the ring that concerns this stream; NULL when there is none yet. */
static char *ring_line_locked(struct event_stream *s)
{
    struct events *e = s->events;

    if (s->next < ring_first_locked(e)) {
        s->next = e->next;
        s->lost = "events";
        return NULL;
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

    if (!s->greeted || s->lost) {
        *ret_line = greeting_line(s);
        return 0;
    }
    *ret_line = replay_line(s);
    if (*ret_line)
        return 0;
    LOCK_FOR_SCOPE(&e->lock);
    for (;;) {
        *ret_line = ring_line_locked(s);
        if (*ret_line || s->lost)
            return 0;
        if (e->closed)
            return -ESHUTDOWN;
        if (pthread_cond_timedwait(&e->changed, &e->lock, &ts) == ETIMEDOUT)
            return 0;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of struct hydrator, for hydrate*.c.
 *
 * hydrator->lock guards everything that is not said to belong to one thread.  It is the last lock
 * of the engine's order (only the limits' own is below), held for a bounded search at most and
 * never across I/O.  A link's fields belong to the one who runs its step machine (`claimed`).
 */
#pragma once

#include <pthread.h>
#include "engine/hydrate.h"
#include "base/clock.h"
#include "engine/lock.h"
#include "engine/vm.h"

#define HYDRATE_BLOCKS 16    /* of one request at most: 1 MiB */
#define HYDRATE_BYTES (HYDRATE_BLOCKS * BLOCK_SIZE)
#define HYDRATE_SLOTS 12     /* requests per connection ... */
#define HYDRATE_BACKGROUND 8 /* ... of them for the background */
#define HYDRATE_SCAN UINT64_C(8192) /* blocks looked at under the lock at once */
#define HYDRATE_SETBACKS 16
#define HYDRATE_PREFETCHES 64
#define HYDRATE_STREAMS 8
#define HYDRATE_ZEROS 64
#define HYDRATE_BACKOFF_MIN_NS (100 * NS_PER_MS)
#define HYDRATE_BACKOFF_MAX_NS (5 * NS_PER_S)

/* A guest's request that waits, on its stack. */
struct hydrate_need {
    struct hydrator *hydrator;
    struct hydrate_need *next, **link; /* link NULL: it never waited */
    uint64_t first, end; /* blocks before first are settled */
    uint64_t extend;     /* the request may be made longer up to here: a sequential reader */
    uint64_t begin_ns;
    pthread_cond_t cond;
    bool done;
    int result;
};

struct hydrate_range {
    uint64_t first, end; /* blocks */
};

/* Blocks that could not be brought, and when they are tried again. */
struct hydrate_setback {
    struct hydrate_range range;
    uint64_t until_ns, delay_ns;
    bool source; /* the source could not read them; else the target could not be written */
};

/* A reader that goes through the disk in order. */
struct hydrate_stream {
    uint64_t next;  /* block after its last request */
    uint64_t ahead; /* what has been asked for on its behalf ends here */
    uint32_t window;
    uint64_t used_ns;
};

/* A round over all blocks that looks for work. */
struct hydrate_sweep {
    uint64_t at;
    uint64_t left;     /* blocks to look at until nothing is to be done for now */
    uint64_t retry_ns; /* when a new round begins; 0: when something changes */
};

struct pace {
    uint32_t depth16;   /* background requests that may be in flight, in sixteenths */
    uint32_t depth_max;
    uint64_t demand_ns; /* when demand was last seen */
    uint64_t best_ns;   /* what a demand takes without a crowd; 0: not known */
    uint64_t cut_ns;    /* when depth was last lowered */
};

enum hydrate_kind { HYDRATE_DEMAND, HYDRATE_PREFETCH, HYDRATE_SWEEP };

struct hydrate_job {
    enum hydrate_kind kind;
    uint64_t first;
    uint32_t count;
};

struct hydrate_link;

/* One read in flight, and its buffer. */
struct hydrate_slot {
    struct reader_op op;
    struct hydrate_link *link;
    bool busy;               /* guarded by hydrator->lock, like job */
    struct hydrate_job job;
    uint64_t issued_ns;
    bool arrived;
    int error;               /* positive errno of the read */
    uint8_t *data;
};

/* One connection. */
struct hydrate_link {
    struct hydrator *hydrator;
    unsigned index;
    struct reader *reader;   /* NULL: not connected */
    struct hydrate_slot slots[HYDRATE_SLOTS];
    uint8_t *memory;
    unsigned reading;        /* operations the source has not answered */
    uint64_t heard_ns;       /* when it last said anything, or was first asked */
    int broken;              /* positive errno: the connection is of no use any more */
    uint64_t backoff_ns, retry_ns;
    int event_fd;
    pthread_t thread;
    bool thread_started;

    /* zero extents: what the source told last */
    struct reader_query query;
    bool asking, told;
    struct hydrate_range zeros[HYDRATE_ZEROS]; /* bytes */
    unsigned zero_count;
    uint64_t zero_end;       /* the answer goes to here */

    /* Guarded by hydrator->lock: */
    bool open;
    bool waiting;            /* sleeps until its event_fd or its reader calls */
    bool claimed;            /* somebody runs its step machine */
    atomic_uint serial;      /* of the URI it was made for */
    atomic_bool drop;        /* is to be closed and made anew */
    atomic_bool hurry;       /* rests no longer after a failure */
    uint64_t permit_ns;      /* when the background may be asked for again */
};

struct hydrator {
    struct owner *owner;
    struct disk *disk;
    struct hydrator_options options;
    unsigned link_count;
    struct hydrate_link *links;
    bool threads;
    atomic_bool stopping;
    atomic_bool news;        /* engine->changed is to be told; by a thread of ours, without lock */

    pthread_mutex_t lock;
    pthread_cond_t left;     /* users became 0 */
    unsigned users;          /* threads in hydrator_need() */
    char *uri;
    atomic_uint serial;      /* of uri */
    enum source_state state;
    uint64_t since_ns;
    uint64_t arrived_ns;     /* when the source last delivered */
    unsigned open_links;
    bool finished;

    struct hydrate_need *needs, **needs_end;
    struct hydrate_stream streams[HYDRATE_STREAMS];
    struct hydrate_range prefetches[HYDRATE_PREFETCHES]; /* a ring */
    unsigned prefetch_first, prefetch_count;
    struct hydrate_setback setbacks[HYDRATE_SETBACKS];
    unsigned setback_count;
    struct hydrate_sweep remote, local;
    bool local_busy;         /* one link copies from layers */
    unsigned background;     /* requests of the sweep in flight */
    struct pace pace;
    bool source_granted;     /* the source's limit has counted the next background request */

    struct hydrate_link *mapper; /* asks for zero extents */
    bool zero_done;
    uint64_t zero_at;        /* bytes; what is before is cleared */
    uint64_t mapping_ns;     /* when the asking began; 0: not yet */

    struct hydrator_status counters; /* the numbers and sentences only */
    uint64_t rate_slots[8], rate_second; /* bytes brought in each of the last seconds */
};

/* ---- hydrate.c ---- */

/* hydrator_need() in two parts; need: first and end are set, the rest is zero.  begin: 1: listed, it
 * waits; 0: the source is not needed; -errno.  end is owed in any case: it waits when result is 0,
 * leaves the list and counts. */
int hydrate_need_begin(struct hydrator *h, struct hydrate_need *need);
int hydrate_need_end(struct hydrator *h, struct hydrate_need *need, int result);

void hydrate_state_set_locked(struct hydrator *h, enum source_state state);
/* The source is lost: who waits fails, connections are made anew. */
void hydrate_lost_locked(struct hydrator *h);
/* Something came from the source. */
void hydrate_arrived_locked(struct hydrator *h);
void hydrate_need_finish_locked(struct hydrate_need *need, int result);
void hydrate_count_locked(struct hydrator *h, uint64_t *counter, uint64_t bytes);
/* Tells the engine what changed; without locks, from threads of the hydrator or its test. */
void hydrate_tell(struct hydrator *h);

/* ---- hydrate-queue.c ---- */

enum hydrate_want { HYDRATE_WANT_DEMAND, HYDRATE_WANT_ALL };
enum hydrate_next { HYDRATE_NEXT_NONE, HYDRATE_NEXT_AGAIN, HYDRATE_NEXT_JOB };

/* From where a block comes, without asking which layer. */
enum owner_from hydrate_from(const struct hydrator *h, uint64_t block);

/* What this link reads next.  AGAIN: nothing found yet, the search goes on at the next call. */
enum hydrate_next hydrate_queue_next_locked(struct hydrator *h, struct hydrate_link *k,
                                            enum hydrate_want want, struct hydrate_job *ret_job);
/* The next blocks that a layer has. */
enum hydrate_next hydrate_queue_local_locked(struct hydrator *h, struct hydrate_link *k,
                                             struct hydrate_job *ret_job);
/* A request was brought (0), or the source could not read it, or the target not be written. */
void hydrate_queue_done_locked(struct hydrator *h, const struct hydrate_job *job);
void hydrate_queue_failed_locked(struct hydrator *h, const struct hydrate_job *job, int result,
                                 bool source);
/* A request was lost with its connection. */
void hydrate_queue_again_locked(struct hydrator *h, const struct hydrate_job *job);

/* Whether a need has nothing left that only the source has; moves its first block. */
bool hydrate_need_settled_locked(struct hydrator *h, struct hydrate_need *need);
/* Notes where the guest reads: extends a sequential one, moves the sweep. */
void hydrate_queue_note_locked(struct hydrator *h, struct hydrate_need *need);
void hydrate_queue_prefetch_locked(struct hydrator *h, uint64_t first, uint64_t end);
/* When something that is set back is tried again; UINT64_MAX: nothing is. */
uint64_t hydrate_queue_retry_locked(const struct hydrator *h);
bool hydrate_has_source_setback_locked(const struct hydrator *h);

/* ---- hydrate-link.c ---- */

enum hydrate_step { HYDRATE_FINISHED, HYDRATE_MORE, HYDRATE_SLEEP };

int hydrate_link_init(struct hydrate_link *k, struct hydrator *h, unsigned index);
void hydrate_link_done(struct hydrate_link *k);
/* enum hydrate_step, or -errno: the connection failed and is closed. */
int hydrate_link_step(struct hydrate_link *k, enum hydrate_want want);
/* The same for whoever comes by; HYDRATE_SLEEP when another thread is at it. */
int hydrate_claimed_step(struct hydrate_link *k, enum hydrate_want want);
void hydrate_link_close(struct hydrate_link *k);

/* ---- hydrate-land.c ---- */

/* Lands one slot that arrived.  true: there was one. */
bool hydrate_land(struct hydrate_link *k);
/* One run of blocks out of a layer. */
bool hydrate_land_local(struct hydrate_link *k);
/* A bounded piece of the zero extents.  1: more to do, 0: nothing now, -errno: of the connection. */
int hydrate_land_zeros(struct hydrate_link *k);

/* ---- hydrate-pace.c ---- */

void pace_init(struct pace *p, unsigned depth_max);
void pace_demand_began(struct pace *p, uint64_t now_ns);
void pace_demand_ended(struct pace *p, uint64_t now_ns, uint64_t latency_ns);
void pace_background_ended(struct pace *p, uint64_t now_ns);
unsigned pace_depth(const struct pace *p); /* at least 1 */

/* May a background request of `bytes` go now (and counts it when it may)?  Else nanoseconds until
 * it is worth asking again.  remote: it reads the source. */
uint64_t hydrate_permit_locked(struct hydrator *h, const struct hydrate_link *k, uint64_t bytes,
                               bool remote);
/* Blocks of a background request at most, so that a slow flow is even. */
uint32_t hydrate_chunk(const struct hydrator *h);
/* A request somebody waits for is counted where there is room, and never held back. */
void hydrate_charge_locked(struct hydrator *h, uint64_t bytes);

/* ---- hydrate-thread.c ---- */

/* Wakes a link that sleeps: the best one for a new request, or all of them. */
void hydrate_wake_one_locked(struct hydrator *h);
void hydrate_wake_all_locked(struct hydrator *h);
int hydrate_threads_start(struct hydrator *h);
void hydrate_threads_stop(struct hydrator *h);

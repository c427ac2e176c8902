/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection's step machine: land what arrived → connect → ask for what is wanted → move bytes.
 * A slot's way: free → reading → arrived → landed → free.  When the connection fails its slots become
 * free and the queue finds their blocks again.
 */
#include "engine/hydrate-inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/align.h"

#define OPEN_TIMEOUT_NS (10 * NS_PER_S)

int hydrate_link_init(struct hydrate_link *k, struct hydrator *h, unsigned index)
{
    size_t size = HYDRATE_SLOTS * HYDRATE_BYTES;

    k->hydrator = h;
    k->index = index;
    k->permit_ns = UINT64_MAX;
    k->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (k->event_fd < 0)
        return -errno;
    k->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (k->memory == MAP_FAILED) {
        k->memory = NULL;
        return -ENOMEM;
    }
    for (unsigned i = 0; i < HYDRATE_SLOTS; i++) {
        k->slots[i].link = k;
        k->slots[i].data = k->memory + i * HYDRATE_BYTES;
    }
    return 0;
}

void hydrate_link_done(struct hydrate_link *k)
{
    reader_close(k->reader);
    if (k->memory)
        munmap(k->memory, HYDRATE_SLOTS * HYDRATE_BYTES);
    if (k->event_fd >= 0)
        close(k->event_fd);
}

/* ---- closing ---- */

static void free_slot_locked(struct hydrator *h, struct hydrate_slot *s)
{
    s->busy = false;
    if (s->job.kind == HYDRATE_SWEEP)
        h->background--;
}

/* After the reader is gone nothing answers any more: what had not arrived is to be asked again. */
void hydrate_link_close(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;

    reader_close(steal_ptr(k->reader));
    k->reading = 0;
    k->broken = 0;
    k->asking = k->told = false;
    k->zero_count = 0;
    HOLD_FOR_SCOPE(&h->lock);
    for (unsigned i = 0; i < HYDRATE_SLOTS; i++) {
        struct hydrate_slot *s = &k->slots[i];

        if (!s->busy || (s->arrived && !s->error))
            continue;
        free_slot_locked(h, s);
        hydrate_queue_again_locked(h, &s->job);
    }
    if (k->open)
        h->open_links--;
    k->open = false;
    atomic_store(&k->drop, false);
    if (h->mapper == k)
        h->mapper = NULL;
    if (h->open_links == 0 && h->state == SOURCE_UP && !h->finished)
        hydrate_state_set_locked(h, SOURCE_CONNECTING);
    hydrate_wake_all_locked(h); /* others may ask for it at once */
}

static void set_error(struct hydrator *h, const char *sentence)
{
    HOLD_FOR_SCOPE(&h->lock);
    if (h->open_links == 0 || h->state != SOURCE_UP)
        snprintf(h->counters.error, sizeof(h->counters.error), "%s", sentence);
}

static int fail(struct hydrate_link *k, int code)
{
    const char *text = k->reader ? k->reader->ops->failure(k->reader) : NULL;
    char sentence[256];

    snprintf(sentence, sizeof(sentence),
             "the connection to the source of disk %s failed (%.120s); it is tried again",
             k->hydrator->disk->name,
             code == ETIMEDOUT ? "no answer" : text && *text ? text : strerror(code));
    hydrate_link_close(k);
    set_error(k->hydrator, sentence);
    return -code;
}

/* ---- connecting ---- */

static bool outdated(const struct hydrate_link *k)
{
    return atomic_load(&k->drop) ||
           atomic_load(&k->serial) != atomic_load(&k->hydrator->serial);
}

static bool open_cancelled(void *context)
{
    const struct hydrate_link *k = context;

    return atomic_load(&k->hydrator->stopping) || outdated(k);
}

static char *take_uri(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;

    HOLD_FOR_SCOPE(&h->lock);
    atomic_store(&k->serial, atomic_load(&h->serial));
    atomic_store(&k->drop, false);
    atomic_store(&k->hurry, false);
    return h->uri ? strdup(h->uri) : NULL;
}

static int check_size(const struct hydrate_link *k, const char *uri, struct error **err)
{
    const struct disk *d = k->hydrator->disk;
    uint64_t have = k->reader->ops->size(k->reader);

    if (have == d->size)
        return 0;
    return error_set(err, EBADMSG,
                     "%.80s has %" PRIu64 " bytes, but disk %s has %" PRIu64
                     "; point it at the snapshot that the VM was flipped at", uri, have, d->name,
                     d->size);
}

static int open_reader(struct hydrate_link *k, const char *uri, struct error **err)
{
    struct hydrator *h = k->hydrator;
    uint64_t timeout = MIN(h->options.wait_ns, OPEN_TIMEOUT_NS);
    int r = h->options.readers->open(uri, NULL, true, timeout, open_cancelled, k, &k->reader, err);

    if (r == 0)
        r = check_size(k, uri, err);
    if (r < 0)
        reader_close(steal_ptr(k->reader));
    return r;
}

static void opened(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;

    HOLD_FOR_SCOPE(&h->lock);
    k->open = true;
    h->open_links++;
    if (h->state != SOURCE_LOST)
        hydrate_state_set_locked(h, SOURCE_UP);
    h->remote.left = h->disk->blocks;
}

static int connect_link(struct hydrate_link *k)
{
    _cleanup_free_ char *uri = take_uri(k);
    _cleanup_error_ struct error *err = NULL;
    int r;

    if (!uri)
        return -EDESTADDRREQ;
    r = open_reader(k, uri, &err);
    if (r == 0)
        opened(k);
    else if (r != -ECANCELED)
        set_error(k->hydrator, error_text(err));
    return r;
}

/* ---- asking ---- */

static bool connection_error(int code)
{
    return code == ENOTCONN || code == ESHUTDOWN || code == ECONNRESET || code == EPIPE ||
           code == ETIMEDOUT;
}

static void read_done(struct reader_op *op, int error)
{
    struct hydrate_slot *s = (struct hydrate_slot *)op;
    struct hydrate_link *k = s->link;

    s->error = error;
    s->arrived = true;
    k->reading--;
    k->heard_ns = clock_now_ns();
    if (connection_error(error))
        k->broken = error;
    else
        k->backoff_ns = 0; /* only a source that answers is worth hurrying for */
}

static int start_read(struct hydrate_link *k, struct hydrate_slot *s)
{
    uint64_t offset = s->job.first * BLOCK_SIZE;
    uint64_t bytes = MIN(s->job.count * BLOCK_SIZE, k->hydrator->disk->size - offset);

    s->op.done = read_done;
    s->arrived = false;
    s->error = 0;
    s->issued_ns = clock_now_ns();
    if (k->reading++ == 0)
        k->heard_ns = s->issued_ns;
    return k->reader->ops->read(k->reader, s->data, (uint32_t)bytes, offset, &s->op);
}

static struct hydrate_slot *take_slot_locked(struct hydrate_link *k, const struct hydrate_job *job)
{
    struct hydrate_slot *s = k->slots;

    while (s->busy)
        s++;
    s->busy = true;
    s->job = *job;
    k->hydrator->counters.fetch_count++;
    if (job->kind == HYDRATE_SWEEP)
        k->hydrator->background++;
    return s;
}

/* Nothing at all to ask of a source that was lost, and it took the connection: it is back. */
static void notice_idle_locked(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;

    if (h->state == SOURCE_LOST && k->reading == 0 && h->remote.left == 0 && k->open &&
        !hydrate_has_source_setback_locked(h))
        hydrate_state_set_locked(h, SOURCE_UP);
}

static int ask(struct hydrate_link *k, enum hydrate_want want, bool *ret_more)
{
    struct hydrator *h = k->hydrator;
    int r = 0;

    while (r == 0) {
        struct hydrate_slot *s = NULL;
        struct hydrate_job job;
        enum hydrate_next next;

        lock_take(&h->lock);
        next = hydrate_queue_next_locked(h, k, want, &job);
        if (next == HYDRATE_NEXT_JOB)
            s = take_slot_locked(k, &job);
        else if (next == HYDRATE_NEXT_NONE && want == HYDRATE_WANT_ALL)
            notice_idle_locked(k);
        k->waiting = next == HYDRATE_NEXT_NONE;
        lock_release(&h->lock);
        *ret_more = next == HYDRATE_NEXT_AGAIN;
        if (next != HYDRATE_NEXT_JOB)
            return 0;
        r = start_read(k, s);
    }
    return r;
}

/* A source that takes requests and answers none.  One of several connections is given up sooner, so
 * that what it has can be asked over another in time. */
static bool is_silent(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;
    uint64_t now = clock_now_ns(), bound = h->options.wait_ns;

    HOLD_FOR_SCOPE(&h->lock);
    if (h->open_links > 1 && h->arrived_ns > k->heard_ns)
        bound /= 2;
    return k->reading > 0 && now - k->heard_ns > bound;
}

static int move(struct hydrate_link *k)
{
    int r = k->reading > 0 ? k->reader->ops->pump(k->reader) : 0;

    if (r > 0)
        k->heard_ns = clock_now_ns();
    if (r >= 0 && k->broken)
        r = -k->broken;
    if (r >= 0 && is_silent(k))
        r = -ETIMEDOUT;
    return MIN(r, 0);
}

/* ---- the step ---- */

static bool finished(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;

    if (!owner_is_complete(h->owner))
        return false;
    HOLD_FOR_SCOPE(&h->lock);
    for (unsigned i = 0; i < HYDRATE_SLOTS; i++)
        if (k->slots[i].busy && k->slots[i].arrived)
            return false; /* its request counts as done when it has landed */
    if (!h->finished)
        atomic_store(&h->news, true);
    h->finished = true;
    while (h->needs)
        hydrate_need_finish_locked(h->needs, 0);
    return true;
}

static int step_connected(struct hydrate_link *k, enum hydrate_want want)
{
    bool more = false;
    int r = ask(k, want, &more), zeros = 0;

    if (r == 0)
        r = move(k);
    if (r == 0 && want == HYDRATE_WANT_ALL) {
        zeros = hydrate_land_zeros(k);
        r = MIN(zeros, 0);
    }
    if (r < 0)
        return fail(k, -r);
    for (unsigned i = 0; i < HYDRATE_SLOTS && !more; i++)
        more = k->slots[i].busy && k->slots[i].arrived;
    if (!more && want == HYDRATE_WANT_ALL)
        more = hydrate_land_local(k);
    return more || zeros > 0 ? HYDRATE_MORE : HYDRATE_SLEEP;
}

int hydrate_link_step(struct hydrate_link *k, enum hydrate_want want)
{
    struct hydrator *h = k->hydrator;
    bool landed = hydrate_land(k);
    int r;

    if (finished(k)) {
        hydrate_link_close(k);
        madvise(k->memory, HYDRATE_SLOTS * HYDRATE_BYTES, MADV_DONTNEED);
        return HYDRATE_FINISHED;
    }
    if (k->reader && outdated(k))
        hydrate_link_close(k);
    if (!k->reader) {
        if (want == HYDRATE_WANT_ALL && hydrate_land_local(k))
            return HYDRATE_MORE;
        r = connect_link(k);
        if (r < 0)
            return atomic_load(&h->stopping) ? -ESHUTDOWN : r;
    }
    r = step_connected(k, want);
    return r == HYDRATE_SLEEP && landed ? HYDRATE_MORE : r;
}

int hydrate_claimed_step(struct hydrate_link *k, enum hydrate_want want)
{
    struct hydrator *h = k->hydrator;
    bool mine;
    int r = HYDRATE_SLEEP;

    lock_take(&h->lock);
    mine = !k->claimed;
    k->claimed = true;
    lock_release(&h->lock);
    if (mine) {
        r = hydrate_link_step(k, want);
        lock_take(&h->lock);
        k->claimed = false;
        lock_release(&h->lock);
    } else {
        lock_pause();
    }
    hydrate_tell(h);
    return r;
}

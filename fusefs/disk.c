/* SPDX-License-Identifier: Apache-2.0 */
#include "fusefs/disk.h"

#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "fusefs/link.h"

#define AGAIN_NS (200 * NS_PER_MS) /* between two attempts to connect */
#define STATUS_CHUNK (UINT64_C(1) << 31)
#define ZERO_CHUNK (UINT64_C(1) << 30)

struct disk {
    struct disk_options options;
    pthread_mutex_t lock;   /* held around every call of libnbd, so callbacks run under it */
    int event_fd;           /* wakes the thread */
    struct nbd_handle *nbd; /* NULL: not connected */
    struct disk_request *requests, **end; /* all that are not done */
    struct disk_request *finished;        /* answered, not looked at yet */
    uint64_t away_ns;       /* since when there is no connection */
    bool was_up;
    bool lost;              /* away for longer than anybody waits */
    bool gone;              /* for good */
    atomic_bool ending;
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_changed = PTHREAD_COND_INITIALIZER;
static unsigned all_count;

static void wake(struct disk *d)
{
    uint64_t one = 1;

    if (write(d->event_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it is awake */
}

/* ---- requests ---- */

static void append_locked(struct disk *d, struct disk_request *r)
{
    r->disk = d;
    r->next = NULL;
    r->link = d->end;
    *d->end = r;
    d->end = &r->next;
}

static void remove_locked(struct disk *d, struct disk_request *r)
{
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    else
        d->end = r->link;
}

/* libnbd's; under the lock, like every call of it. */
static int answered(void *opaque, int *error)
{
    struct disk_request *r = opaque;

    r->error = *error;
    r->finished_next = r->disk->finished;
    r->disk->finished = r;
    return 1; /* retire the command */
}

static int extents(void *opaque, const char *context, uint64_t offset, uint32_t *entries,
                   size_t count, int *error)
{
    struct disk_request *r = opaque;

    for (size_t i = 0; i + 1 < count && !r->settled; i += 2) {
        bool hole = entries[i + 1] & LIBNBD_STATE_ZERO;

        r->settled = hole == (r->what == DISK_SEEK_HOLE);
        if (!r->settled)
            r->found += entries[i];
    }
    return 0;
}

static int64_t issue_seek_locked(struct disk *d, struct disk_request *r,
                                 nbd_completion_callback done)
{
    nbd_extent_callback callback = {.callback = extents, .user_data = r};

    return nbd_aio_block_status(d->nbd, MIN(STATUS_CHUNK, d->options.size - r->found), r->found,
                                callback, done, 0);
}

/* One that the connection does not take stays in the list, for the next one. */
static void issue_locked(struct disk *d, struct disk_request *r)
{
    nbd_completion_callback done = {.callback = answered, .user_data = r};
    uint32_t fua = r->durable ? LIBNBD_CMD_FLAG_FUA : 0;
    int64_t cookie = -1;

    switch (r->what) {
    case DISK_OPEN:
        r->error = 0;
        r->finished_next = d->finished;
        d->finished = r;
        cookie = 0;
        break;
    case DISK_READ:
        cookie = nbd_aio_pread(d->nbd, r->data, r->length, r->offset, done, 0);
        break;
    case DISK_WRITE:
        cookie = nbd_aio_pwrite(d->nbd, r->data, r->length, r->offset, done, fua);
        break;
    case DISK_ZERO:
        cookie = nbd_aio_zero(d->nbd, MIN(r->length, ZERO_CHUNK), r->offset, done, fua);
        break;
    case DISK_FLUSH:
        cookie = nbd_aio_flush(d->nbd, done, 0);
        break;
    case DISK_SEEK_DATA:
    case DISK_SEEK_HOLE:
        cookie = issue_seek_locked(d, r, done);
        break;
    }
    r->issued = cookie >= 0;
}

/* A request that takes several turns; true: it goes on. */
static bool goes_on_locked(struct disk *d, struct disk_request *r)
{
    bool seek = r->what == DISK_SEEK_DATA || r->what == DISK_SEEK_HOLE;

    if (r->error == 0 && r->what == DISK_ZERO && r->length > ZERO_CHUNK) {
        r->offset += ZERO_CHUNK;
        r->length -= ZERO_CHUNK;
        return true;
    }
    if (r->error == 0 && seek && !r->settled && r->found >= d->options.size) {
        r->found = d->options.size;
        r->error = r->what == DISK_SEEK_DATA ? ENXIO : 0;
    }
    return r->error == 0 && seek && !r->settled && r->found < d->options.size;
}

/* What was answered; those that a broken connection failed wait for the next one. */
static struct disk_request *take_finished_locked(struct disk *d, bool broken)
{
    struct disk_request *done = NULL, *r;

    while ((r = d->finished)) {
        d->finished = r->finished_next;
        r->issued = false;
        if (broken && r->error)
            continue;
        if (goes_on_locked(d, r)) {
            if (!broken)
                issue_locked(d, r);
            continue;
        }
        remove_locked(d, r);
        r->finished_next = done;
        done = r;
    }
    return done;
}

static void tell(struct disk_request *done)
{
    while (done) {
        struct disk_request *r = done;

        done = r->finished_next;
        r->done(r, r->error == ESHUTDOWN ? EIO : r->error);
    }
}

static struct disk_request *fail_all_locked(struct disk *d, int error)
{
    struct disk_request *done = NULL, *r;

    d->finished = NULL;
    while ((r = d->requests)) {
        remove_locked(d, r);
        r->error = error;
        r->finished_next = done;
        done = r;
    }
    return done;
}

void disk_submit(struct disk *d, struct disk_request *r)
{
    struct disk_request *done = NULL;
    bool calls = false;

    r->issued = r->settled = false;
    r->found = r->offset;
    pthread_mutex_lock(&d->lock);
    append_locked(d, r);
    if (d->gone || d->lost || atomic_load(&d->ending)) {
        remove_locked(d, r);
        r->error = EIO;
        r->finished_next = NULL;
        done = r;
    } else if (d->nbd) {
        issue_locked(d, r);
        done = take_finished_locked(d, nbd_aio_is_dead(d->nbd));
        calls = !r->issued || (nbd_aio_get_direction(d->nbd) & LIBNBD_AIO_DIRECTION_WRITE);
    }
    pthread_mutex_unlock(&d->lock);
    tell(done);
    if (calls)
        wake(d);
}

/* ---- the connection ---- */

static bool is_ending(void *context)
{
    return atomic_load(&((struct disk *)context)->ending);
}

/* Connected, refused or still away. */
static struct disk_request *note_attempt_locked(struct disk *d, struct nbd_handle *nbd, int r)
{
    if (nbd) {
        if (d->was_up)
            log_info("%s: the engine is back", d->options.label);
        d->nbd = nbd;
        d->was_up = true;
        d->lost = false;
        for (struct disk_request *q = d->requests; q; q = q->next)
            issue_locked(d, q);
        return take_finished_locked(d, false);
    }
    if (r == -ENOENT && (d->options.fixed || !d->was_up)) {
        if (d->was_up)
            log_error("%s: the generation went with the engine that held it; open the file again "
                      "for the latest one", d->options.label);
        d->gone = true;
        return fail_all_locked(d, d->was_up ? EIO : ESTALE);
    }
    if (!d->lost && clock_now_ns() - d->away_ns > d->options.wait_ns) {
        log_error("%s: no engine for %.0f s; requests fail until it is back", d->options.label,
                  (double)d->options.wait_ns / (double)NS_PER_S);
        d->lost = true;
    }
    return d->lost ? fail_all_locked(d, EIO) : NULL;
}

static void sleep_ns(struct disk *d, uint64_t ns)
{
    struct pollfd p = {.fd = d->event_fd, .events = POLLIN};
    uint64_t value;

    if (poll(&p, 1, (int)(ns / NS_PER_MS)) > 0 && read(d->event_fd, &value, sizeof(value)) < 0)
        return;
}

static void connect_again(struct disk *d)
{
    struct nbd_handle *nbd = NULL;
    struct disk_request *done;
    uint64_t size = 0;
    bool gone;
    int r = link_open(d->options.socket, d->options.export_name, is_ending, d, &nbd);

    if (r == 0 && link_size(nbd, &size) == 0 && size != d->options.size) {
        log_error("%s has %ju bytes now, not %ju", d->options.label, (uintmax_t)size,
                  (uintmax_t)d->options.size);
        nbd_close(nbd);
        nbd = NULL;
        r = -ENOENT;
    }
    pthread_mutex_lock(&d->lock);
    done = note_attempt_locked(d, nbd, r);
    gone = d->gone;
    pthread_mutex_unlock(&d->lock);
    tell(done);
    if (!nbd && !is_ending(d))
        sleep_ns(d, gone ? NS_PER_S * 3600 : AGAIN_NS);
}

static void move_locked(struct disk *d, short revents)
{
    unsigned direction = nbd_aio_get_direction(d->nbd);

    if (revents & (POLLIN | POLLHUP | POLLERR) && direction & LIBNBD_AIO_DIRECTION_READ)
        nbd_aio_notify_read(d->nbd);
    else if (revents & POLLOUT && direction & LIBNBD_AIO_DIRECTION_WRITE)
        nbd_aio_notify_write(d->nbd);
}

static void disconnect_locked(struct disk *d)
{
    log_info("%s: the engine went away", d->options.label);
    nbd_close(d->nbd);
    d->nbd = NULL;
    d->away_ns = clock_now_ns();
}

static void turn(struct disk *d)
{
    struct pollfd p[] = {{.fd = d->event_fd, .events = POLLIN}, {0}};
    struct disk_request *done;
    unsigned direction;
    uint64_t value;
    bool broken;

    pthread_mutex_lock(&d->lock);
    direction = nbd_aio_get_direction(d->nbd);
    p[1].fd = nbd_aio_get_fd(d->nbd);
    pthread_mutex_unlock(&d->lock);
    p[1].events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                          (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
    if (poll(p, 2, 1000) > 0 && p[0].revents && read(d->event_fd, &value, sizeof(value)) < 0)
        return;
    pthread_mutex_lock(&d->lock);
    if (p[1].revents)
        move_locked(d, p[1].revents);
    broken = nbd_aio_is_dead(d->nbd) || nbd_aio_is_closed(d->nbd);
    done = take_finished_locked(d, broken);
    if (broken)
        disconnect_locked(d);
    pthread_mutex_unlock(&d->lock);
    tell(done);
}

/* ---- life ---- */

static void disk_free(struct disk *d)
{
    if (d->event_fd >= 0)
        close(d->event_fd);
    pthread_mutex_destroy(&d->lock);
    free((char *)d->options.socket);
    free((char *)d->options.export_name);
    free((char *)d->options.label);
    free(d);
}

static void count(int more)
{
    LOCK_FOR_SCOPE(&all_lock);
    all_count += (unsigned)more;
    pthread_cond_broadcast(&all_changed);
}

static void *disk_run(void *opaque)
{
    struct disk *d = opaque;
    struct disk_request *done;

    pthread_setname_np(pthread_self(), "disk");
    while (!is_ending(d)) {
        if (d->nbd)
            turn(d);
        else
            connect_again(d);
    }
    pthread_mutex_lock(&d->lock);
    if (d->nbd)
        nbd_close(d->nbd);
    d->nbd = NULL;
    done = fail_all_locked(d, EIO);
    pthread_mutex_unlock(&d->lock);
    tell(done);
    disk_free(d);
    count(-1);
    return NULL;
}

/* Signals are for the main thread, which they end a wait of. */
static int start_thread(struct disk *d)
{
    sigset_t all, before;
    pthread_attr_t detached;
    pthread_t thread;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    r = pthread_create(&thread, &detached, disk_run, d);
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

struct disk *disk_new(const struct disk_options *o)
{
    struct disk *d = mem_new(1, sizeof(*d));

    d->options = *o;
    d->options.socket = str_dup(o->socket);
    d->options.export_name = str_dup(o->export_name);
    d->options.label = str_dup(o->label);
    d->end = &d->requests;
    d->away_ns = clock_now_ns();
    pthread_mutex_init(&d->lock, NULL);
    d->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    count(1);
    if (d->event_fd >= 0 && start_thread(d) == 0)
        return d;
    disk_free(d);
    count(-1);
    return NULL;
}

void disk_end(struct disk *d)
{
    if (!d)
        return;
    /* Under the lock, so that it does not go while it is woken. */
    LOCK_FOR_SCOPE(&d->lock);
    atomic_store(&d->ending, true);
    wake(d);
}

void disks_wait(uint64_t timeout_ns)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(timeout_ns / NS_PER_S);
    LOCK_FOR_SCOPE(&all_lock);
    while (all_count > 0 && pthread_cond_timedwait(&all_changed, &all_lock, &until) == 0)
        ;
}

unsigned disks_open(void)
{
    LOCK_FOR_SCOPE(&all_lock);
    return all_count;
}

/* ---- how much of it is data ---- */

struct tally {
    uint64_t next, data;
};

static int add_extents(void *opaque, const char *context, uint64_t offset, uint32_t *entries,
                       size_t n, int *error)
{
    struct tally *t = opaque;

    for (size_t i = 0; i + 1 < n; i += 2) {
        t->next += entries[i];
        if (!(entries[i + 1] & LIBNBD_STATE_ZERO))
            t->data += entries[i];
    }
    return 0;
}

static bool never(void *context)
{
    return false;
}

int disk_count_data(const char *socket, const char *export_name, uint64_t *ret_bytes)
{
    nbd_extent_callback callback = {.callback = add_extents};
    struct nbd_handle *nbd = NULL;
    struct tally t = {0};
    uint64_t size = 0;
    int r = link_open(socket, export_name, never, NULL, &nbd);

    if (r < 0)
        return r;
    callback.user_data = &t;
    r = link_size(nbd, &size);
    while (r == 0 && t.next < size) {
        uint64_t before = t.next;

        if (nbd_block_status(nbd, MIN(STATUS_CHUNK, size - t.next), t.next, callback, 0) < 0 ||
            t.next == before)
            r = -EIO;
    }
    nbd_close(nbd);
    *ret_bytes = MIN(t.data, size);
    return r;
}

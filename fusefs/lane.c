/* SPDX-License-Identifier: Apache-2.0 */
#include "fusefs/lane.h"

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

struct lane {
    struct disk_options options;
    bool tells;             /* of it in the log: the first lane of a disk */
    pthread_mutex_t lock;   /* held around every call of libnbd, so callbacks run under it */
    int event_fd;           /* wakes the thread */
    struct nbd_handle *nbd; /* NULL: not connected */
    struct disk_request *requests, **end; /* all that are not done */
    struct disk_request *finished;        /* answered, not looked at yet */
    bool shut;              /* the server has begun to end the connection, or what is read by it */
    uint64_t away_ns;       /* since when there is no connection */
    bool was_up;
    bool lost;              /* away for longer than anybody waits */
    bool gone;              /* for good */
    atomic_bool ending;
    atomic_uint load;       /* requests that are not done */
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_changed = PTHREAD_COND_INITIALIZER;
static unsigned all_count;

static void wake(struct lane *l)
{
    uint64_t one = 1;

    if (write(l->event_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it is awake */
}

/* ---- requests ---- */

static void append_locked(struct lane *l, struct disk_request *r)
{
    r->lane = l;
    r->next = NULL;
    atomic_fetch_add(&l->load, 1);
    r->link = l->end;
    *l->end = r;
    l->end = &r->next;
}

static void remove_locked(struct lane *l, struct disk_request *r)
{
    atomic_fetch_sub(&l->load, 1);
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    else
        l->end = r->link;
}

/* libnbd's; under the lock, like every call of it. */
static int answered(void *opaque, int *error)
{
    struct disk_request *r = opaque;

    r->error = *error;
    r->finished_next = r->lane->finished;
    r->lane->finished = r;
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

static int64_t issue_seek_locked(struct lane *l, struct disk_request *r,
                                 nbd_completion_callback done)
{
    nbd_extent_callback callback = {.callback = extents, .user_data = r};

    return nbd_aio_block_status(l->nbd, MIN(STATUS_CHUNK, l->options.size - r->found), r->found,
                                callback, done, 0);
}

/* One that the connection does not take stays in the list, for the next one. */
static void issue_locked(struct lane *l, struct disk_request *r)
{
    nbd_completion_callback done = {.callback = answered, .user_data = r};
    uint32_t fua = r->durable ? LIBNBD_CMD_FLAG_FUA : 0;
    int64_t cookie = -1;

    switch (r->what) {
    case DISK_OPEN:
        r->error = 0;
        r->finished_next = l->finished;
        l->finished = r;
        cookie = 0;
        break;
    case DISK_READ:
        cookie = nbd_aio_pread(l->nbd, r->data, r->length, r->offset, done, 0);
        break;
    case DISK_WRITE:
        cookie = nbd_aio_pwrite(l->nbd, r->data, r->length, r->offset, done, fua);
        break;
    case DISK_ZERO:
        cookie = nbd_aio_zero(l->nbd, MIN(r->length, ZERO_CHUNK), r->offset, done, fua);
        break;
    case DISK_FLUSH:
        cookie = nbd_aio_flush(l->nbd, done, 0);
        break;
    case DISK_SEEK_DATA:
    case DISK_SEEK_HOLE:
        cookie = issue_seek_locked(l, r, done);
        break;
    }
    r->issued = cookie >= 0;
    if (r->issued || nbd_aio_is_dead(l->nbd))
        return;
    r->error = nbd_get_errno() ? nbd_get_errno() : EIO; /* it would not take it another time */
    r->finished_next = l->finished;
    l->finished = r;
}

/* A request that takes several turns; true: it goes on. */
static bool goes_on_locked(struct lane *l, struct disk_request *r)
{
    bool seek = r->what == DISK_SEEK_DATA || r->what == DISK_SEEK_HOLE;

    if (r->error == 0 && r->what == DISK_ZERO && r->length > ZERO_CHUNK) {
        r->offset += ZERO_CHUNK;
        r->length -= ZERO_CHUNK;
        return true;
    }
    if (r->error == 0 && seek && !r->settled && r->found >= l->options.size) {
        r->found = l->options.size;
        r->error = r->what == DISK_SEEK_DATA ? ENXIO : 0;
    }
    return r->error == 0 && seek && !r->settled && r->found < l->options.size;
}

/* What was answered; those that a broken connection failed wait for the next one, and so do those
 * that an engine which is ending does not carry out any more. */
static struct disk_request *take_finished_locked(struct lane *l, bool broken)
{
    struct disk_request *done = NULL, *r;

    while ((r = l->finished)) {
        l->finished = r->finished_next;
        r->issued = false;
        l->shut |= r->error == ESHUTDOWN;
        if (r->error && (broken || r->error == ESHUTDOWN))
            continue;
        if (goes_on_locked(l, r)) {
            if (!broken && !l->shut)
                issue_locked(l, r);
            continue;
        }
        remove_locked(l, r);
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
        r->done(r, r->error);
    }
}

/* Those that wait for an engine, and nobody waits for them. */
static struct disk_request *take_interrupted_locked(struct lane *l)
{
    struct disk_request *done = NULL, *next;

    for (struct disk_request *r = l->requests; r; r = next) {
        next = r->next;
        if (!atomic_load(&r->interrupted))
            continue;
        remove_locked(l, r);
        r->error = EINTR;
        r->finished_next = done;
        done = r;
    }
    return done;
}

static struct disk_request *fail_all_locked(struct lane *l, int error)
{
    struct disk_request *done = NULL, *r;

    l->finished = NULL;
    while ((r = l->requests)) {
        remove_locked(l, r);
        r->error = error;
        r->finished_next = done;
        done = r;
    }
    return done;
}

void lane_submit(struct lane *l, struct disk_request *r)
{
    struct disk_request *done = NULL;
    bool calls = false;

    r->issued = r->settled = false;
    r->found = r->offset;
    pthread_mutex_lock(&l->lock);
    append_locked(l, r);
    if (l->gone || l->lost || atomic_load(&l->ending)) {
        remove_locked(l, r);
        r->error = EIO;
        r->finished_next = NULL;
        done = r;
    } else if (l->nbd && !l->shut) {
        issue_locked(l, r);
        done = take_finished_locked(l, nbd_aio_is_dead(l->nbd));
        calls = l->shut || !r->issued ||
                (nbd_aio_get_direction(l->nbd) & LIBNBD_AIO_DIRECTION_WRITE);
    }
    pthread_mutex_unlock(&l->lock);
    tell(done);
    if (calls)
        wake(l);
}

/* ---- the connection ---- */

static bool is_ending(void *context)
{
    return atomic_load(&((struct lane *)context)->ending);
}

/* Connected, refused or still away. */
static struct disk_request *note_attempt_locked(struct lane *l, struct nbd_handle *nbd, int r)
{
    if (nbd) {
        if (l->was_up && l->tells)
            log_info("%s: the engine is back", l->options.label);
        l->nbd = nbd;
        l->was_up = true;
        l->lost = false;
        for (struct disk_request *q = l->requests; q; q = q->next)
            issue_locked(l, q);
        return take_finished_locked(l, false);
    }
    if (r == -ENOENT && (l->options.fixed || !l->was_up)) {
        if (l->was_up && l->tells)
            log_error("%s: it went with the engine that held it, or with a flip; what is open of "
                      "it fails, open what there is now", l->options.label);
        l->gone = true;
        return fail_all_locked(l, l->was_up || !l->tells ? EIO : ESTALE);
    }
    if (!l->lost && clock_now_ns() - l->away_ns > l->options.wait_ns) {
        if (l->tells)
            log_error("%s: no engine for %.0f s; requests fail until it is back", l->options.label,
                  (double)l->options.wait_ns / (double)NS_PER_S);
        l->lost = true;
    }
    return l->lost ? fail_all_locked(l, EIO) : take_interrupted_locked(l);
}

static void sleep_ns(struct lane *l, uint64_t ns)
{
    struct pollfd p = {.fd = l->event_fd, .events = POLLIN};
    uint64_t value;

    if (poll(&p, 1, (int)(ns / NS_PER_MS)) > 0 && read(l->event_fd, &value, sizeof(value)) < 0)
        return;
}

static void connect_again(struct lane *l)
{
    struct nbd_handle *nbd = NULL;
    struct disk_request *done;
    uint64_t size = 0;
    bool gone;
    int r = link_open(l->options.socket, l->options.export_name, is_ending, l, &nbd);

    if (r == 0 && link_size(nbd, &size) == 0 && size != l->options.size) {
        log_error("%s has %ju bytes now, not %ju", l->options.label, (uintmax_t)size,
                  (uintmax_t)l->options.size);
        nbd_close(nbd);
        nbd = NULL;
        r = -ENOENT;
    }
    pthread_mutex_lock(&l->lock);
    done = note_attempt_locked(l, nbd, r);
    gone = l->gone;
    pthread_mutex_unlock(&l->lock);
    tell(done);
    if (!nbd && !is_ending(l))
        sleep_ns(l, gone ? NS_PER_S * 3600 : AGAIN_NS);
}

static void move_locked(struct lane *l, short revents)
{
    unsigned direction = nbd_aio_get_direction(l->nbd);

    if (revents & (POLLIN | POLLHUP | POLLERR) && direction & LIBNBD_AIO_DIRECTION_READ)
        nbd_aio_notify_read(l->nbd);
    else if (revents & POLLOUT && direction & LIBNBD_AIO_DIRECTION_WRITE)
        nbd_aio_notify_write(l->nbd);
}

static void disconnect_locked(struct lane *l)
{
    if (l->tells)
        log_info("%s: the engine went away", l->options.label);
    nbd_close(l->nbd);
    l->nbd = NULL;
    l->finished = NULL; /* they are in the list, for the next connection */
    l->shut = false;
    l->away_ns = clock_now_ns();
}

static void turn(struct lane *l)
{
    struct pollfd p[] = {{.fd = l->event_fd, .events = POLLIN}, {0}};
    struct disk_request *done;
    unsigned direction;
    uint64_t value;
    bool broken;

    pthread_mutex_lock(&l->lock);
    direction = nbd_aio_get_direction(l->nbd);
    p[1].fd = nbd_aio_get_fd(l->nbd);
    pthread_mutex_unlock(&l->lock);
    p[1].events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                          (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
    if (poll(p, 2, 1000) > 0 && p[0].revents && read(l->event_fd, &value, sizeof(value)) < 0)
        return;
    pthread_mutex_lock(&l->lock);
    if (p[1].revents)
        move_locked(l, p[1].revents);
    broken = nbd_aio_is_dead(l->nbd) || nbd_aio_is_closed(l->nbd);
    done = take_finished_locked(l, broken);
    if (broken || l->shut)
        disconnect_locked(l);
    pthread_mutex_unlock(&l->lock);
    tell(done);
}

/* ---- life ---- */

static void lane_free(struct lane *l)
{
    if (l->event_fd >= 0)
        close(l->event_fd);
    pthread_mutex_destroy(&l->lock);
    free((char *)l->options.socket);
    free((char *)l->options.export_name);
    free((char *)l->options.label);
    free(l);
}

static void count(int more)
{
    LOCK_FOR_SCOPE(&all_lock);
    all_count += (unsigned)more;
    pthread_cond_broadcast(&all_changed);
}

static void *lane_run(void *opaque)
{
    struct lane *l = opaque;
    struct disk_request *done;

    pthread_setname_np(pthread_self(), "lane");
    while (!is_ending(l)) {
        if (l->nbd)
            turn(l);
        else
            connect_again(l);
    }
    pthread_mutex_lock(&l->lock);
    if (l->nbd)
        nbd_close(l->nbd);
    l->nbd = NULL;
    done = fail_all_locked(l, EIO);
    pthread_mutex_unlock(&l->lock);
    tell(done);
    lane_free(l);
    count(-1);
    return NULL;
}

/* Signals are for the main thread, which they end a wait of. */
static int start_thread(struct lane *l)
{
    sigset_t all, before;
    pthread_attr_t detached;
    pthread_t thread;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    r = pthread_create(&thread, &detached, lane_run, l);
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

struct lane *lane_new(const struct disk_options *o, bool tells)
{
    struct lane *l = mem_new(1, sizeof(*l));

    l->options = *o;
    l->tells = tells;
    l->options.socket = str_dup(o->socket);
    l->options.export_name = str_dup(o->export_name);
    l->options.label = str_dup(o->label);
    l->end = &l->requests;
    l->away_ns = clock_now_ns();
    pthread_mutex_init(&l->lock, NULL);
    l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    count(1);
    if (l->event_fd >= 0 && start_thread(l) == 0)
        return l;
    lane_free(l);
    count(-1);
    return NULL;
}

void lane_end(struct lane *l)
{
    if (!l)
        return;
    /* Under the lock, so that it does not go while it is woken. */
    LOCK_FOR_SCOPE(&l->lock);
    atomic_store(&l->ending, true);
    wake(l);
}

void lanes_wait(uint64_t timeout_ns)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(timeout_ns / NS_PER_S);
    LOCK_FOR_SCOPE(&all_lock);
    while (all_count > 0 && pthread_cond_timedwait(&all_changed, &all_lock, &until) == 0)
        ;
}

void lane_wake(struct lane *l)
{
    wake(l);
}

unsigned lane_load(struct lane *l)
{
    return atomic_load(&l->load);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One export of an engine, open: connections (lane.h), threads that move them, and the requests under
 * way.  Nobody waits in here: a request is submitted, and done() is called when there is an answer.
 *
 * The engine may go away and come back: requests wait for it, up to a bound, and go on; reads and
 * writes may reach it twice, which changes nothing.  The connection is the pin of a generation; when
 * the generation is gone with the engine that held it, everything fails with EIO.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct disk;
struct lane;

enum disk_what {
    DISK_OPEN, /* done when it is connected; ESTALE: there is no such export */
    DISK_READ,
    DISK_WRITE,
    DISK_ZERO,
    DISK_FLUSH,
    DISK_SEEK_DATA,
    DISK_SEEK_HOLE,
};

/* Submitted, it belongs to the disk until done() is called, which happens once, from any thread. */
struct disk_request {
    enum disk_what what;
    uint64_t offset, length; /* bytes, inside the disk; of a seek: where to begin */
    void *data;              /* the caller's, valid until done() */
    bool durable;            /* a write, zeros: on disk when done */
    void (*done)(struct disk_request *r, int error); /* 0 or a positive errno */
    uint64_t found;          /* of a seek; ENXIO: no data any more */
    atomic_bool interrupted; /* set by disk_interrupt() */

    struct disk_request *next, **link; /* from here on the lane's */
    struct disk_request *finished_next;
    struct lane *lane;
    int error;
    bool issued, settled;
};

struct disk_options {
    const char *socket;     /* of the engine */
    const char *export_name;
    const char *label;      /* for log lines: vm/@3/sda.raw */
    uint64_t size;          /* bytes */
    bool fixed;             /* a generation: when it is gone it does not come back */
    uint64_t wait_ns;       /* for an engine that is away */
};

/* Copies the options; connects in the background.  NULL: no memory or no thread. */
struct disk *disk_new(const struct disk_options *options);

/* Never waits; done() may be called before it returns. */
void disk_submit(struct disk *disk, struct disk_request *request);

/* Whoever waits for the request does not want to any more: EINTR, unless the engine has it already
 * and is about to answer.  From any thread; before done() has been called. */
void disk_interrupt(struct disk *disk, struct disk_request *request);

/* Ends it in the background; requests under way fail with EIO.  NULL is fine. */
void disk_end(struct disk *disk);

/* Waits until all that were ended have gone, up to timeout_ns. */
void disks_wait(uint64_t timeout_ns);

/* How many are there. */
unsigned disks_open(void);

/* Bytes of the export that are not holes; its own short connection.  0 or -errno. */
int disk_count_data(const char *socket, const char *export_name, uint64_t *ret_bytes);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every source platform must be able to do.  One provider per platform, chosen by the URI.
 *
 * Threads: a struct source is used by one thread at a time; open one per job.  Calls may block for
 * seconds (network); the long ones take a `cancelled` callback and look at it at least once a
 * second.
 *
 * Whatever a provider creates on the source platform (checkpoints, scratch files, snapshots, NBD
 * servers) is announced through struct source_journal BEFORE it is created and taken back after it
 * has been removed, so that a crash at any instant leaves nothing that cleanup() cannot find.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct source; /* a connection to one source platform */

/* Durable list of what exists on a source because of us.  `thing` is a JSON object that holds all
 * cleanup() needs; add() has made it durable when it returns 0 and gives back its key. */
struct source_journal {
    int (*add)(void *context, const json_t *thing, int64_t *ret_key, struct error **err);
    int (*remove)(void *context, int64_t key, struct error **err);
    void *context;
};

enum source_power { SOURCE_OFF, SOURCE_RUNNING, SOURCE_PAUSED };

/* What to do when a guest does not shut down within the time-out. */
enum source_stop_policy {
    SOURCE_STOP_WAIT, /* go on waiting until it is off or the call is cancelled */
    SOURCE_STOP_FORCE, /* switch it off */
    SOURCE_STOP_FAIL  /* give up with ETIMEDOUT; the guest goes on running */
};

struct source_snapshot_disk {
    char *name;    /* disk name as in the VM description */
    char *uri;     /* NBD URI that serves this point in time */
    char *bitmap;  /* meta context with what changed since `since`, or NULL: compare everything */
    char *why_full; /* when bitmap is NULL and `since` was given: a sentence that says why */
};

/* One point in time of all disks of a VM, being served over NBD. */
struct source_snapshot {
    char *id; /* identity of this point in time; give it to the engine and to the next begin */
    struct source_snapshot_disk *disks;
    size_t disk_count;
    json_t *private; /* the provider's own; survives in the journal of the job */
};

struct source_ops {
    const char *name;               /* "libvirt" */
    bool (*accepts)(const char *uri); /* true when this provider speaks this URI */

    int (*open)(const char *uri, const char *password, const struct source_journal *journal,
                struct source **ret_source, struct error **err);
    void (*close)(struct source *source);

    /* Array of {id, name, state: "running"|"off"|"paused", memory_bytes, vcpus,
     *           disks: [{name, size_bytes}]}; a new reference. */
    int (*list)(struct source *source, json_t **ret_vms, struct error **err);

    /*
     * The VM by name or uuid as a description, a new reference:
     *   {id, name, uuid, state, memory_bytes, vcpus, arch, machine, firmware: "bios"|"uefi",
     *    secure_boot, os_hint?, snapshots?, checkpoints?: how many there are that are not ours,
     *    denied?: why we may not work with the VM,
     *    disks: [{name, size_bytes, allocated_bytes?, format, path?, pool?, bus, boot_order?,
     *             cbt: bool, cbt_why?}],
     *    nics: [{mac, model, network, network_type}], serial: bool, native: "<domain…>" (provider's own text)}
     * ENOENT when there is no such VM.
     */
    int (*describe)(struct source *source, const char *vm, json_t **ret_description,
                    struct error **err);

    /*
     * Freezes a point in time and serves it.  since: id of the point in time whose changes are
     * wanted, or NULL for everything.  If `resume` is not NULL it is the `private` of a snapshot
     * that an earlier, interrupted call made: it is taken up again when it is still served
     * (same id), otherwise a new one is made.
     */
    int (*snapshot_begin)(struct source *source, const char *vm, const char *since,
                          const json_t *resume, struct source_snapshot **ret_snapshot,
                          struct error **err);

    /* Ends the serving.  committed: the target holds this point in time, so tracking of older
     * points may be dropped; otherwise everything this snapshot made is removed and the changes
     * since the older point stay tracked.  Frees the snapshot in any case. */
    int (*snapshot_end)(struct source *source, const char *vm, struct source_snapshot *snapshot,
                        bool committed, struct error **err);

    int (*power)(struct source *source, const char *vm, enum source_power *ret_power,
                 struct error **err);

    /* Graceful shutdown, then the policy; returns when the VM is provably off (state read back). */
    int (*shutdown)(struct source *source, const char *vm, uint64_t timeout_ns,
                    enum source_stop_policy policy, bool (*cancelled)(void *), void *context,
                    struct error **err);

    int (*start)(struct source *source, const char *vm, struct error **err);

    /*
     * What follows may be NULL: the platform cannot do it.
     *
     * guard_read: how a VM is that shall be guarded against being started by accident, a new
     * object. guard_set: on: its cards are disconnected and it is not started with its host any
     * more; off: as `before` says.  May be repeated.
     */
    int (*guard_read)(struct source *source, const char *vm, json_t **ret_before,
                      struct error **err);
    int (*guard_set)(struct source *source, const char *vm, const json_t *before, bool on,
                     struct error **err);

    /* Pauses a running VM for a moment, so that several are frozen at one instant; announced like
     * everything else, and ended by cleanup() of what was announced.  0 for a VM that is not running. */
    int (*hold)(struct source *source, const char *vm, struct error **err);

    /* Serves the disks of a VM that is off for writing, as a snapshot without bitmaps; ended by
     * snapshot_end(committed = false).  EPERM when the VM is not off. */
    int (*write_begin)(struct source *source, const char *vm,
                       struct source_snapshot **ret_snapshot, struct error **err);

    /* After the commit: gives the VM of the description, which is off, another name
     * (NAME-migrated), or deletes it with its disks.  0 when that was done before. */
    int (*retire)(struct source *source, const json_t *description, bool remove,
                  struct error **err);

    /* May be NULL.  The storage on which a snapshot grows while it is served: bytes free and in all.
     * private: of the snapshot.  Cheap enough for twice a minute.  EOPNOTSUPP: nothing grows. */
    int (*room)(struct source *source, const json_t *private, uint64_t *ret_free,
                uint64_t *ret_size, struct error **err);

    /* May be NULL.  What the platform tells of itself, a new object: {libvirt, qemu: "7.2.15"}. */
    int (*facts)(struct source *source, json_t **ret_facts, struct error **err);

    /* Removes one journalled thing.  Idempotent: 0 when it is not there any more. */
    int (*cleanup)(struct source *source, const json_t *thing, struct error **err);
};

/* Frees a snapshot's memory only. */
void source_snapshot_free(struct source_snapshot *snapshot);

/* The provider for a URI, or NULL with a sentence that lists what is supported. */
const struct source_ops *source_ops_for(const char *uri, struct error **err);

extern const struct source_ops source_libvirt_ops;

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the libvirt provider; nobody else includes this.
 *
 * A point in time of a running VM is a pull backup job plus a checkpoint; of a VM that is off it is
 * one qemu-nbd per disk that exports the persistent bitmap of the last checkpoint.
 *
 * libvirt keeps every checkpoint's bitmap recording from its creation on, so "what changed since
 * checkpoint C" is bitmap C alone, whatever younger checkpoints came and went.  That is why an
 * uncommitted checkpoint can simply be deleted, and why a VM that was read while off can be
 * started again: bitmap C goes on and holds a superset of what changed since the last read.
 *
 * Ids of points in time:
 *   slipway-KEY-TOKEN    running; also the name of the checkpoint (if any disk can have one).
 *                        KEY is the journal key of the checkpoint, so that whoever is told `since`
 *                        can take the checkpoint out of the journal when it deletes it
 *   off-CHECKPOINT-STAMP off; CHECKPOINT is the last checkpoint ("none" without one), STAMP a
 * digest of the images' times and sizes: the same id means the same bytes
 *
 * Things in the journal (all have "vm": uuid):
 *   {kind: "checkpoint", token}          the checkpoint slipway-*-TOKEN and its bitmaps
 *   {kind: "backup-job", directory}      the job whose scratch files are in directory, and
 * directory {kind: "nbd-server", directory}      qemu-nbd processes with sockets in directory, and
 * directory {kind: "tunnel", directory}          the ssh with its socket in directory (on this
 * machine), and directory
 *
 * {kind: "hold"}                       the VM is paused
 *
 * private of a snapshot:
 *   {mode: "running"|"off", vm, id, since?, checkpoint?, checkpoint_key?, stamp?, directory,
 * socket?, tunnel_directory?, keys: [journal keys of all but the checkpoint], disks: [{name, uri,
 * bitmap?, why_full?}]}
 */
#pragma once

#include <libvirt/libvirt.h>

#include "base/cleanup.h"
#include "orchestrator/node/virterror.h"
#include "orchestrator/source/libvirt-host.h"
#include "orchestrator/source/source.h"

#define CHECKPOINT_PREFIX "slipway-"
#define OFF_PREFIX "off-"
#define EXPORT_BITMAP "slipway" /* name of the dirty bitmap in the NBD exports of a running VM */
#define IMAGE_TIMEOUT (120 * NS_PER_S)

struct source {
    virConnectPtr conn;
    char *uri;
    char *qemu_owner;   /* "UID:GID" of QEMU processes, or NULL when libvirt does not say */
    bool qemu_confined; /* by AppArmor or SELinux: QEMU may not make sockets where it likes */
    struct host host;
    struct source_journal journal; /* add == NULL: nothing is journalled */
};

static inline void domain_freep(virDomainPtr *d)
{
    if (*d)
        virDomainFree(*d);
}
#define _cleanup_domain_ _cleanup_(domain_freep)

static inline void checkpoint_freep(virDomainCheckpointPtr *c)
{
    if (*c)
        virDomainCheckpointFree(*c);
}
#define _cleanup_checkpoint_ _cleanup_(checkpoint_freep)

static inline void json_freep(json_t **j)
{
    json_decref(*j);
}
#define _cleanup_json_ _cleanup_(json_freep)

/* libvirt.c */

/* By uuid or name; ENOENT. */
int virt_domain(struct source *source, const char *vm, virDomainPtr *ret_domain,
                struct error **err);
enum source_power virt_power(virDomainPtr domain);

/* Journals a thing (consumed).  Key 0 when there is no journal. */
int virt_note(struct source *source, json_t *thing, int64_t *ret_key, struct error **err);
int virt_forget(struct source *source, int64_t key, struct error **err);

/* libvirt-describe.c */
int virt_list(struct source *source, json_t **ret_vms, struct error **err);
int virt_facts(struct source *source, json_t **ret_facts, struct error **err);

/* libvirt-room.c */
int virt_room(struct source *source, const json_t *private, uint64_t *ret_free, uint64_t *ret_size,
              struct error **err);
int virt_describe(struct source *source, const char *vm, json_t **ret_description,
                  struct error **err);
int virt_describe_domain(virDomainPtr domain, json_t **ret_description, struct error **err);

/* libvirt-image.c: qcow2 images, read and changed by qemu-img on the source's host */

/* What a disk of a description says about tracking changes.  bitmaps: {name: usable?}. */
struct image {   /* freed by image_done(); a failed image_look() leaves nothing to free */
    bool tracks; /* qcow2 of a version that stores bitmaps */
    json_t *bitmaps;
};
int image_look(struct source *source, const json_t *disk, struct image *image, struct error **err);
void image_done(struct image *image);
int image_bitmap_remove(struct source *source, const json_t *disk, const char *bitmap,
                        struct error **err);
/* A digest of time stamps and sizes of all images; changes whenever one is written.  Caller frees.
 */
int image_stamp(struct source *source, const json_t *disks, char **ret_stamp, struct error **err);

/* libvirt-checkpoint.c */

/* The checkpoint behind an id, which may be that of a VM that was off; NULL without one.  Caller
 * frees. */
char *checkpoint_of_id(const char *id);
/* The journal key inside a checkpoint's name; 0 when there is none. */
int64_t checkpoint_key(const char *name);
/* -ENOENT without a sentence when the domain has no such checkpoint. */
int checkpoint_lookup(virDomainPtr domain, const char *name,
                      virDomainCheckpointPtr *ret_checkpoint);
/* Deletes checkpoint and bitmaps, running or off, whole or broken.  0 when there is nothing. */
int checkpoint_delete(struct source *source, virDomainPtr domain, const char *name,
                      struct error **err);
/* Deletes the checkpoint behind `since`, unless it is `keep`, and takes it out of the journal.
 * Other checkpoints of ours may belong to another migration of the same VM. */
int checkpoint_drop_since(struct source *source, virDomainPtr domain, const char *since,
                          const char *keep, struct error **err);
/* Deletes what is journalled under this token. */
int checkpoint_delete_token(struct source *source, virDomainPtr domain, const char *token,
                            struct error **err);

/* libvirt-snapshot.c */
int virt_snapshot_begin(struct source *source, const char *vm, const char *since,
                        const json_t *resume, struct source_snapshot **ret_snapshot,
                        struct error **err);
int virt_snapshot_end(struct source *source, const char *vm, struct source_snapshot *snapshot,
                      bool committed, struct error **err);
int virt_write_begin(struct source *source, const char *vm, struct source_snapshot **ret_snapshot,
                     struct error **err);
/* private as a snapshot; takes a reference. */
struct source_snapshot *snapshot_from_private(json_t *private);
/* A new directory name of ours, and its token inside it. */
char *snapshot_directory(const char *uuid, const char *token);
/* 8 random hex digits.  Caller frees. */
char *snapshot_token(void);
/* Adds a disk to private; why (may be NULL) is why there is no bitmap. */
void snapshot_add_disk(json_t *private, const char *name, const char *uri, const char *bitmap,
                       const char *why);
/* Journals a thing and remembers its key in private. */
int snapshot_note(struct source *source, json_t *private, json_t *thing, struct error **err);
/* Takes all of private's keys (not the checkpoint's) out of the journal. */
int snapshot_forget(struct source *source, const json_t *private, struct error **err);

/* libvirt-running.c and libvirt-offline.c: *private is filled step by step, so that after a failure
 * it says what there is to undo. */
int running_begin(struct source *source, virDomainPtr domain, const json_t *description,
                  const char *since, json_t *private, struct error **err);
bool running_resumes(struct source *source, virDomainPtr domain, const json_t *private);
/* Ends the backup job (if it is ours) and waits until it is gone. */
int running_stop(struct source *source, virDomainPtr domain, const char *directory,
                 struct error **err);
/*
 * Waits until a job of ours that was begun by somebody who was killed is either there or will not
 * come: libvirt goes on with what it was asked for, and (seen with 9.0) ends itself when a job is
 * aborted or a checkpoint read or deleted while the backup is still being set up.  Returns at once
 * when directory does not exist on the host, as nothing is begun before it does.
 */
int running_settle(struct source *source, virDomainPtr domain, const char *directory,
                   struct error **err);
/* The directory of the backup job that runs on the domain: NULL without a job; "" when it is not
 * ours. */
char *running_job_directory(virDomainPtr domain);

int offline_begin(struct source *source, const json_t *description, const char *since,
                  json_t *private, struct error **err);
/* The same for writing, without bitmaps. */
int offline_write(struct source *source, const json_t *description, json_t *private,
                  struct error **err);
/* True while the servers answer. */
bool offline_serves(struct source *source, const json_t *private);
/* True while they answer and the images are what they were. */
bool offline_resumes(struct source *source, const json_t *description, const json_t *private);
int offline_stop(struct source *source, const char *directory, struct error **err);

/* libvirt-tunnel.c: from a socket on the source's host to one here.  Local hosts need none. */
int tunnel_open(struct source *source, json_t *private, const char *const sockets[], size_t count,
                struct error **err);
int tunnel_stop(const char *directory, struct error **err);
/* The path under which the socket can be reached from here.  Caller frees. */
char *tunnel_path(struct source *source, const json_t *private, const char *socket);

/* libvirt-power.c */
int virt_power_get(struct source *source, const char *vm, enum source_power *ret_power,
                   struct error **err);
int virt_shutdown(struct source *source, const char *vm, uint64_t timeout_ns,
                  enum source_stop_policy policy, bool (*cancelled)(void *), void *context,
                  struct error **err);
int virt_start(struct source *source, const char *vm, struct error **err);
int virt_hold(struct source *source, const char *vm, struct error **err);
int virt_release(virDomainPtr domain, struct error **err);

/* libvirt-guard.c */
int virt_guard_read(struct source *source, const char *vm, json_t **ret_before,
                    struct error **err);
int virt_guard_set(struct source *source, const char *vm, const json_t *before, bool on,
                   struct error **err);
int virt_retire(struct source *source, const json_t *description, bool remove, struct error **err);

/* libvirt-cleanup.c */
int virt_cleanup(struct source *source, const json_t *thing, struct error **err);

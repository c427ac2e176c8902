/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's control socket: who may talk, what is said, and the client side of it.
 *
 * Transport: unix stream socket, one JSON object per line (at most CONTROL_LINE_MAX bytes), UTF-8.
 * The peer must be root or the engine's own user (SO_PEERCRED); others are disconnected.
 *
 *   → {"id": N, "verb": "...", "args": {...}}
 *   ← {"id": N, "event": "progress", ...}            zero or more
 *   ← {"id": N, "result": {...}}                     or
 *   ← {"id": N, "error": {"code": ERRNO, "name": "EROFS", "message": "sentence"}}
 *
 * token: any text that is another for each intention; a command that took effect with it is not
 * carried out again, also after a restart (already: true).
 *
 * One connection handles one request at a time; a client opens as many as it wants.  A request
 * goes on when its client disconnects.  Unknown verbs and unknown arguments are errors.
 *
 * verb         args                                   result
 * ----         ----                                   ------
 * status       -                                      see "status object" in docs/FORMATS.md
 * sync         disks: [{name, uri, bitmap?}],         {generation, passes: [{disk, bytes, zero_bytes,
 *              snapshot?, compare?: bool or            changed_bytes, seconds}], already: bool}
 *              "digest" | "bytes" (true: digest),
 *              connections?: N                        uri: NBD URI; bitmap: meta context with the
 *                                                     changes since the current generation (without it
 *                                                     a delta is a full compare).  All disks of the VM
 *                                                     must be named.  The same snapshot again joins the
 *                                                     running sync, resumes an interrupted one, or
 *                                                     answers at once when it is committed (already).
 *                                                     Progress event: {phase: "map"|"copy"|"seal",
 *                                                     done_bytes, total_bytes, rate_bytes_s, eta_s},
 *                                                     sums over all disks; eta_s may be null.
 * verify       disks: [{name, uri}], sample?: N,      {generation, snapshot, equal: bool, checked_bytes,
 *              bytes?: bool, repair?: bool             differing_bytes, rotten_bytes, disks: [...],
 *                                                      repaired, audit} (engine/verify.h, repair.h);
 *                                                     compares the current generation with a source that
 *                                                     serves the same point in time; sample: percent of
 *                                                     the blocks.  Progress phase "verify"
 * manifest     key?                                   the manifest (docs/FORMATS.md) of the latest
 *                                                      generation, or of an owner without writers; key:
 *                                                      PEM file to sign with.  Progress phase "hash"
 * cancel       -                                      {cancelled: bool}  stops sync, verify, manifest, diff, failback; what
 *                                                     is durable stays and is resumed by the same snapshot
 * diff         from?: N, to?: N, disk?, fast?: bool   {from, to, disks: [{name, changed_bytes, extents: number,
 *                                                     written_bytes}]}: what changed between two generations
 *                                                     that are retained (default: the one before `to`, the
 *                                                     latest), in blocks of 64 KiB; written_bytes: blocks that
 *                                                     were written, also with the bytes they had; fast: those
 *                                                     count, nothing is read.  Events "extents": {disk,
 *                                                     extents: [[offset, length], ...]}, at most 1000 each,
 *                                                     ascending.  Progress phase "diff"
 * digest       disk, generation?: N                   {disk, generation, digest: 32 hex digits}: the same for
 *                                                     the same bytes, however they are stored
 *                                                     (engine/fingerprint.h)
 * limit        disk?, source_bytes_s?,                {vm: {the four}, disks: {NAME: {the four}}}: the limits of
 *              source_iops?, target_bytes_s?,         background work, of one disk or of the VM; absent:
 *              target_iops?                           unchanged, 0: unlimited.  At any time, at once, durable
 * set          keep?: N, when_full?: "wait" |         {keep, when_full, space_budget_bytes}: how many older
 *              "revoke", space_budget_bytes?: N       generations stay readable, what layers may take (0:
 *                                                     any), what gives way when there is no room for the
 *                                                     next generation (engine/room.h)
 * flip         generation?: N                         as below, to an older generation that is retained;
 *                                                     what is newer is discarded
 * flip         grace_s?: N, instant?: bool,           {mode: "owner" | "owner-hydrating", generation,
 *              disks?, snapshot?, since?,              already}; folds all layers first (progress phase
 *              token?                                  "fold"), ends read-only connections after grace_s
 *                                                     (default 2).  instant: at once, also out of an
 *                                                     initial sync or a delta (which ends); what is
 *                                                     missing of `snapshot` is fetched from disks: [{name,
 *                                                     uri, bitmap?}]; bitmap: the changes since snapshot
 *                                                     `since` (default: the current generation's)
 * source       disks: [{name, uri}]                    {}; another place of the same point in time, for an
 *                                                     owner that is hydrating; kept over restarts
 * source-lost  -                                      {}; who waits for the source fails now, not after
 *                                                     the time the engine would wait
 * failback     disks: [{name, uri, bitmap?}],         {mode, final, already, dirty_bytes, disks: [{disk,
 *              final?: bool, grace_s?: N,             sent_bytes, zero_bytes, seconds}]} (engine/failback.h)
 *              check?: "bitmap"|"digest"|"none"       one pass over every disk to NBD destinations; final: all
 *                                                     that is left, with the VM stopped, then mode returned.
 *                                                     bitmap: the source's own, begun at the flip.  Progress
 *                                                     phases "check", "failback"
 * detach       grace_s?: N, token?                    {mode: "detached", already}; needs owner or failback; the engine
 *                                                     then has let go of the targets
 * draft-create name, generation?: N                   {name, generation}; a writable layer over the latest
 *                                                     generation, or an older one that is retained,
 *                                                     exported as <name>/<disk>.  Up to 16 at a time; over
 *                                                     an owner one, while no client uses its disks
 * draft-list   -                                      {drafts: [...]} as in the status object
 * draft-seal   name, token?                           {generation, already}; the draft becomes the next
 *                                                     generation, the mirror follows its source no longer.
 *                                                     EPERM (it stays) when it is not over the latest
 *                                                     one, EBUSY (it stays) while a sync runs
 * draft-drop   name                                   {}
 * load-begin   snapshot?                              {snapshot, initial: bool, resumed: bool, exports}
 *                                                     opens a push: NBD clients write <disk>+load (load.h);
 *                                                     the same snapshot again goes on with an interrupted one
 * load-commit  grace_s?: N, snapshot?                 {generation, snapshot, already, passes: [{disk, bytes
 *                                                     (received), written_bytes, zero_bytes, same_bytes}]};
 *                                                     waits grace_s (default 5) for connections to leave;
 *                                                     phase "seal"; already: `snapshot` was committed before
 * load-abandon grace_s?: N                            {}; also what an engine that ended left of a push
 * stop         -                                      {}; the engine process ends
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include "base/error.h"

#define CONTROL_LINE_MAX (1 << 20)
#define CONTROL_SOCKET_NAME "control.sock" /* in the store's folder unless told otherwise */
#define NBD_SOCKET_NAME "nbd.sock"

struct control;

/* Connects to a control socket.  ECONNREFUSED/ENOENT when no engine is there. */
int control_connect(const char *socket_path, struct control **ret_control, struct error **err);

/* Closes it; NULL is fine.  Returns NULL. */
struct control *control_close(struct control *control);

/* Called for each event of a request; the object is borrowed.  A negative return value (-errno)
 * gives the request up on this side (the engine goes on with it). */
typedef int control_event_fn(const json_t *event, void *context);

/*
 * Sends one request and waits for its result.  args may be NULL and is not consumed.
 * *ret_result (may be NULL) is a new reference.  Errors of the engine come back with its code and
 * sentence; a connection that ends before the answer is ECONNRESET.
 */
int control_call(struct control *control, const char *verb, json_t *args, control_event_fn *event,
                 void *context, json_t **ret_result, struct error **err);

/* Path length limit of unix sockets applies: a longer path is refused with ENAMETOOLONG. */

static inline void control_closep(struct control **c)
{
    control_close(*c);
}
#define _cleanup_control_ _cleanup_(control_closep)

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated disk under struct io: files in memory that lose, tear and delay what was not made
 * durable.  One thread at a time.
 *
 * What is promised is what ext4 and XFS promise, no more:
 *   - a completed write is visible at once and durable after fdatasync of its file (or when it was
 *     written with dsync);
 *   - power loss keeps any subset of the other writes, each whole, torn at 512 bytes, or dropped;
 *   - names (create, unlink, rename, mkdir) become durable in the order they were made, per file
 *     system, at the latest by sync_dir of their folder; fdatasync of a new file does not make its
 *     name durable; a size is made durable by fdatasync;
 *   - kill -9 keeps what completed; writes in flight may land at any later time, until somebody
 *     locks the file (the fence of engine/io.h);
 *   - after a failed fdatasync the writes it should have covered are never made durable by a later
 *     one.
 *
 * The first component of a path names its file system.
 */
#pragma once

#include "engine/io.h"
#include "tests/model/random.h"

enum sim_fault {
    SIM_NO_FAULT,
    SIM_CRASH,  /* the call and every later one fails; then sim_kill() or sim_power_loss() */
    SIM_EIO,    /* one call fails */
    SIM_ENOSPC, /* one call that takes space fails; others: no fault */
    SIM_SYNC_EIO, /* one fdatasync fails; `at` counts those alone */
};

/* What a power loss keeps of what was not durable. */
enum sim_loss { SIM_LOSE_ALL, SIM_LOSE_NOTHING, SIM_LOSE_SOME, SIM_LOSE_TORN, _SIM_LOSS_MAX };

struct sim;

struct sim *sim_new(void);
void sim_free(struct sim *sim);
struct io *sim_io(struct sim *sim);

/* Decides everything random from here on. */
void sim_seed(struct sim *sim, uint64_t seed);

/* A fault at the at-th counted call from now (1: the next one). */
void sim_set_fault(struct sim *sim, enum sim_fault fault, unsigned at);
/* What O_DIRECT asks for; 1: there is no O_DIRECT. */
void sim_set_alignment(struct sim *sim, uint32_t alignment);
/* The largest file; what is larger is -EFBIG.  Files are held in memory as a whole. */
void sim_set_file_max(struct sim *sim, uint64_t bytes);
/* Where a write below /store may tear; 512 elsewhere.  Checksums must find any tear. */
void sim_set_store_tear(struct sim *sim, unsigned bytes);
void sim_set_free_space(struct sim *sim, uint64_t bytes);

bool sim_dead(const struct sim *sim);       /* a SIM_CRASH happened */
bool sim_fault_hit(const struct sim *sim);  /* the fault that was set has happened */
unsigned sim_calls(const struct sim *sim);  /* counted since sim_set_fault() */

/* Lets another thread run, in the middle of calls, which then take a while: a write is in flight, an
 * fdatasync covers what had completed when it began.  NULL: one thread. */
void sim_set_yield(struct sim *sim, void (*yield)(void));
/* Calls that were to make something durable and failed. */
unsigned sim_syncs_failed(const struct sim *sim);

/* Between begin and end calls are not counted, cannot fail, and nothing lands late. */
void sim_quiet_begin(struct sim *sim);
void sim_quiet_end(struct sim *sim);

/* Everything there is becomes durable. */
void sim_settle(struct sim *sim);

/* Every call fails from now on, as after SIM_CRASH. */
void sim_die(struct sim *sim);
unsigned sim_open_files(const struct sim *sim);

/* The process is gone: its descriptors are closed. */
void sim_kill(struct sim *sim);
/* The machine is gone and back. */
void sim_power_loss(struct sim *sim, enum sim_loss loss);

/* Contents of a file now; NULL: not there.  Valid until the next call. */
const uint8_t *sim_file(struct sim *sim, const char *path, uint64_t *ret_size);
/* Replaces a file's bytes, durably: damage, or a corpus entry. */
void sim_put(struct sim *sim, const char *path, const void *data, size_t length);
/* Calls fn for each path, folders too. */
void sim_each(struct sim *sim, void (*fn)(const char *path, void *context), void *context);

/* ---- for simring.c ---- */

struct sim_flight; /* a write that was submitted and has not completed */

/* NULL and *ret_error when the submission fails. */
struct sim_flight *sim_submit(struct sim *sim, int fd, const void *data, size_t length,
                              uint64_t offset, int *ret_error);
/* 0 or -errno; the flight is over (after a crash it stays in flight behind the scene). */
int sim_complete(struct sim *sim, struct sim_flight *flight);
int simring_new(struct io *io, struct ring **ret_ring);
struct random *sim_random(struct sim *sim);

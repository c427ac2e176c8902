/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What slipwayd-sim has in the place of libvirt and nbdkit: sources, engines and a node that are
 * nothing but records in one file, SLIPWAY_SIM_FILE (made when missing).  It is mapped, so that it
 * outlives a kill -9 as real engines and VMs do.  Time passes SLIPWAY_SIM_SPEED times as fast, on
 * from where it was when the file was last used (sim-clock.c).
 *
 *   sim://NAME/COUNT    a source with the VMs NAME-0001 ... NAME-COUNT (sim-source.c)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum sim_mode { SIM_INIT, SIM_MIRROR, SIM_OWNER, SIM_DETACHED };

/* All zero: it has never been touched. */
struct sim_record {
    char key[96];       /* "vm:NAME", "engine:MIGRATION", "node:NAME"; "": free */
    bool exists;        /* a store, a domain */
    bool off;           /* a VM of the source */
    bool running;       /* a domain */
    int32_t mode;       /* enum sim_mode, of an engine */
    int64_t generation; /* of an engine + 1; 0: none */
    int64_t point;      /* newest of a VM; the committed one of an engine */
    int64_t frozen_ns;  /* monotonic; when the newest point in time of a VM was made ... */
    int64_t before_ns;  /* ... and the one before it; 0: none */
    uint64_t limit_bytes_s;
};

/* The record of KIND:NAME, made when missing.  It stays where it is; guard it by sim_lock(). */
struct sim_record *sim_record(const char *kind, const char *name);

void sim_lock(void);
void sim_unlock(void);

/* A number that is always the same for the same text; in [0, below). */
uint64_t sim_number(const char *text, const char *what, uint64_t below);

/* Of a VM: the size of its disk, and how much of it changes in a second. */
uint64_t sim_disk_bytes(const char *vm);
uint64_t sim_dirty_bytes_s(const char *vm);

/* Time as the file has it; a fresh file begins with the real time.  real_ns: CLOCK_MONOTONIC. */
int64_t sim_time_ns(int64_t real_ns, bool wall);
int64_t sim_real_ns(int64_t simulated_ns); /* back, monotonic */

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate every guest write goes through: it counts the writes under way, separately for the two
 * dirty planes, and can be closed until there is none.  Counters are spread over cache lines.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define GATE_SLOTS 64

struct gate_slot {
    _Alignas(64) _Atomic unsigned in_flight[2];
};

struct gate {
    atomic_bool closed;
    atomic_uint plane;       /* which one new writes are registered in */
    pthread_mutex_t lock;    /* one closer at a time; writers wait here */
    pthread_cond_t opened;
    struct gate_slot slots[GATE_SLOTS];
};

/* What gate_leave() needs. */
struct gate_pass {
    unsigned slot, plane;
};

void gate_init(struct gate *gate);
void gate_done(struct gate *gate);

/* Registers a write; waits while the gate is closed.  pass.plane is the plane to mark. */
struct gate_pass gate_enter(struct gate *gate);
void gate_leave(struct gate *gate, struct gate_pass pass);

/* Keeps new writes out and waits until none is under way.  One holder at a time: a second one
 * waits for gate_open(). */
void gate_close(struct gate *gate);
void gate_open(struct gate *gate);

/* New writes go to the other plane; returns the old plane once no write is registered in it. */
unsigned gate_switch(struct gate *gate);

/* Writes under way now, in both planes. */
unsigned gate_in_flight(const struct gate *gate);

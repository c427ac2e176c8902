/* SPDX-License-Identifier: Apache-2.0 */
/* An engine over the simulated disk with two disks "sda" and "sdb", for tests of one module. */
#pragma once

#include "engine/fold.h"
#include "engine/sync.h"
#include "tests/model/memsource.h"
#include "tests/model/sim.h"

#define FIXTURE_STORE "/store/vm"

struct fixture {
    struct sim *sim;
    struct memsource *source;
    struct engine *engine;
};

/* A store in mode init and its engine, without threads. */
struct fixture *fixture_new(void);
void fixture_free(struct fixture *f);

/* Ends the engine as kill -9 does and opens it again. 0 or -errno with a sentence. */
int fixture_restart(struct fixture *f, struct error **err);

/* Brings the mirror to the source's state of now; since: the point of the last generation, or -1
 * for a compare.  Returns the point. */
int fixture_sync(struct fixture *f, int since, struct error **err);

/* Folds what can be folded. */
void fixture_fold(struct fixture *f);

/* What a point in time of the source holds. */
const uint8_t *fixture_bytes(struct fixture *f, int point, unsigned disk);

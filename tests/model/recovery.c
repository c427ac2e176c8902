/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/model.h"

#include <stdio.h>

static void fall(struct model *m, const struct step *step)
{
    driver_drop(m); /* with a dead disk: nothing of it has an effect */
    if (step->crash == CRASH_POWER)
        sim_power_loss(m->sim, step->loss);
    else
        sim_kill(m->sim);
}

static int open_engine(struct model *m, struct error **err)
{
    struct engine_options options = {.store = STORE, .fence_ns = 1,
                                     .live_folder = "/run/vm", .accept_loss = true};

    int r = engine_open_with(&options, sim_io(m->sim), &memsource_readers, &m->engine, err);

    if (r == 0)
        m->engine->revoke_grace_ns = 0;
    return r;
}

/* A crash or an error in the middle of the recovery; then the real one. */
static void stumble(struct model *m, const struct step *step)
{
    _cleanup_error_ struct error *err = NULL;
    enum sim_fault fault = step->again & 1 ? SIM_CRASH : SIM_EIO;

    sim_set_fault(m->sim, fault, step->again);
    if (open_engine(m, &err) < 0 && !sim_fault_hit(m->sim) && error_code(err) != EPERM)
        model_fail(m, "the store cannot be opened: %s", error_text(err));
    if (fault == SIM_EIO) { /* what cannot be read is fetched again */
        memset(m->durable, 0, sizeof(m->durable));
        push_forget(m);
    }
    sim_die(m->sim);
    fall(m, step);
}

void recovery_crash(struct model *m, const struct step *step)
{
    _cleanup_error_ struct error *err = NULL;
    bool power = step->crash == CRASH_POWER;
    int r;

    fall(m, step);
    m->late_fault = m->litter = false;
    if (step->again)
        stumble(m, step);
    sim_set_fault(m->sim, SIM_NO_FAULT, 0);
    if (m->failure[0])
        return;
    r = open_engine(m, &err);
    if (r == 0 && m->mode != MODE_DETACHED)
        reference_recovered(m, power);
    else if (r == -EPERM && (m->mode == MODE_DETACHED || m->maybe_detached))
        reference_detached(m, power);
    else
        model_fail(m, "after a %s: %s", power ? "power loss" : "kill",
                   r < 0 ? error_text(err) : "a detached store opens");
}

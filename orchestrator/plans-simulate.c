/* SPDX-License-Identifier: Apache-2.0 */
/* The simulation of a plan with what slipwayd has measured. */
#include "orchestrator/plans.h"

#include <string.h>

#include "orchestrator/fields.h"
#include "orchestrator/simulate-plan.h"

static void put_known(json_t *vm, const char *field, double value)
{
    if (value >= 0)
        json_object_set_new(vm, field, json_real(value));
}

/* VM → what was measured of it, over all migrations of the source. */
static json_t *measured_of(struct daemon *d, const char *source)
{
    json_t *measured = json_object();
    struct forecast f;

    LOCK_FOR_SCOPE(&d->lock);
    for (const struct job *job = d->jobs; job; job = job->next) {
        json_t *vm;

        if (strcmp(job->source, source) != 0 || !forecast_get_locked(job, &f))
            continue;
        vm = json_object();
        put_known(vm, "dirty_bytes_s", f.dirty_bytes_s);
        put_known(vm, "rate_bytes_s", f.rate_bytes_s);
        put_known(vm, "snapshot_cost_s", f.snapshot_cost_s);
        put_known(vm, "shutdown_s", f.shutdown.expected);
        put_known(vm, "morph_s", f.morph.expected);
        put_known(vm, "flip_s", f.flip.expected);
        put_known(vm, "start_s", f.start.expected);
        json_object_set_new(measured, job->vm, vm);
    }
    return measured;
}

/* As many syncs as here, unless asked otherwise. */
static json_t *options_of(const struct daemon *d, const json_t *asked)
{
    json_t *options = asked ? json_copy((json_t *)(uintptr_t)asked) : json_object();

    if (!json_object_get(options, "syncs"))
        json_object_set_new(options, "syncs", json_integer(d->options->max_syncs));
    return options;
}

int plans_simulate(struct daemon *d, const json_t *body, json_t **ret, struct error **err)
{
    _cleanup_json_ json_t *text = json_copy((json_t *)(uintptr_t)body), *options = NULL;
    _cleanup_json_ json_t *measured = NULL, *report = NULL;
    const json_t *asked = json_object_get(body, "options");
    struct plan_reading reading;
    int r;

    if (asked && !json_is_object(asked))
        return error_set(err, EINVAL, "field 'options' must be an object");
    json_object_del(text, "options");
    r = plan_reading_make(d, text, &reading, err);
    if (r == 0 && reading.migrations) {
        options = options_of(d, asked);
        measured = measured_of(d, plan_source(reading.plan));
        r = simulate_plan(reading.migrations, reading.descriptions, measured, options, &report,
                          err);
    }
    if (r == 0)
        *ret = json_pack("{s:O, s:O, s:O*}", "problems", reading.problems.list, "warnings",
                         reading.warnings.list, "report", report);
    plan_reading_done(&reading);
    return r;
}

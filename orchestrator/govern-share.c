/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/govern-share.h"

#include <float.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/align.h"

#define SHORT_OF 0.8
#define HEADROOM 1.5

struct filling {
    const struct share_scope *scopes;
    struct share_flow *flows;
    size_t count;
    double *left;     /* per scope; < 0: without limit */
    size_t *rising;   /* per scope: flows that still rise */
    bool *risen;      /* per flow: does not rise any more */
};

static bool bounded(const struct filling *f, const struct share_flow *flow)
{
    for (size_t i = 0; i < flow->scope_count; i++)
        if (f->scopes[flow->scopes[i]].capacity >= 0)
            return true;
    return false;
}

/* How far all can rise until the next one stops. */
static double next_step(const struct filling *f)
{
    double step = DBL_MAX;

    for (size_t i = 0; i < f->count; i++) {
        const struct share_flow *flow = &f->flows[i];

        if (f->risen[i])
            continue;
        if (flow->demand >= 0)
            step = MIN(step, flow->demand - flow->rate);
        for (size_t s = 0; s < flow->scope_count; s++) {
            size_t scope = flow->scopes[s];

            if (f->scopes[scope].capacity >= 0)
                step = MIN(step, f->left[scope] / (double)f->rising[scope]);
        }
    }
    return MAX(step, 0.0);
}

static void raise_all(struct filling *f, double step)
{
    for (size_t i = 0; i < f->count; i++) {
        struct share_flow *flow = &f->flows[i];

        if (f->risen[i])
            continue;
        flow->rate += step;
        for (size_t s = 0; s < flow->scope_count; s++)
            f->left[flow->scopes[s]] -= step;
    }
}

/* Rounding must not leave a crumb that nobody can use up. */
static bool used_up(const struct filling *f, size_t scope)
{
    double capacity = f->scopes[scope].capacity;

    return capacity >= 0 && f->left[scope] <= capacity * 1e-9;
}

static bool stops(const struct filling *f, const struct share_flow *flow)
{
    if (flow->demand >= 0 && flow->rate >= flow->demand * (1 - 1e-9))
        return true;
    for (size_t s = 0; s < flow->scope_count; s++)
        if (used_up(f, flow->scopes[s]))
            return true;
    return false;
}

/* Takes those that stop out; the number of those that still rise. */
static size_t settle(struct filling *f)
{
    size_t rising = 0;

    for (size_t i = 0; i < f->count; i++) {
        if (f->risen[i])
            continue;
        f->risen[i] = stops(f, &f->flows[i]);
        rising += !f->risen[i];
        if (f->risen[i])
            for (size_t s = 0; s < f->flows[i].scope_count; s++)
                f->rising[f->flows[i].scopes[s]]--;
    }
    return rising;
}

static size_t begin(struct filling *f)
{
    size_t rising = 0;

    for (size_t i = 0; i < f->count; i++) {
        struct share_flow *flow = &f->flows[i];

        flow->rate = bounded(f, flow) ? 0 : SHARE_UNLIMITED;
        f->risen[i] = flow->rate < 0;
        if (f->risen[i])
            continue;
        rising++;
        for (size_t s = 0; s < flow->scope_count; s++)
            f->rising[flow->scopes[s]]++;
    }
    return rising;
}

void share_divide(const struct share_scope *scopes, size_t scope_count, struct share_flow *flows,
                  size_t count)
{
    struct filling f = {.scopes = scopes,
                        .flows = flows,
                        .count = count,
                        .left = calloc(scope_count + 1, sizeof(*f.left)),
                        .rising = calloc(scope_count + 1, sizeof(*f.rising)),
                        .risen = calloc(count + 1, sizeof(*f.risen))};

    if (!f.left || !f.rising || !f.risen)
        abort();
    for (size_t s = 0; s < scope_count; s++)
        f.left[s] = scopes[s].capacity;
    /* Each round stops one at least; counting them keeps odd figures from going on for ever. */
    for (size_t rising = begin(&f), round = 0; rising > 0 && round < count; round++) {
        raise_all(&f, next_step(&f));
        rising = settle(&f);
    }
    free(f.left);
    free(f.rising);
    free(f.risen);
}

double share_demand(double told, double measured)
{
    if (told < 0 || measured >= told * SHORT_OF)
        return -1;
    return measured * HEADROOM;
}

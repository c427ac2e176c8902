/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the VMs of a simulation, and what stands in for what is not. */
#include "orchestrator/simulate-plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const struct {
    const char *field, *what, *unit;
    double assumed;
} quantities[QUANTITY_COUNT] = {
    [QUANTITY_DIRTY] = {"dirty_bytes_s", "what a VM writes", "bytes/s", 200e3},
    [QUANTITY_RATE] = {"rate_bytes_s", "what a sync copies", "bytes/s", 100e6},
    [QUANTITY_SNAPSHOT] = {"snapshot_cost_s", "a sync with nothing to copy", "s", 5},
    [QUANTITY_SHUTDOWN] = {"shutdown_s", "shutdown", "s", 30},
    [QUANTITY_MORPH] = {"morph_s", "morph", "s", 20},
    [QUANTITY_FLIP] = {"flip_s", "flip", "s", 1},
    [QUANTITY_START] = {"start_s", "start", "s", 30},
};

static bool number_of(const json_t *vm, const char *field, double *ret)
{
    const json_t *value = json_object_get(vm, field);
    double number = json_number_value(value);

    if (!json_is_number(value) || !(number >= 0 && number <= 1e15))
        return false;
    *ret = number;
    return true;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(const double *values, size_t count)
{
    _cleanup_free_ double *sorted = mem_new(count, sizeof(*sorted));

    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_doubles);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

/* What stands in where nothing is known; known: what is. */
static double stand_in(int q, const double *known, size_t known_count, const json_t *options,
                       size_t missing, json_t *assumptions)
{
    const char *from = "assumed";
    double value = quantities[q].assumed;

    if (number_of(options, quantities[q].field, &value)) {
        from = "option";
    } else if (known_count > 0) {
        from = "median";
        value = median(known, known_count);
    }
    if (missing > 0)
        json_array_append_new(
            assumptions, json_pack("{s:s, s:f, s:s, s:s, s:I}", "what", quantities[q].what, "value",
                                   value, "unit", quantities[q].unit, "from", from, "vms",
                                   (json_int_t)missing));
    return value;
}

void simulate_measure(size_t count, const char *const *vms, const json_t *descriptions,
                      const json_t *measured, const json_t *options, double *values,
                      json_t **ret_assumptions)
{
    _cleanup_free_ double *known = mem_new(count + 1, sizeof(*known));
    json_t *assumptions = json_array();

    for (int q = 0; q < QUANTITY_COUNT; q++) {
        size_t n = 0;
        double other;

        for (size_t i = 0; i < count; i++) {
            double *value = &values[i * QUANTITY_COUNT + (size_t)q];

            *value = -1;
            if (number_of(json_object_get(measured, vms[i]), quantities[q].field, value) ||
                number_of(json_object_get(descriptions, vms[i]), quantities[q].field, value))
                known[n++] = *value;
        }
        other = stand_in(q, known, n, options, count - n, assumptions);
        for (size_t i = 0; i < count; i++)
            if (values[i * QUANTITY_COUNT + (size_t)q] < 0)
                values[i * QUANTITY_COUNT + (size_t)q] = other;
    }
    *ret_assumptions = assumptions;
}

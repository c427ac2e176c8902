/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/schedule-wish.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"

static int64_t read_time(const char *text)
{
    int64_t wall;

    return calendar_time_parse(text, &wall, NULL) < 0 ? CALENDAR_NEVER : wall;
}

static void read_windows(const json_t *list, struct schedule_wish *wish)
{
    json_t *text;
    size_t i;

    wish->windows = mem_new(json_array_size(list) + 1, sizeof(*wish->windows));
    json_array_foreach((json_t *)(uintptr_t)list, i, text)
        if (json_is_string(text) &&
            calendar_window_parse(json_string_value(text), &wish->windows[wish->window_count],
                                  NULL) == 0)
            wish->window_count++;
}

static void read_cutover(const char *text, struct schedule_wish *wish)
{
    wish->cutover = CUTOVER_MANUAL;
    if (strcmp(text, "auto") == 0)
        wish->cutover = CUTOVER_AUTO;
    else if (strcmp(text, "manual") != 0 && read_time(text) != CALENDAR_NEVER)
        wish->cutover = CUTOVER_AT;
    wish->cutover_at = wish->cutover == CUTOVER_AT ? read_time(text) : 0;
}

/* 1: the first, 2: the second, 0: neither. */
static int choice(const json_t *params, const char *field, const char *first, const char *second)
{
    const char *value = field_string(params, field, "");

    return strcmp(value, first) == 0 ? 1 : strcmp(value, second) == 0 ? 2 : 0;
}

void schedule_wish_read(const json_t *params, const char *interval, struct schedule_wish *ret)
{
    static const enum schedule_over overs[] = {OVER_WAIT, OVER_INSTANT, OVER_GIVE_UP};
    static const enum schedule_end ends[] = {END_COMMIT, END_ROLLBACK, END_WAIT};
    const char *replicate = field_string(params, "replicate", "now");

    *ret = (struct schedule_wish){
        .priority = (unsigned)field_integer(params, "priority", 50),
        .budget_s = json_number_value(json_object_get(params, "downtime_budget_s")),
        .over = overs[choice(params, "over_budget", "instant", "give-up")],
        .end = ends[choice(params, "window_end", "rollback", "wait")],
        .rehearse_every = (unsigned)field_integer(params, "rehearse_every", 0),
        .start_at = strcmp(replicate, "now") == 0 ? 0 : read_time(replicate),
        .instant = field_bool(params, "instant", false)};
    calendar_rhythm_parse(field_string(params, "sync_interval", interval), &ret->rhythm, NULL);
    read_cutover(field_string(params, "cutover", "manual"), ret);
    read_windows(json_object_get(params, "windows"), ret);
}

void schedule_wish_done(struct schedule_wish *wish)
{
    free(wish->windows);
    wish->windows = NULL;
}

void schedule_wish_apply(const struct schedule_wish *wish, struct schedule_vm *vm)
{
    vm->priority = wish->priority;
    vm->start_at = wish->start_at;
    vm->rhythm = wish->rhythm;
    vm->cutover = wish->cutover;
    vm->cutover_at = wish->cutover_at;
    vm->budget_s = wish->budget_s;
    vm->over = wish->over;
    vm->end = wish->end;
    vm->rehearse_every = wish->rehearse_every;
}

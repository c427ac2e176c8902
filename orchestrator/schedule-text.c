/* SPDX-License-Identifier: Apache-2.0 */
/* A decision as a sentence. */
#include "orchestrator/schedule-inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
    char *buf;
    size_t used;
};

static void put(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text->buf + text->used, SCHEDULE_TEXT - text->used, fmt, args);
    va_end(args);
    text->used += n > 0 ? (size_t)n : 0;
    if (text->used >= SCHEDULE_TEXT)
        text->used = SCHEDULE_TEXT - 1;
}

static void put_seconds(struct text *text, double s)
{
    if (s < 9.95)
        put(text, "%.1f", s);
    else
        put(text, "%.0f", s);
}

static void put_forecast(struct text *text, const struct schedule_vm *vm)
{
    put(text, "forecast ");
    put_seconds(text, vm->forecast.expected);
    put(text, " s (");
    put_seconds(text, vm->forecast.low);
    put(text, "–");
    put_seconds(text, vm->forecast.high);
    put(text, " s)");
}

static const char *class_text(const struct schedule_vm *vm)
{
    static const char *const texts[SCHEDULE_CLASS_COUNT] = {
        [SCHEDULE_PLANNED] = "has not begun",     [SCHEDULE_SYNCING] = "syncs",
        [SCHEDULE_MIRRORED] = "has no mirror yet", [SCHEDULE_CUTTING] = "cuts over",
        [SCHEDULE_WINDOW] = "runs on the node already",
        [SCHEDULE_DONE] = "runs on the node already",
        [SCHEDULE_SYNC_FAILED] = "failed",        [SCHEDULE_CUTOVER_FAILED] = "failed",
        [SCHEDULE_GONE] = "was given up"};

    if (vm->paused)
        return "is paused";
    return vm->rehearsing ? "is being rehearsed" : texts[vm->class];
}

static void put_budget(struct text *text, const struct schedule_vm *vm, const char *rest)
{
    put_forecast(text, vm);
    put(text, " is above its budget of %g s%s", vm->budget_s, rest);
}

static void put_places(struct text *text, const struct schedule_table *t,
                       const struct schedule_why *why)
{
    put(text, "waits: %u of %u ", why->used, why->most);
    switch (why->reason) {
    case BECAUSE_HOST_PLACES:
        put(text, "syncs of %s run", t->hosts[why->other].name);
        break;
    case BECAUSE_NODE_PLACES:
        put(text, "syncs of %s run", t->nodes[why->other].name);
        break;
    case BECAUSE_CUTOVERS:
        put(text, "cutovers run");
        break;
    default:
        put(text, "syncs run");
    }
    put(text, "; %u %s before it", why->before, why->before == 1 ? "is" : "are");
}

static const char *when_text(const struct schedule_why *why, char buf[CALENDAR_TEXT])
{
    return calendar_text(why->when, buf);
}

/* About the cutover. */
static void put_cutover(struct text *text, const struct schedule_table *t, size_t i,
                        const struct schedule_why *why)
{
    const struct schedule_vm *vm = &t->vms[i], *other = &t->vms[why->other];
    bool self = why->other == (int)i;
    char a[CALENDAR_TEXT], b[CALENDAR_TEXT];

    switch (why->reason) {
    case BECAUSE_CUTOVER_BY_HAND:
        put(text, "cutover by hand: slipway cutover %s", other->name);
        break;
    case BECAUSE_CUTOVER_AT:
        put(text, "cutover at %s, as asked for", when_text(why, a));
        break;
    case BECAUSE_WINDOW_OPENS:
        put(text, "cutover at %s: the window opens then", when_text(why, a));
        break;
    case BECAUSE_WINDOW_NEVER:
        put(text, "no cutover: the windows of its group are never open at the same time");
        break;
    case BECAUSE_WINDOW_SHORT:
        put(text, "cutover in the next window: this one ends at %s, and it takes %s",
            when_text(why, a), calendar_length_text(why->length, b));
        break;
    case BECAUSE_TOO_LATE:
        put(text, "no cutover by itself: its time, %s, is more than %s ago; slipway cutover %s "
            "does it now", when_text(why, a), calendar_length_text(SCHEDULE_LATE_NS, b), vm->name);
        break;
    case BECAUSE_AFTER:
        put(text, "cutover after %s, which is not up on the node yet", other->name);
        break;
    case BECAUSE_AFTER_GONE:
        put(text, "no cutover by itself: %s, which must be up before it, was given up; slipway "
            "cutover %s does it now", other->name, vm->name);
        break;
    case BECAUSE_AFTER_UNKNOWN:
        put(text, "cutover after %s, which is not known here: make it, or change what %s comes "
            "after (slipway set)", other->after_unknown ? other->after_unknown : "?", other->name);
        break;
    case BECAUSE_MEMBER:
        if (!self && other->class == SCHEDULE_MIRRORED && !other->paused && !other->rehearsing)
            put(text, "cutover waits for a delta of %s, of its group", other->name);
        else if (!self)
            put(text, "cutover waits for %s, of its group, which %s", other->name,
                class_text(other));
        else if (vm->rehearsing)
            put(text, "cutover when the rehearsal has ended");
        break;
    case BECAUSE_ABOVE_BUDGET:
        put_budget(text, vm, ": a shorter delta first");
        break;
    case BECAUSE_FRESH_DELTA:
        put_forecast(text, vm);
        put(text, ": a delta first makes it shorter");
        break;
    case BECAUSE_OVER_WAITS:
        put_budget(text, vm, "");
        put(text, " and stays there: it waits until the VM writes less");
        break;
    case BECAUSE_NEVER_FITS:
        put_budget(text, vm, "");
        put(text, ", whatever the last delta: it waits");
        break;
    case BECAUSE_OVER_INSTANT:
        put(text, "instant cutover: above its budget of %g s otherwise", vm->budget_s);
        break;
    case BECAUSE_GIVES_UP:
    case BECAUSE_GAVE_UP:
        put(text, "no cutover by itself: the forecast %s its budget of %g s; slipway cutover %s "
            "does it now", why->reason == BECAUSE_GAVE_UP ? "stayed above" : "stays above",
            other->budget_s, other->name);
        break;
    case BECAUSE_CLOCK:
        put(text, "cutover waits for %s: the clock was set", calendar_length_text(why->length, a));
        break;
    case BECAUSE_CUTOVER:
        put(text, "cutover now");
        break;
    case BECAUSE_CUTOVER_FAILED:
        put(text, "the cutover of %s failed and is not tried again by itself: slipway cutover %s",
            other->name, other->name);
        break;
    case BECAUSE_HELD:
        put(text, "waits for the group of %s, which needs its places at once; %u %s before it",
            other->name, why->before, why->before == 1 ? "is" : "are");
        break;
    case BECAUSE_DEADLINE_COMMIT:
    case BECAUSE_DEADLINE_ROLLBACK:
        put(text, "%s at %s, in %s", why->reason == BECAUSE_DEADLINE_COMMIT ? "committed"
                                                                            : "rolled back",
            when_text(why, a), calendar_length_text(why->length, b));
        break;
    case BECAUSE_DEADLINE_NONE:
        put(text, "waits for slipway commit %s or slipway rollback %s", vm->name, vm->name);
        break;
    case BECAUSE_COMMITS:
    case BECAUSE_ROLLS_BACK:
        put(text, "its window is over: %s", why->reason == BECAUSE_COMMITS ? "commit" : "rollback");
        break;
    default:
        put_places(text, t, why);
    }
}

static void put_rhythm(struct text *text, const struct schedule_vm *vm,
                       const struct schedule_why *why)
{
    char a[CALENDAR_TEXT];

    if (vm->rhythm.kind == RHYTHM_CRON)
        put(text, "by cron");
    else
        put(text, "%severy %s", vm->rhythm.kind == RHYTHM_ADAPTIVE ? "adaptive, " : "",
            calendar_length_text(why->length, a));
}

/* About syncs. */
static void put_sync(struct text *text, const struct schedule_table *t, size_t i,
                     const struct schedule_why *why)
{
    const struct schedule_vm *vm = &t->vms[i];
    char a[CALENDAR_TEXT];

    switch (why->reason) {
    case BECAUSE_BY_HAND:
        put(text, "not begun: slipway start %s", vm->name);
        break;
    case BECAUSE_STARTS_AT:
        put(text, "begins at %s", when_text(why, a));
        break;
    case BECAUSE_STARTS:
        put(text, "begins now: its time has come");
        break;
    case BECAUSE_SYNCS:
        if (vm->queued)
            put(text, "a sync waits for its turn: %s", vm->queued);
        else
            put(text, "a sync is at work");
        break;
    case BECAUSE_CUTS:
        put(text, "the cutover is at work");
        break;
    case BECAUSE_PAUSED:
        if (vm->resumes)
            put(text, "paused by itself: it goes on when there is room again");
        else
            put(text, "paused: slipway resume %s", vm->name);
        break;
    case BECAUSE_NO_SYNC:
        put(text, "syncs by hand: slipway sync %s", vm->name);
        break;
    case BECAUSE_SYNC_AT:
        put(text, "next sync at %s (", when_text(why, a));
        put_rhythm(text, vm, why);
        put(text, ")");
        break;
    case BECAUSE_SYNC_DUE:
        put(text, "sync now: due (");
        put_rhythm(text, vm, why);
        put(text, ")");
        break;
    case BECAUSE_RETRY_AT:
        put(text, "the sync failed (%u in a row): next try at %s", why->used, when_text(why, a));
        break;
    case BECAUSE_RETRY:
        put(text, "the sync failed (%u in a row): tries again", why->used);
        break;
    case BECAUSE_SYNC_FAILED:
        put(text, "the sync failed, and it syncs by hand: slipway sync %s", vm->name);
        break;
    case BECAUSE_REHEARSES:
        put(text, "a rehearsal is at work");
        break;
    case BECAUSE_REHEARSAL_DUE:
        put(text, "rehearsal now: %u syncs since the last one", why->used);
        break;
    case BECAUSE_ONE_REHEARSES:
        put(text, "rehearsal when another one has ended");
        break;
    case BECAUSE_DONE:
        put(text, "done: it runs on the node");
        break;
    case BECAUSE_GONE:
        put(text, "given up: nothing is done any more");
        break;
    case BECAUSE_CUTOVER_FAILED:
        put(text, "it failed: a person has to look");
        break;
    case BECAUSE_HELD:
        put_cutover(text, t, i, why);
        break;
    default:
        put_places(text, t, why);
    }
}

char *schedule_text(const struct schedule_table *t, size_t i, const struct schedule_decision *d,
                    char buf[SCHEDULE_TEXT])
{
    struct text text = {.buf = buf};

    buf[0] = '\0';
    if (d->why.reason != BECAUSE_NOTHING)
        put_cutover(&text, t, i, &d->why);
    /* What is failed has been said. */
    if (d->sync.reason == BECAUSE_NOTHING ||
        (d->sync.reason == BECAUSE_CUTOVER_FAILED && text.used > 0))
        return buf;
    if (text.used > 0)
        put(&text, "; ");
    put_sync(&text, t, i, &d->sync);
    return buf;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/states.h"

#include <string.h>

#include "base/align.h"

#define B(state) (UINT32_C(1) << JOB_##state)
#define V(verb) V_OF(VERB_##verb)
#define V_OF(verb) (UINT32_C(1) << (verb))
#define STATE(n, fl, nx, fo, ve, text)                                                             \
    {.name = n, .what = text, .flags = fl, .next = JOB_##nx, .may_follow = fo, .verbs = ve}

#define CUT (STATE_ACTIVE | STATE_CUTOVER)
#define FLIPPED (CUT | STATE_FLIPPED)

const struct state_info job_states[JOB_STATE_COUNT] = {
    [JOB_PLANNED] = STATE("planned", 0, PLANNED, B(CREATED) | B(PAUSED) | B(CANCELLING),
                          V(START) | V(SYNC) | V(PAUSE) | V(CANCEL),
                          "written down, to be begun later"),
    [JOB_CREATED] = STATE("created", STATE_ACTIVE, PREPARING,
                          B(PREPARING) | B(FAILED) | B(CANCELLING), V(PAUSE) | V(CANCEL),
                          "written down, nothing done yet"),
    [JOB_PREPARING] = STATE("preparing", STATE_ACTIVE, SYNCING,
                            B(SYNCING) | B(FAILED) | B(CANCELLING), V(PAUSE) | V(CANCEL),
                            "checks, then target files and store are made"),
    [JOB_SYNCING] = STATE("syncing", STATE_ACTIVE, MIRRORED,
                          B(MIRRORED) | B(PAUSED) | B(FAILED) | B(CANCELLING),
                          V(PAUSE) | V(CANCEL),
                          "a point in time of the source is copied: all of it first, then deltas"),
    [JOB_MIRRORED] = STATE("mirrored", 0, MIRRORED,
                           B(SYNCING) | B(STOPPING) | B(PAUSED) | B(CANCELLING),
                           V(SYNC) | V(CUTOVER) | V(PAUSE) | V(CANCEL),
                           "the target holds a committed generation; the source runs"),
    [JOB_PAUSED] = STATE("paused", 0, PAUSED,
                         B(SYNCING) | B(MIRRORED) | B(PLANNED) | B(CANCELLING),
                         V(RESUME) | V(CANCEL),
                         "nothing is copied or begun until it is resumed where it was; what was "
                         "copied stays"),
    [JOB_STOPPING] = STATE("stopping", CUT, FINAL_SYNC,
                               B(FINAL_SYNC) | B(INSTANT_FLIP) | B(REVERTING) | B(FAILED) |
                                   B(CANCELLING),
                               V(CANCEL), "the source shuts down"),
    [JOB_FINAL_SYNC] = STATE("final-sync", CUT, MORPHING,
                             B(MORPHING) | B(REVERTING) | B(FAILED) | B(CANCELLING), V(CANCEL),
                             "the last delta of the stopped source"),
    [JOB_INSTANT_FLIP] = STATE("instant-flip", CUT, MORPHING,
                               B(MORPHING) | B(REVERTING) | B(FAILED) | B(CANCELLING), V(CANCEL),
                               "instead of the last delta: the target becomes the truth at once; "
                               "what it misses comes from the stopped source"),
    [JOB_MORPHING] = STATE("morphing", CUT, FLIPPING,
                           B(FLIPPING) | B(REVERTING) | B(FAILED) | B(CANCELLING), V(CANCEL),
                           "the guest is changed to boot on KVM, in a draft"),
    [JOB_FLIPPING] = STATE("flipping", CUT, DEFINING, B(DEFINING) | B(REVERTING) | B(FAILED), 0,
                           "the draft is sealed and the target becomes the truth"),
    [JOB_DEFINING] = STATE("defining", FLIPPED, STARTING, B(STARTING) | B(FAILED), 0,
                           "the VM is defined on the node"),
    [JOB_STARTING] = STATE("starting", FLIPPED, FINISHING,
                               B(FINISHING) | B(HYDRATING) | B(FAILED), 0,
                               "the VM boots on the node"),
    [JOB_HYDRATING] = STATE("hydrating", FLIPPED, FINISHING, B(FINISHING) | B(FAILED), 0,
                            "the VM runs; what is missing is fetched from the stopped source"),
    [JOB_FINISHING] = STATE("finishing", FLIPPED, COMMITTING,
                            B(COMMITTING) | B(WINDOW) | B(DETACHING) | B(FAILED), 0,
                            "the source serves nothing any more; the VM runs already"),
    [JOB_DETACHING] = STATE("detaching", FLIPPED, COMMITTING,
                            B(COMMITTING) | B(WINDOW) | B(DONE) | B(FAILED), 0,
                            "the running VM changes from the engine to the targets themselves"),
    [JOB_WINDOW] = STATE("window", STATE_FLIPPED, WINDOW, B(COMMITTING) | B(ROLLING_BACK),
                         V(COMMIT) | V(ROLLBACK),
                         "the VM runs on the node; the source is kept, off and watched, to go back "
                         "to"),
    [JOB_COMMITTING] = STATE("committing", FLIPPED, DONE, B(DONE) | B(DETACHING) | B(FAILED), 0,
                             "what was made on the source is removed; there is no way back any "
                             "more"),
    [JOB_DONE] = STATE("done", 0, DONE, 0, V(REMOVE), "the VM runs on the node for good"),
    [JOB_ROLLING_BACK] = STATE("rolling-back", FLIPPED, ROLLED_BACK, B(ROLLED_BACK) | B(FAILED), 0,
                               "the VM on the node stops, with failback what it wrote goes back, "
                               "the source starts"),
    [JOB_ROLLED_BACK] = STATE("rolled-back", 0, ROLLED_BACK, B(REVERTING) | B(CANCELLING),
                              V(SYNC) | V(CANCEL),
                              "the source runs again; the targets are as the VM left them"),
    [JOB_REVERTING] = STATE("reverting", CUT, MIRRORED, B(MIRRORED) | B(PREPARING) | B(FAILED), 0,
                            "the cutover failed before the flip: the source is started again "
                            "(after an instant flip, or a rollback, a new mirror is begun)"),
    [JOB_FAILED] = STATE("failed", 0, FAILED,
                         B(PREPARING) | B(SYNCING) | B(STOPPING) | B(FLIPPING) | B(DEFINING) |
                             B(STARTING) | B(HYDRATING) | B(FINISHING) | B(DETACHING) |
                             B(REVERTING) | B(CANCELLING) | B(COMMITTING) | B(ROLLING_BACK),
                         V(SYNC) | V(CUTOVER) | V(COMMIT) | V(ROLLBACK) | V(CANCEL),
                         "stopped by an error; the verb that led here tries again"),
    [JOB_CANCELLING] = STATE("cancelling", STATE_ACTIVE, CANCELLED, B(CANCELLED) | B(FAILED), 0,
                             "source, store and targets are cleaned"),
    [JOB_CANCELLED] = STATE("cancelled", 0, CANCELLED, 0, V(REMOVE), "nothing is left of it"),
};

static const struct {
    const char *name;
    const char *what;
} verbs[JOB_VERB_COUNT] = {
    [VERB_START] = {"start", "begin a migration that was planned for later"},
    [VERB_SYNC] = {"sync", "copy what changed since the last generation"},
    [VERB_CUTOVER] = {"cutover", "move the VM: stop, last delta, morph, flip, define, start"},
    [VERB_COMMIT] = {"commit", "end the time in which one can go back; clean the source"},
    [VERB_ROLLBACK] = {"rollback", "go back: stop the VM on the node, start the source"},
    [VERB_PAUSE] = {"pause", "begin nothing, and stop a sync soon; what it has copied stays"},
    [VERB_RESUME] = {"resume", "go on where it was paused, with the same point in time"},
    [VERB_CANCEL] = {"cancel", "give up: start a stopped source again, remove targets and store"},
    [VERB_REMOVE] = {"remove", "forget a finished migration"},
};

/* Where a failed job goes on, by the state that failed.  Work that relies on a stopped source
 * begins again with stopping, which ends at once when it is still off. */
static const struct {
    enum job_verb verb;
    enum job_state state;
} retries[JOB_STATE_COUNT] = {
    [JOB_CREATED] = {VERB_SYNC, JOB_PREPARING},
    [JOB_PREPARING] = {VERB_SYNC, JOB_PREPARING},
    [JOB_SYNCING] = {VERB_SYNC, JOB_SYNCING},
    [JOB_STOPPING] = {VERB_CUTOVER, JOB_STOPPING},
    [JOB_FINAL_SYNC] = {VERB_CUTOVER, JOB_STOPPING},
    [JOB_INSTANT_FLIP] = {VERB_CUTOVER, JOB_STOPPING},
    [JOB_MORPHING] = {VERB_CUTOVER, JOB_STOPPING},
    [JOB_FLIPPING] = {VERB_CUTOVER, JOB_FLIPPING},
    [JOB_DEFINING] = {VERB_CUTOVER, JOB_DEFINING},
    [JOB_STARTING] = {VERB_CUTOVER, JOB_STARTING},
    [JOB_HYDRATING] = {VERB_CUTOVER, JOB_HYDRATING},
    [JOB_FINISHING] = {VERB_CUTOVER, JOB_FINISHING},
    [JOB_DETACHING] = {VERB_CUTOVER, JOB_DETACHING},
    [JOB_COMMITTING] = {VERB_COMMIT, JOB_COMMITTING},
    [JOB_ROLLING_BACK] = {VERB_ROLLBACK, JOB_ROLLING_BACK},
    [JOB_REVERTING] = {VERB_CUTOVER, JOB_REVERTING},
    [JOB_CANCELLING] = {VERB_CANCEL, JOB_CANCELLING},
};

const char *job_state_name(enum job_state state)
{
    return job_states[state].name;
}

int job_state_from_name(const char *name)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        if (name && strcmp(job_states[i].name, name) == 0)
            return i;
    return -EINVAL;
}

const char *job_verb_name(enum job_verb verb)
{
    return verbs[verb].name;
}

bool job_may_follow(enum job_state from, enum job_state to)
{
    return job_states[from].may_follow & (UINT32_C(1) << to);
}

/* Behind the VM's start: who lets go of what, and whether there is time to go back. */
static enum job_state next_when_up(enum job_state state, const struct job_course *c)
{
    bool window = c->window && !c->committed;

    if (state == JOB_COMMITTING)
        return c->through_engine ? JOB_DETACHING : JOB_DONE;
    if (c->through_engine && state != JOB_DETACHING && !(window && c->failback))
        return JOB_DETACHING;
    if (c->committed)
        return JOB_DONE;
    return window ? JOB_WINDOW : JOB_COMMITTING;
}

enum job_state job_next_state(enum job_state state, const struct job_course *c)
{
    switch (state) {
    case JOB_STOPPING:
        return c->instant ? JOB_INSTANT_FLIP : JOB_FINAL_SYNC;
    case JOB_STARTING:
        return c->instant ? JOB_HYDRATING : JOB_FINISHING;
    case JOB_REVERTING:
        return c->afresh ? JOB_PREPARING : JOB_MIRRORED;
    case JOB_FINISHING:
    case JOB_DETACHING:
    case JOB_COMMITTING:
        return next_when_up(state, c);
    default:
        return job_states[state].next;
    }
}

enum job_state job_begin_state(enum job_state state, enum job_verb verb)
{
    static const enum job_state begins[JOB_VERB_COUNT] = {
        [VERB_START] = JOB_CREATED,    [VERB_SYNC] = JOB_SYNCING,
        [VERB_CUTOVER] = JOB_STOPPING, [VERB_COMMIT] = JOB_COMMITTING,
        [VERB_ROLLBACK] = JOB_ROLLING_BACK, [VERB_PAUSE] = JOB_PAUSED,
        [VERB_RESUME] = JOB_SYNCING,   [VERB_CANCEL] = JOB_CANCELLING};

    if (verb == VERB_REMOVE || !(job_states[state].verbs & V_OF(verb)))
        return state;
    if (state == JOB_PLANNED && verb == VERB_SYNC)
        return JOB_CREATED;
    if (state == JOB_ROLLED_BACK && verb == VERB_SYNC)
        return JOB_REVERTING;
    return begins[verb];
}

bool job_retry_state(enum job_state failed, enum job_verb verb, enum flip_known flip,
                     enum job_state *ret_state)
{
    if (!(job_states[failed].flags & STATE_ACTIVE))
        return false;
    if (verb == VERB_CANCEL) {
        /* A flip that may have happened is not taken back. */
        if (job_states[failed].flags & STATE_FLIPPED ||
            (failed == JOB_FLIPPING && flip == FLIP_UNKNOWN))
            return false;
        *ret_state = JOB_CANCELLING;
        return true;
    }
    if (retries[failed].verb != verb)
        return false;
    *ret_state = failed == JOB_FLIPPING && flip == FLIP_NOT_DONE ? JOB_STOPPING
                                                                  : retries[failed].state;
    return true;
}

int job_verb_check(const char *job, enum job_state state, enum job_verb verb, struct error **err)
{
    char where[200] = "";
    size_t used = 0;

    if (job_states[state].verbs & (UINT32_C(1) << verb))
        return 0;
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        if (job_states[i].verbs & (UINT32_C(1) << verb))
            used += (size_t)snprintf(where + used, sizeof(where) - used, "%s%s",
                                     used ? ", " : "", job_states[i].name);
    return error_set(err, EPERM, "migration %s is %s: %s is possible only when it is %s", job,
                     job_states[state].name, verbs[verb].name, where);
}

static void dump_names(FILE *out, uint32_t bits)
{
    bool first = true;

    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if (!(bits & (UINT32_C(1) << i)))
            continue;
        fprintf(out, "%s%s", first ? "" : ", ", job_states[i].name);
        first = false;
    }
    fputs(first ? "–" : "", out);
}

static void dump_verbs(FILE *out)
{
    fputs("\n## Verbs\n\n| verb | what it does | possible in | after a failure in → goes on in |\n"
          "| --- | --- | --- | --- |\n", out);
    for (int v = 0; v < JOB_VERB_COUNT; v++) {
        uint32_t bits = 0;

        for (int i = 0; i < JOB_STATE_COUNT; i++)
            if (job_states[i].verbs & (UINT32_C(1) << v))
                bits |= UINT32_C(1) << i;
        fprintf(out, "| %s | %s | ", verbs[v].name, verbs[v].what);
        dump_names(out, bits);
        fputs(" | ", out);
        for (int i = 0, n = 0; i < JOB_STATE_COUNT; i++) {
            enum job_state to;

            if (v == VERB_CANCEL || !job_retry_state(i, v, FLIP_UNKNOWN, &to))
                continue;
            fprintf(out, "%s%s → %s", n++ ? ", " : "", job_states[i].name, job_states[to].name);
        }
        fputs(v == VERB_CANCEL ? "anything before the flip → cancelling |\n" : " |\n", out);
    }
}

void job_states_dump(FILE *out)
{
    fputs("# States of a migration\n\n"
          "Printed by `slipwayd --dump-states` from the tables in orchestrator/states.c; a test\n"
          "compares. Every step is written to the journal before it is acted on, so a job in an\n"
          "active state is taken up again in that state when slipwayd starts.\n\n"
          "| state | what happens | kind | goes to | verbs |\n"
          "| --- | --- | --- | --- | --- |\n", out);
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        const struct state_info *s = &job_states[i];

        fprintf(out, "| %s | %s | %s%s | ", s->name, s->what,
                s->flags & STATE_ACTIVE ? "active" : "at rest",
                s->flags & STATE_FLIPPED   ? ", behind the flip"
                : s->flags & STATE_CUTOVER ? ", cutover"
                                           : "");
        dump_names(out, s->may_follow);
        fputs(" | ", out);
        for (int v = 0, n = 0; v < JOB_VERB_COUNT; v++)
            if (s->verbs & (UINT32_C(1) << v))
                fprintf(out, "%s%s", n++ ? ", " : "", verbs[v].name);
        fputs(s->verbs ? " |\n" : "– |\n", out);
    }
    dump_verbs(out);
}

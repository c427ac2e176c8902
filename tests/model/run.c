/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   model random FIRST COUNT     sequences from seeds FIRST..
 *   model small DEPTH            every sequence of up to DEPTH large steps, a crash at every call
 *   model-planted planted SEEDS [NAME]  each planted bug, or one (engine/plant.h), must be noticed
 * A sequence that fails is made as short as it can be and printed; the exit code is then 1.
 */
#include "tests/model/model.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/plant.h"

#define STEPS_MAX 80

/* Address sanitizer: files are made and freed all the time, keep few of the dead. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=16";
}

#ifdef SLIPWAY_PLANTED_BUGS
enum plant plant_active;
#endif

struct sequence {
    uint64_t seed;
    unsigned count;
    struct step steps[STEPS_MAX];
};

static const char *const step_names[_STEP_MAX] = {
    "source-write", "sync-begin",   "pull",        "checkpoint",  "sync-end",   "sync-give-up",
    "sync",         "fold-begin",   "fold",        "fold-end",    "fold-all",   "pin",
    "unpin",        "draft-create", "draft-write", "draft-seal",  "draft-drop", "flip",
    "flip-instant", "hydrate",     "guest-write",  "guest-flush",  "detach",       "push-begin",
    "push-write",   "push-flush",   "push-commit", "push-abandon", "set",
    "restart",
};
static const char *const fault_names[] = {"", "crash", "EIO", "ENOSPC"};
static const char *const loss_names[] = {"all", "nothing", "some", "torn"};

struct tally {
    uint64_t runs, steps, crashes, failures;
};

static struct tally tally;
static bool last_fault_hit; /* of the last step of the last run */

/* ---- one run ---- */

/* Time passes by being asked for. */
static uint64_t model_clock(void)
{
    static uint64_t now = NS_PER_S;

    return now += 20 * NS_PER_MS;
}

/* False: it failed; the sentence is in `why`. */
static bool run(const struct sequence *q, char *why, size_t size)
{
    struct step create = {.seed = (uint32_t)q->seed};
    struct model *m = model_new(q->seed);
    bool good;

    clock_source = model_clock;
    tally.runs++;
    if (model_create(m, &create)) {
        sim_die(m->sim);
        create.crash = q->seed % 3 == 0 ? CRASH_POWER : CRASH_KILL;
        recovery_crash(m, &create);
    }
    for (unsigned i = 0; i < q->count && !m->failure[0]; i++) {
        driver_step(m, &q->steps[i]);
        tally.steps++;
        tally.crashes += q->steps[i].kind == STEP_RESTART || q->steps[i].fault == SIM_CRASH;
    }
    last_fault_hit = m->fault_hit;
    driver_finish(m);
    good = !m->failure[0];
    snprintf(why, size, "%s", m->failure);
    model_free(m);
    clock_source = NULL;
    return good;
}

static void print(const struct sequence *q, const char *why)
{
    printf("FAILED with seed %llu: %s\n", (unsigned long long)q->seed, why);
    for (unsigned i = 0; i < q->count; i++) {
        const struct step *s = &q->steps[i];

        printf("  %-13s seed %u", step_names[s->kind], s->seed);
        if (s->fault)
            printf(", %s at call %u", fault_names[s->fault], s->at);
        if (s->read_fault)
            printf(", reading the source fails");
        if (s->fault || s->kind == STEP_RESTART)
            printf(", %s", s->crash == CRASH_POWER ? "power loss" : "kill");
        if ((s->fault || s->kind == STEP_RESTART) && s->crash == CRASH_POWER)
            printf(" of %s", loss_names[s->loss]);
        if (s->again)
            printf(", recovery disturbed at call %u", s->again);
        putchar('\n');
    }
    fflush(stdout);
}

/* Leaves out steps, then faults, as long as it still fails. */
static void shrink(struct sequence *q, char *why, size_t size)
{
    bool smaller = true;

    while (smaller) {
        smaller = false;
        for (unsigned i = q->count; i-- > 0;) {
            struct sequence shorter = *q;

            memmove(shorter.steps + i, shorter.steps + i + 1,
                    (q->count - i - 1) * sizeof(*q->steps));
            shorter.count--;
            if (!run(&shorter, why, size)) {
                *q = shorter;
                smaller = true;
            }
        }
        for (unsigned i = 0; i < q->count; i++) {
            struct sequence plain = *q;

            if (!q->steps[i].fault && !q->steps[i].again)
                continue;
            plain.steps[i].fault = SIM_NO_FAULT;
            plain.steps[i].again = 0;
            if (!run(&plain, why, size)) {
                *q = plain;
                smaller = true;
            }
        }
    }
    run(q, why, size);
}

static bool run_and_tell(struct sequence *q)
{
    char why[512];

    if (run(q, why, sizeof(why)))
        return true;
    tally.failures++;
    shrink(q, why, sizeof(why));
    print(q, why);
    return false;
}

/* ---- random sequences ---- */

static const uint8_t weights[_STEP_MAX] = {
    [STEP_SOURCE_WRITE] = 10, [STEP_SYNC_BEGIN] = 8, [STEP_PULL] = 16,    [STEP_CHECKPOINT] = 8,
    [STEP_SYNC_END] = 5,      [STEP_SYNC_GIVE_UP] = 2, [STEP_SYNC] = 8,   [STEP_FOLD_BEGIN] = 5,
    [STEP_FOLD] = 8,          [STEP_FOLD_END] = 2,   [STEP_FOLD_ALL] = 3, [STEP_PIN] = 4,
    [STEP_UNPIN] = 4,         [STEP_DRAFT_CREATE] = 2, [STEP_DRAFT_WRITE] = 3,
    [STEP_DRAFT_SEAL] = 1,    [STEP_DRAFT_DROP] = 2, [STEP_FLIP] = 2,     [STEP_GUEST_WRITE] = 6,
    [STEP_FLIP_INSTANT] = 2,  [STEP_HYDRATE] = 4,
    [STEP_GUEST_FLUSH] = 3,   [STEP_DETACH] = 1,     [STEP_PUSH_BEGIN] = 6,
    [STEP_PUSH_WRITE] = 12,   [STEP_PUSH_FLUSH] = 6, [STEP_PUSH_COMMIT] = 3,
    [STEP_PUSH_ABANDON] = 1,  [STEP_SET] = 2,         [STEP_RESTART] = 6,
};

/* What a sequence is about: rare crashes of one thing are not crowded out by all the others. */
enum theme {
    THEME_ALL,
    THEME_COPIES, /* syncs, folds and flips */
    THEME_PUSHES, /* ... and pushes instead of pulls */
    THEME_DRAFTS, /* ... and drafts, and generations that are kept */
    _THEME_MAX,
};

static unsigned weight(enum step_kind kind, enum theme theme)
{
    bool push = kind >= STEP_PUSH_BEGIN && kind <= STEP_PUSH_ABANDON;
    bool pull = kind >= STEP_SYNC_BEGIN && kind <= STEP_SYNC;
    bool draft = (kind >= STEP_DRAFT_CREATE && kind <= STEP_DRAFT_DROP) || kind == STEP_SET;

    if (theme != THEME_ALL && ((push && theme != THEME_PUSHES) ||
                               (pull && theme == THEME_PUSHES && kind != STEP_SYNC) ||
                               (draft && theme != THEME_DRAFTS)))
        return 0;
    return weights[kind];
}

static enum step_kind random_kind(struct random *r, enum theme theme)
{
    unsigned total = 0, pick;
    unsigned kind = 0;

    for (unsigned i = 0; i < _STEP_MAX; i++)
        total += weight(i, theme);
    for (pick = random_below(r, total); pick >= weight(kind, theme); kind++)
        pick -= weight(kind, theme);
    return kind;
}

static void random_fault(struct random *r, struct step *s)
{
    unsigned n = random_below(r, 24);

    s->crash = random_below(r, 2) ? CRASH_POWER : CRASH_KILL;
    s->loss = (uint8_t)random_below(r, _SIM_LOSS_MAX);
    s->at = (uint16_t)(1 + random_below(r, random_once_in(r, 2) ? 12 : 60));
    if (s->kind == STEP_CHECKPOINT) { /* a few calls, and all of them matter */
        s->at = (uint16_t)(1 + random_below(r, 6));
        n /= 2;
    }
    s->again = random_once_in(r, 4) ? (uint16_t)(1 + random_below(r, 60)) : 0;
    if (n < 4)
        s->fault = SIM_CRASH;
    else if (n == 4)
        s->fault = SIM_EIO;
    else if (n == 5)
        s->fault = SIM_ENOSPC;
    else if (n == 6)
        s->read_fault = true;
    if (s->fault == SIM_NO_FAULT && s->kind != STEP_RESTART)
        s->again = 0;
}

/* What has to happen in this order before a rare crash can show something; the rest is random. */
struct opening {
    enum step_kind steps[8];
    unsigned count;
    unsigned crash; /* index of the step that crashes half of the time */
};

static const struct opening openings[] = {
    [THEME_ALL] = {{STEP_SYNC_BEGIN, STEP_PULL, STEP_SYNC, STEP_SOURCE_WRITE, STEP_SYNC,
                    STEP_FOLD_ALL}, 6, 1},
    [THEME_COPIES] = {{STEP_SYNC, STEP_SOURCE_WRITE, STEP_SYNC, STEP_FOLD_BEGIN, STEP_FOLD,
                       STEP_SOURCE_WRITE, STEP_SYNC, STEP_FOLD_ALL}, 8, 4},
    [THEME_PUSHES] = {{STEP_PUSH_BEGIN, STEP_PUSH_WRITE, STEP_PUSH_FLUSH, STEP_PUSH_WRITE,
                       STEP_PUSH_FLUSH, STEP_RESTART, STEP_PUSH_BEGIN, STEP_PUSH_COMMIT}, 8, 3},
    [THEME_DRAFTS] = {{STEP_SYNC, STEP_SYNC, STEP_DRAFT_CREATE, STEP_DRAFT_WRITE,
                       STEP_DRAFT_SEAL, STEP_RESTART}, 6, 4},
};

static void open_with(struct random *r, const struct opening *o, struct sequence *q)
{
    bool crash = random_once_in(r, 2);

    for (unsigned i = 0; i < o->count && i < q->count; i++) {
        struct step *s = &q->steps[i];

        *s = (struct step){.kind = (uint8_t)o->steps[i], .seed = (uint32_t)random_next(r)};
        s->crash = random_below(r, 2) ? CRASH_POWER : CRASH_KILL;
        s->loss = (uint8_t)random_below(r, _SIM_LOSS_MAX);
        s->at = (uint16_t)(1 + random_below(r, 20));
        if (i == o->crash && crash)
            s->fault = SIM_CRASH;
    }
}

static void random_sequence(uint64_t seed, struct sequence *q)
{
    struct random r = {seed};
    enum theme theme = seed % _THEME_MAX;

    *q = (struct sequence){.seed = seed, .count = 6 + random_below(&r, STEPS_MAX - 6)};
    for (unsigned i = 0; i < q->count; i++) {
        struct step *s = &q->steps[i];

        s->kind = (uint8_t)random_kind(&r, theme);
        s->seed = (uint32_t)random_next(&r);
        random_fault(&r, s);
    }
    if (random_below(&r, 4) > 0) /* most begin where it gets interesting */
        q->steps[0] = (struct step){.kind = STEP_SYNC, .seed = q->steps[0].seed};
    if (random_below(&r, 2) > 0)
        open_with(&r, &openings[theme], q);
}

static int run_random(uint64_t first, uint64_t count)
{
    for (uint64_t seed = first; seed < first + count && tally.failures < 3; seed++) {
        struct sequence q;

        random_sequence(seed, &q);
        run_and_tell(&q);
    }
    return tally.failures > 0;
}

/* ---- small sequences, all of them ---- */

static const enum step_kind large[] = {STEP_SYNC,      STEP_FOLD_ALL,   STEP_FOLD_BEGIN,
                                       STEP_SYNC_BEGIN, STEP_PIN,       STEP_DRAFT_CREATE,
                                       STEP_DRAFT_SEAL, STEP_FLIP,      STEP_GUEST_WRITE,
                                       STEP_GUEST_FLUSH, STEP_DETACH,   STEP_PUSH_BEGIN,
                                       STEP_PUSH_COMMIT, STEP_FLIP_INSTANT, STEP_HYDRATE};

/* The last step crashes at its n-th call, for every n there is. */
static void crash_everywhere(const struct sequence *q)
{
    for (unsigned at = 1; tally.failures < 3; at++)
        for (unsigned way = 0; way < 4; way++) {
            struct sequence copy = *q;
            struct step *s = &copy.steps[q->count - 1];

            s->fault = SIM_CRASH;
            s->at = (uint16_t)at;
            s->crash = way == 0 ? CRASH_KILL : CRASH_POWER;
            s->loss = way == 1 ? SIM_LOSE_ALL : way == 2 ? SIM_LOSE_SOME : SIM_LOSE_TORN;
            s->again = at % 5 == way ? (uint16_t)(1 + at % 41) : 0;
            run_and_tell(&copy);
            if (!last_fault_hit)
                return;
        }
}

static void small(struct sequence *q, unsigned depth)
{
    for (unsigned k = 0; k < ARRAY_SIZE(large) && tally.failures < 3; k++) {
        q->steps[q->count] = (struct step){.kind = (uint8_t)large[k], .seed = 1000 * depth + k};
        q->count++;
        crash_everywhere(q);
        if (depth > 1)
            small(q, depth - 1);
        q->count--;
    }
}

static int run_small(unsigned depth)
{
    struct sequence q = {.seed = 5};

    small(&q, depth);
    return tally.failures > 0;
}

/* ---- planted bugs ---- */

#ifdef SLIPWAY_PLANTED_BUGS
static const char *const plant_names[PLANT_MAX] = {
#define PLANT_NAME(name) [name] = #name
    PLANT_NAME(PLANT_NONE),
    PLANT_NAME(PLANT_BEGIN_HEADER_FIRST),
    PLANT_NAME(PLANT_SEAL_NO_DATA_SYNC),
    PLANT_NAME(PLANT_SEAL_NO_INDEX_SYNC),
    PLANT_NAME(PLANT_COMMIT_BEFORE_SEAL),
    PLANT_NAME(PLANT_PROGRESS_NO_DATA_SYNC),
    PLANT_NAME(PLANT_MAP_NO_TARGET_SYNC),
    PLANT_NAME(PLANT_INIT_NO_CHECKPOINT),
    PLANT_NAME(PLANT_FOLD_WITH_PIN),
    PLANT_NAME(PLANT_FOLD_NO_ROOT),
    PLANT_NAME(PLANT_FOLD_NO_TARGET_SYNC),
    PLANT_NAME(PLANT_UNLINK_BEFORE_ROOT),
    PLANT_NAME(PLANT_ROOT_SAME_SLOT),
    PLANT_NAME(PLANT_PAGE_SAME_SLOT),
    PLANT_NAME(PLANT_STATE_BEFORE_WRITE),
    PLANT_NAME(PLANT_RESUME_OTHER_SNAPSHOT),
    PLANT_NAME(PLANT_FLIP_READERS_STAY),
    PLANT_NAME(PLANT_NO_FENCE),
    PLANT_NAME(PLANT_RESTART_NO_SYNC),
    PLANT_NAME(PLANT_OLD_DIGESTS_STAY),
    PLANT_NAME(PLANT_LOAD_OLD_DIGESTS),
    PLANT_NAME(PLANT_LOAD_NO_ZERO),
    PLANT_NAME(PLANT_LOAD_FLUSH_PAGES_ONLY),
    PLANT_NAME(PLANT_LOAD_NO_CHECKPOINT),
    PLANT_NAME(PLANT_PRESEED_IS_EMPTY),
    PLANT_NAME(PLANT_FOLD_KEPT),
    PLANT_NAME(PLANT_FLIP_NEWER_STAY),
    PLANT_NAME(PLANT_DRAFT_NO_SEAL),
    PLANT_NAME(PLANT_DRAFT_NO_DIR_SYNC),
#undef PLANT_NAME
};

/* In a process of its own: an engine with a bug may do anything.  The seeds it took, 0: not found. */
static unsigned find_plant(enum plant which, unsigned seeds)
{
    int fds[2], status = 0;
    unsigned found = 0;
    pid_t child;

    if (pipe(fds) < 0 || (child = fork()) < 0)
        return 0;
    if (child == 0) {
        char why[512];

        plant_active = which;
        for (unsigned seed = 1; seed <= seeds && !found; seed++) {
            struct sequence q;

            random_sequence(seed, &q);
            if (!run(&q, why, sizeof(why)))
                found = seed;
        }
        if (found)
            printf("%-28s seed %5u: %s\n", plant_names[which], found, why);
        fflush(stdout);
        _exit(write(fds[1], &found, sizeof(found)) < 0);
    }
    close(fds[1]);
    if (read(fds[0], &found, sizeof(found)) <= 0)
        found = 0;
    close(fds[0]);
    waitpid(child, &status, 0);
    return status == 0 ? found : 1; /* a crash is a find, too */
}

static int run_planted(unsigned seeds, const char *only)
{
    unsigned missed = 0;

    for (enum plant p = PLANT_NONE + 1; p < PLANT_MAX; p++) {
        fflush(stdout);
        if (only && strcmp(only, plant_names[p]) != 0)
            continue;
        if (find_plant(p, seeds))
            continue;
        printf("%-28s was not noticed in %u runs\n", plant_names[p] ? plant_names[p] : "unnamed",
               seeds);
        missed++;
    }
    printf("%u of %u planted bugs were noticed\n", PLANT_MAX - 1 - missed, PLANT_MAX - 1);
    return missed > 0;
}
#endif

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    uint64_t start = clock_now_ns();
    int result = 2;

    log_open("model", LOG_LEVEL_NONE); /* failures are made on purpose */
    mallopt(M_MMAP_THRESHOLD, 64 << 20); /* files come and go: no page faults for each */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    if (strcmp(what, "random") == 0 && argc == 4)
        result = run_random(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    else if (strcmp(what, "small") == 0 && argc == 3)
        result = run_small((unsigned)atoi(argv[2]));
#ifdef SLIPWAY_PLANTED_BUGS
    else if (strcmp(what, "planted") == 0 && (argc == 3 || argc == 4))
        return run_planted((unsigned)atoi(argv[2]), argv[3]);
#endif
    printf("%llu runs, %llu steps, %llu crashes, %llu failures, %.1f s\n",
           (unsigned long long)tally.runs, (unsigned long long)tally.steps,
           (unsigned long long)tally.crashes, (unsigned long long)tally.failures,
           (double)(clock_now_ns() - start) / 1e9);
    return result;
}

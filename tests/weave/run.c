/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   weave random FIRST COUNT     runs of the seeds FIRST..
 *   weave one SEED               one run, told step by step
 *   weave-planted planted SEEDS  each planted bug of the owner (engine/plant.h) must be noticed
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/plant.h"
#include "tests/weave/weave.h"

/* Address sanitizer: files are made and freed all the time, keep few of the dead. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=16";
}

/* Race detector: a process is killed with its memory as it is. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:shared_freeze\n";
}

static int run_random(uint64_t first, uint64_t count)
{
    unsigned failures = 0;
    char why[512];

    for (uint64_t seed = first; seed < first + count && failures < 3; seed++)
        if (!world_run(seed, why, sizeof(why))) {
            printf("FAILED with seed %" PRIu64 ": %s\n", seed, why);
            fflush(stdout);
            failures++;
        }
    return failures > 0;
}

#ifdef SLIPWAY_PLANTED_BUGS
enum plant plant_active;

static const struct {
    enum plant which;
    const char *name;
} plants[] = {
#define PLANT(name) {name, #name}
    PLANT(PLANT_FLIP_NO_TARGET_SYNC),
    PLANT(PLANT_FLIP_OLD_LAYER),
    PLANT(PLANT_COMPLETE_NO_FLUSH),
    PLANT(PLANT_FLUSH_MAP_FIRST),
    PLANT(PLANT_FLUSH_NO_SYNC),
    PLANT(PLANT_FLUSH_NOT_HYDRATED),
    PLANT(PLANT_FLUSH_JOINS_ROUND),
    PLANT(PLANT_FLUSH_FORGETS_FAILURE),
    PLANT(PLANT_FLUSH_AFTER_FAILURE),
    PLANT(PLANT_FUA_ALWAYS_SHORT),
    PLANT(PLANT_CLEAR_BEFORE_WRITE),
    PLANT(PLANT_CLEAR_EDGES),
    PLANT(PLANT_DIRTY_AFTER_WRITE),
    PLANT(PLANT_NO_LOG),
    PLANT(PLANT_LOG_BEFORE_GATE),
    PLANT(PLANT_LOG_ACTIVE_EARLY),
    PLANT(PLANT_GATE_NOT_ASKED_AGAIN),
    PLANT(PLANT_SWITCH_NO_WAIT),
    PLANT(PLANT_PRUNE_NO_GATE),
    PLANT(PLANT_PRUNE_NO_PLANES),
    PLANT(PLANT_PLANES_DURABLE_EARLY),
    PLANT(PLANT_HYDRATE_ALL),
    PLANT(PLANT_HYDRATE_NO_STRIPE),
    PLANT(PLANT_HYDRATE_CLEAR_FIRST),
    PLANT(PLANT_LOOKUP_OLDEST),
    PLANT(PLANT_LIVE_IGNORED),
    PLANT(PLANT_LOSS_NO_LOG),
    PLANT(PLANT_LOSS_ADOPTS_PLANE_0),
    PLANT(PLANT_MAP_NO_TARGET_SYNC),
    PLANT(PLANT_ROOT_SAME_SLOT),
    PLANT(PLANT_PAGE_SAME_SLOT),
    PLANT(PLANT_RESTART_NO_SYNC),
    PLANT(PLANT_FAILBACK_CLEAR_FIRST),
    PLANT(PLANT_FAILBACK_NO_WAIT),
    PLANT(PLANT_FAILBACK_NO_FLUSH),
    PLANT(PLANT_FAILBACK_NO_MASKS),
    PLANT(PLANT_FAILBACK_SKIP_MISSING),
#undef PLANT
};

/* In a process of its own: an engine with a bug may do anything.  The seeds it took, 0: not found. */
static uint64_t find_plant(unsigned which, uint64_t seeds)
{
    uint64_t found = 0;
    int fds[2], status = 0;
    pid_t child;

    if (pipe(fds) < 0 || (child = fork()) < 0)
        return 0;
    if (child == 0) {
        char why[512];

        plant_active = plants[which].which;
        for (uint64_t seed = 1; seed <= seeds && !found; seed++)
            if (!world_run(seed, why, sizeof(why)))
                found = seed;
        if (found)
            printf("%-30s seed %6" PRIu64 ": %s\n", plants[which].name, found, why);
        fflush(stdout);
        _exit(write(fds[1], &found, sizeof(found)) < 0);
    }
    close(fds[1]);
    if (read(fds[0], &found, sizeof(found)) <= 0)
        found = 0;
    close(fds[0]);
    waitpid(child, &status, 0);
    if (status != 0)
        printf("%-30s the process ended with status %#x\n", plants[which].name, status);
    return status == 0 ? found : 1; /* a crash is a find, too */
}

static int run_planted(uint64_t seeds)
{
    unsigned missed = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(plants); i++) {
        fflush(stdout);
        if (find_plant(i, seeds))
            continue;
        printf("%-30s was not noticed in %" PRIu64 " runs\n", plants[i].name, seeds);
        missed++;
    }
    printf("%zu of %zu planted bugs were noticed\n", ARRAY_SIZE(plants) - missed,
           ARRAY_SIZE(plants));
    return missed > 0;
}
#endif

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    uint64_t start = clock_now_ns();
    int result = 2;

    log_open("weave", strcmp(what, "one") == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_NONE);
    mallopt(M_MMAP_THRESHOLD, 64 << 20); /* files come and go: no page faults for each */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    if (strcmp(what, "random") == 0 && argc == 4) {
        result = run_random(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    } else if (strcmp(what, "one") == 0 && argc == 3) {
        weave_verbose = true;
        result = run_random(strtoull(argv[2], NULL, 10), 1);
    }
#ifdef SLIPWAY_PLANTED_BUGS
    else if (strcmp(what, "planted") == 0 && argc == 3)
        return run_planted(strtoull(argv[2], NULL, 10));
#endif
    printf("%" PRIu64 " runs, %" PRIu64 " lives, %" PRIu64 " operations, %" PRIu64 " turns, %"
           PRIu64 " kills, %" PRIu64 " power losses, %" PRIu64 " recoveries disturbed, %.1f s\n",
           weave_tally.runs, weave_tally.lives, weave_tally.operations, weave_tally.turns,
           weave_tally.kills, weave_tally.power_losses, weave_tally.recoveries_disturbed,
           (double)(clock_now_ns() - start) / 1e9);
    return result;
}

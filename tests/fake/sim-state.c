/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/sim.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define RECORDS 16384 /* a power of two */

struct sim_file {
    bool made;
    double speed; /* of the time since ... */
    int64_t real_ns; /* ... then, monotonic, when it was */
    int64_t mono_ns;
    int64_t wall_ns;
    struct sim_record records[RECORDS];
};

static struct sim_file *file;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The symbols that the linker wraps: see sim-clock.c. */
int __real_clock_gettime(clockid_t clock, struct timespec *ts);

static int64_t real_ns(clockid_t clock)
{
    struct timespec ts;

    __real_clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec;
}

static _Noreturn void give_up(const char *what)
{
    perror(what);
    _exit(1);
}

/* Before main(): every thread may ask what time it is. */
static void __attribute__((constructor)) open_file(void)
{
    const char *path = getenv("SLIPWAY_SIM_FILE"), *speed = getenv("SLIPWAY_SIM_SPEED");
    int64_t now = real_ns(CLOCK_MONOTONIC), mono, wall;
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd < 0 || ftruncate(fd, sizeof(*file)) < 0)
        give_up("SLIPWAY_SIM_FILE");
    file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED)
        give_up(path);
    close(fd);
    mono = file->made ? sim_time_ns(now, false) : now;
    wall = file->made ? sim_time_ns(now, true) : real_ns(CLOCK_REALTIME);
    file->real_ns = now;
    file->mono_ns = mono;
    file->wall_ns = wall;
    file->speed = speed ? strtod(speed, NULL) : 1;
    if (file->speed <= 0)
        give_up("SLIPWAY_SIM_SPEED");
    file->made = true;
}

int64_t sim_time_ns(int64_t real, bool wall)
{
    return (wall ? file->wall_ns : file->mono_ns) +
           (int64_t)((double)(real - file->real_ns) * file->speed);
}

int64_t sim_real_ns(int64_t simulated_ns)
{
    return file->real_ns + (int64_t)((double)(simulated_ns - file->mono_ns) / file->speed);
}

void sim_lock(void)
{
    pthread_mutex_lock(&lock);
}

void sim_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

static uint64_t hash(const char *text, uint64_t seed)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ seed;

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

uint64_t sim_number(const char *text, const char *what, uint64_t below)
{
    return hash(text, hash(what, 0)) % below;
}

struct sim_record *sim_record(const char *kind, const char *name)
{
    char key[sizeof(file->records[0].key)];
    size_t i;

    if (snprintf(key, sizeof(key), "%s:%s", kind, name) >= (int)sizeof(key))
        give_up("a name is too long");
    i = hash(key, 0) % RECORDS;
    for (size_t n = 0; n < RECORDS; n++, i = (i + 1) % RECORDS) {
        if (!file->records[i].key[0])
            strcpy(file->records[i].key, key);
        if (strcmp(file->records[i].key, key) == 0)
            return &file->records[i];
    }
    give_up("too many records");
}

uint64_t sim_disk_bytes(const char *vm)
{
    return (8 + sim_number(vm, "size", 57)) << 30;
}

uint64_t sim_dirty_bytes_s(const char *vm)
{
    return (10 + sim_number(vm, "dirty", 2000)) << 10;
}

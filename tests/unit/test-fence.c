/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract with the kernel that the fence rests on: writes that a killed process has given to
 * io_uring go on landing after it has been waited for, and the lock on the very open file that
 * carries them is not free before the last one has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/crc32c.h"
#include "engine/io.h"
#include "engine/ring.h"

#define WRITE_SIZE ((uint32_t)1 << 20)
#define WRITES 96
#define ROUNDS 6
#define QUIET_NS (150 * NS_PER_MS)
#define FENCE_NS (60 * NS_PER_S)

static char path[] = "slipway-fence-XXXXXX";

static void *buffer_new(int fill)
{
    void *buffer = NULL;

    assert_int_equal(posix_memalign(&buffer, 4096, WRITE_SIZE), 0);
    memset(buffer, fill, WRITE_SIZE);
    return buffer;
}

static void file_fill(int fill)
{
    void *buffer = buffer_new(fill);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    for (unsigned i = 0; i < WRITES; i++)
        assert_int_equal(pwrite(fd, buffer, WRITE_SIZE, (off_t)i * WRITE_SIZE), WRITE_SIZE);
    assert_int_equal(fsync(fd), 0);
    close(fd);
    free(buffer);
}

static void ignore(struct ring_op *op, int result)
{
}

/* The writer that will be killed: takes the lock, starts all writes, tells, waits for its end. */
static _Noreturn void writer(int tell, int fill)
{
    static struct ring_op ops[WRITES];
    void *buffer = buffer_new(fill);
    struct ring *ring;
    int fd = io_posix()->ops->open(io_posix(), path, IO_DIRECT), owner;

    if (fd < 0 || io_posix()->ops->lock(io_posix(), fd, 0, &owner) < 0 ||
        ring_new_uring(WRITES, (struct ring_buffers){buffer, WRITE_SIZE}, &ring) < 0)
        _exit(1);
    for (unsigned i = 0; i < WRITES; i++) {
        ops[i].done = ignore;
        ring->ops->write(ring, fd, buffer, WRITE_SIZE, (uint64_t)i * WRITE_SIZE, &ops[i]);
    }
    ring->ops->wait(ring, -1, 0, 0);
    if (write(tell, "w", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static pid_t writer_start(int fill)
{
    int fds[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        writer(fds[1], fill);
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return pid;
}

/* A digest of the whole file, past the page cache, and how many writes have landed. */
static uint32_t file_look(int fd, int fill, unsigned *ret_landed)
{
    uint8_t *buffer = buffer_new(0);
    uint32_t crc = 0;

    *ret_landed = 0;
    for (unsigned i = 0; i < WRITES; i++) {
        assert_int_equal(pread(fd, buffer, WRITE_SIZE, (off_t)i * WRITE_SIZE), WRITE_SIZE);
        crc = crc32c(crc, buffer, WRITE_SIZE);
        *ret_landed += buffer[WRITE_SIZE - 1] == fill;
    }
    free(buffer);
    return crc;
}

static void nothing_lands_once_the_lock_is_ours(void **state)
{
    unsigned landed, later;

    for (int round = 0; round < ROUNDS; round++) {
        int fill = 'a' + round, owner = 0, fd, status;
        uint64_t start;
        uint32_t crc;
        pid_t pid;

        pid = writer_start(fill);
        clock_sleep_ns((uint64_t)(rand() % 4) * NS_PER_MS);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        start = clock_now_ns();
        fd = io_posix()->ops->open(io_posix(), path, IO_DIRECT);
        assert_true(fd >= 0);
        assert_int_equal(io_posix()->ops->lock(io_posix(), fd, FENCE_NS, &owner), 0);
        start = clock_now_ns() - start;
        crc = file_look(fd, fill, &landed);
        clock_sleep_ns(QUIET_NS);
        assert_int_equal(file_look(fd, fill, &later), crc);
        print_message("round %d: lock after %.1f ms, %u of %u writes landed\n", round,
                      (double)start / (double)NS_PER_MS, later, WRITES);
        io_posix()->ops->close(io_posix(), fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_lands_once_the_lock_is_ours)};
    struct ring *ring;
    int fd = mkstemp(path), r;

    if (fd < 0)
        return 1;
    close(fd);
    if (ring_new_uring(8, (struct ring_buffers){0}, &ring) < 0) {
        unlink(path);
        print_message("io_uring is not available: nothing to test\n");
        return 77;
    }
    ring_free(ring);
    file_fill('O');
    r = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return r;
}

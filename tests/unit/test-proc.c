/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include "base/clock.h"
#include "base/proc.h"

static void output_is_captured(void **state)
{
    char *const argv[] = {(char *)"echo", (char *)"hello", NULL};
    _cleanup_free_ char *output = NULL;

    assert_int_equal(proc_run(argv, 10 * NS_PER_S, &output, NULL), 0);
    assert_string_equal(output, "hello\n");
}

static void a_failure_quotes_standard_error(void **state)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"echo the reason >&2; exit 3", NULL};
    _cleanup_error_ struct error *e = NULL;

    assert_int_equal(proc_run(argv, 10 * NS_PER_S, NULL, &e), -EIO);
    assert_non_null(strstr(error_text(e), "the reason"));
}

static void a_program_that_is_missing_is_named(void **state)
{
    char *const argv[] = {(char *)"slipway-no-such-program", NULL};
    _cleanup_error_ struct error *e = NULL;
    pid_t pid;

    assert_int_equal(proc_spawn(argv, &PROC_OPTIONS_DEFAULT, &pid, &e), -ENOENT);
    assert_non_null(strstr(error_text(e), "slipway-no-such-program"));
}

static void what_takes_too_long_is_ended(void **state)
{
    char *const argv[] = {(char *)"sleep", (char *)"100", NULL};
    _cleanup_error_ struct error *e = NULL;
    uint64_t start = clock_now_ns();

    assert_int_equal(proc_run(argv, 100 * NS_PER_MS, NULL, &e), -ETIMEDOUT);
    assert_true(clock_now_ns() - start < 20 * NS_PER_S);
}

static void a_signal_shows_in_the_status(void **state)
{
    char *const argv[] = {(char *)"sleep", (char *)"100", NULL};
    uint64_t began;
    int status = 0;
    pid_t pid;

    assert_int_equal(proc_spawn(argv, &PROC_OPTIONS_DEFAULT, &pid, NULL), 0);
    began = proc_start_time(pid);
    assert_true(began > 0);
    assert_true(proc_alive(pid));
    assert_int_equal(proc_wait(pid, 10 * NS_PER_MS, &status), -ETIMEDOUT);
    kill(pid, SIGKILL);
    assert_int_equal(proc_wait(pid, 10 * NS_PER_S, &status), 0);
    assert_int_equal(status, 128 + SIGKILL);
    assert_false(proc_alive(pid));
}

static void stopping_escalates(void **state)
{
    char *const argv[] = {(char *)"sh", (char *)"-c",
                          (char *)"trap '' TERM; echo ready; while :; do sleep 0.1; done", NULL};
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    char ready[6];
    int fds[2];
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    options.stdout_fd = fds[1];
    assert_int_equal(proc_spawn(argv, &options, &pid, NULL), 0);
    close(fds[1]);
    assert_int_equal(read(fds[0], ready, sizeof(ready)), 6);
    close(fds[0]);
    proc_stop(pid, 100 * NS_PER_MS);
    assert_false(proc_alive(pid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_captured),
        cmocka_unit_test(a_failure_quotes_standard_error),
        cmocka_unit_test(a_program_that_is_missing_is_named),
        cmocka_unit_test(what_takes_too_long_is_ended),
        cmocka_unit_test(a_signal_shows_in_the_status),
        cmocka_unit_test(stopping_escalates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

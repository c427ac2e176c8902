/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives at a journal, and on standard error without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/journald.h"
#include "base/log.h"

static char dir[64], path[90];

static int set_up(void **state)
{
    strcpy(dir, "/tmp/test-log-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/socket", dir);
    return 0;
}

static int tear_down(void **state)
{
    return fdio_remove_tree(dir);
}

static void fields_become_a_datagram(void **state)
{
    const struct journald_field fields[] = {
        {"MESSAGE", "a=b"}, {"NONE", NULL}, {"EMPTY", ""}, {"TEXT", "one\ntwo"}};
    static const char expected[] = "MESSAGE=a=b\nEMPTY=\nTEXT\n\7\0\0\0\0\0\0\0one\ntwo\n";
    char out[100];
    size_t length = journald_format(fields, 4, out, sizeof(out));

    assert_int_equal(length, sizeof(expected) - 1);
    assert_memory_equal(out, expected, length);
    assert_int_equal(journald_format(fields, 4, out, length), length);
    for (size_t size = 0; size < length; size++)
        assert_int_equal(journald_format(fields, 4, out, size), 0);
}

static void the_stream_is_the_one_that_was_named(void **state)
{
    struct stat st;
    char text[60];

    assert_int_equal(stat(dir, &st), 0);
    snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    {
        _cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(journald_has_stream(fd, text));
        assert_false(journald_has_stream(fd, NULL));
        assert_false(journald_has_stream(fd, ""));
        assert_false(journald_has_stream(fd, "1:2"));
        snprintf(text, sizeof(text), "%llu:%llux", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
        assert_false(journald_has_stream(fd, text));
    }
}

/* Standard error goes to a file while fn runs; its text, cut behind `size`. */
static void capture(void (*fn)(void), char *text, size_t size)
{
    char file[90];
    int fd, saved = dup(STDERR_FILENO);
    ssize_t n;

    snprintf(file, sizeof(file), "%s/err", dir);
    fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && saved >= 0);
    dup2(fd, STDERR_FILENO);
    fn();
    dup2(saved, STDERR_FILENO);
    n = pread(fd, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(fd);
    close(saved);
}

static void say(void)
{
    const struct log_about about = {"thing", "0123456789abcdef0123456789abcdef", "web", "old"};

    log_write_about(LOG_LEVEL_WARNING, &about, "%s is\n%s", "this", "one line\r\033[1m");
    log_info("plain");
    log_debug("not wanted");
}

static void lines_have_level_and_kind(void **state)
{
    char text[500];

    log_open("test", LOG_LEVEL_INFO);
    capture(say, text, sizeof(text));
    assert_non_null(strstr(text, " test warning: [thing] this is one line  [1m\n"));
    assert_non_null(strstr(text, " test info: plain\n"));
    assert_null(strstr(text, "not wanted"));
}

static void shout(void)
{
    static char many[6000];

    memset(many, 'x', sizeof(many) - 1);
    log_info("%s", many);
}

static void long_ones_are_cut(void **state)
{
    static char text[10000];

    log_open("test", LOG_LEVEL_INFO);
    capture(shout, text, sizeof(text));
    assert_in_range(strlen(text), 2048, 2100);
    assert_int_equal(strchr(text, '\n') - text, strlen(text) - 1);
}

static int listen_here(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void receive(int fd, const char *expected)
{
    char data[4096];
    ssize_t n = recv(fd, data, sizeof(data) - 1, 0);

    assert_true(n > 0);
    data[n] = '\0';
    assert_string_equal(data, expected);
}

/* The last of the tests: there is no way back from the journal. */
static void a_journal_gets_the_fields(void **state)
{
    char text[500];
    int fd = listen_here();

    log_open("test", LOG_LEVEL_INFO);
    assert_int_equal(log_to_journal(path), 0);
    capture(say, text, sizeof(text));
    assert_string_equal(text, "");
    receive(fd, "MESSAGE=this is one line  [1m\nPRIORITY=4\nSYSLOG_IDENTIFIER=test\n"
                "MESSAGE_ID=0123456789abcdef0123456789abcdef\nSLIPWAY_KIND=thing\n"
                "SLIPWAY_MIGRATION=web\nSLIPWAY_SOURCE=old\n");
    receive(fd, "MESSAGE=plain\nPRIORITY=6\nSYSLOG_IDENTIFIER=test\n");
    assert_int_equal(recv(fd, text, sizeof(text), 0), -1);
    close(fd);
    unlink(path);
    capture(say, text, sizeof(text));
    assert_string_equal(text, "<4>this is one line  [1m\n<6>plain\n");
    fd = listen_here();
    capture(say, text, sizeof(text));
    assert_string_equal(text, "");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_become_a_datagram),
        cmocka_unit_test(the_stream_is_the_one_that_was_named),
        cmocka_unit_test(lines_have_level_and_kind),
        cmocka_unit_test(long_ones_are_cut),
        cmocka_unit_test(a_journal_gets_the_fields),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

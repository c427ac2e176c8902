/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/fdio.h"
#include "base/str.h"
#include "engine/ctlserver.h"
#include "tests/model/fixture.h"

static char folder[] = "slipway-control-XXXXXX";
static char *path;
static struct fixture *f;
static struct ctlserver *server;

static int enter(void **state)
{
    strcpy(strrchr(folder, '-'), "-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    path = str_format("%s/c.sock", folder);
    f = fixture_new();
    return ctlserver_start(f->engine, path, &server, NULL);
}

static int leave(void **state)
{
    ctlserver_stop(server);
    fixture_free(f);
    free(path);
    return fdio_remove_tree(folder);
}

static void a_request_gets_its_result(void **state)
{
    struct control *c = NULL;
    json_t *result = NULL;

    assert_int_equal(control_connect(path, &c, NULL), 0);
    assert_int_equal(control_call(c, "status", NULL, NULL, NULL, &result, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(result, "mode")), "init");
    json_decref(result);
    result = NULL;
    assert_int_equal(control_call(c, "cancel", NULL, NULL, NULL, &result, NULL), 0);
    assert_true(json_is_false(json_object_get(result, "cancelled")));
    json_decref(result);
    control_close(c);
}

static void refusals_carry_code_and_sentence(void **state)
{
    static const struct {
        const char *verb, *args, *word;
        int code;
    } bad[] = {
        {"dance", "{}", "dance", EINVAL},
        {"status", "{\"x\": 1}", "'x'", EINVAL},
        {"flip", "{}", "init", EPERM},
        {"draft-create", "{}", "name", EINVAL},
        {"draft-create", "{\"name\": \"a\"}", "init", EPERM},
        {"sync", "{}", "disks", EINVAL},
        {"sync", "{\"disks\": [{\"name\": \"sda\"}]}", "uri", EINVAL},
        {"sync", "{\"disks\": [{\"name\": \"sdz\", \"uri\": \"mem:0/0\"}]}", "sdz", ENOENT},
        {"sync", "{\"disks\": [{\"name\": \"sda\", \"uri\": \"mem:0/0\"}]}", "sdb", EINVAL},
        {"sync", "{\"disks\": 7}", "disks", EINVAL},
        {"sync", "{\"disks\": [{\"name\": \"sda\", \"uri\": \"x\", \"bitmap\": 5}]}", "bitmap",
         EINVAL},
        {"sync", "{\"disks\": [{\"name\": \"sda\", \"uri\": \"x\"}], \"snapshot\": 5}",
         "snapshot", EINVAL},
        {"sync", "{\"disks\": [{\"name\": \"sda\", \"uri\": \"x\"}], \"compare\": \"yes\"}",
         "compare", EINVAL},
        {"flip", "{\"grace_s\": \"long\"}", "grace_s", EINVAL},
    };
    struct control *c = NULL;

    assert_int_equal(control_connect(path, &c, NULL), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        _cleanup_error_ struct error *e = NULL;
        json_t *args = json_loads(bad[i].args, 0, NULL);

        assert_int_equal(control_call(c, bad[i].verb, args, NULL, NULL, NULL, &e), -bad[i].code);
        if (!strstr(error_text(e), bad[i].word))
            fail_msg("%s %s: %s", bad[i].verb, bad[i].args, error_text(e));
        json_decref(args);
    }
    control_close(c);
}

/* Sends bytes and returns the first line of the answer ("" when the connection ends). */
static void talk(const char *bytes, size_t length, char *answer, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    size_t used = 0;

    strcpy(address.sun_path, path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    while (length > 0) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);

        if (n <= 0)
            break;
        bytes += n;
        length -= (size_t)n;
    }
    while (used + 1 < size) {
        ssize_t n = recv(fd, answer + used, 1, 0);

        if (n <= 0 || answer[used] == '\n')
            break;
        used++;
    }
    answer[used] = '\0';
    close(fd);
}

static void nonsense_is_answered_and_does_no_harm(void **state)
{
    static const char *const lines[] = {
        "hello\n", "\n", "[]\n", "{}\n", "{\"verb\": 5}\n", "{\"verb\": \"status\", \"x\": 1}\n",
        "{\"verb\": \"status\", \"args\": []}\n", "{\"verb\": \"status\", \"verb\": \"flip\"}\n",
        "\x80\xff\n", "{\"id\": {}, \"verb\": \"\"}\n"};
    char answer[512];

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        talk(lines[i], strlen(lines[i]), answer, sizeof(answer));
        if (!strstr(answer, "\"error\""))
            fail_msg("%s was answered by %s", lines[i], answer);
    }
    talk("{\"id\": 5, \"verb\": \"status\"}\n", 28, answer, sizeof(answer));
    assert_non_null(strstr(answer, "\"result\""));
    assert_non_null(strstr(answer, "\"id\":5"));
}

static void a_request_that_is_too_long_is_refused(void **state)
{
    _cleanup_free_ char *line = mem_new(1, CONTROL_LINE_MAX + 1);
    char answer[512];

    memset(line, 'x', CONTROL_LINE_MAX + 1);
    talk(line, CONTROL_LINE_MAX, answer, sizeof(answer));
    assert_non_null(strstr(answer, "EMSGSIZE"));
}

static void the_socket_belongs_to_its_owner_and_goes_with_the_engine(void **state)
{
    struct control *c;

    ctlserver_stop(server);
    server = NULL;
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(control_connect(path, &c, NULL), -ENOENT);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    _cleanup_free_ char *long_path = str_format("%0200d", 7);
    struct ctlserver *s;
    struct control *c;

    assert_int_equal(ctlserver_start(f->engine, long_path, &s, &e), -ENAMETOOLONG);
    assert_int_equal(control_connect(long_path, &c, NULL), -ENAMETOOLONG);
}

static int count_event(const json_t *event, void *context)
{
    ++*(unsigned *)context;
    assert_string_equal(json_string_value(json_object_get(event, "event")), "progress");
    return 0;
}

static void a_sync_commits_and_says_what_it_did(void **state)
{
    unsigned at = memsource_point(f->source), events = 0;
    _cleanup_free_ char *a = str_format("mem:%u/0", at), *b = str_format("mem:%u/1", at);
    json_t *args = json_pack("{s:[{s:s, s:s}, {s:s, s:s}], s:s}", "disks", "name", "sda", "uri", a,
                             "name", "sdb", "uri", b, "snapshot", "first");
    struct control *c = NULL;
    json_t *result = NULL;

    assert_int_equal(control_connect(path, &c, NULL), 0);
    assert_int_equal(control_call(c, "sync", args, count_event, &events, &result, NULL), 0);
    assert_int_equal(json_integer_value(json_object_get(result, "generation")), 0);
    assert_true(json_is_false(json_object_get(result, "already")));
    assert_int_equal(json_array_size(json_object_get(result, "passes")), 2);
    json_decref(result);
    result = NULL;
    assert_int_equal(control_call(c, "sync", args, NULL, NULL, &result, NULL), 0);
    assert_true(json_is_true(json_object_get(result, "already")));
    json_decref(result);
    json_decref(args);
    control_close(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_gets_its_result),
        TEST(refusals_carry_code_and_sentence),
        TEST(nonsense_is_answered_and_does_no_harm),
        TEST(a_request_that_is_too_long_is_refused),
        TEST(the_socket_belongs_to_its_owner_and_goes_with_the_engine),
        TEST(a_path_that_is_too_long_is_refused),
        TEST(a_sync_commits_and_says_what_it_did),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
